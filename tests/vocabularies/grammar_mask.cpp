// Compares what abi/src/elf/grammar_mask.cpp lets through with what llama.cpp's own function does, for every token of a
// vocabulary at every step of answers that follow a grammar: run by test_grammar_masks.py.
//
// Usage: grammar-mask VOCABULARY, with grammars on stdin, a 0 byte behind each. Prints the number of masks compared.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "llama-grammar.h"
#include "llama-vocab.h"
#include "llama.h"

#define APPLY "_Z24llama_grammar_apply_implRK13llama_grammarP22llama_token_data_array"
void apply_by_llama_cpp(const llama_grammar &grammar, llama_token_data_array *candidates) __asm__("__real_" APPLY);
void apply(const llama_grammar &grammar, llama_token_data_array *candidates) __asm__("__wrap_" APPLY);

namespace {

constexpr int answers_each = 3, longest_answer = 24;

std::vector<llama_token_data> all_tokens(const llama_vocab *vocab) {
    std::vector<llama_token_data> tokens;
    for (llama_token id = 0; id < llama_vocab_n_tokens(vocab); ++id) tokens.push_back({id, 1.0f, 0.0f});
    return tokens;
}

// An answer that begins somehow; the tokens of each step are compared. Returns how many steps there were.
int compare(const llama_vocab *vocab, const std::string &source, std::mt19937 &random) {
    llama_grammar *grammar = llama_grammar_init_impl(vocab, source.c_str(), "root", false, nullptr, 0, nullptr, 0);
    if (!grammar) {
        std::printf("no grammar: %s\n", source.c_str());
        std::exit(1);
    }
    int n_steps = 0;
    for (; n_steps < longest_answer; ++n_steps) {
        std::vector<llama_token_data> ours = all_tokens(vocab), theirs = ours;
        llama_token_data_array our_array = {ours.data(), ours.size(), -1, false}, their_array = {theirs.data(), theirs.size(), -1, false};
        apply(*grammar, &our_array);
        apply_by_llama_cpp(*grammar, &their_array);
        std::vector<llama_token> allowed;
        for (size_t i = 0; i < ours.size(); ++i) {
            if (ours[i].logit != theirs[i].logit) {
                std::printf("token %zu, step %d of %s: %g here, %g in llama.cpp\n", i, n_steps, source.c_str(), ours[i].logit, theirs[i].logit);
                std::exit(1);
            }
            if (theirs[i].logit != -INFINITY) allowed.push_back(static_cast<llama_token>(i));
        }
        if (allowed.empty()) break;
        const llama_token chosen = allowed[random() % allowed.size()];
        if (llama_vocab_is_eog(vocab, chosen)) break;
        llama_grammar_accept_impl(*grammar, chosen);
    }
    llama_grammar_free_impl(grammar);
    return n_steps;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_model *model = llama_model_load_from_file(argv[1], params);
    if (!model) return 2;
    const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
    std::mt19937 random(1);
    int n_compared = 0;
    for (size_t start = 0, end; (end = input.find('\0', start)) != std::string::npos; start = end + 1) {
        for (int i = 0; i < answers_each; ++i) n_compared += compare(llama_model_get_vocab(model), input.substr(start, end - start), random);
    }
    std::printf("%d\n", n_compared);
    llama_model_free(model);
}
