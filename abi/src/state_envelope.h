// The envelope of saved states: what tells a whole one from a damaged one, and this model's from another's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "llama.h"

namespace mullama {

enum class state_kind : uint32_t { whole_context = 0, one_sequence = 1, slot = 2 };

struct state_label {
    state_kind kind;
    uint64_t flags;
    uint64_t shape;  // see shape_of
};

struct opened_state {
    state_label label;
    std::vector<llama_token> tokens;
    const uint8_t *payload;  // within the bytes that were opened
    size_t size;
};

// Of the model and the cache: states go only where it is the same.
uint64_t shape_of(const llama_model *model, const std::string &architecture, int32_t type_k, int32_t type_v);

// Bytes of an envelope around `n_tokens` tokens and `payload` bytes.
size_t sealed_size(size_t n_tokens, size_t payload);

// `write` fills at most `most` bytes of payload and tells how many.
std::vector<uint8_t> seal_state(const state_label &label, const std::vector<llama_token> &tokens, size_t most, const std::function<size_t(uint8_t *)> &write);

// Throws STATE_INVALID for everything but a whole state of this shape.
opened_state open_state(const uint8_t *data, size_t size, uint64_t shape);

[[noreturn]] void refuse_state(const std::string &reason);

}  // namespace mullama
