// Initialises llama.cpp and takes over its two process-wide hooks.
#include "backend.h"

#include <exception>
#include <mutex>

#include "ggml.h"
#include "guard.h"
#include "llama.h"
#include "log.h"
#include "log_capture.h"
#include "log_ring.h"

namespace mullama {

namespace {

// Thrown from ggml_abort: leaves the failed call through the frames of ggml and llama. On a ggml worker thread there
// is nothing to catch it and the process ends; arguments are checked beforehand so that no input reaches that.
void on_abort(const char *message) {
    log_ring::get().write(GGML_LOG_LEVEL_ERROR, message);
    ++abort_count();
    throw backend_abort(message);
}

void on_log(ggml_log_level level, const char *text, void *) {
    log_ring::get().write_part(level, text);
    if (log_capture *capture = log_capture::current()) {
        guarded_void([&] { capture->add(level, text); });
    }
}

}  // namespace

void use_backend() {
    static std::once_flag once;
    std::call_once(once, [] {
        ggml_set_abort_callback(on_abort);
        llama_log_set(on_log, nullptr);
        common_log_set_verbosity_thold(-1);  // `common` would write to the host's stderr from a thread of its own
        llama_backend_init();
    });
}

}  // namespace mullama
