// When the token that a model likes best does not follow the grammar, llama.cpp tries all others: it decodes the text of
// each into memory of its own, 50,000 allocations for most models, and only then looks at the first character. Here a token
// whose first byte no rule allows is out before that. The linker sends the calls here (--wrap, see CMakeLists.txt); the
// result is the same.
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "llama-grammar.h"
#include "llama-vocab.h"

#define APPLY "_Z24llama_grammar_apply_implRK13llama_grammarP22llama_token_data_array"

void apply_by_llama_cpp(const llama_grammar &grammar, llama_token_data_array *candidates) __asm__("__real_" APPLY);
void apply(const llama_grammar &grammar, llama_token_data_array *candidates) __asm__("__wrap_" APPLY);

namespace {

// Below it there is nothing to win.
constexpr size_t fewest_candidates = 64;

using first_bytes = std::array<bool, 256>;

// Allows what an element of a rule and its alternatives match, as first bytes: exact for ASCII, all or nothing above.
void allow(const llama_grammar_element *element, first_bytes &allowed) {
    const bool is_negated = element->type == LLAMA_GRETYPE_CHAR_NOT;
    first_bytes listed{};
    bool beyond = is_negated;
    do {
        const bool is_range = element[1].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
        const bool is_any = element->type == LLAMA_GRETYPE_CHAR_ANY;
        const uint32_t low = is_any ? 0 : element->value, high = is_any ? UINT32_MAX : is_range ? element[1].value : low;
        for (uint32_t c = low; c <= high && c < 128; ++c) listed[c] = true;
        beyond = beyond || high >= 128;
        element += is_range ? 2 : 1;
    } while (element->type == LLAMA_GRETYPE_CHAR_ALT);
    for (size_t c = 0; c < 128; ++c) allowed[c] = allowed[c] || listed[c] != is_negated;
    for (size_t c = 128; c < 256 && beyond; ++c) allowed[c] = true;
}

// False where first bytes do not tell: in the middle of a character, or where a rule names tokens.
bool find_first_bytes(const llama_grammar &grammar, first_bytes &allowed) {
    if (grammar.awaiting_trigger || grammar.partial_utf8.n_remain != 0) return false;
    for (const llama_grammar_stack &stack : grammar.stacks) {
        if (stack.empty()) continue;
        const llama_gretype type = stack.back()->type;
        if (type != LLAMA_GRETYPE_CHAR && type != LLAMA_GRETYPE_CHAR_NOT && type != LLAMA_GRETYPE_CHAR_ANY) return false;
        allow(stack.back(), allowed);
    }
    return true;
}

}  // namespace

void apply(const llama_grammar &grammar, llama_token_data_array *candidates) {
    first_bytes allowed{};
    if (candidates->size < fewest_candidates || !find_first_bytes(grammar, allowed)) return apply_by_llama_cpp(grammar, candidates);
    std::vector<llama_token_data> possible;
    std::vector<size_t> places;
    for (size_t i = 0; i < candidates->size; ++i) {
        llama_token_data &candidate = candidates->data[i];
        const std::string &piece = grammar.vocab->token_to_piece(candidate.id);
        if (!grammar.vocab->is_eog(candidate.id) && (piece.empty() || !allowed[static_cast<uint8_t>(piece[0])])) {
            candidate.logit = -INFINITY;
        } else {
            possible.push_back(candidate);
            places.push_back(i);
        }
    }
    llama_token_data_array rest = {possible.data(), possible.size(), -1, false};
    apply_by_llama_cpp(grammar, &rest);
    for (size_t i = 0; i < places.size(); ++i) candidates->data[places[i]].logit = possible[i].logit;
}
