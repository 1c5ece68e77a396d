// Lines by level. llama.cpp prefixes most lines with the function's name, which tells a caller nothing: it is cut off.
#include "log_capture.h"

#include <cctype>

#include "ggml.h"
#include "text.h"

namespace mullama {

namespace {

thread_local log_capture *innermost = nullptr;

std::string without_function_name(const std::string &line) {
    size_t end = 0;
    while (end < line.size() && (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_' || line[end] == ':')) {
        if (line[end] == ':' && end + 1 < line.size() && line[end + 1] == ' ') {
            size_t start = line.find_first_not_of(' ', end + 1);
            return start == std::string::npos ? std::string() : line.substr(start);
        }
        ++end;
    }
    return line;
}

}  // namespace

log_capture::log_capture() : outer_(innermost) { innermost = this; }

log_capture::~log_capture() { innermost = outer_; }

log_capture *log_capture::current() { return innermost; }

void log_capture::add(int level, const char *text) {
    if (level != GGML_LOG_LEVEL_CONT) {
        add_line();
        level_ = level;
    }
    for (; *text; ++text) {
        if (*text == '\n') {
            add_line();
        } else {
            line_ += *text;
        }
    }
}

void log_capture::add_line() {
    if (line_.empty()) return;
    const std::string line = shortened(without_function_name(line_), longest_reason);
    line_.clear();
    if (line.empty()) return;
    if (level_ == GGML_LOG_LEVEL_ERROR) errors_.push_back(line);
    if (level_ == GGML_LOG_LEVEL_WARN) warnings_.push_back(line);
}

std::string log_capture::errors(const std::string &otherwise) const {
    std::string joined;
    for (const std::string &line : errors_) joined += (joined.empty() ? "" : "; ") + line;
    return joined.empty() ? otherwise : joined;
}

}  // namespace mullama
