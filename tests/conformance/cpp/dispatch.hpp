// What the generated table stands on: values of cases into C++, and results of C++ into values.
#pragma once

#include <libmullama.hpp>

extern "C" {
#include "../c/value.h"
}

// What a call led to, unless it threw.
struct outcome {
    std::string status;  // of a stream: item, waiting or end
    value *result = of_none();

    void give(value *made) { result = made; }
};

// One function: `on` is the object (nullptr for functions without), `args` a map.
struct caller {
    std::string name;
    std::string on;
    void (*call)(void *on, const value *args, outcome &outcome);
};

extern const std::vector<caller> callers;

// Arguments

inline std::string_view text(const value *one) {
    const mullama_str found = as_text(one);
    return {found.data, found.len};
}

inline std::string_view json_text(const value *one) {
    const mullama_str found = as_json_text(one);
    return {found.data, found.len};
}

inline std::vector<std::string> texts(const value *one) {
    std::vector<std::string> found;
    for (std::size_t i = 0; one && i < one->len; ++i) found.emplace_back(text(one->items[i]));
    return found;
}

template <class T>
mullama::Span<const T> array(const T *(*read)(const value *, std::size_t *), const value *one) {
    std::size_t len = 0;
    const T *const data = read(one, &len);
    return {data, len};
}

inline auto ints(const value *one) { return array(as_ints, one); }
inline auto floats(const value *one) { return array(as_floats, one); }
inline auto octets(const value *one) { return array(as_octets, one); }

template <class T>
std::vector<T> vector(mullama::Span<const T> array) {
    return {array.begin(), array.end()};
}

inline mullama::Timeout timeout(const value *args, const char *name = "timeout_ms") {
    const std::int32_t milliseconds = given_i32(args, name, -1);
    return milliseconds < 0 ? mullama::Timeout() : std::chrono::milliseconds(milliseconds);
}

// Results

inline value *of(bool truth) { return of_bool(truth); }
inline value *of(float number) { return of_double(number); }
inline value *of(double number) { return of_double(number); }
inline value *of(const std::string &text) { return of_text(text.data(), text.size()); }
inline value *of_json_text(const std::string &text) { return of_json(text.data(), text.size()); }

template <class T>
std::enable_if_t<std::is_integral_v<T>, value *> of(T number) {
    return std::is_signed_v<T> ? of_signed(static_cast<std::int64_t>(number))
                               : of_unsigned(static_cast<std::uint64_t>(number));
}

template <class T>
value *of(const std::vector<T> &items) {
    if constexpr (std::is_same_v<T, std::uint8_t>) return of_bytes(items.data(), items.size());
    value *const list = of_list();
    for (const T &item : items) append(list, of(item));
    return list;
}

inline value *of(const std::map<std::string, std::string> &pairs) {
    value *const map = of_map();
    for (const auto &[key, text] : pairs) put(map, key.c_str(), of(text));
    return map;
}

template <class T>
value *of(const std::optional<T> &one) {
    return one ? of(*one) : of_none();
}

// The members' names; a number for what the header does not know.
template <class Enum>
std::enable_if_t<std::is_enum_v<Enum>, value *> of(Enum one) {
    const std::string found = to_string(one);
    if constexpr (std::is_same_v<std::underlying_type_t<Enum>, std::uint64_t>) {
        value *const list = of_list();
        std::size_t start = 0, end = found.find('|');
        for (; one != Enum() && start < found.size(); start = end + 1, end = found.find('|', start)) {
            end = std::min(end, found.size());
            append(list, of(found.substr(start, end - start)));
        }
        return list;
    } else {
        const bool is_known = found.find_first_not_of("-0123456789") != std::string::npos;
        return is_known ? of(found) : of_signed(static_cast<std::int64_t>(one));
    }
}

template <class T>
value *of_object(T &&object, const char *type) {
    return of_handle(new T(std::move(object)), type, [](void *pointer) { delete static_cast<T *>(pointer); });
}

template <class Stream>
value *pieces(Stream stream) {
    value *const list = of_list();
    for (auto piece : stream) append(list, of(piece));
    return list;
}

// Both forms of `next`: with a limit of time, and without.
template <class Stream>
const char *next(Stream &stream, typename Stream::Item &item, const value *args) {
    mullama::Status status = mullama::Status::done;
    if (given(args, "timeout_ms")) {
        status = stream.next(item, timeout(args));
    } else if (auto found = stream.next()) {
        item = std::move(*found);
        status = mullama::Status::item;
    }
    return status == mullama::Status::item ? "item" : status == mullama::Status::waiting ? "waiting" : "end";
}
