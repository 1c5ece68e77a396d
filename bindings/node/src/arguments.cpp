#include "arguments.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace binding {

namespace {

constexpr double largest_safe = 9007199254740991;  // 2^53 - 1: every integer up to it is a number of its own

std::string shown(const Environment &environment, napi_value value) {
    napi_valuetype type = napi_undefined;
    napi_typeof(environment.env, value, &type);
    static const char *const names[] = {"undefined", "null", "boolean", "number", "string", "symbol", "object", "function", "object", "bigint"};
    bool is_array = false;
    napi_is_array(environment.env, value, &is_array);
    return is_array ? "an array" : names[type];
}

std::string text_of(const Environment &environment, double number) {
    napi_value value, text;
    char buffer[64];
    size_t length = 0;
    environment.check(napi_create_double(environment.env, number, &value));
    environment.check(napi_coerce_to_string(environment.env, value, &text));
    environment.check(napi_get_value_string_utf8(environment.env, text, buffer, sizeof buffer, &length));
    return std::string(buffer, length);
}

// Bytes of a view or a buffer. A detached buffer has none left, which must not be taken for an empty one.
struct View {
    const void *data = nullptr;
    size_t length = 0;  // in elements
    napi_typedarray_type type = napi_uint8_array;
    bool is_array = false;  // an array of numbers, not merely bytes
};

bool view_of(const Environment &environment, napi_value value, View &view, bool &detached) {
    const napi_env env = environment.env;
    bool is = false;
    napi_value buffer = nullptr;
    size_t offset = 0;
    void *data = nullptr;
    if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
        environment.check(napi_get_typedarray_info(env, value, &view.type, &view.length, &data, &buffer, &offset));
        view.is_array = true;
    } else if (napi_is_dataview(env, value, &is) == napi_ok && is) {
        if (napi_get_dataview_info(env, value, &view.length, &data, &buffer, &offset) != napi_ok) {
            detached = true;
            return true;
        }
    } else if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
        environment.check(napi_get_arraybuffer_info(env, value, &data, &view.length));
        buffer = value;
    } else {
        return false;
    }
    view.data = data;
    detached = false;
    if (buffer && napi_is_arraybuffer(env, buffer, &is) == napi_ok && is) {
        environment.check(napi_is_detached_arraybuffer(env, buffer, &detached));
    }
    return true;
}

size_t element_size(napi_typedarray_type type) {
    switch (type) {
        case napi_int16_array:
        case napi_uint16_array: return 2;
        case napi_int32_array:
        case napi_uint32_array:
        case napi_float32_array: return 4;
        case napi_float64_array:
        case napi_bigint64_array:
        case napi_biguint64_array: return 8;
        default: return 1;
    }
}

template <class T>
double element(const void *data, size_t index) {
    T value;
    std::memcpy(&value, static_cast<const char *>(data) + index * sizeof(T), sizeof value);
    return static_cast<double>(value);
}

double element_of(const View &view, size_t index) {
    switch (view.type) {
        case napi_int8_array: return element<int8_t>(view.data, index);
        case napi_uint8_array:
        case napi_uint8_clamped_array: return element<uint8_t>(view.data, index);
        case napi_int16_array: return element<int16_t>(view.data, index);
        case napi_uint16_array: return element<uint16_t>(view.data, index);
        case napi_int32_array: return element<int32_t>(view.data, index);
        case napi_uint32_array: return element<uint32_t>(view.data, index);
        case napi_float32_array: return element<float>(view.data, index);
        case napi_float64_array: return element<double>(view.data, index);
        case napi_bigint64_array: return element<int64_t>(view.data, index);
        case napi_biguint64_array: return element<uint64_t>(view.data, index);
        default: return NAN;
    }
}

template <class T>
bool fits(double number) {
    if (std::is_floating_point<T>::value) return true;
    return number == std::trunc(number) && number >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
           number <= static_cast<double>(std::numeric_limits<T>::max());
}

// Whether UTF-16 has a surrogate without its other half.
bool is_well_formed(const char16_t *text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        if (text[i] < 0xd800 || text[i] > 0xdfff) continue;
        if (text[i] > 0xdbff || i + 1 == length || text[i + 1] < 0xdc00 || text[i + 1] > 0xdfff) return false;
        ++i;
    }
    return true;
}

// Node-API writes U+FFFD for a lone surrogate, so only a text that shows one has to be looked at again.
bool has_replacement(const char *text, size_t length) {
    for (const char *end = text + length; (text = static_cast<const char *>(std::memchr(text, 0xef, end - text))); ++text) {
        if (end - text >= 3 && std::memcmp(text, "\xef\xbf\xbd", 3) == 0) return true;
    }
    return false;
}

}  // namespace

void *Arena::take(size_t size) {
    const size_t rounded = (size + 7) & ~static_cast<size_t>(7);
    if (rounded <= sizeof first_ - used_) {
        used_ += rounded;
        return first_ + used_ - rounded;
    }
    blocks_.emplace_back(new char[rounded]);
    return blocks_.back().get();
}

// Given

napi_valuetype Given::type() const {
    napi_valuetype type;
    in_.environment.check(napi_typeof(in_.environment.env, value_, &type));
    return type;
}

void Given::refuse(const char *wanted) const {
    in_.environment.throw_type_error(in_.place(name_) + " must be " + wanted + ", not " + shown(in_.environment, value_));
}

bool Given::has_value(const char *wanted) const {
    if (type() != napi_null) return true;
    if (!nullable_) refuse(wanted);
    return false;
}

void Given::boolean(int32_t &to) const {
    if (!is_given()) return;
    bool value;
    if (napi_get_value_bool(in_.environment.env, value_, &value) != napi_ok) refuse("a boolean");
    to = value;
}

int64_t Given::integer(int64_t otherwise, int64_t unset, int64_t low, int64_t high) const {
    if (!is_given()) return otherwise;
    double number;
    if (napi_get_value_double(in_.environment.env, value_, &number) != napi_ok) {
        return has_value("a number") ? (refuse("a number"), 0) : unset;
    }
    if (number != std::trunc(number) || std::isinf(number)) {
        in_.environment.throw_type_error(in_.place(name_) + " must be an integer, not " + text_of(in_.environment, number));
    }
    if (number < static_cast<double>(low) || number > static_cast<double>(high)) {
        in_.environment.throw_type_error(in_.place(name_) + " must be from " + std::to_string(low) + " to " + std::to_string(high) +
                                         ", not " + text_of(in_.environment, number));
    }
    return static_cast<int64_t>(number);
}

void Given::i64(int64_t &to, int64_t unset) const {
    if (!is_given()) return;
    if (type() != napi_bigint) {
        // Beyond this, two integers may be the same number.
        to = integer(to, unset, -static_cast<int64_t>(largest_safe), static_cast<int64_t>(largest_safe));
        return;
    }
    bool lossless = false;
    in_.environment.check(napi_get_value_bigint_int64(in_.environment.env, value_, &to, &lossless));
    if (!lossless) in_.environment.throw_type_error(in_.place(name_) + " must be from -2n**63n to 2n**63n - 1n");
}

void Given::u64(uint64_t &to, uint64_t unset) const {
    if (!is_given()) return;
    if (type() != napi_bigint) {
        to = type() == napi_null && nullable_ ? unset : static_cast<uint64_t>(integer(0, 0, 0, static_cast<int64_t>(largest_safe)));
        return;
    }
    bool lossless = false;
    in_.environment.check(napi_get_value_bigint_uint64(in_.environment.env, value_, &to, &lossless));
    if (!lossless) in_.environment.throw_type_error(in_.place(name_) + " must be from 0n to 2n**64n - 1n");
}

void Given::size(size_t &to, uint64_t unset) const {
    uint64_t value = to;
    u64(value, unset);
    to = static_cast<size_t>(value);
    if (to != value) in_.environment.throw_type_error(in_.place(name_) + " is too large for this machine");
}

double Given::number(double otherwise, double unset) const {
    if (!is_given()) return otherwise;
    double number;
    if (napi_get_value_double(in_.environment.env, value_, &number) == napi_ok) return number;
    return has_value("a number") ? (refuse("a number"), 0) : unset;
}

void Given::enumeration(int32_t &to, const Names &names) const {
    if (!is_given()) return;
    if (type() != napi_string) {
        to = static_cast<int32_t>(integer(to, 0, INT32_MIN, INT32_MAX));
        return;
    }
    char name[128];
    size_t length = 0;
    in_.environment.check(napi_get_value_string_utf8(in_.environment.env, value_, name, sizeof name, &length));
    std::string list;
    for (const Names::Member &member : names) {
        if (std::strlen(member.name) == length && std::memcmp(member.name, name, length) == 0) {
            to = static_cast<int32_t>(member.value);
            return;
        }
        list += (list.empty() ? "'" : ", '") + std::string(member.name) + "'";
    }
    in_.environment.throw_type_error(in_.place(name_) + " must be one of " + list + ", not '" + std::string(name, length) + "'");
}

void Given::flags(uint64_t &to, const Names &names) const {
    if (!is_given()) return;
    const napi_env env = in_.environment.env;
    bool is_array = false;
    in_.environment.check(napi_is_array(env, value_, &is_array));
    if (is_array) {
        uint32_t length = 0;
        in_.environment.check(napi_get_array_length(env, value_, &length));
        uint64_t bits = 0;
        for (uint32_t i = 0; i < length; ++i) {
            napi_value item;
            in_.environment.check(napi_get_element(env, value_, i, &item));
            const std::string name = std::string(name_) + "[" + std::to_string(i) + "]";
            uint64_t bit = 0;
            bool inner = false;
            in_.environment.check(napi_is_array(env, item, &inner));
            if (inner) Given(in_, item, name.c_str()).refuse("a name or a number");
            Given(in_, item, name.c_str()).flags(bit, names);
            bits |= bit;
        }
        to = bits;
    } else if (type() == napi_string) {
        int32_t unused = 0;
        for (const Names::Member &member : names) {
            napi_value text;
            bool same = false;
            in_.environment.check(napi_create_string_utf8(env, member.name, NAPI_AUTO_LENGTH, &text));
            in_.environment.check(napi_strict_equals(env, text, value_, &same));
            if (same) {
                to = member.value;
                return;
            }
        }
        enumeration(unused, names);  // refuses it with the list of names
    } else if (type() == napi_number || type() == napi_bigint) {
        u64(to);
    } else {
        refuse("an array of names");
    }
}

void Given::text(const char *&data, size_t &len) const {
    if (!is_given()) return;
    const napi_env env = in_.environment.env;
    char first[256];
    size_t length = 0;
    char *copy;
    if (napi_get_value_string_utf8(env, value_, first, sizeof first, &length) != napi_ok) {
        if (has_value("a string")) refuse("a string");
        data = nullptr;
        len = 0;
        return;
    }
    if (length < sizeof first - 4) {  // nothing was cut off: a character has 4 bytes at most
        copy = in_.arena.array<char>(length + 1);
        std::memcpy(copy, first, length + 1);
    } else {
        in_.environment.check(napi_get_value_string_utf8(env, value_, nullptr, 0, &length));
        copy = in_.arena.array<char>(length + 1);
        in_.environment.check(napi_get_value_string_utf8(env, value_, copy, length + 1, &length));
    }
    if (has_replacement(copy, length)) {
        size_t units = 0;
        in_.environment.check(napi_get_value_string_utf16(env, value_, nullptr, 0, &units));
        std::vector<char16_t> wide(units + 1);
        in_.environment.check(napi_get_value_string_utf16(env, value_, wide.data(), units + 1, &units));
        if (!is_well_formed(wide.data(), units)) {
            in_.environment.throw_type_error(in_.place(name_) + " has half of a surrogate pair, which is no Unicode text", "INVALID_UTF8");
        }
    }
    data = copy;
    len = length;
}

void Given::json(const char *&data, size_t &len) const {
    if (!is_given()) return;
    if (type() == napi_string) return text(data, len);
    if (type() == napi_null && nullable_) {
        data = nullptr;
        len = 0;
        return;
    }
    napi_value name;
    const std::string place = in_.place(name_);
    in_.environment.check(napi_create_string_utf8(in_.environment.env, place.data(), place.size(), &name));
    Given(in_, in_.environment.call(in_.environment.json_stringify, {value_, name}), name_).text(data, len);
}

void Given::texts(const Str *&data, size_t &len) const {
    if (!is_given()) return;
    const napi_env env = in_.environment.env;
    bool is_array = false;
    in_.environment.check(napi_is_array(env, value_, &is_array));
    if (!is_array) {
        if (type() == napi_string) {
            Str *const one = in_.arena.array<Str>(1);
            text(one->data, one->len);
            data = one;
            len = 1;
            return;
        }
        if (has_value("an array of strings")) refuse("an array of strings");
        data = nullptr;
        len = 0;
        return;
    }
    uint32_t length = 0;
    in_.environment.check(napi_get_array_length(env, value_, &length));
    Str *const list = in_.arena.array<Str>(length);
    for (uint32_t i = 0; i < length; ++i) {
        napi_value item;
        in_.environment.check(napi_get_element(env, value_, i, &item));
        const std::string name = std::string(name_) + "[" + std::to_string(i) + "]";
        Given(in_, item, name.c_str()).text(list[i].data, list[i].len);
    }
    data = list;
    len = length;
}

void Given::bytes(const uint8_t *&data, size_t &len) const {
    if (!is_given()) return;
    View view;
    bool detached = false;
    if (!view_of(in_.environment, value_, view, detached)) {
        if (has_value("a Uint8Array or another buffer")) refuse("a Uint8Array or another buffer");
        data = nullptr;
        len = 0;
        return;
    }
    if (detached) in_.environment.throw_type_error(in_.place(name_) + " has a detached buffer");
    len = view.length * (view.is_array ? element_size(view.type) : 1);
    uint8_t *const copy = in_.arena.array<uint8_t>(len + 1);  // an empty one has an address too
    if (len) std::memcpy(copy, view.data, len);
    data = copy;
}

template <class T>
void Given::span(const T *&data, size_t &len, napi_typedarray_type own, const char *wanted) const {
    if (!is_given()) return;
    const Environment &environment = in_.environment;
    const napi_env env = environment.env;
    View view;
    bool detached = false, is_array = false;
    if (view_of(environment, value_, view, detached) && view.is_array) {
        if (detached) environment.throw_type_error(in_.place(name_) + " has a detached buffer");
        T *const copy = in_.arena.array<T>(view.length + 1);
        if (view.type == own) {
            if (view.length) std::memcpy(copy, view.data, view.length * sizeof(T));
        } else {
            for (size_t i = 0; i < view.length; ++i) {
                const double number = element_of(view, i);
                if (!fits<T>(number)) {
                    environment.throw_type_error(in_.place(name_) + "[" + std::to_string(i) + "] must be " + wanted + ", not " + text_of(environment, number));
                }
                copy[i] = static_cast<T>(number);
            }
        }
        data = copy;
        len = view.length;
        return;
    }
    environment.check(napi_is_array(env, value_, &is_array));
    if (!is_array) {
        const std::string array = sizeof(T) == 1 ? "a Uint8Array" : std::is_integral<T>::value ? "an Int32Array" : "a Float32Array";
        const std::string both = array + " or an array of numbers";
        if (has_value(both.c_str())) refuse(both.c_str());
        data = nullptr;
        len = 0;
        return;
    }
    uint32_t length = 0;
    environment.check(napi_get_array_length(env, value_, &length));
    T *const copy = in_.arena.array<T>(length + 1);
    for (uint32_t i = 0; i < length; ++i) {
        const Scope scope(environment);
        napi_value item;
        double number;
        environment.check(napi_get_element(env, value_, i, &item));
        const bool is_number = napi_get_value_double(env, item, &number) == napi_ok;
        if (!is_number || !fits<T>(number)) {
            environment.throw_type_error(in_.place(name_) + "[" + std::to_string(i) + "] must be " + wanted + ", not " +
                                         (is_number ? text_of(environment, number) : shown(environment, item)));
        }
        copy[i] = static_cast<T>(number);
    }
    data = copy;
    len = length;
}

void Given::i32s(const int32_t *&data, size_t &len) const { span(data, len, napi_int32_array, "an integer of 32 bits"); }

void Given::f32s(const float *&data, size_t &len) const { span(data, len, napi_float32_array, "a number"); }

void Given::u8s(const uint8_t *&data, size_t &len) const { span(data, len, napi_uint8_array, "an integer from 0 to 255"); }

std::shared_ptr<Box> Given::handle(const Kind &kind) const {
    if (!is_given()) return nullptr;
    const std::string wanted = std::string("a ") + kind.name;
    if (type() == napi_null) return has_value(wanted.c_str()) ? nullptr : nullptr;
    std::shared_ptr<Box> box = box_of(in_.environment, value_, kind);
    if (!box) refuse(wanted.c_str());
    return box;
}

void Given::callback(Callback &to) const {
    if (!is_given()) return;
    if (type() != napi_function) {
        if (has_value("a function")) refuse("a function");
        return;
    }
    to.set(in_.environment, value_);
}

// Arguments

Given Arguments::required(const char *name) {
    napi_value value = next();
    if (!value) environment.check(napi_get_undefined(environment.env, &value));
    return Given(*this, value, name);
}

Given Arguments::maybe(const char *name) {
    const Given given = required(name);
    return Given(*this, given.type() == napi_undefined ? nullptr : given.value_, name);
}

Given Arguments::first(const char *name) {
    napi_value value = next();
    napi_valuetype type = napi_undefined;
    if (value) environment.check(napi_typeof(environment.env, value, &type));
    bool special = false;
    if (type == napi_object) {
        napi_value key = environment.value_of(environment.handle_key);
        napi_is_array(environment.env, value, &special);
        if (!special) napi_is_typedarray(environment.env, value, &special);
        if (!special) napi_is_arraybuffer(environment.env, value, &special);
        if (!special) napi_is_dataview(environment.env, value, &special);
        if (!special) environment.check(napi_has_property(environment.env, value, key, &special));
    }
    if (type == napi_object && !special) {
        take_options(value);
        return named(name);
    }
    return Given(*this, type == napi_undefined ? nullptr : value, name);
}

void Arguments::take_options(napi_value value) {
    has_options_ = true;
    napi_valuetype type = napi_undefined;
    if (value) environment.check(napi_typeof(environment.env, value, &type));
    if (type == napi_undefined) return;
    bool is_array = false;
    environment.check(napi_is_array(environment.env, value, &is_array));
    if (type != napi_object || is_array) {
        const std::string what = prefix_.empty() ? "the options" : prefix_.substr(0, prefix_.size() - 1);
        environment.throw_type_error(what + " must be an object, not " + shown(environment, value));
    }
    options_ = value;
}

Given Arguments::named(const char *name) {
    napi_value value = nullptr;
    names_.push_back(name);
    environment.check(napi_get_named_property(environment.env, options_, name, &value));
    napi_valuetype type;
    environment.check(napi_typeof(environment.env, value, &type));
    return Given(*this, type == napi_undefined ? nullptr : value, name);
}

Given Arguments::optional(const char *name) {
    if (!has_options_) take_options(next());
    return options_ ? named(name) : Given(*this, nullptr, name);
}

int32_t Arguments::timeout() {
    const Given given = optional("timeout");
    double milliseconds = -1;
    given.f64(milliseconds);
    if (std::isnan(milliseconds)) environment.throw_type_error("timeout must be a number of milliseconds, not NaN");
    if (milliseconds < 0) return -1;
    return milliseconds < INT32_MAX ? static_cast<int32_t>(std::ceil(milliseconds)) : -1;
}

void Arguments::end() {
    if (!options_) return;
    napi_value keys;
    uint32_t n_keys = 0;
    environment.check(napi_get_all_property_names(environment.env, options_, napi_key_own_only,
                                                  static_cast<napi_key_filter>(napi_key_enumerable | napi_key_skip_symbols),
                                                  napi_key_numbers_to_strings, &keys));
    environment.check(napi_get_array_length(environment.env, keys, &n_keys));
    for (uint32_t i = 0; i < n_keys; ++i) {
        napi_value key;
        char text[128];
        size_t length = 0;
        environment.check(napi_get_element(environment.env, keys, i, &key));
        environment.check(napi_get_value_string_utf8(environment.env, key, text, sizeof text, &length));
        bool known = false;
        for (const char *const name : names_) known = known || std::strcmp(name, text) == 0;
        if (!known) environment.throw_type_error("there is no option " + prefix_ + std::string(text, length));
    }
}

std::shared_ptr<Box> box_of(Environment &environment, napi_value value, const Kind &kind) {
    const napi_env env = environment.env;
    napi_valuetype type;
    environment.check(napi_typeof(env, value, &type));
    if (type == napi_object) {
        environment.check(napi_get_property(env, value, environment.value_of(environment.handle_key), &value));
        environment.check(napi_typeof(env, value, &type));
    }
    if (type != napi_external) return nullptr;
    void *data = nullptr;
    environment.check(napi_get_value_external(env, value, &data));
    Box *const box = static_cast<Box *>(data);
    return &box->kind == &kind ? box->shared_from_this() : nullptr;
}

}  // namespace binding
