// The area model: loading, and what a file says of itself.
#include "backend.h"
#include "files.h"
#include "generated/options.h"
#include "gguf_check.h"
#include "llama-ext.h"
#include "load_request.h"
#include "log_capture.h"
#include "model_check.h"
#include "model_resource.h"
#include "results.h"
#include "text.h"

using namespace mullama;

namespace {

std::string metadata_text(const llama_model *model, const char *key) {
    std::string text(256, '\0');
    int32_t size = llama_model_meta_val_str(model, key, &text[0], text.size());
    if (size >= static_cast<int32_t>(text.size())) {
        text.resize(size + 1);
        size = llama_model_meta_val_str(model, key, &text[0], text.size());
    }
    text.resize(size < 0 ? 0 : size);
    return mended_utf8(text);
}

std::string metadata_key(const llama_model *model, int32_t index) {
    std::string key(256, '\0');
    int32_t size = llama_model_meta_key_by_index(model, index, &key[0], key.size());
    if (size >= static_cast<int32_t>(key.size())) {
        key.resize(size + 1);
        size = llama_model_meta_key_by_index(model, index, &key[0], key.size());
    }
    key.resize(size < 0 ? 0 : size);
    return key;
}

// A text of the file that may be absent.
void give_optional(const char *text, const char **out, size_t *out_len) {
    if (text) {
        give(mended_utf8(text), out, out_len);
    } else {
        *require_out(out) = nullptr;
        *require_out(out_len) = 0;
    }
}

std::shared_ptr<model_resource> load(load_request &request, const mullama_model_options &options) {
    require_regular_file(request.path);
    for (const std::string &path : request.split_paths) require_regular_file(path);
    check_gguf(request.path, options.vocab_only);

    log_capture captured;
    std::vector<const char *> parts;
    for (const std::string &path : request.split_paths) parts.push_back(path.c_str());
    const int aborts = abort_count();
    llama_model_ptr model(parts.empty() ? llama_model_load_from_file(request.path.c_str(), request.params)
                                        : llama_model_load_from_splits(parts.data(), parts.size(), request.params));
    captured.add_line();
    if (!model) {
        if (request.stopped) throw failure(MULLAMA_E_CANCELLED, "loading \"" + request.path + "\" was stopped by its progress callback");
        const std::string reasons = captured.errors(abort_count() != aborts ? "a check inside llama.cpp failed" : "llama.cpp gave no reason");
        throw failure(code_of_load(reasons), "\"" + request.path + "\" cannot be loaded: " + reasons);
    }

    if (!options.vocab_only) check_model(model.get(), request.path);

    auto resource = std::make_shared<model_resource>();
    resource->position_limit = options.vocab_only ? 0 : position_limit(model.get());
    resource->vocab = llama_model_get_vocab(model.get());
    resource->vocab_only = options.vocab_only;
    if (llama_vocab_type(resource->vocab) != LLAMA_VOCAB_TYPE_NONE) {
        resource->n_vocab = llama_vocab_n_tokens(resource->vocab);
        for (llama_token token = 0; token < resource->n_vocab; ++token) {
            if (llama_vocab_is_eog(resource->vocab, token)) resource->end_tokens.push_back(token);
        }
    }
    char description[256];
    llama_model_desc(model.get(), description, sizeof(description));
    resource->description = mended_utf8(description);
    resource->architecture = metadata_text(model.get(), "general.architecture");
    resource->warnings = captured.warnings();
    if (!llama_supports_gpu_offload()) {
        const auto warn = [&](const std::string &what) { resource->warnings.push_back(what + ", but this build has no GPU backend: all layers stay on the processor"); };
        if (options.n_gpu_layers > 0) warn("n_gpu_layers is " + std::to_string(options.n_gpu_layers));
        if (options.main_gpu > 0) warn("main_gpu is " + std::to_string(options.main_gpu));
        if (options.tensor_split_len) warn("tensor_split has " + std::to_string(options.tensor_split_len) + " parts");
        if (options.split_mode == MULLAMA_SPLIT_MODE_ROW) warn("split_mode is row");
    }
    resource->model = std::move(model);
    return resource;
}

// llama.cpp tells the number of classes of every model: labels or rank pooling make it one that means something.
bool is_classifier(const model_resource &resource) {
    constexpr const char *rank = "4";
    return llama_model_cls_label(resource.model.get(), 0) || metadata_text(resource.model.get(), (resource.architecture + ".pooling_type").c_str()) == rank;
}

mullama_model_info info_of(const model_resource &resource) {
    const llama_model *model = resource.model.get();
    mullama_model_info info{};
    const auto set = [](std::string_view text, const char *&data, size_t &size) {
        data = text.data();
        size = text.size();
    };
    set(resource.description, info.description, info.description_len);
    set(resource.architecture, info.architecture, info.architecture_len);
    set(llama_ftype_name(llama_model_ftype(model)), info.file_type, info.file_type_len);
    info.n_vocab = resource.n_vocab;
    info.vocabulary_type = llama_vocab_type(resource.vocab);
    info.vocab_only = resource.vocab_only;
    info.n_ctx_train = llama_model_n_ctx_train(model);
    info.decoder_start_token = -1;
    info.rope_type = MULLAMA_ROPE_TYPE_NONE;
    if (resource.vocab_only) return info;  // llama.cpp reads no hyperparameters then
    info.size = llama_model_size(model);
    info.n_params = llama_model_n_params(model);
    info.n_embd = llama_model_n_embd(model);
    info.n_embd_in = llama_model_n_embd_inp(model);
    info.n_embd_out = llama_model_n_embd_out(model);
    info.n_layer = llama_model_n_layer(model);
    info.n_head = llama_model_n_head(model);
    info.n_head_kv = llama_model_n_head_kv(model);
    info.n_swa = llama_model_n_swa(model);
    info.n_expert = llama_model_n_expert(model);
    if (is_classifier(resource)) info.n_classes = llama_model_n_cls_out(model);
    info.n_devices = llama_model_n_devices(model);
    info.rope_type = llama_model_rope_type(model);
    info.rope_freq_scale_train = llama_model_rope_freq_scale_train(model);
    info.has_encoder = llama_model_has_encoder(model);
    info.has_decoder = llama_model_has_decoder(model);
    if (info.has_encoder) info.decoder_start_token = llama_model_decoder_start_token(model);
    info.is_recurrent = llama_model_is_recurrent(model);
    info.is_hybrid = llama_model_is_hybrid(model);
    info.is_diffusion = llama_model_is_diffusion(model);
    return info;
}

}  // namespace

int32_t mullama_model_load(const char *path, size_t path_len, const mullama_model_options *options, mullama_load_progress progress,
                           void *progress_user, mullama_model **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        use_backend();
        load_request request;
        request.path = take_path(path, path_len);
        request.progress = progress;
        request.progress_user = progress_user;
        const mullama_model_options taken = read_model_options(options);
        take_model_options(request, taken);
        *out = new mullama_model(load(request, taken));
    });
}

void mullama_model_close(mullama_model *model) {
    if (model) model->core->close();
}

void mullama_model_free(mullama_model *model) {
    mullama_model_close(model);
    delete model;
}

int32_t mullama_model_get_info(mullama_model *model, mullama_model_info *out, mullama_error **err) {
    return guarded(err, [&] { give(info_of(*require(model, "model").core->enter()), out); });
}

int32_t mullama_model_n_vocab(mullama_model *model) {
    return guarded_value([&] { return model ? model->core->look([](const model_resource &resource) { return resource.n_vocab; }) : 0; });
}

int32_t mullama_model_warnings(mullama_model *model, const mullama_str **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] { give(require(model, "model").core->enter()->warnings, out, out_len); });
}

int32_t mullama_model_metadata(mullama_model *model, const mullama_str **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        std::vector<std::string> pairs;
        for (int32_t i = 0; i < llama_model_meta_count(resource->model.get()); ++i) {
            const std::string key = metadata_key(resource->model.get(), i);
            pairs.push_back(mended_utf8(key));
            pairs.push_back(metadata_text(resource->model.get(), key.c_str()));
        }
        give(pairs, out, out_len);
    });
}

size_t mullama_model_metadata_count(mullama_model *model) {
    return guarded_value([&]() -> size_t {
        return model ? model->core->look([](const model_resource &resource) { return llama_model_meta_count(resource.model.get()); }) : 0;
    });
}

int32_t mullama_model_metadata_value(mullama_model *model, const char *key, size_t key_len, const char **out, size_t *out_len,
                                     mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        const std::string name(take_text(key, key_len, "the key"));
        char first;
        const bool exists = name.find('\0') == std::string::npos &&
                            llama_model_meta_val_str(resource->model.get(), name.c_str(), &first, 1) >= 0;
        give_optional(exists ? metadata_text(resource->model.get(), name.c_str()).c_str() : nullptr, out, out_len);
    });
}

int32_t mullama_model_chat_template(mullama_model *model, const char *name, size_t name_len, const char **out, size_t *out_len,
                                    mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        const std::string variant(take_text(name, name_len, "the name"));
        give_optional(llama_model_chat_template(resource->model.get(), name ? variant.c_str() : nullptr), out, out_len);
    });
}

int32_t mullama_model_class_label(mullama_model *model, uint32_t index, const char **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        const uint32_t count = info_of(*resource).n_classes;
        if (index >= count) {
            throw failure(MULLAMA_E_OUT_OF_RANGE, "class " + std::to_string(index) + " does not exist; the model has " + std::to_string(count));
        }
        give_optional(llama_model_cls_label(resource->model.get(), index), out, out_len);
    });
}
