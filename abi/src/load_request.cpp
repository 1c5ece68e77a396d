// Options of a load: each is checked here, because llama.cpp takes many wrong ones for others.
#include "load_request.h"

#include <cerrno>
#include <cstdlib>

#include "common.h"
#include "failure.h"
#include "text.h"

namespace mullama {

namespace {

std::string device_names() {
    std::string names;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        names += (names.empty() ? "" : ", ") + std::string(ggml_backend_dev_name(ggml_backend_dev_get(i)));
    }
    return names;
}

void take_devices(load_request &request, const mullama_model_options &options) {
    if (options.devices_len == 0) return;
    for (size_t i = 0; i < options.devices_len; ++i) {
        const std::string name(take_text(options.devices[i].data, options.devices[i].len, "model_options.devices"));
        // A NUL would end the name for ggml, and CPU\0x be CPU.
        ggml_backend_dev_t device = name.find('\0') == std::string::npos ? ggml_backend_dev_by_name(name.c_str()) : nullptr;
        if (!device) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "there is no device \"" + name + "\"; this machine has " + device_names());
        }
        // llama.cpp's list holds offload devices only; the processor takes what they do not.
        if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU) request.devices.push_back(device);
    }
    request.devices.push_back(nullptr);
    request.params.devices = request.devices.data();
}

// llama.cpp reads the number of an override as far as it goes, and takes "many" for 0.
bool has_whole_number(const std::string &text) {
    const size_t type = text.find('=') + 1, value = text.find(':', type) + 1;
    if (type == 0 || value == 0) return true;  // refused for its form
    const std::string name = text.substr(type, value - 1 - type);
    if (name != "int" && name != "float") return true;
    const char *const start = text.c_str() + value;
    char *end = nullptr;
    errno = 0;
    if (name == "int") {
        std::strtoll(start, &end, 10);
    } else {
        std::strtod(start, &end);
    }
    return end != start && *end == '\0' && errno == 0;
}

void take_kv_overrides(load_request &request, const mullama_model_options &options) {
    if (options.kv_overrides_len == 0) return;
    for (size_t i = 0; i < options.kv_overrides_len; ++i) {
        const std::string text(take_text(options.kv_overrides[i].data, options.kv_overrides[i].len, "model_options.kv_overrides"));
        if (text.find('\0') != std::string::npos || !has_whole_number(text) || !string_parse_kv_override(text.c_str(), request.kv_overrides)) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "the metadata override \"" + text + "\" is not of the form KEY=TYPE:VALUE with "
                                                      "TYPE int, float, bool or str, and KEY and text values of at most 127 bytes");
        }
    }
    request.kv_overrides.emplace_back();
    request.kv_overrides.back().key[0] = 0;
    request.params.kv_overrides = request.kv_overrides.data();
}

}  // namespace

void take_model_options(load_request &request, const mullama_model_options &options) {
    llama_model_params &params = request.params;
    params.n_gpu_layers = options.n_gpu_layers;
    params.split_mode = static_cast<llama_split_mode>(options.split_mode);
    params.main_gpu = options.main_gpu;
    params.check_tensors = options.check_tensors;
    params.vocab_only = options.vocab_only;
    params.use_extra_bufts = options.repack;
    if (options.use_direct_io && options.use_mlock) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "use_direct_io and use_mlock exclude each other; choose one");
    }
    params.load_mode = options.use_direct_io                     ? LLAMA_LOAD_MODE_DIRECT_IO
                       : options.use_mmap && options.use_mlock   ? LLAMA_LOAD_MODE_MMAP_MLOCK
                       : options.use_mmap                        ? LLAMA_LOAD_MODE_MMAP
                       : options.use_mlock                       ? LLAMA_LOAD_MODE_MLOCK
                                                                 : LLAMA_LOAD_MODE_NONE;
    if (options.tensor_split_len > llama_max_devices()) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "tensor_split has " + std::to_string(options.tensor_split_len) +
                                                      " parts; at most " + std::to_string(llama_max_devices()) + " devices are possible");
    }
    if (options.tensor_split_len) {
        request.tensor_split.assign(options.tensor_split, options.tensor_split + options.tensor_split_len);
        for (float part : request.tensor_split) {
            if (!(part >= 0) || part > 1e30f) {
                throw failure(MULLAMA_E_INVALID_ARGUMENT, "a part of tensor_split is " + std::to_string(part) + "; parts are 0 or more");
            }
        }
        request.tensor_split.resize(llama_max_devices());
        params.tensor_split = request.tensor_split.data();
    }
    take_devices(request, options);
    take_kv_overrides(request, options);
    for (size_t i = 0; i < options.split_paths_len; ++i) {
        request.split_paths.push_back(take_path(options.split_paths[i].data, options.split_paths[i].len));
    }
    if (options.split_paths_len && request.split_paths[0] != request.path) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the path is \"" + request.path + "\", but the first of split_paths is \"" + request.split_paths[0] + "\"");
    }
    params.progress_callback_user_data = &request;
    params.progress_callback = [](float fraction, void *user) {
        load_request &request = *static_cast<load_request *>(user);
        if (request.progress && !request.progress(fraction, request.progress_user)) request.stopped = true;
        return !request.stopped;
    };
}

int32_t code_of_load(const std::string &reasons) {
    const auto mentions = [&](const char *text) { return reasons.find(text) != std::string::npos; };
    if (mentions("invalid value for main_gpu")) return MULLAMA_E_INVALID_ARGUMENT;
    if (mentions("LLAMA_SPLIT_MODE_TENSOR")) return MULLAMA_E_UNSUPPORTED;
    if (mentions("unknown model architecture") || mentions("not supported") || mentions("unsupported")) return MULLAMA_E_MODEL_UNSUPPORTED;
    if (mentions("bad_alloc") || mentions("unable to allocate") || mentions("failed to allocate")) return MULLAMA_E_OUT_OF_MEMORY;
    return MULLAMA_E_MODEL_INVALID;
}

}  // namespace mullama
