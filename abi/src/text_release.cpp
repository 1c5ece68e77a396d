// A stop text is held back from its first byte on until it is complete or ruled out.
#include "text_release.h"

#include <algorithm>

#include "text.h"

namespace mullama {

size_t text_release::length_to_hold() const {
    size_t length = unfinished_utf8_suffix(held_);
    for (const std::string &stop : stops_) {
        // The longest end of the text that a stop text begins with.
        for (size_t size = std::min(stop.size() - 1, held_.size()); size > length; --size) {
            if (held_.compare(held_.size() - size, size, stop, 0, size) == 0) {
                length = size;
                break;
            }
        }
    }
    return length;
}

std::string text_release::add(const std::string &bytes) {
    held_ += bytes;
    size_t first = std::string::npos;
    for (const std::string &stop : stops_) {
        const size_t at = held_.find(stop);
        if (at < first) {
            first = at;
            stopped_ = &stop;
        }
    }
    if (stopped_) {
        const std::string released = mended_utf8(std::string_view(held_).substr(0, first));
        held_.clear();
        return released;
    }
    const size_t certain = held_.size() - length_to_hold();
    const std::string released = mended_utf8(std::string_view(held_).substr(0, certain));
    held_.erase(0, certain);
    return released;
}

std::string text_release::finish() {
    const std::string rest = mended_utf8(held_);
    held_.clear();
    return rest;
}

}  // namespace mullama
