// Adaptive-p, whose llama.cpp version loses its random numbers when cloned.
#pragma once

#include "llama.h"

namespace mullama {

llama_sampler *init_adaptive_p(float target, float decay, uint32_t seed);

}  // namespace mullama
