// Makes one of llama.cpp's own checks fail on the engine's thread, and looks at what is left: run by test_fault.py.
//
// It links the library's objects, not the library: no door for this ships. No request reaches a
// check that fails there, so the test hands the loop a result that does.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "engine_state.h"
#include "libmullama.h"

namespace {

template <class Tag, typename Tag::type member>
struct reached {
    friend typename Tag::type reach(Tag) { return member; }
};
struct llama_tag {
    using type = mullama::engine_llama mullama::engine_state::*;
    friend type reach(llama_tag);
};
template struct reached<llama_tag, &mullama::engine_state::llama_>;
struct context_tag {
    using type = server_context mullama::engine_llama::*;
    friend type reach(context_tag);
};
template struct reached<context_tag, &mullama::engine_llama::context_>;
struct mutex_tag {
    using type = std::mutex mullama::engine_state::*;
    friend type reach(mutex_tag);
};
template struct reached<mutex_tag, &mullama::engine_state::mutex_>;

void require(bool condition, const char *what) {
    if (condition) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

std::string taken(mullama_error *error) {
    size_t size = 0;
    const char *text = mullama_error_message(error, &size);
    std::string message(text ? text : "", size);
    mullama_error_free(error);
    return message;
}

// ThreadSanitizer does not see the barrier at which ggml's threads wait for each other: with it there is one.
int32_t n_threads = 2;

mullama_engine *open(const char *path) {
    mullama_engine_options options;
    mullama_engine_options_init(&options, sizeof(options));
    options.n_ctx = 256;
    options.n_slots = 4;
    options.n_threads = n_threads;
    mullama_engine *engine = nullptr;
    require(mullama_engine_open(path, std::strlen(path), &options, nullptr, nullptr, nullptr, &engine, nullptr) == MULLAMA_OK, "open");
    return engine;
}

mullama_stream *ask(mullama_engine *engine, const std::string &body) {
    mullama_stream *stream = nullptr;
    require(mullama_engine_request(engine, "completions", 11, body.data(), body.size(), &stream, nullptr) == MULLAMA_OK, "request");
    return stream;
}

// A result whose handling, on the loop's thread, runs into a check that fails.
struct broken_result : server_task_result {
    bool is_error() override { GGML_ABORT("a fault that the test injects"); }
    json to_json() override { return {}; }
};

void break_loop(mullama_engine *engine) {
    const auto state = engine->core->enter();
    mullama::engine_llama &llama = (*state).*reach(llama_tag{});
    server_task task(SERVER_TASK_TYPE_NEXT_RESPONSE);
    task.id = llama.new_task_id();
    auto result = std::make_unique<broken_result>();
    result->id = task.id;
    const std::lock_guard<std::mutex> lock((*state).*reach(mutex_tag{}));
    llama.post(std::move(task));
    (llama.*reach(context_tag{})).get_response_reader().queue_results.send(std::move(result));
}

}  // namespace

int main(int count, char **arguments) {
    if (count > 2) n_threads = std::atoi(arguments[2]);
    mullama_engine *engine = open(arguments[1]);
    std::vector<mullama_stream *> streams;
    for (int i = 0; i < 3; ++i) streams.push_back(ask(engine, R"({"prompt": "the of", "max_tokens": 200, "ignore_eos": true, "stream": true})"));
    mullama_stream_event event;
    mullama_stream_event_init(&event, sizeof(event));
    int32_t status = 0;
    for (mullama_stream *stream : streams) {
        require(mullama_stream_next(stream, -1, &event, &status, nullptr) == MULLAMA_OK && status == MULLAMA_STATUS_ITEM, "a first token");
    }
    break_loop(engine);

    std::vector<std::string> messages;
    for (mullama_stream *stream : streams) {
        int32_t code = MULLAMA_OK;
        mullama_error *error = nullptr;
        do {
            status = MULLAMA_STATUS_DONE;
            code = mullama_stream_next(stream, 10000, &event, &status, &error);
        } while (code == MULLAMA_OK && status == MULLAMA_STATUS_ITEM);
        require(code == MULLAMA_E_INTERNAL, "every stream ends with INTERNAL");
        messages.push_back(taken(error));
    }
    require(messages[0] == messages[1] && messages[1] == messages[2], "every stream ends with the same error");
    std::printf("%s\n", messages[0].c_str());

    mullama_error *error = nullptr;
    mullama_stream *refused = nullptr;
    require(mullama_engine_request(engine, "completions", 11, R"({"prompt": "the"})", 17, &refused, &error) == MULLAMA_E_INTERNAL, "a request after the failure");
    require(taken(error) == messages[0], "the same error for later requests");
    mullama_engine_info info;
    mullama_engine_info_init(&info, sizeof(info));
    require(mullama_engine_get_info(engine, &info, nullptr) == MULLAMA_OK && info.state == MULLAMA_ENGINE_STATE_FAILED, "the state failed");
    for (mullama_stream *stream : streams) mullama_stream_free(stream);
    mullama_engine_free(engine);

    engine = open(arguments[1]);
    mullama_stream *stream = ask(engine, R"({"prompt": "the of", "max_tokens": 4})");
    require(mullama_stream_next(stream, 20000, &event, &status, nullptr) == MULLAMA_OK && status == MULLAMA_STATUS_ITEM, "a new engine answers");
    mullama_stream_free(stream);
    mullama_engine_free(engine);
    require(mullama_live_objects() == 0, "no object is left over");
    return 0;
}
