// Collects what llama.cpp logs on this thread during one call: its reasons for a failure are only in the log.
#pragma once

#include <string>
#include <vector>

namespace mullama {

class log_capture {
  public:
    log_capture();
    ~log_capture();
    log_capture(const log_capture &) = delete;
    log_capture &operator=(const log_capture &) = delete;

    void add(int level, const char *text);
    void add_line();

    // The reasons, most telling first: all error lines joined, or `otherwise` if there are none.
    std::string errors(const std::string &otherwise) const;
    const std::vector<std::string> &warnings() const { return warnings_; }

    // The innermost capture of this thread; null if there is none.
    static log_capture *current();

  private:
    log_capture *outer_;
    int level_ = 0;
    std::string line_;
    std::vector<std::string> errors_, warnings_;
};

}  // namespace mullama
