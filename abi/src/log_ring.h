// The log: a ring of the newest entries that readers follow at their own pace.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

namespace mullama {

class log_ring {
  public:
    static constexpr size_t capacity = 4096;

    struct entry {
        int32_t level;
        int64_t time_us;
        uint64_t sequence;
        std::string text;
    };

    static log_ring &get();

    void write(int32_t level, std::string text) noexcept;

    // llama.cpp writes lines in parts: a part without a level continues the one before, a line break ends the entry.
    void write_part(int32_t level, const char *text) noexcept;

    void set_level(int32_t level);
    uint64_t oldest();
    uint64_t end();

    enum class outcome { entry, waiting, cancelled };

    // Copies the first entry at or after `sequence`; waits for one up to `timeout_ms` (negative: without limit).
    outcome read(uint64_t sequence, int32_t timeout_ms, const bool &cancelled, entry &out);

    // Sets a flag that `read` watches, and wakes it.
    void cancel(bool &cancelled);

  private:
    void append(int32_t level, std::string text);

    std::mutex mutex_;
    std::condition_variable grown_;
    std::deque<entry> entries_;
    uint64_t next_ = 0;
    int32_t lowest_ = 2;  // info
    int32_t part_level_ = 2;
    std::string part_;
};

}  // namespace mullama
