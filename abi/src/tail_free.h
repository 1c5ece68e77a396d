// Tail-free sampling, which llama.cpp no longer has.
#pragma once

#include "llama.h"

namespace mullama {

llama_sampler *init_tail_free(float z, size_t min_keep);

}  // namespace mullama
