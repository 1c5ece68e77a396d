// What one JavaScript environment (the main thread, or a Worker) has: its pool, its wake-up, and the functions it needs.
#pragma once

#include <node_api.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "handle.h"
#include "pool.h"

namespace binding {

// A JavaScript exception is pending; unwinds to the entry point.
struct Thrown {};

class Environment {
  public:
    Environment(napi_env env, napi_value runtime);
    Environment(const Environment &) = delete;
    Environment &operator=(const Environment &) = delete;

    // Throws Thrown, with the pending exception or a new one, unless a call of Node-API was fine.
    void check(napi_status status) const;
    [[noreturn]] void throw_type_error(const std::string &message, const char *code = "INVALID_ARGUMENT") const;
    // The JavaScript error for a failed call; takes over `err`.
    napi_value make_error(int32_t code, Error *err);
    napi_value make_error(int32_t code, const std::string &message);
    [[noreturn]] void throw_closed(const Kind &kind);

    napi_value call(napi_ref function, std::initializer_list<napi_value> arguments);
    napi_value value_of(napi_ref reference) const;

    // Runs something on this environment's thread, soon. Everything that is ready is run by one wake-up.
    void post(std::function<void()> what);
    // A pending promise keeps the process alive.
    void hold();
    void release();
    // A handle for which the library has threads of its own: it is closed when the environment ends, and with that the
    // calls end that wait for them.
    void watch(const std::shared_ptr<Box> &box);
    // The end: nothing of ours, and nothing of the library's, computes any more.
    void shut_down() noexcept;
    bool is_own_thread() const { return std::this_thread::get_id() == thread_; }
    bool closing() const { return pool.closing(); }

    const napi_env env;
    Pool pool;
    napi_ref handle_key = nullptr;      // the symbol under which an object keeps its External
    napi_ref error_factory = nullptr;   // (number, name, message) => MullamaError
    napi_ref json_parse = nullptr;
    napi_ref json_stringify = nullptr;
    static constexpr size_t scratch_size = 64;  // what V8 keeps inside a typed array
    void *scratch = nullptr;                    // memory of an ArrayBuffer that JavaScript's side reads

  private:
    static void wake_up(napi_env env, napi_value, void *context, void *);

    const std::thread::id thread_ = std::this_thread::get_id();
    napi_threadsafe_function wake_ = nullptr;
    napi_ref scratch_buffer_ = nullptr;
    std::mutex mutex_;
    std::vector<std::function<void()>> ready_;
    bool signalled_ = false;
    size_t held_ = 0;
    std::vector<std::weak_ptr<Box>> watched_;
};

// Handles made meanwhile are let go at its end.
class Scope {
  public:
    explicit Scope(const Environment &environment) : env_(environment.env) {
        environment.check(napi_open_handle_scope(env_, &scope_));
    }
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;
    ~Scope() { napi_close_handle_scope(env_, scope_); }

  private:
    const napi_env env_;
    napi_handle_scope scope_;
};

// A job whose end JavaScript waits for: `settle` runs on the environment's thread when the job has left its worker.
class Settled : public Job {
  public:
    using Job::Job;
    virtual void settle(Environment &environment) = 0;
};

}  // namespace binding
