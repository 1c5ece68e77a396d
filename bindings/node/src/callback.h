// A JavaScript function that the library calls during one call: on the thread of the caller, which waits for the answer.
#pragma once

#include <condition_variable>
#include <functional>
#include <vector>

#include "environment.h"

namespace binding {

class Results;

class Callback {
  public:
    Callback() = default;
    Callback(const Callback &) = delete;
    Callback &operator=(const Callback &) = delete;

    void set(Environment &environment, napi_value function);
    // Lets a running job be cancelled where the function can stop the call, even if nobody gave one.
    void attach(Environment &environment, const Job *job) {
        environment_ = &environment;
        job_ = job;
    }
    // What the library gets as `user`; nullptr where there is nothing to call.
    Callback *user() { return function_ || job_ ? this : nullptr; }
    static Callback &of(void *user) { return *static_cast<Callback *>(user); }

    using Make = std::function<std::vector<napi_value>(Results &)>;
    // The number that the function answers: undefined counts as 1, and so does true. 0 once it has thrown or must stop.
    double call(const Make &arguments);
    // On the environment's thread: throws again what the function threw.
    void rethrow();
    void drop();

  private:
    double call_here(const Make &arguments);

    Environment *environment_ = nullptr;
    const Job *job_ = nullptr;
    napi_ref function_ = nullptr;
    napi_ref thrown_ = nullptr;
};

}  // namespace binding
