// Which compilation of ggml's processor backend is used, in a library that holds several (MULLAMA_CPU_VARIANTS).
#pragma once

#include <string>

namespace mullama {

// Its name: the best one that this processor can run, or the one that the environment variable MULLAMA_CPU names. Empty
// in a library that holds one only. Throws where MULLAMA_CPU names one that is not there or cannot run.
const std::string &cpu_variant();

}  // namespace mullama
