// The ring itself. Writing never throws into llama.cpp and never runs code of the host.
#include "log_ring.h"

#include <chrono>

#include "text.h"

namespace mullama {

log_ring &log_ring::get() {
    // Never destroyed: llama.cpp may log while the process exits.
    static log_ring *ring = new log_ring;
    return *ring;
}

void log_ring::append(int32_t level, std::string text) {
    if (level != 0 && level < lowest_) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    if (entries_.size() == capacity) entries_.pop_front();
    entries_.push_back({level, std::chrono::duration_cast<std::chrono::microseconds>(now).count(), next_++, mended_utf8(text)});
    grown_.notify_all();
}

void log_ring::write(int32_t level, std::string text) noexcept {
    try {
        std::lock_guard<std::mutex> lock(mutex_);
        append(level, std::move(text));
    } catch (...) {  // out of memory: the entry is lost, the caller is not harmed
    }
}

void log_ring::write_part(int32_t level, const char *text) noexcept {
    constexpr int32_t continues = 5;  // GGML_LOG_LEVEL_CONT
    try {
        std::lock_guard<std::mutex> lock(mutex_);
        if (level != continues) {
            if (!part_.empty()) append(part_level_, std::move(part_));
            part_.clear();
            part_level_ = level;
        }
        for (const char *end = text; *end; ++end) {
            if (*end == '\n') {
                if (!part_.empty()) append(part_level_, std::move(part_));
                part_.clear();
            } else {
                part_ += *end;
            }
        }
    } catch (...) {  // as above
    }
}

void log_ring::set_level(int32_t level) {
    std::lock_guard<std::mutex> lock(mutex_);
    lowest_ = level;
}

uint64_t log_ring::oldest() {
    std::lock_guard<std::mutex> lock(mutex_);
    return entries_.empty() ? next_ : entries_.front().sequence;
}

uint64_t log_ring::end() {
    std::lock_guard<std::mutex> lock(mutex_);
    return next_;
}

log_ring::outcome log_ring::read(uint64_t sequence, int32_t timeout_ms, const bool &cancelled, entry &out) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto ready = [&] { return cancelled || next_ > sequence; };
    if (timeout_ms < 0) {
        grown_.wait(lock, ready);
    } else if (!grown_.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready)) {
        return outcome::waiting;
    }
    if (cancelled) return outcome::cancelled;
    const uint64_t first = entries_.front().sequence;
    out = entries_[sequence > first ? sequence - first : 0];
    return outcome::entry;
}

void log_ring::cancel(bool &cancelled) {
    std::lock_guard<std::mutex> lock(mutex_);
    cancelled = true;
    grown_.notify_all();
}

}  // namespace mullama
