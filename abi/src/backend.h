// What llama.cpp needs once per process, and what of it reaches the outside: aborts and the log.
#pragma once

#include <cstdint>
#include <string>

namespace mullama {

// Initialises llama.cpp on the first call. Every entry point that reaches llama.cpp calls it first.
void use_backend();

}  // namespace mullama
