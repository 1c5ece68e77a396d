#include "results.h"

#include <cstring>

namespace binding {

namespace {

constexpr int64_t largest_safe = 9007199254740991;

template <class Create, class... Arguments>
napi_value made(const Environment &environment, Create create, Arguments... arguments) {
    napi_value value;
    environment.check(create(environment.env, arguments..., &value));
    return value;
}

}  // namespace

napi_value Results::undefined() { return made(environment, napi_get_undefined); }

napi_value Results::null() { return made(environment, napi_get_null); }

napi_value Results::boolean(bool value) { return made(environment, napi_get_boolean, value); }

napi_value Results::i32(int32_t value) { return made(environment, napi_create_int32, value); }

napi_value Results::u32(uint32_t value) { return made(environment, napi_create_uint32, value); }

napi_value Results::f64(double value) { return made(environment, napi_create_double, value); }

napi_value Results::i64(int64_t value) {
    const bool is_safe = value >= -largest_safe && value <= largest_safe;
    return made(environment, is_safe ? napi_create_int64 : napi_create_bigint_int64, value);
}

napi_value Results::u64(uint64_t value) {
    if (value <= static_cast<uint64_t>(largest_safe)) return i64(static_cast<int64_t>(value));
    return made(environment, napi_create_bigint_uint64, value);
}

napi_value Results::enumeration(int32_t value, const Names &names) {
    for (const Names::Member &member : names) {
        if (static_cast<int32_t>(member.value) == value) return text(member.name, std::strlen(member.name));
    }
    return i32(value);
}

napi_value Results::flags(uint64_t value, const Names &names) {
    napi_value list = made(environment, napi_create_array);
    uint32_t n = 0;
    for (const Names::Member &member : names) {
        const bool is_single = (member.value & (member.value - 1)) == 0;
        if (!is_single || !(value & member.value)) continue;
        environment.check(napi_set_element(env_, list, n++, text(member.name, std::strlen(member.name))));
        value &= ~member.value;
    }
    if (value) environment.check(napi_set_element(env_, list, n, u64(value)));
    return list;
}

napi_value Results::text(const char *data, size_t len) {
    return made(environment, napi_create_string_utf8, data ? data : "", len);
}

napi_value Results::json(const char *data, size_t len) { return environment.call(environment.json_parse, {text(data, len)}); }

napi_value Results::texts(const Str *data, size_t len) {
    napi_value list = made(environment, napi_create_array_with_length, len);
    for (size_t i = 0; i < len; ++i) {
        environment.check(napi_set_element(env_, list, static_cast<uint32_t>(i), text(data[i].data, data[i].len)));
    }
    return list;
}

napi_value Results::pairs(const Str *data, size_t len) {
    napi_value object = made(environment, napi_create_object);
    std::vector<napi_property_descriptor> members;
    for (size_t i = 0; i + 1 < len; i += 2) {
        // Defined, not set: a key such as __proto__ is a key like any other.
        const napi_value name = text(data[i].data, data[i].len), value = text(data[i + 1].data, data[i + 1].len);
        members.push_back({nullptr, name, nullptr, nullptr, nullptr, value, napi_default_jsproperty, nullptr});
    }
    environment.check(napi_define_properties(env_, object, members.size(), members.data()));
    return object;
}

napi_value Results::object(std::initializer_list<std::pair<const char *, napi_value>> members) {
    napi_value object = made(environment, napi_create_object);
    for (const auto &[name, value] : members) environment.check(napi_set_named_property(env_, object, name, value));
    return object;
}

napi_value Results::lent(napi_typedarray_type type, const void *data, size_t len, size_t item_size) {
    if (!may_lend_ || len * item_size > Environment::scratch_size) return array(type, data, len, item_size);
    if (len) std::memcpy(environment.scratch, data, len * item_size);
    return u32(static_cast<uint32_t>(len));
}

napi_value Results::array(napi_typedarray_type type, const void *data, size_t len, size_t item_size) {
    void *copy = nullptr;
    napi_value buffer, array;
    environment.check(napi_create_arraybuffer(env_, len * item_size, &copy, &buffer));
    if (len) std::memcpy(copy, data, len * item_size);
    environment.check(napi_create_typedarray(env_, type, len, buffer, 0, &array));
    return array;
}

napi_value Results::handle(const Kind &kind, void *pointer, const Box *parent) {
    std::shared_ptr<Queue> queue = parent && parent->kind.exclusive ? parent->queue : kind.exclusive ? std::make_shared<Queue>() : nullptr;
    const auto box = std::make_shared<Box>(kind, pointer, std::move(queue));
    napi_value external;
    const auto finalize = [](napi_env, void *data, void *) { static_cast<Box *>(data)->owner.reset(); };
    environment.check(napi_create_external(env_, box.get(), finalize, nullptr, &external));
    box->owner = box;
    if (kind.has_threads) environment.watch(box);
    return external;
}

}  // namespace binding
