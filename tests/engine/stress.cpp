// Uses engines from many threads in ways that are hard on memory and locks, so that a sanitizer has something to see: run by
// `./x sanitize`, which builds it and the library's own objects with them. It links the objects, as fault.cpp does.
//
// `engine-stress FOLDER ROUNDS`: a folder with tiny models (tests/tools/tiny_models.py), and how often.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
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
struct rests_tag {
    using type = std::unordered_map<int, std::string> mullama::engine_llama::*;
    friend type reach(rests_tag);
};
template struct reached<rests_tag, &mullama::engine_llama::rests_>;

void require(bool condition, const char *what) {
    if (condition) return;
    std::printf("failed: %s\n", what);
    std::fflush(stdout);
    std::_Exit(1);
}

using dice = std::mt19937;
int roll(dice &random, int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); }

// The codes that a program may see whatever it does. Anything else is a defect.
void require_typed(int32_t code, mullama_error *error) {
    if (code == MULLAMA_E_INTERNAL || code == MULLAMA_E_OUT_OF_MEMORY) {
        std::printf("failed: %s\n", mullama_error_message(error, nullptr));
        std::fflush(stdout);
        std::_Exit(1);
    }
    mullama_error_free(error);
}

struct settings {
    uint32_t n_slots = 3, max_buffered = 8, max_queued = 12;
    int32_t full_buffer = MULLAMA_FULL_BUFFER_WAIT;
};

mullama_engine *open(const std::string &folder, const settings &asked) {
    mullama_engine_options options;
    mullama_engine_options_init(&options, sizeof(options));
    options.n_ctx = 256;
    options.n_slots = asked.n_slots;
    options.n_threads = 1;
    options.max_buffered = asked.max_buffered;
    options.max_queued = asked.max_queued;
    options.full_buffer = asked.full_buffer;
    const std::string model = folder + "/llama.gguf", lora = folder + "/lora.gguf";
    const mullama_str adapter = {lora.data(), lora.size()};
    options.lora = &adapter;
    options.lora_len = 1;
    mullama_engine *engine = nullptr;
    mullama_error *error = nullptr;
    const int32_t code = mullama_engine_open(model.data(), model.size(), &options, nullptr, nullptr, nullptr, &engine, &error);
    if (code != MULLAMA_OK) std::printf("%s\n", mullama_error_message(error, nullptr));
    require(code == MULLAMA_OK, "an engine opens");
    return engine;
}

mullama_stream *ask(mullama_engine *engine, const char *route, const std::string &body) {
    mullama_stream *stream = nullptr;
    mullama_error *error = nullptr;
    const int32_t code = mullama_engine_request(engine, route, std::strlen(route), body.data(), body.size(), &stream, &error);
    require_typed(code, error);
    return stream;
}

// Reads an event; whether there may be more.
bool read(mullama_stream *stream, int32_t timeout_ms) {
    mullama_stream_event event;
    mullama_stream_event_init(&event, sizeof(event));
    int32_t status = MULLAMA_STATUS_DONE;
    mullama_error *error = nullptr;
    const int32_t code = mullama_stream_next(stream, timeout_ms, &event, &status, &error);
    require_typed(code, error);
    if (code == MULLAMA_OK && status == MULLAMA_STATUS_ITEM) {
        // What was lent is looked at to its last byte: it must be there although others close.
        volatile char last = 0;
        for (size_t i = 0; i < event.data_len; ++i) last = event.data[i];
        (void)last;
        return true;
    }
    return code == MULLAMA_OK && status == MULLAMA_STATUS_WAITING;
}

struct request {
    const char *route;
    const char *body;
};

const request requests[] = {
    // Whatever it says, its last character could begin a stop text, and is held back.
    {"completions", R"({"prompt": "the of", "max_tokens": 40, "ignore_eos": true, "stream": true, "stop": [" ##", "a##", "b##", "c##", "d##", "e##", "f##", "g##", "h##", "i##", "k##", "l##", "m##", "n##", "o##", "p##", "r##", "s##", "t##", "u##", "v##", "w##", "y##"]})"},
    {"completions", R"({"prompt": "how many", "max_tokens": 6, "ignore_eos": true, "stream": true, "stop": [" ##", "a##", "b##", "c##", "d##", "e##", "f##", "g##", "h##", "i##", "k##", "l##", "m##", "n##", "o##", "p##", "r##", "s##", "t##", "u##", "v##", "w##", "y##"]})"},
    {"completions", R"({"prompt": "the of", "max_tokens": 60, "ignore_eos": true, "stream": true})"},
    {"completions", R"({"prompt": "the of", "max_tokens": 20, "ignore_eos": true, "stream": true, "stop": ["zzzzzzzz", "the of and"], "logprobs": 3})"},
    {"completions", R"({"prompt": ["the", "of", "and"], "max_tokens": 8, "n": 2, "seed": 1})"},
    {"completions", R"({"prompt": "the", "max_tokens": 30, "stream": true, "lora": [{"id": 0, "scale": 0.5}], "priority": 3})"},
    {"completions", R"({"prompt": "the", "max_tokens": 200, "ignore_eos": true, "deadline_ms": 5})"},
    {"completions", R"({"prompt": "the", "max_tokens": 12, "grammar": "root ::= [a-z ]+ | \"é\"", "stream": true, "id_slot": 1})"},
    {"completions", R"({"prompt": "the", "max_tokens": 12, "response_format": {"type": "regex", "regex": "[0-9]+(a|b)*"}})"},
    {"chat/completions",
     R"({"messages": [{"role": "user", "content": "the <|im_end|> of"}], "max_tokens": 16, "stream": true, "stream_options": {"include_answer": true, "include_usage": true}})"},
    {"chat/completions",
     R"({"messages": [{"role": "user", "content": "the"}], "max_tokens": 16, "tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}}], "stream": true})"},
    {"chat/completions", R"({"messages": [{"role": "user", "content": "the"}], "max_tokens": 16, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}})"},
    {"messages", R"({"messages": [{"role": "user", "content": "the"}], "max_tokens": 8, "stream": true})"},
    {"responses", R"({"input": "the", "max_output_tokens": 8, "stream": true})"},
    {"messages/count_tokens", R"({"messages": [{"role": "user", "content": "the"}]})"},
    {"tokenize", R"({"content": "the of", "with_pieces": true})"},
    {"apply-template", R"({"messages": [{"role": "user", "content": "the"}]})"},
    {"props", "{}"},
    {"metrics", "{}"},
    {"slots", "{}"},
    {"slots", R"({"action": "erase", "id_slot": 0})"},
    {"lora-adapters", "{}"},
    {"lora-adapters", R"([{"id": 0, "scale": 0.25}])"},
    {"lora-adapters", R"([{"id": 0, "scale": 1}])"},
    // Refused.
    {"completions", "{"},
    {"completions", R"({"prompt": "the", "grammar": "root ::= root \"a\""})"},
    {"completions", R"({"prompt": [1, 2, 999999]})"},
    {"chat/completions", R"({"messages": [{"role": "user", "content": "the"}], "response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}}}})"},
    {"embeddings", R"({"input": "the"})"},
    {"nowhere", "{}"},
};

void save_and_restore(mullama_engine *engine, dice &random, const std::string &file) {
    const std::string rest = ", \"id_slot\": " + std::to_string(roll(random, 3)) + ", \"path\": \"" + file + "\"}";
    for (const char *action : {"save", "restore"}) {
        mullama_stream *stream = ask(engine, "slots", "{\"action\": \"" + std::string(action) + "\"" + rest);
        while (stream && read(stream, -1)) {
        }
        mullama_stream_free(stream);
    }
}

// Requests of all kinds, each ended in one of the ways in which programs end them.
void use(mullama_engine *engine, unsigned seed, int n, const std::string &file) {
    dice random(seed);
    for (int i = 0; i < n; ++i) {
        if (roll(random, 10) == 0) {
            save_and_restore(engine, random, file);
            continue;
        }
        const request &asked = requests[roll(random, std::size(requests))];
        mullama_stream *stream = ask(engine, asked.route, asked.body);
        if (!stream) continue;
        mullama_stream_info info;
        mullama_stream_info_init(&info, sizeof(info));
        mullama_stream_get_info(stream, &info, nullptr);
        mullama_stream_id(stream);
        switch (roll(random, 7)) {
            case 0:
                while (read(stream, -1)) {
                }
                break;
            case 1:
                for (int k = roll(random, 6); k > 0 && read(stream, 50); --k) {
                }
                break;
            case 2:
                std::this_thread::sleep_for(std::chrono::microseconds(roll(random, 3000)));
                mullama_stream_cancel(stream);
                while (read(stream, -1)) {
                }
                break;
            case 3: {  // another thread closes it while it is read
                const int delay = roll(random, 2000);
                std::thread closer([&] {
                    std::this_thread::sleep_for(std::chrono::microseconds(delay));
                    mullama_stream_close(stream);
                });
                while (read(stream, -1)) {
                }
                closer.join();
                break;
            }
            case 4: {  // two readers: one of them is told that it is busy
                std::thread other([&] {
                    while (read(stream, 20)) {
                    }
                });
                while (read(stream, 20)) {
                }
                other.join();
                break;
            }
            case 5:  // nobody reads it: it is dropped when it waits for its reader, while others go on
                for (int k = 0; k < 20; ++k) {
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                    if (mullama_stream_get_info(stream, &info, nullptr) != MULLAMA_OK || info.paused) break;
                }
                break;
            default: break;
        }
        mullama_stream_free(stream);
    }
}

// What event loops do beside: wait, look, wake.
void watch(mullama_engine *engine, const std::atomic<bool> &done) {
    while (!done) {
        const int32_t *ids = nullptr;
        size_t n_ids = 0;
        mullama_error *error = nullptr;
        const int32_t code = mullama_engine_wait(engine, 5, &ids, &n_ids, &error);
        require_typed(code, error);
        mullama_free(ids);
        mullama_engine_info info;
        mullama_engine_info_init(&info, sizeof(info));
        mullama_engine_get_info(engine, &info, nullptr);
        mullama_engine_wake(engine);
    }
}

mullama_engine_info info_of(mullama_engine *engine) {
    mullama_engine_info info;
    mullama_engine_info_init(&info, sizeof(info));
    require(mullama_engine_get_info(engine, &info, nullptr) == MULLAMA_OK, "the engine tells what it does");
    return info;
}

enum class ending { left, drained, closed };

// Six threads of requests and two that watch, until they end or the engine does.
void crowd(const std::string &folder, const settings &asked, ending how, unsigned seed, int n) {
    mullama_engine *engine = open(folder, asked);
    std::atomic<bool> done{false};
    std::vector<std::thread> users, watchers;
    for (unsigned i = 0; i < 6; ++i) users.emplace_back(use, engine, seed * 100 + i, n, folder + "/slot" + std::to_string(i) + ".state");
    for (int i = 0; i < 2; ++i) watchers.emplace_back([&] { watch(engine, done); });
    if (how != ending::left) {
        dice random(seed);
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + roll(random, 100)));
        if (how == ending::drained) {
            int32_t drained = 0;
            mullama_error *error = nullptr;
            const int32_t code = mullama_engine_drain(engine, 50, &drained, &error);
            require_typed(code, error);
        }
        std::thread other([&] { mullama_engine_close(engine); });
        mullama_engine_close(engine);
        other.join();
    }
    for (std::thread &thread : users) thread.join();
    done = true;
    for (std::thread &thread : watchers) thread.join();
    if (how == ending::left) {
        for (int i = 0; i < 2000 && info_of(engine).n_running; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        // One more request comes behind everything that was cancelled.
        mullama_stream *stream = ask(engine, "completions", R"({"prompt": "the", "max_tokens": 2, "ignore_eos": true})");
        require(stream && read(stream, -1), "the engine answers as before");
        mullama_stream_free(stream);
        const mullama_engine_info info = info_of(engine);
        require(info.n_running == 0 && info.n_queued == 0 && info.n_streams == 0, "nothing is left of the requests");
        const auto state = engine->core->enter();
        mullama::engine_llama &llama = (*state).*reach(llama_tag{});
        require((llama.*reach(rests_tag{})).empty(), "no text is kept of requests that were cancelled");
    }
    mullama_engine_free(engine);
}

void before_and_after(const std::string &folder) {
    mullama_error *error = nullptr;
    mullama_stream *stream = nullptr;
    require(mullama_engine_request(nullptr, "props", 5, "{}", 2, &stream, &error) == MULLAMA_E_INVALID_ARGUMENT, "no engine is an error");
    mullama_error_free(error);
    mullama_engine *engine = open(folder, {});
    stream = ask(engine, "completions", R"({"prompt": "the", "max_tokens": 200, "ignore_eos": true, "stream": true})");
    require(read(stream, -1), "a first token");
    mullama_engine_close(engine);
    mullama_stream *refused = nullptr;
    require(mullama_engine_request(engine, "props", 5, "{}", 2, &refused, &error) == MULLAMA_E_CLOSED, "a closed engine is an error");
    mullama_error_free(error);
    mullama_engine_free(engine);
    while (read(stream, -1)) {
    }
    mullama_stream_free(stream);
}

}  // namespace

int main(int, char **arguments) {
    const std::string folder = arguments[1];
    const int rounds = std::atoi(arguments[2]);
    before_and_after(folder);
    for (int round = 0; round < rounds; ++round) {
        const auto seed = static_cast<unsigned>(round) * 10;
        settings cancels;
        cancels.full_buffer = MULLAMA_FULL_BUFFER_CANCEL;
        crowd(folder, {}, ending::left, seed, 30);
        crowd(folder, cancels, ending::left, seed + 1, 15);
        crowd(folder, {}, ending::closed, seed + 2, 1000);
        crowd(folder, cancels, ending::closed, seed + 3, 1000);
        crowd(folder, {}, ending::drained, seed + 4, 1000);
        std::printf("round %d\n", round + 1);
        std::fflush(stdout);
    }
    require(mullama_live_objects() == 0, "no object is left over");
    // A program may end with an engine at work.
    static mullama_engine *engine = open(folder, {});
    static mullama_stream *last = ask(engine, "completions", R"({"prompt": "the", "max_tokens": 200, "ignore_eos": true, "stream": true})");
    require(read(last, -1), "a first token");
    return 0;
}
