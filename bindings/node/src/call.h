// How a generated operation is called from JavaScript: at once (`call`), or on a worker behind a promise (`task`).
//
// An operation is a struct with
//   Self                          the library's type of the receiver; void for a function without
//   n_arguments                   what JavaScript passes, the receiver included
//   read(Arguments &)             takes the arguments
//   run(Self *, Error **)         calls the library; returns a code, or nothing where it cannot fail
//   result(Results &)             makes JavaScript's value of the result; missing where there is none
// and where it applies
//   is_zero()                     whether a function that cannot fail gave what it also gives for a closed handle
//   call_back                     its callback
//   keep(Arena &)                 copies what the library lends until the next call, which may come before result()
//   parent(Box *)                 the handle that a new one works on
//   stop(Self *)                  makes run() of another thread end soon
//   computes                      whether it computes on a shared handle: such calls take turns, so that no number of them
//                                 takes more than one worker
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "results.h"

namespace binding {

// A job for JavaScript to cancel; made before the job is, and filled in by `task`.
struct Control {
    std::weak_ptr<Job> job;
};

template <class Op, class = void>
struct has_result : std::false_type {};
template <class Op>
struct has_result<Op, std::void_t<decltype(&Op::result)>> : std::true_type {};

template <class Op, class = void>
struct has_zero : std::false_type {};
template <class Op>
struct has_zero<Op, std::void_t<decltype(&Op::is_zero)>> : std::true_type {};

template <class Op, class = void>
struct has_callback : std::false_type {};
template <class Op>
struct has_callback<Op, std::void_t<decltype(&Op::call_back)>> : std::true_type {};

template <class Op, class = void>
struct has_stop : std::false_type {};
template <class Op>
struct has_stop<Op, std::void_t<decltype(&Op::stop)>> : std::true_type {};

template <class Op, class = void>
struct has_keep : std::false_type {};
template <class Op>
struct has_keep<Op, std::void_t<decltype(&Op::keep)>> : std::true_type {};

template <class Op, class = void>
struct has_computes : std::false_type {};
template <class Op>
struct has_computes<Op, std::void_t<decltype(&Op::computes)>> : std::true_type {};

template <class Op, class = void>
struct has_parent : std::false_type {};
template <class Op>
struct has_parent<Op, std::void_t<decltype(&Op::parent)>> : std::true_type {};

// Runs the body of an entry point; a JavaScript exception that it throws is pending when it returns.
template <class Body>
napi_value guarded(napi_env env, Body &&body) noexcept {
    try {
        return body();
    } catch (const Thrown &) {
    } catch (const std::bad_alloc &) {
        napi_throw_error(env, "OUT_OF_MEMORY", "memory could not be allocated");
    } catch (const std::exception &error) {
        napi_throw_error(env, "INTERNAL", error.what());
    }
    return nullptr;
}

inline Box &receiver(Environment &environment, napi_value value, const Kind &kind) {
    void *data = nullptr;
    if (napi_get_value_external(environment.env, value, &data) == napi_ok) {
        Box *const box = static_cast<Box *>(data);
        if (&box->kind == &kind) return *box;
    }
    environment.throw_type_error(std::string("this is not a ") + kind.name);
}

template <class Op>
int32_t run(Op &op, Box *box, Error **err) {
    auto *const self = box ? static_cast<typename Op::Self *>(box->pointer) : nullptr;
    if constexpr (std::is_void_v<decltype(op.run(self, err))>) {
        op.run(self, err);
        return 0;
    } else {
        return op.run(self, err);
    }
}

// What JavaScript gets of an operation that has run.
template <class Op>
napi_value finished(Environment &environment, Op &op, Box *box, int32_t code, Error *err, bool may_lend) {
    if constexpr (has_callback<Op>::value) {
        // What the callback threw comes before what the library says of it.
        try {
            op.call_back.rethrow();
        } catch (const Thrown &) {
            lib.error_free(err);
            throw;
        }
    }
    if (code != 0) {
        napi_throw(environment.env, environment.make_error(code, err));
        throw Thrown();
    }
    Results make(environment, may_lend);
    if constexpr (has_zero<Op>::value) {
        if (op.is_zero() && box->closed) environment.throw_closed(box->kind);
    }
    if constexpr (has_parent<Op>::value) {
        return op.result(make, op.parent(box));
    } else if constexpr (has_result<Op>::value) {
        return op.result(make);
    } else {
        return make.undefined();
    }
}

// Lets go of a callback, whichever way the call ends.
template <class Op>
struct Dropped {
    Op &op;
    ~Dropped() {
        if constexpr (has_callback<Op>::value) op.call_back.drop();
    }
};

// Entry point: calls the library on the thread of JavaScript.
template <class Op>
napi_value call(napi_env env, napi_callback_info info) noexcept {
    return guarded(env, [&] {
        constexpr bool has_self = !std::is_void_v<typename Op::Self>;
        napi_value argv[Op::n_arguments ? Op::n_arguments : 1];
        size_t argc = Op::n_arguments;
        void *data = nullptr;
        if (napi_get_cb_info(env, info, &argc, argv, nullptr, &data) != napi_ok) throw Thrown();
        Environment &environment = *static_cast<Environment *>(data);
        Box *box = nullptr;
        if constexpr (has_self) box = &receiver(environment, argv[0], kind<typename Op::Self>);
        Op op;
        Dropped<Op> dropped{op};
        Error *err = nullptr;
        if constexpr (Op::n_arguments > (has_self ? 1 : 0)) {
            Arena arena;
            Arguments in(environment, arena, argv + has_self, Op::n_arguments - has_self);
            op.read(in);
            in.end();
            const int32_t code = run(op, box, &err);
            return finished(environment, op, box, code, err, true);
        } else {
            const int32_t code = run(op, box, &err);
            return finished(environment, op, box, code, err, true);
        }
    });
}

// The next item of a stream that is there already: `call<Polled<Op>>` never waits. See runtime/pump.js.
template <class Op>
struct Polled : Op {
    void read(Arguments &in) {
        Op::read(in);
        in.known("signal");
        this->timeout = 0;
    }
};

// A promise with what it takes to settle it.
class Promise {
  public:
    explicit Promise(Environment &environment) : environment_(environment) {
        environment.check(napi_create_promise(environment.env, &deferred_, &value));
        environment.hold();
    }
    // Settles with what `make` returns or throws.
    template <class Make>
    void settle(Make &&make) {
        const napi_env env = environment_.env;
        environment_.release();
        napi_value result = guarded(env, make);
        if (result) {
            napi_resolve_deferred(env, deferred_, result);
        } else if (napi_get_and_clear_last_exception(env, &result) == napi_ok) {
            napi_reject_deferred(env, deferred_, result);
        }
    }
    napi_value value;

  private:
    Environment &environment_;
    napi_deferred deferred_;
};

template <class Op>
class Task final : public Settled {
  public:
    Task(Environment &environment, std::shared_ptr<Box> box)
        : Settled(turns(box)), promise(environment), box_(std::move(box)) {
        if constexpr (has_callback<Op>::value) op.call_back.attach(environment, this);
    }

    // One that nobody settles, because its environment has ended, may have failed all the same.
    ~Task() override { lib.error_free(err_); }

    void work() override {
        if (cancelled) return;
        worked_ = true;
        code_ = run(op, box_.get(), &err_);
        if constexpr (has_keep<Op>::value) {
            if (!code_) op.keep(arena);
        }
    }

    void stop() noexcept override {
        if constexpr (has_stop<Op>::value) op.stop(static_cast<typename Op::Self *>(box_->pointer));
    }

    void settle(Environment &environment) override {
        promise.settle([&] {
            Dropped<Op> dropped{op};
            if (!worked_) {
                napi_throw(environment.env, environment.make_error(cancelled_code, "the call was cancelled before its turn came"));
                throw Thrown();
            }
            return finished(environment, op, box_.get(), code_, std::exchange(err_, nullptr), false);
        });
    }

    Op op;
    Arena arena;
    Promise promise;

  private:
    static std::shared_ptr<Queue> turns(const std::shared_ptr<Box> &box) {
        if (!box) return nullptr;
        return has_computes<Op>::value ? box->computing() : box->queue;
    }

    const std::shared_ptr<Box> box_;
    bool worked_ = false;
    int32_t code_ = 0;
    Error *err_ = nullptr;
};

inline Control *control_of(Environment &environment, napi_value value) {
    napi_valuetype type;
    void *control = nullptr;
    environment.check(napi_typeof(environment.env, value, &type));
    if (type == napi_external) environment.check(napi_get_value_external(environment.env, value, &control));
    return static_cast<Control *>(control);
}

// Entry point: calls the library on a worker and gives a promise. JavaScript passes a control as one more argument, or undefined.
template <class Op>
napi_value task(napi_env env, napi_callback_info info) noexcept {
    return guarded(env, [&] {
        constexpr size_t has_self = !std::is_void_v<typename Op::Self>;
        napi_value argv[Op::n_arguments + 1];
        size_t argc = Op::n_arguments + 1;
        void *data = nullptr;
        if (napi_get_cb_info(env, info, &argc, argv, nullptr, &data) != napi_ok) throw Thrown();
        Environment &environment = *static_cast<Environment *>(data);
        std::shared_ptr<Box> box;
        if constexpr (has_self) box = receiver(environment, argv[0], kind<typename Op::Self>).shared_from_this();
        auto job = std::make_shared<Task<Op>>(environment, std::move(box));
        try {
            Arguments in(environment, job->arena, argv + has_self, Op::n_arguments - has_self);
            job->op.read(in);
            if constexpr (has_stop<Op>::value || has_callback<Op>::value) in.known("signal");
            in.end();
            if (Control *const control = control_of(environment, argv[Op::n_arguments])) control->job = job;
            environment.pool.submit(job);
        } catch (...) {
            // The promise rejects in place of the call.
            Dropped<Op> dropped{job->op};
            job->promise.settle([]() -> napi_value { throw; });
        }
        return job->promise.value;
    });
}

}  // namespace binding
