// What llama.cpp needs once per process, and what of it reaches the outside: aborts and the log.
#pragma once

#include <cstdint>
#include <string>

namespace mullama {

// Initialises llama.cpp on the first call. Every entry point that reaches llama.cpp calls it first.
void use_backend();

// A function of the processor backend in use. Its names are not linked: the library may hold the backend several times.
void *cpu_function(const char *name);

}  // namespace mullama
