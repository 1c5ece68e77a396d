// A look at a model after llama.cpp has loaded it: what it would accept and then not survive is refused here.
#pragma once

#include <string>

#include "llama.h"

namespace mullama {

// Throws MODEL_INVALID where an evaluation would fail one of ggml's own checks: on a worker thread that ends the process.
void check_model(const llama_model *model, const std::string &path);

// Positions that the model has a learned embedding for; 0 where positions are unbounded (rotary and other kinds).
int32_t position_limit(const llama_model *model);

}  // namespace mullama
