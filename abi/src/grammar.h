// Grammars: from text to a sampler, with an error that names the position.
#pragma once

#include <string>
#include <vector>

#include "llama.h"

namespace mullama {

// A sampler for a GBNF grammar. With triggers it starts to constrain only after one of them. Throws INVALID_GRAMMAR.
llama_sampler *init_grammar(const llama_vocab *vocab, const std::string &grammar, const std::string &root,
                            const std::vector<std::string> &trigger_patterns = {}, const std::vector<llama_token> &trigger_tokens = {});

// The GBNF grammar of a JSON schema. Throws INVALID_SCHEMA or INVALID_JSON.
std::string grammar_of_schema(std::string_view schema);

}  // namespace mullama
