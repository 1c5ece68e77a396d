// UTF-8 by the table of well-formed byte sequences (Unicode 15, table 3-7).
#include "text.h"

namespace mullama {

namespace {

// Length of the well-formed character at the start of `text`, or 0. `possible` is how many of its bytes are a correct start.
size_t character_length(std::string_view text, size_t &possible) noexcept {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    possible = 1;
    if (first < 0x80) return 1;
    size_t length;
    unsigned char low = 0x80, high = 0xBF;  // limits of the second byte
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        if (first == 0xE0) low = 0xA0;
        if (first == 0xED) high = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        if (first == 0xF0) low = 0x90;
        if (first == 0xF4) high = 0x8F;
    } else {
        return 0;
    }
    for (; possible < length; ++possible) {
        if (possible == text.size()) return 0;
        const unsigned char next = byte(possible);
        if (next < low || next > high) return 0;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

}  // namespace

size_t valid_utf8_prefix(std::string_view text) noexcept {
    size_t i = 0;
    while (i < text.size()) {
        if (static_cast<unsigned char>(text[i]) < 0x80) {
            ++i;
            continue;
        }
        size_t possible;
        const size_t length = character_length(text.substr(i), possible);
        if (!length) break;
        i += length;
    }
    return i;
}

size_t unfinished_utf8_suffix(std::string_view text) noexcept {
    for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
        const std::string_view tail = text.substr(text.size() - back);
        const unsigned char first = static_cast<unsigned char>(tail[0]);
        if (first < 0x80) return 0;
        if (first >= 0xC0) {
            size_t possible;
            return character_length(tail, possible) == 0 && possible == back && first >= 0xC2 && first <= 0xF4 ? back : 0;
        }
    }
    return 0;
}

std::string mended_utf8(std::string_view text) {
    std::string mended;
    mended.reserve(text.size());
    while (!text.empty()) {
        const size_t valid = valid_utf8_prefix(text);
        mended.append(text.substr(0, valid));
        text.remove_prefix(valid);
        if (text.empty()) break;
        size_t possible;
        character_length(text, possible);
        mended.append("\xEF\xBF\xBD");
        text.remove_prefix(possible);
    }
    return mended;
}

std::string shortened(std::string_view text, size_t most) {
    if (text.size() <= most) return mended_utf8(text);
    while (most && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    return mended_utf8(text.substr(0, most)) + "...";
}

std::string_view take_text(const char *data, size_t size, const char *what) {
    require_array(data, size, what);
    if (!data) return {};
    const std::string_view text(data, size);
    const size_t valid = valid_utf8_prefix(text);
    if (valid != size) {
        throw failure(code::invalid_utf8, std::string(what) + " is not UTF-8: byte " + std::to_string(valid) + " of " +
                                              std::to_string(size) + " is invalid; decode it to text first");
    }
    return text;
}

std::string take_path(const char *data, size_t size) {
    const std::string_view path = take_text(data, size, "the path");
    if (path.empty()) throw failure(code::invalid_argument, "the path is empty");
    if (path.find('\0') != std::string_view::npos) {
        throw failure(code::invalid_argument, "the path holds a NUL character at byte " + std::to_string(path.find('\0')));
    }
    return std::string(path);
}

}  // namespace mullama
