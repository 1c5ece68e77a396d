// Checks on the loaded model and not on the file, so that metadata overrides and part files are covered too.
#include "model_check.h"

#include <algorithm>

#include "failure.h"
#include "ggml.h"
#include "libmullama.h"
#include "llama-model.h"

namespace mullama {

namespace {

bool ends_with(const std::string &text, const std::string &end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool has_part(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

// Tables of ids are the only tensors of whole numbers.
bool is_index_table(const std::string &name) { return name == "d2t" || has_part(name, "tid2eid"); }

// The kernels that add, scale and convolve take F32 only; converters keep these tensors so in every format.
bool must_be_f32(const std::string &name, const ggml_tensor &tensor) {
    return ggml_n_dims(&tensor) <= 1 || !ends_with(name, ".weight") || ends_with(name, "_norm.weight") || name == "token_types.weight" ||
           has_part(name, "ssm_conv1d") || has_part(name, "shortconv.conv");
}

// Prevents: an abort in ggml's binary_op and ssm_conv, and a call through a null pointer in its matrix product for types
// without a dot product: whole numbers, F64, and the two that only exist within a computation.
bool can_be_computed(const std::string &name, const ggml_tensor &tensor) {
    if (tensor.type == GGML_TYPE_F32 || is_index_table(name)) return true;
    if (must_be_f32(name, tensor)) return false;
    if (tensor.type == GGML_TYPE_F16 || tensor.type == GGML_TYPE_BF16) return true;
    return ggml_is_quantized(tensor.type) && tensor.type != GGML_TYPE_Q8_1 && tensor.type != GGML_TYPE_Q8_K;
}

[[noreturn]] void refuse(const std::string &path, const std::string &reason) {
    throw failure(MULLAMA_E_MODEL_INVALID, "\"" + path + "\" cannot be used: " + reason + "; the file is damaged, or its converter was wrong");
}

}  // namespace

void check_model(const llama_model *model, const std::string &path) {
    for (const auto &[name, tensor] : llama_internal_get_tensor_map(model)) {
        if (!can_be_computed(name, *tensor)) {
            refuse(path, "the tensor \"" + name + "\" has the type " + ggml_type_name(tensor->type) + ", which nothing can compute with there");
        }
    }

    const llama_hparams &facts = model->hparams;
    // Prevents: GGML_ASSERT(eps >= 0) in the norms.
    for (float epsilon : {facts.f_norm_eps, facts.f_norm_rms_eps, facts.f_norm_group_eps}) {
        if (!(epsilon >= 0)) refuse(path, "the epsilon of its norms is " + std::to_string(epsilon) + ", not a number of 0 or more");
    }
    // Prevents: an abort in llama.cpp's build_pooling.
    if (facts.pooling_type < LLAMA_POOLING_TYPE_UNSPECIFIED || facts.pooling_type > LLAMA_POOLING_TYPE_RANK) {
        refuse(path, "its pooling type is " + std::to_string(facts.pooling_type) + ", and there are 0 to " + std::to_string(LLAMA_POOLING_TYPE_RANK));
    }
    // Prevents: GGML_ASSERT(ggml_nelements(a) == ne0*ne1*ne2) where keys are split into heads, for a count that wraps around.
    for (uint32_t layer = 0; layer < facts.n_layer(); ++layer) {
        const uint32_t n_head = facts.n_head(layer), n_head_kv = facts.n_head_kv(layer);
        if (n_head > 0 && n_head_kv > n_head) {
            refuse(path, "layer " + std::to_string(layer) + " has " + std::to_string(n_head_kv) + " heads of keys for " + std::to_string(n_head) + " of queries (attention.head_count_kv)");
        }
    }
    // Prevents: GGML_ASSERT(n_dims <= ne0) and (n_dims % 2 == 0) in the rotary embedding.
    if (facts.rope_type != LLAMA_ROPE_TYPE_NONE) {
        for (uint32_t layer = 0; layer < facts.n_layer(); ++layer) {
            if (facts.n_head(layer) == 0) continue;
            const uint32_t n_rot = facts.n_rot(layer), width = facts.n_embd_head_k(layer);
            if (n_rot > width || n_rot % 2) {
                refuse(path, "rotary embeddings of " + std::to_string(n_rot) + " numbers do not fit heads of " + std::to_string(width) + " (rope.dimension_count)");
            }
        }
    }
}

int32_t position_limit(const llama_model *model) {
    return model->pos_embd ? static_cast<int32_t>(std::min<int64_t>(model->pos_embd->ne[1], INT32_MAX)) : 0;
}

}  // namespace mullama
