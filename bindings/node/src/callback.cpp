#include "callback.h"

#include <chrono>

#include "results.h"

namespace binding {

void Callback::set(Environment &environment, napi_value function) {
    environment_ = &environment;
    environment.check(napi_create_reference(environment.env, function, 1, &function_));
}

double Callback::call_here(const Make &arguments) {
    const napi_env env = environment_->env;
    const Scope scope(*environment_);
    double answer = 0;
    try {
        Results make(*environment_);
        const std::vector<napi_value> values = arguments(make);
        napi_value undefined, result;
        environment_->check(napi_get_undefined(env, &undefined));
        environment_->check(napi_call_function(env, undefined, environment_->value_of(function_), values.size(), values.data(), &result));
        napi_valuetype type;
        environment_->check(napi_typeof(env, result, &type));
        bool truth = true;
        if (type == napi_number) {
            environment_->check(napi_get_value_double(env, result, &answer));
        } else {
            if (type == napi_boolean) environment_->check(napi_get_value_bool(env, result, &truth));
            answer = truth;
        }
    } catch (const Thrown &) {
        napi_value exception;
        if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
            // Anything can be thrown, but only objects can be referred to.
            napi_value holder;
            if (napi_create_array_with_length(env, 1, &holder) == napi_ok && napi_set_element(env, holder, 0, exception) == napi_ok) {
                napi_create_reference(env, holder, 1, &thrown_);
            }
        }
    }
    return answer;
}

double Callback::call(const Make &arguments) {
    if (thrown_ || (job_ && job_->cancelled)) return 0;
    if (!function_) return 1;
    if (environment_->is_own_thread()) return call_here(arguments);

    struct Answer {
        std::mutex mutex;
        std::condition_variable changed;
        enum { awaited, running, given, unwanted } state = awaited;
        double number = 0;
    };
    const auto answer = std::make_shared<Answer>();
    environment_->post([this, answer, &arguments] {
        {
            std::lock_guard<std::mutex> lock(answer->mutex);
            if (answer->state == Answer::unwanted) return;
            answer->state = Answer::running;
        }
        const double number = call_here(arguments);
        std::lock_guard<std::mutex> lock(answer->mutex);
        answer->number = number;
        answer->state = Answer::given;
        answer->changed.notify_all();
    });
    std::unique_lock<std::mutex> lock(answer->mutex);
    while (!answer->changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return answer->state == Answer::given; })) {
        // The environment may end without an answer, even inside the function.
        const bool is_over = environment_->closing() || (answer->state == Answer::awaited && job_ && job_->cancelled);
        if (!is_over) continue;
        answer->state = Answer::unwanted;
        return 0;
    }
    return answer->number;
}

void Callback::rethrow() {
    if (!thrown_) return;
    napi_value exception;
    environment_->check(napi_get_element(environment_->env, environment_->value_of(thrown_), 0, &exception));
    napi_throw(environment_->env, exception);
    throw Thrown();
}

void Callback::drop() {
    if (function_) napi_delete_reference(environment_->env, std::exchange(function_, nullptr));
    if (thrown_) napi_delete_reference(environment_->env, std::exchange(thrown_, nullptr));
}

}  // namespace binding
