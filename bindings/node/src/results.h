// Makes JavaScript values of what the library gives: always copies.
#pragma once

#include <utility>
#include <vector>

#include "arguments.h"

namespace binding {

class Results {
  public:
    // With `may_lend` a small array that is a call's whole result is only put into the environment's scratch buffer, and
    // its length is what JavaScript gets, which copies it at once: an ArrayBuffer of its own costs more than most calls.
    explicit Results(Environment &environment, bool may_lend = false)
        : environment(environment), env_(environment.env), may_lend_(may_lend) {}

    napi_value undefined();
    napi_value null();
    napi_value boolean(bool value);
    napi_value i32(int32_t value);
    napi_value u32(uint32_t value);
    // A number where that is exact, a bigint beyond.
    napi_value i64(int64_t value);
    napi_value u64(uint64_t value);
    napi_value size(size_t value) { return u64(value); }
    napi_value f32(float value) { return f64(value); }
    napi_value f64(double value);
    // The member's name; the number of one that this version does not know.
    napi_value enumeration(int32_t value, const Names &names);
    // Names of the bits, and those without a name as one number.
    napi_value flags(uint64_t value, const Names &names);
    napi_value text(const char *data, size_t len);
    napi_value json(const char *data, size_t len);
    napi_value texts(const Str *data, size_t len);
    napi_value pairs(const Str *data, size_t len);
    napi_value bytes(const uint8_t *data, size_t len) { return array(napi_uint8_array, data, len, 1); }
    napi_value u8s(const uint8_t *data, size_t len) { return bytes(data, len); }
    napi_value i32s(const int32_t *data, size_t len) { return array(napi_int32_array, data, len, sizeof *data); }
    napi_value f32s(const float *data, size_t len) { return array(napi_float32_array, data, len, sizeof *data); }
    napi_value lent_bytes(const uint8_t *data, size_t len) { return lent(napi_uint8_array, data, len, 1); }
    napi_value lent_u8s(const uint8_t *data, size_t len) { return lent_bytes(data, len); }
    napi_value lent_i32s(const int32_t *data, size_t len) { return lent(napi_int32_array, data, len, sizeof *data); }
    napi_value lent_f32s(const float *data, size_t len) { return lent(napi_float32_array, data, len, sizeof *data); }
    napi_value object(std::initializer_list<std::pair<const char *, napi_value>> members);
    // An External that owns the handle. `parent` is the handle that it works on; nullptr for none.
    template <class T>
    napi_value handle(Made<T> &made, const Box *parent) {
        return made.pointer ? handle(kind<T>, made.release(), parent) : null();
    }

    Environment &environment;

  private:
    napi_value lent(napi_typedarray_type type, const void *data, size_t len, size_t item_size);
    napi_value array(napi_typedarray_type type, const void *data, size_t len, size_t item_size);
    napi_value handle(const Kind &kind, void *pointer, const Box *parent);

    const napi_env env_;
    const bool may_lend_;
};

}  // namespace binding
