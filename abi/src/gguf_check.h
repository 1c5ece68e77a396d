// A look at a model file before llama.cpp reads it: what it would answer with a puzzle, or not survive, is refused here.
#pragma once

#include <string>

namespace mullama {

// Throws the failure that names what is wrong with the file at `path`.
void check_gguf(const std::string &path, bool vocab_only);

}  // namespace mullama
