// Reads what JavaScript gave: every value is checked and copied before the library is reached, and a wrong one is a
// TypeError that names the parameter.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "callback.h"
#include "environment.h"
#include "handle.h"

namespace binding {

// The members of an enum or a flags set, by name.
struct Names {
    struct Member {
        const char *name;
        uint64_t value;
    };
    const Member *begin_;
    size_t size;
    const Member *begin() const { return begin_; }
    const Member *end() const { return begin_ + size; }
};

// Memory for the arguments of one call; short ones need no allocation.
class Arena {
  public:
    void *take(size_t size);
    template <class T>
    T *array(size_t n) {
        return static_cast<T *>(take(n * sizeof(T)));
    }

  private:
    alignas(8) char first_[512];
    size_t used_ = 0;
    std::vector<std::unique_ptr<char[]>> blocks_;
};

// Copies what the library only lends.
template <class T>
void keep(Arena &arena, const T *&data, size_t len) {
    if (!data) return;
    T *const copy = arena.array<T>(len + 1);
    std::copy(data, data + len, copy);
    data = copy;
}

class Arguments;

// One value on its way to the library, or its absence, which leaves the default in place.
class Given {
  public:
    Given(Arguments &in, napi_value value, const char *name) : in_(in), value_(value), name_(name) {}

    // null is a value too: "none".
    Given nullable() const {
        Given given = *this;
        given.nullable_ = true;
        return given;
    }

    void boolean(int32_t &to) const;
    // `unset` is what stands for null.
    void i32(int32_t &to, int64_t unset = 0) const { to = static_cast<int32_t>(integer(to, unset, INT32_MIN, INT32_MAX)); }
    void u32(uint32_t &to, int64_t unset = 0) const { to = static_cast<uint32_t>(integer(to, unset, 0, UINT32_MAX)); }
    void i64(int64_t &to, int64_t unset = 0) const;
    void u64(uint64_t &to, uint64_t unset = 0) const;
    void size(size_t &to, uint64_t unset = 0) const;
    void f32(float &to, double unset = 0) const { to = static_cast<float>(number(to, unset)); }
    void f64(double &to, double unset = 0) const { to = number(to, unset); }
    void enumeration(int32_t &to, const Names &names) const;
    void flags(uint64_t &to, const Names &names) const;

    void text(Text &to) const { text(to.data, to.len); }
    void text(const char *&data, size_t &len) const;
    void json(Text &to) const { json(to.data, to.len); }
    void json(const char *&data, size_t &len) const;
    void texts(Span<Str> &to) const { texts(to.data, to.len); }
    void texts(const Str *&data, size_t &len) const;
    void bytes(Span<uint8_t> &to) const { bytes(to.data, to.len); }
    void bytes(const uint8_t *&data, size_t &len) const;
    void i32s(Span<int32_t> &to) const { i32s(to.data, to.len); }
    void i32s(const int32_t *&data, size_t &len) const;
    void f32s(Span<float> &to) const { f32s(to.data, to.len); }
    void f32s(const float *&data, size_t &len) const;
    void u8s(Span<uint8_t> &to) const { u8s(to.data, to.len); }
    void u8s(const uint8_t *&data, size_t &len) const;

    template <class T>
    void handle(Ref<T> &to) const {
        to.box = handle(kind<T>);
    }
    void callback(Callback &to) const;
    // Options inside options: `read` takes the inner object.
    template <class T>
    void options(const T *&to, void (*init)(T *, size_t), void (*read)(Arguments &, T &)) const;

  private:
    friend class Arguments;
    bool is_given() const { return value_ != nullptr; }
    napi_valuetype type() const;
    // Whether there is a value other than null; a null that is not welcome throws.
    bool has_value(const char *wanted) const;
    [[noreturn]] void refuse(const char *wanted) const;
    int64_t integer(int64_t otherwise, int64_t unset, int64_t low, int64_t high) const;
    double number(double otherwise, double unset) const;
    std::shared_ptr<Box> handle(const Kind &kind) const;
    template <class T>
    void span(const T *&data, size_t &len, napi_typedarray_type own, const char *wanted) const;

    Arguments &in_;
    napi_value value_;
    const char *name_;
    bool nullable_ = false;
};

// The arguments of one call: what must be given, then perhaps one that may be left out, then an object with the rest.
class Arguments {
  public:
    Arguments(Environment &environment, Arena &arena, const napi_value *argv, size_t argc)
        : environment(environment), arena(arena), argv_(argv), argc_(argc) {}

    Given required(const char *name);
    // The only positional parameter of a function that needs none: an object in its place is the object with the rest.
    Given first(const char *name);
    // The same where every object is a value of its own.
    Given maybe(const char *name);
    Given optional(const char *name);
    // Milliseconds; negative: no limit.
    int32_t timeout();
    // An option that JavaScript's side has read already.
    void known(const char *name) { optional(name); }
    // Refuses names that nobody asked for.
    void end();

    std::string place(const char *name) const { return prefix_ + name; }

    Environment &environment;
    Arena &arena;

  private:
    friend class Given;
    napi_value next() { return at_ < argc_ ? argv_[at_++] : nullptr; }
    void take_options(napi_value value);
    Given named(const char *name);

    const napi_value *argv_;
    size_t argc_, at_ = 0;
    bool has_options_ = false;
    napi_value options_ = nullptr;
    std::vector<const char *> names_;
    std::string prefix_;
};

template <class T>
void Given::options(const T *&to, void (*init)(T *, size_t), void (*read)(Arguments &, T &)) const {
    if (!is_given()) return;
    T *const inner = in_.arena.array<T>(1);
    init(inner, sizeof *inner);
    Arguments in(in_.environment, in_.arena, nullptr, 0);
    in.prefix_ = in_.place(name_) + ".";
    in.take_options(value_);
    read(in, *inner);
    in.end();
    to = inner;
}

// The handle behind an External, or behind an object of a handle class; nullptr where it is none of this kind.
std::shared_ptr<Box> box_of(Environment &environment, napi_value value, const Kind &kind);

}  // namespace binding
