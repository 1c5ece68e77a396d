// The area engine: requests in, streams of JSON out.
#include "backend.h"
#include "engine_state.h"
#include "generated/options.h"
#include "model_resource.h"
#include "results.h"
#include "text.h"

using namespace mullama;

namespace {

// What a stream's handle holds: the request, and the engine that it keeps alive.
class stream_reader {
  public:
    stream_reader(std::shared_ptr<engine_state> engine, std::shared_ptr<stream_request> request) : engine(std::move(engine)), request(std::move(request)) {}
    ~stream_reader() { engine->forget(*request); }
    void cancel() noexcept { engine->cancel(*request); }
    std::shared_ptr<const void> lent() const { return request; }

    const std::shared_ptr<engine_state> engine;
    const std::shared_ptr<stream_request> request;
};

using stream_core = exclusive_core<stream_reader>;

std::vector<float> take_scales(const float *scales, size_t size, size_t needed, const char *what) {
    require_array(scales, size, what);
    if (size && size != needed) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, std::string(what) + " has " + std::to_string(size) + " numbers for " + std::to_string(needed) + " files; give one for each, or none");
    }
    return {scales, scales + size};
}

std::vector<std::string> take_paths(const mullama_str *paths, size_t size, const char *what) {
    require_array(paths, size, what);
    std::vector<std::string> taken;
    for (size_t i = 0; i < size; ++i) taken.push_back(take_path(paths[i].data, paths[i].len));
    return taken;
}

engine_settings take_settings(const mullama_engine_options &options) {
    engine_settings settings;
    settings.options = options;
    settings.lora = take_paths(options.lora, options.lora_len, "engine_options.lora");
    settings.lora_scales = take_scales(options.lora_scales, options.lora_scales_len, settings.lora.size(), "engine_options.lora_scales");
    settings.control_vectors = take_paths(options.control_vectors, options.control_vectors_len, "engine_options.control_vectors");
    settings.control_vector_scales = take_scales(options.control_vector_scales, options.control_vector_scales_len, settings.control_vectors.size(), "engine_options.control_vector_scales");
    if (options.draft_model) settings.draft_model = take_path(options.draft_model, options.draft_model_len);
    if (options.projector) settings.projector = take_path(options.projector, options.projector_len);
    settings.chat_template = std::string(take_text(options.chat_template, options.chat_template_len, "engine_options.chat_template"));
    settings.template_arguments = std::string(take_text(options.template_arguments, options.template_arguments_len, "engine_options.template_arguments"));
    return settings;
}

}  // namespace

struct mullama_stream {
    mullama_stream(std::shared_ptr<engine_state> engine, std::shared_ptr<stream_request> request)
        : core(std::make_shared<stream_core>("stream", std::make_unique<stream_reader>(std::move(engine), std::move(request)))) {}
    const std::shared_ptr<stream_core> core;
    live_object counted;
};

namespace {

std::shared_ptr<engine_state> enter(mullama_engine *engine) { return require(engine, "engine").core->enter(); }

}  // namespace

int32_t mullama_engine_open(const char *path, size_t path_len, const mullama_engine_options *options, const mullama_model_options *loading,
                            mullama_load_progress progress, void *progress_user, mullama_engine **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        use_backend();
        engine_settings settings = take_settings(read_engine_options(options));
        settings.load.path = take_path(path, path_len);
        settings.load.progress = progress;
        settings.load.progress_user = progress_user;
        take_model_options(settings.load, read_model_options(loading));
        *out = new mullama_engine(std::make_shared<engine_state>(std::move(settings)));
    });
}

void mullama_engine_close(mullama_engine *engine) {
    if (!engine) return;
    if (const auto state = engine->core->enter_if_open()) state->shut_down();
    engine->core->close();
}

void mullama_engine_free(mullama_engine *engine) {
    mullama_engine_close(engine);
    delete engine;
}

int32_t mullama_engine_get_info(mullama_engine *engine, mullama_engine_info *out, mullama_error **err) {
    return guarded(err, [&] { give(enter(engine)->info(), out); });
}

int32_t mullama_engine_warnings(mullama_engine *engine, const mullama_str **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] { give(enter(engine)->warnings(), out, out_len); });
}

int32_t mullama_engine_request(mullama_engine *engine, const char *route, size_t route_len, const char *body, size_t body_len, mullama_stream **out,
                               mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        std::shared_ptr<engine_state> state = enter(engine);
        std::shared_ptr<stream_request> request = state->send(std::string(take_text(route, route_len, "the route")), take_text(body, body_len, "the body"));
        *out = new mullama_stream(std::move(state), std::move(request));
    });
}

int32_t mullama_engine_wait(mullama_engine *engine, int32_t wait_ms, const int32_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        require_out(out_len);
        give(enter(engine)->wait(wait_ms), out, out_len);
    });
}

void mullama_engine_wake(mullama_engine *engine) {
    guarded_void([&] {
        const auto state = engine ? engine->core->enter_if_open() : nullptr;
        if (state) state->wake();
    });
}

int32_t mullama_engine_drain(mullama_engine *engine, int32_t wait_ms, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        give(static_cast<int32_t>(enter(engine)->drain(wait_ms)), out);
    });
}

void mullama_stream_close(mullama_stream *stream) {
    if (stream) stream->core->close();
}

void mullama_stream_free(mullama_stream *stream) {
    mullama_stream_close(stream);
    delete stream;
}

int32_t mullama_stream_next(mullama_stream *stream, int32_t timeout_ms, mullama_stream_event *out, int32_t *out_status, mullama_error **err) {
    return guarded(err, [&] {
        require_struct(out);
        require_out(out_status);
        auto reader = require(stream, "stream").core->enter();
        *out_status = reader->engine->next(*reader->request, timeout_ms);
        if (*out_status != MULLAMA_STATUS_ITEM) return;
        mullama_stream_event event{};
        event.data = reader->request->current.c_str();
        event.data_len = reader->request->current.size();
        event.whole = reader->request->current_is_whole;
        give(event, out);
    });
}

void mullama_stream_cancel(mullama_stream *stream) {
    guarded_void([&] {
        if (stream) stream->core->signal([](stream_reader &reader) { reader.cancel(); });
    });
}

int32_t mullama_stream_id(mullama_stream *stream) {
    return guarded_value([&] {
        int32_t id = 0;
        if (stream) stream->core->signal([&](stream_reader &reader) { id = reader.request->id; });
        return id;
    });
}

int32_t mullama_stream_get_info(mullama_stream *stream, mullama_stream_info *out, mullama_error **err) {
    return guarded(err, [&] {
        bool open = false;
        mullama_stream_info info{};
        require(stream, "stream").core->signal([&](stream_reader &reader) {
            open = true;
            info = reader.engine->info(*reader.request);
        });
        if (!open) throw_closed("stream");
        give(info, out);
    });
}
