// The count of what the library has given out and not got back: handles, errors and result blocks.
#pragma once

#include <atomic>
#include <cstdint>

namespace mullama {

inline std::atomic<int64_t> &live_objects() noexcept {
    static std::atomic<int64_t> count{0};
    return count;
}

// Counts the object it is a member of.
struct live_object {
    live_object() noexcept { live_objects().fetch_add(1, std::memory_order_relaxed); }
    ~live_object() { live_objects().fetch_sub(1, std::memory_order_relaxed); }
    live_object(const live_object &) = delete;
    live_object &operator=(const live_object &) = delete;
};

}  // namespace mullama
