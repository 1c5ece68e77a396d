// Exceptions to codes. The backend's abort handler lives in backend.cpp, so that this file needs no llama.cpp.
#include "guard.h"

#include <stdexcept>

namespace mullama {

int &abort_count() noexcept {
    thread_local int count = 0;
    return count;
}

bool &aborts_are_fatal() noexcept {
    thread_local bool fatal = false;
    return fatal;
}

int32_t current_failure(std::string &message) noexcept {
    try {
        try {
            throw;
        } catch (const failure &e) {
            message = e.message;
            return e.code;
        } catch (const backend_abort &e) {
            message = "a check inside llama.cpp failed: " + e.message + " The object in use can only be closed now.";
            return code::internal;
        } catch (const std::bad_alloc &) {
            message = "memory could not be allocated";
            return code::out_of_memory;
        } catch (const std::length_error &e) {
            message = std::string("a size is beyond what memory can hold: ") + e.what();
            return code::out_of_memory;
        } catch (const std::exception &e) {
            message = std::string("an unexpected exception: ") + e.what();
            return code::internal;
        } catch (...) {
            message = "an unexpected exception of an unknown type";
            return code::internal;
        }
    } catch (...) {  // building the message ran out of memory
        return code::out_of_memory;
    }
}

}  // namespace mullama
