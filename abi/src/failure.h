// The one exception that our own code throws: an error code of the ABI and a sentence for the caller.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace mullama {

// The codes that the shared helpers themselves raise. Every API built on them uses these values (see api.yaml).
namespace code {
constexpr int32_t invalid_argument = 2001;
constexpr int32_t invalid_utf8 = 2003;
constexpr int32_t closed = 2005;
constexpr int32_t out_of_memory = 3001;
constexpr int32_t busy = 3002;
constexpr int32_t internal = 8001;
}  // namespace code

struct failure : std::exception {
    failure(int32_t code, std::string message) : code(code), message(std::move(message)) {}
    const char *what() const noexcept override { return message.c_str(); }

    int32_t code;
    std::string message;
};

}  // namespace mullama
