// Limits for chat templates while they run.
#pragma once

#include <cstddef>

namespace mullama {

// While it exists, all runs of templates on this thread share one budget of steps and of bytes, so that a template that loops
// is given up once: llama.cpp runs one many times to find out what it does. What they are given has `size` bytes of text.
class template_budget {
  public:
    explicit template_budget(size_t size = 0);
    ~template_budget();
    template_budget(const template_budget &) = delete;
    template_budget &operator=(const template_budget &) = delete;

  private:
    const bool outside_;
};

}  // namespace mullama
