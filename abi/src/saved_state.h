// Saved states: llama.cpp's bytes in an envelope that tells whole from damaged and this model from another.
#pragma once

#include <cstdint>
#include <vector>

#include "context_state.h"

namespace mullama {

// Bytes that `save_state` would give, the envelope included.
size_t state_size(context_state &state, int32_t sequence, uint64_t flags);

// `tokens` travel with the state; by default those that the context knows itself.
std::vector<uint8_t> save_state(context_state &state, int32_t sequence, uint64_t flags, const std::vector<llama_token> *tokens = nullptr);

// Puts the state back and gives the tokens that travelled with it. Throws STATE_INVALID and leaves the memory empty of the
// sequence (or all of it) where llama.cpp had begun to change it.
std::vector<llama_token> load_state(context_state &state, const uint8_t *data, size_t size, int32_t sequence);

}  // namespace mullama
