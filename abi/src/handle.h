// What stands behind a handle: who may use the resource, what closing does, and the count of live objects.
//
// A handle is a small shell with a core; the core holds the resource. Closing empties the core, freeing deletes the
// shell. So a closed handle still answers (with CLOSED), and resources that others share outlive it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include "guard.h"

namespace mullama {

[[noreturn]] inline void throw_closed(const char *what) {
    throw failure(code::closed, std::string("the ") + what + " was closed; open a new one");
}

// A resource that any number of threads use at once.
template <class Resource>
class shared_core {
  public:
    shared_core(const char *what, std::shared_ptr<Resource> resource) : what_(what), resource_(std::move(resource)) {}

    // The resource, kept alive until the result is gone even if the handle is closed meanwhile.
    std::shared_ptr<Resource> enter() const {
        std::shared_ptr<Resource> resource = enter_if_open();
        if (!resource) throw_closed(what_);
        return resource;
    }

    std::shared_ptr<Resource> enter_if_open() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return resource_;
    }

    // What `body` finds in the resource; zero once the handle is closed. For a look at a fact: closing waits for it, so nothing
    // is counted, which is half the cost of `enter`.
    template <class Body>
    auto look(Body &&body) const -> decltype(body(std::declval<const Resource &>())) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!resource_) return {};
        return body(*resource_);
    }

    void close() noexcept {
        std::shared_ptr<Resource> last;
        std::lock_guard<std::mutex> lock(mutex_);
        last.swap(resource_);  // destroyed after the lock is released
    }

  private:
    const char *what_;
    mutable std::mutex mutex_;
    std::shared_ptr<Resource> resource_;
};

// Whether a resource lends memory until the next call: `std::shared_ptr<const void> lent()` keeps it.
template <class Resource, class = void>
struct lends : std::false_type {};
template <class Resource>
struct lends<Resource, std::void_t<decltype(std::declval<Resource &>().lent())>> : std::true_type {};

// A resource that one thread uses at a time. `Resource` has a `void cancel() noexcept` that any thread may call. What it has
// lent stays until the handle is freed: when another thread closes, a reader may still be copying it.
template <class Resource>
class exclusive_core {
  public:
    exclusive_core(const char *what, std::unique_ptr<Resource> resource) : what_(what), resource_(std::move(resource)) {}

    // The right to use the resource. A backend abort meanwhile poisons it.
    class use {
      public:
        use(use &&other) noexcept : core_(other.core_), aborts_(other.aborts_) { other.core_ = nullptr; }
        use(const use &) = delete;
        use &operator=(const use &) = delete;
        ~use() {
            if (core_) core_->leave(abort_count() != aborts_);
        }
        Resource *operator->() const { return core_->resource_.get(); }
        Resource &operator*() const { return *core_->resource_; }

      private:
        friend class exclusive_core;
        explicit use(exclusive_core *core) : core_(core), aborts_(abort_count()) {}
        exclusive_core *core_;
        int aborts_;
    };

    use enter() {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closing_) throw_closed(what_);
        if (busy_) {
            throw failure(code::busy, std::string("another call is using this ") + what_ +
                                          "; wait for it, or use one " + what_ + " for each thread");
        }
        if (poisoned_) {
            throw failure(code::internal, std::string("a check inside llama.cpp failed earlier in this ") + what_ +
                                              "; close it and create a new one");
        }
        busy_ = true;
        return use(this);
    }

    // Runs `body` on the resource from any thread, without the right to use it. Not run once the core is closed.
    template <class Body>
    void signal(Body &&body) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (resource_) body(*resource_);
    }

    void close() noexcept {
        std::unique_ptr<Resource> last;
        std::unique_lock<std::mutex> lock(mutex_);
        if (resource_ && busy_) resource_->cancel();
        closing_ = true;
        left_.wait(lock, [this] { return !busy_; });
        if constexpr (lends<Resource>::value) {
            if (resource_) lent_ = resource_->lent();
        }
        last.swap(resource_);
        lock.unlock();
    }

  private:
    void leave(bool aborted) noexcept {
        // Notified under the lock: the waiter may destroy the core as soon as it has the lock.
        std::lock_guard<std::mutex> lock(mutex_);
        busy_ = false;
        poisoned_ = poisoned_ || aborted;
        left_.notify_all();
    }

    const char *what_;
    std::mutex mutex_;
    std::condition_variable left_;
    std::unique_ptr<Resource> resource_;
    std::shared_ptr<const void> lent_;
    bool busy_ = false;
    bool closing_ = false;
    bool poisoned_ = false;
};

template <class Handle>
Handle &require(Handle *handle, const char *what) {
    if (!handle) throw failure(code::invalid_argument, std::string("the ") + what + " is NULL");
    return *handle;
}

}  // namespace mullama
