// Initialises llama.cpp and takes over its two process-wide hooks.
#include "backend.h"

#include <exception>
#include <mutex>

#include "cpu_variant.h"
#include "ggml-backend.h"
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
    if (aborts_are_fatal()) throw fatal_abort{message};
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
        const std::string &variant = cpu_variant();  // before ggml asks for it: an error is still the caller's here
        if (!variant.empty()) log_ring::get().write(GGML_LOG_LEVEL_INFO, "the processor backend is the variant " + variant);
        ggml_set_abort_callback(on_abort);
        llama_log_set(on_log, nullptr);
        common_log_set_verbosity_thold(-1);  // `common` would write to the host's stderr from a thread of its own
        llama_backend_init();
    });
}

void *cpu_function(const char *name) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return cpu ? ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name) : nullptr;
}

}  // namespace mullama
