// How a model is to be loaded: the options of model.yaml, checked and in llama.cpp's form.
#pragma once

#include <string>
#include <vector>

#include "libmullama.h"
#include "llama.h"

namespace mullama {

// The parameters for llama.cpp together with everything they point to.
struct load_request {
    std::string path;
    llama_model_params params = llama_model_default_params();
    std::vector<ggml_backend_dev_t> devices;
    std::vector<float> tensor_split;
    std::vector<llama_model_kv_override> kv_overrides;
    std::vector<std::string> split_paths;
    mullama_load_progress progress = nullptr;
    void *progress_user = nullptr;
    bool stopped = false;
};

// Fills the request from the options. The request must stay where it is: the parameters point into it.
void take_model_options(load_request &request, const mullama_model_options &options);

// The code for a load that failed, from what llama.cpp logged.
int32_t code_of_load(const std::string &reasons);

}  // namespace mullama
