// How results leave the library: blocks that the caller frees, and structs that may be older than ours.
#pragma once

#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "failure.h"
#include "live_objects.h"

namespace mullama {

inline void *allocate(size_t size) {
    void *block = std::malloc(size ? size : 1);
    if (!block) throw std::bad_alloc();
    live_objects().fetch_add(1, std::memory_order_relaxed);
    return block;
}

inline void release(const void *block) noexcept {
    if (!block) return;
    live_objects().fetch_sub(1, std::memory_order_relaxed);
    std::free(const_cast<void *>(block));
}

template <class T>
T *require_out(T *out) {
    if (!out) throw failure(code::invalid_argument, "the place for the result is NULL");
    return out;
}

// A result that stays the library's.
template <class T>
void borrow(const T *data, size_t size, const T **out, size_t *out_len) {
    *require_out(out) = data;
    *require_out(out_len) = size;
}

// Text and bytes get a NUL behind the end, which the length does not count.
template <class Char>
void give(const void *data, size_t size, const Char **out, size_t *out_len) {
    static_assert(sizeof(Char) == 1, "bytes only");
    require_out(out);
    require_out(out_len);
    char *block = static_cast<char *>(allocate(size + 1));
    if (size) std::memcpy(block, data, size);
    block[size] = 0;
    *out = reinterpret_cast<const Char *>(block);
    *out_len = size;
}

inline void give(const std::string &text, const char **out, size_t *out_len) { give(text.data(), text.size(), out, out_len); }

template <class T>
void give(const std::vector<T> &items, const T **out, size_t *out_len) {
    require_out(out);
    require_out(out_len);
    T *block = static_cast<T *>(allocate(items.size() * sizeof(T)));
    if (!items.empty()) std::memcpy(block, items.data(), items.size() * sizeof(T));
    *out = block;
    *out_len = items.size();
}

// A list of texts in one block: the entries first, then their characters.
template <class Text>
void give(const std::vector<std::string> &texts, const Text **out, size_t *out_len) {
    require_out(out);
    require_out(out_len);
    size_t size = texts.size() * sizeof(Text);
    for (const std::string &text : texts) size += text.size() + 1;
    char *block = static_cast<char *>(allocate(size));
    Text *entries = reinterpret_cast<Text *>(block);
    char *place = block + texts.size() * sizeof(Text);
    for (size_t i = 0; i < texts.size(); ++i) {
        std::memcpy(place, texts[i].c_str(), texts[i].size() + 1);
        entries[i].data = place;
        entries[i].len = texts[i].size();
        place += texts[i].size() + 1;
    }
    *out = entries;
    *out_len = texts.size();
}

// For calls that do something which could not be told if it failed afterwards.
template <class Struct>
void require_struct(const Struct *out) {
    require_out(out);
    if (out->struct_size < sizeof(uint32_t)) {
        throw failure(code::invalid_argument, "struct_size of the result is " + std::to_string(out->struct_size) +
                                                  "; prepare the struct with its init function");
    }
}

// Copies as much of a struct as the caller's version of it has room for.
template <class Struct>
std::enable_if_t<std::is_class<Struct>::value> give(Struct value, Struct *out) {
    require_struct(out);
    const uint32_t size = out->struct_size;
    value.struct_size = size;
    std::memcpy(static_cast<void *>(out), &value, size < sizeof(Struct) ? size : sizeof(Struct));
}

template <class T>
std::enable_if_t<std::is_arithmetic<T>::value> give(T value, T *out) {
    *require_out(out) = value;
}

}  // namespace mullama
