// What the generated part adds to the addon.
#pragma once

#include <vector>

#include "environment.h"

namespace binding {

class Module {
  public:
    explicit Module(Environment &environment);
    void add(const char *name, napi_callback function);
    napi_value functions;

  private:
    Environment &environment_;
};

// Size of a struct, or offset of a member, as this binding was compiled.
struct Layout {
    const char *name;
    size_t bytes;
};

// Generated
void add_operations(Module &module);
const std::vector<Layout> &layouts();

}  // namespace binding
