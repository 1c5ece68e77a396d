// Grammars: from text to a sampler, with an error that names the position.
#pragma once

#include <string>
#include <vector>

#include "common.h"
#include "json.h"
#include "llama.h"

namespace mullama {

// A sampler for a GBNF grammar. With triggers it starts to constrain only after one of them. Throws INVALID_GRAMMAR.
llama_sampler *init_grammar(const llama_vocab *vocab, const std::string &grammar, const std::string &root,
                            const std::vector<std::string> &trigger_patterns = {}, const std::vector<llama_token> &trigger_tokens = {});

// Makes the grammar of the parameters one that `common` can make a sampler of. Throws INVALID_GRAMMAR where it cannot.
void prepare_grammar(const llama_vocab *vocab, common_params_sampling &params);

// The GBNF grammar of a JSON schema. Throws INVALID_SCHEMA or INVALID_JSON.
std::string grammar_of_schema(std::string_view schema);

// Throws INVALID_SCHEMA naming what the grammar of the schema would not enforce.
void require_enforceable(const common_json &schema);

// The GBNF grammar of the texts that a regular expression matches as a whole. Throws INVALID_GRAMMAR.
std::string grammar_of_regex(const std::string &regex);

}  // namespace mullama
