// When the token that a model likes best does not follow the grammar, llama.cpp tries all others: it decodes the text of
// each into memory of its own, 50,000 allocations for most models. Here a token whose first byte no rule allows is out before
// that, and the others are decoded into one place. The linker sends the calls here (--wrap, see CMakeLists.txt); the result is
// the same.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
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
    if (grammar.awaiting_trigger || grammar.partial_utf8.n_remain != 0 || grammar.stacks.empty()) return false;
    for (const llama_grammar_stack &stack : grammar.stacks) {
        if (stack.empty()) continue;
        const llama_gretype type = stack.back()->type;
        if (type != LLAMA_GRETYPE_CHAR && type != LLAMA_GRETYPE_CHAR_NOT && type != LLAMA_GRETYPE_CHAR_ANY) return false;
        allow(stack.back(), allowed);
    }
    return true;
}

// Code points of texts, each with a 0 behind it, in one place.
class decoded_texts {
  public:
    explicit decoded_texts(size_t n_texts) {
        points_.reserve(8 * n_texts);
        found_.reserve(n_texts);
    }

    // As llama.cpp decodes the text of a token that begins with a character.
    void add(size_t index, llama_token id, const std::string &text) {
        const size_t start = points_.size();
        llama_partial_utf8 partial = {0, 0};
        for (size_t at = 0; at < text.size() && text[at] && partial.n_remain == 0;) {
            const uint8_t first = static_cast<uint8_t>(text[at++]);
            partial.n_remain = first < 0x80 ? 0 : first < 0xC0 ? -1 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
            if (partial.n_remain < 0) {
                points_.resize(start);
                partial.value = 0;
                break;
            }
            partial.value = first & ((1 << (7 - partial.n_remain)) - 1);
            for (; at < text.size() && text[at] && partial.n_remain > 0; --partial.n_remain) partial.value = (partial.value << 6) + (static_cast<uint8_t>(text[at++]) & 0x3F);
            if (partial.n_remain == 0) points_.push_back(partial.value);
        }
        points_.push_back(0);
        found_.push_back({index, reinterpret_cast<const uint32_t *>(start), partial, id});
    }

    // Once all are there: the points no longer move.
    const llama_grammar_candidates &candidates() {
        for (llama_grammar_candidate &candidate : found_) candidate.code_points = points_.data() + reinterpret_cast<size_t>(candidate.code_points);
        return found_;
    }

  private:
    std::vector<uint32_t> points_;
    llama_grammar_candidates found_;
};

}  // namespace

void apply(const llama_grammar &grammar, llama_token_data_array *candidates) {
    first_bytes allowed{};
    if (candidates->size < fewest_candidates || !find_first_bytes(grammar, allowed)) return apply_by_llama_cpp(grammar, candidates);
    const bool may_end = std::any_of(grammar.stacks.begin(), grammar.stacks.end(), [](const llama_grammar_stack &stack) { return stack.empty(); });
    decoded_texts texts(candidates->size);
    for (size_t i = 0; i < candidates->size; ++i) {
        llama_token_data &candidate = candidates->data[i];
        const std::string &text = grammar.vocab->token_to_piece(candidate.id);
        const bool is_possible = !text.empty() && text[0] && allowed[static_cast<uint8_t>(text[0])];
        if ((is_possible || may_end) && grammar.vocab->is_eog(candidate.id)) {
            if (!may_end) candidate.logit = -INFINITY;
        } else if (is_possible) {
            texts.add(i, candidate.id, text);
        } else {
            candidate.logit = -INFINITY;
        }
    }
    llama_grammar_candidates rejected = texts.candidates();
    for (const llama_grammar_stack &stack : grammar.stacks) {
        if (!rejected.empty()) rejected = llama_grammar_reject_candidates_for_stack(grammar.rules, stack, rejected);
    }
    for (const llama_grammar_candidate &candidate : rejected) candidates->data[candidate.index].logit = -INFINITY;
}
