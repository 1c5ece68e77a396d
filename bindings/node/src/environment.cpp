#include "environment.h"

#include <algorithm>

namespace binding {

namespace {

void job_done(void *owner, std::shared_ptr<Job> job) {
    auto *const environment = static_cast<Environment *>(owner);
    if (environment->closing()) return;
    environment->post([environment, job = std::static_pointer_cast<Settled>(std::move(job))] { job->settle(*environment); });
}

napi_ref member(const Environment &environment, napi_value object, const char *name) {
    napi_value value;
    napi_ref reference;
    environment.check(napi_get_named_property(environment.env, object, name, &value));
    environment.check(napi_create_reference(environment.env, value, 1, &reference));
    return reference;
}

}  // namespace

Environment::Environment(napi_env env, napi_value runtime) : env(env), pool(job_done, this) {
    napi_value name;
    check(napi_create_string_utf8(env, api_name, NAPI_AUTO_LENGTH, &name));
    check(napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, wake_up, &wake_));
    check(napi_unref_threadsafe_function(env, wake_));
    handle_key = member(*this, runtime, "handleKey");
    error_factory = member(*this, runtime, "makeError");
    json_parse = member(*this, runtime, "parseJson");
    json_stringify = member(*this, runtime, "stringifyJson");
    scratch_buffer_ = member(*this, runtime, "scratch");
    size_t size = 0;
    check(napi_get_arraybuffer_info(env, value_of(scratch_buffer_), &scratch, &size));
    // Registered after the wake-up's own hook, so that it runs before it: no thread is left to use it.
    check(napi_add_env_cleanup_hook(env, [](void *self) { static_cast<Environment *>(self)->shut_down(); }, this));
}

void Environment::watch(const std::shared_ptr<Box> &box) {
    const auto is_gone = [](const std::weak_ptr<Box> &one) { return one.expired(); };
    watched_.erase(std::remove_if(watched_.begin(), watched_.end(), is_gone), watched_.end());
    watched_.push_back(box);
}

void Environment::shut_down() noexcept {
    for (const std::weak_ptr<Box> &one : watched_) {
        if (const std::shared_ptr<Box> box = one.lock()) box->close();
    }
    pool.shut_down();
}

const std::shared_ptr<Queue> &Box::computing() {
    if (!computing_) computing_ = std::make_shared<Queue>();
    return computing_;
}

void Environment::check(napi_status status) const {
    if (status == napi_ok) return;
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) {
        const napi_extended_error_info *info = nullptr;
        napi_get_last_error_info(env, &info);
        napi_throw_error(env, "INTERNAL", info && info->error_message ? info->error_message : "Node-API failed");
    }
    throw Thrown();
}

void Environment::throw_type_error(const std::string &message, const char *code) const {
    napi_throw_type_error(env, code, message.c_str());
    throw Thrown();
}

napi_value Environment::value_of(napi_ref reference) const {
    napi_value value;
    check(napi_get_reference_value(env, reference, &value));
    return value;
}

napi_value Environment::call(napi_ref function, std::initializer_list<napi_value> arguments) {
    napi_value undefined, result;
    check(napi_get_undefined(env, &undefined));
    check(napi_call_function(env, undefined, value_of(function), arguments.size(), arguments.begin(), &result));
    return result;
}

napi_value Environment::make_error(int32_t code, const std::string &message) {
    napi_value number, name, text;
    check(napi_create_int32(env, code, &number));
    const char *const known = lib.error_name(code);
    const std::string shown = known ? known : "UNKNOWN_" + std::to_string(code);
    check(napi_create_string_utf8(env, shown.data(), shown.size(), &name));
    check(napi_create_string_utf8(env, message.data(), message.size(), &text));
    return call(error_factory, {number, name, text});
}

napi_value Environment::make_error(int32_t code, Error *err) {
    size_t length = 0;
    const char *const text = lib.error_message(err, &length);
    const std::string message = err ? std::string(text, length) : "error " + std::to_string(code);
    lib.error_free(err);
    return make_error(code, message);
}

void Environment::throw_closed(const Kind &kind) {
    napi_throw(env, make_error(closed_code, std::string("the ") + kind.name + " was closed; open a new one"));
    throw Thrown();
}

void Environment::post(std::function<void()> what) {
    std::lock_guard<std::mutex> lock(mutex_);
    ready_.push_back(std::move(what));
    if (signalled_) return;
    signalled_ = napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking) == napi_ok;
}

void Environment::wake_up(napi_env env, napi_value, void *context, void *) {
    if (!env) return;  // the environment ends
    auto *const self = static_cast<Environment *>(context);
    std::vector<std::function<void()>> ready;
    {
        std::lock_guard<std::mutex> lock(self->mutex_);
        ready.swap(self->ready_);
        self->signalled_ = false;
    }
    for (const std::function<void()> &one : ready) {
        try {
            const Scope scope(*self);
            one();
        } catch (const Thrown &) {
            napi_value exception;
            if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
        }
    }
}

void Environment::hold() {
    if (held_++ == 0) napi_ref_threadsafe_function(env, wake_);
}

void Environment::release() {
    if (--held_ == 0) napi_unref_threadsafe_function(env, wake_);
}

}  // namespace binding
