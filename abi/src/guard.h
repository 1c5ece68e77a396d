// The guard that every entry point goes through: whatever happens inside becomes an error value outside.
#pragma once

#include <new>

#include "failure.h"
#include "live_objects.h"

namespace mullama {

// What an opaque error points to. An API's error type derives from it.
struct error_object {
    int32_t code = 0;
    std::string message;
    live_object counted;
};

// Thrown by the handler of GGML_ASSERT and GGML_ABORT. It unwinds through ggml's and llama's frames on the calling thread.
struct backend_abort : std::exception {
    explicit backend_abort(std::string message) : message(std::move(message)) {}
    const char *what() const noexcept override { return message.c_str(); }
    std::string message;
};

// Thrown in its place on a thread whose work cannot go on after an abort. It is no std::exception: llama.cpp's own
// handlers would catch that, and go on with what the abort has left.
struct fatal_abort {
    std::string message;
};

// Number of backend aborts on this thread so far: a handle in use when it grew is poisoned.
int &abort_count() noexcept;
// Whether an abort on this thread is thrown as a fatal_abort.
bool &aborts_are_fatal() noexcept;

// Turns the exception in flight into a code and a message. Never throws.
int32_t current_failure(std::string &message) noexcept;

template <class Error>
int32_t report(Error **err, int32_t code, const std::string &message) noexcept {
    if (err) {
        if (Error *error = new (std::nothrow) Error) {
            error->code = code;
            try {
                error->message = message;
            } catch (...) {  // the code still tells; the text is lost with the memory
            }
            *err = error;
        }
    }
    return code;
}

// Runs `body`, which throws on failure, and gives the code of the outcome.
template <class Error, class Body>
int32_t guarded(Error **err, Body &&body) noexcept {
    if (err) *err = nullptr;
    try {
        body();
        return 0;
    } catch (...) {
        std::string message;
        const int32_t code = current_failure(message);
        return report(err, code, message);
    }
}

// For functions that cannot fail: the zero value stands in when the handle is closed or something goes wrong.
template <class Body>
auto guarded_value(Body &&body) noexcept -> decltype(body()) {
    try {
        return body();
    } catch (...) {
        return {};
    }
}

template <class Body>
void guarded_void(Body &&body) noexcept {
    try {
        body();
    } catch (...) {
    }
}

}  // namespace mullama
