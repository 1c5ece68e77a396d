// Prompts with images and sound: text, in which what was typed stays text, around what the projector makes of the media.
#pragma once

#include <string>
#include <vector>

#include "engine_llama.h"
#include "media.h"
#include "special_text.h"

namespace mullama {

// The tokens of a prompt in which llama.cpp's mark stands for each of `media`, in their order. Each medium has as many
// LLAMA_TOKEN_NULL as it takes of the context. Throws for what cannot be evaluated; on the loop's thread that would be an abort.
server_tokens tokens_of(const engine_llama &llama, const shielded_text &prompt, const std::vector<const medium *> &media);

// The prompt as it is shown: each of its marks as <__media__>.
std::string shown_prompt(const shielded_text &prompt);

}  // namespace mullama
