// Where the models lie that the tests load.
#pragma once

#include <cstdlib>
#include <string>

inline std::string tiny(const std::string &name = "llama") { return std::string(TINY_MODELS) + "/" + name + ".gguf"; }

inline std::string real_model() {
    const char *path = std::getenv("MULLAMA_TEST_MODEL");
    return path ? path : REAL_MODEL;
}
