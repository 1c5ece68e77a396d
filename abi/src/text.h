// UTF-8: checking what comes in, mending what goes out, and cutting streams at whole characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "failure.h"

namespace mullama {

// Length of the longest prefix that is valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
size_t valid_utf8_prefix(std::string_view text) noexcept;

// Length of an unfinished character at the end that more bytes could still complete; 0 if there is none.
size_t unfinished_utf8_suffix(std::string_view text) noexcept;

// The text with every maximal invalid part replaced by U+FFFD.
std::string mended_utf8(std::string_view text);

// The text, mended, for a message: its beginning, where it is long. Messages tell what is wrong, not all of what was given.
std::string shortened(std::string_view text, size_t most = 200);
constexpr size_t longest_reason = 1000;  // of what llama.cpp says

// A text argument. NULL with length 0 is the empty text; anything that is not UTF-8 is an error naming the argument.
std::string_view take_text(const char *data, size_t size, const char *what);

// An array argument. NULL with length 0 is the empty array.
template <class T>
void require_array(const T *data, size_t size, const char *what) {
    if (!data && size) throw failure(code::invalid_argument, std::string(what) + " is NULL but has a length of " + std::to_string(size));
}

// A path argument: a text without NUL.
std::string take_path(const char *data, size_t size);

}  // namespace mullama
