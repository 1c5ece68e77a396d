// What stands behind a JavaScript object of a handle class, and results that free themselves.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "library.h"

namespace binding {

class Queue;

// What the runtime knows of one handle type; generated as `kind<mullama_model>`.
struct Kind {
    const char *name;
    bool exclusive;
    bool has_threads;  // the library works for it on threads of its own, until it is closed
    void (*close)(void *handle);
    void (*free)(void *handle);
};

template <class T>
inline const Kind kind{};

// A handle of the library. JavaScript's object and every running job share it, so that it is freed after both.
class Box : public std::enable_shared_from_this<Box> {
  public:
    Box(const Kind &kind, void *pointer, std::shared_ptr<Queue> queue) : kind(kind), pointer(pointer), queue(std::move(queue)) {}
    Box(const Box &) = delete;
    Box &operator=(const Box &) = delete;
    ~Box() { kind.free(pointer); }

    void close() {
        closed = true;
        kind.close(pointer);
    }

    const Kind &kind;
    void *const pointer;
    // Turns on an exclusive handle, and on those that work on it; nullptr for a shared one.
    const std::shared_ptr<Queue> queue;
    // Turns of what computes on a shared handle. For the thread of JavaScript only.
    const std::shared_ptr<Queue> &computing();
    std::atomic<bool> closed{false};
    std::shared_ptr<Box> owner;  // itself, while JavaScript's object lives

  private:
    std::shared_ptr<Queue> computing_;
};

// A handle given as an argument, kept alive until the call is over.
template <class T>
struct Ref {
    std::shared_ptr<Box> box;
    operator T *() const { return box ? static_cast<T *>(box->pointer) : nullptr; }
};

template <class T>
struct Span {
    const T *data = nullptr;
    size_t len = 0;
};

using Text = Span<char>;

// A result that the library allocated.
template <class T>
struct Owned : Span<T> {
    Owned() = default;
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;
    ~Owned() { lib.free(this->data); }
};

// A handle that the library made and nobody holds yet.
template <class T>
struct Made {
    Made() = default;
    Made(const Made &) = delete;
    Made &operator=(const Made &) = delete;
    ~Made() {
        if (pointer) kind<T>.free(pointer);
    }
    T *release() { return std::exchange(pointer, nullptr); }
    T *pointer = nullptr;
};

// A struct with its defaults, or with zeros where the library writes it.
template <class T>
T initialised(void (*init)(T *, size_t)) {
    T made;
    init(&made, sizeof made);
    return made;
}

}  // namespace binding
