// Prompts that do not fit, where the request allows that something is cut.
#pragma once

#include <string>
#include <vector>

#include "engine_llama.h"
#include "json.h"

namespace mullama {

// What is to happen to a prompt that does not fit.
struct truncation {
    std::string strategy;  // empty: it is refused
    size_t most = 0;       // tokens of the prompt
    common_json removed = common_json::array();
};

truncation take_truncation(const engine_llama &llama, common_json &body, bool has_messages);

// Cuts tokens out of a prompt, with whole characters on both sides of the gap. A BOS token in front stays.
std::vector<llama_token> cut_tokens(const engine_llama &llama, const std::vector<llama_token> &tokens, truncation &asked);

// What was cut, for the answer.
common_json told(const truncation &asked);

}  // namespace mullama
