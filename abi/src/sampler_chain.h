// What stands behind a sampler handle: a chain of steps, and the candidates they work on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model_resource.h"

namespace mullama {

class sampler_chain {
  public:
    explicit sampler_chain(std::shared_ptr<model_resource> model);
    // The chain that options describe.
    sampler_chain(std::shared_ptr<model_resource> model, const mullama_sampler_options &options);

    const std::shared_ptr<model_resource> model;

    void cancel() noexcept {}  // no call on a chain lasts

    void add(llama_sampler *step);
    // A step that draws from chance: `make` gets the seed, drawn here if it is unset so that the chain can tell it.
    void add_chance(uint32_t seed, const std::function<llama_sampler *(uint32_t)> &make);
    void remove(size_t index);
    std::vector<std::string> names() const;
    // The seed of the last step that draws from chance; `unset_seed` if none does.
    uint32_t seed() const;
    static constexpr uint32_t unset_seed = LLAMA_DEFAULT_SEED;

    // Logits of another vocabulary have another length.
    void require_vocabulary_of(const model_resource &other) const;

    // Chooses from logits of the whole vocabulary, but none of the banned tokens; records nothing.
    llama_token choose(const float *logits, const std::vector<llama_token> &banned = {});
    // The logits after the chain, -infinity for dropped tokens; changes nothing.
    std::vector<float> apply(const float *logits) const;
    void accept(llama_token token);
    // Records a token of the prompt: the penalties see it, the grammar does not.
    void accept_prompt(llama_token token);
    void reset();
    std::unique_ptr<sampler_chain> clone() const;

  private:
    void fill(const float *logits, const std::vector<llama_token> &banned = {});
    void apply_steps(llama_token_data_array &candidates) const;
    llama_token run();

    struct step {
        llama_sampler_ptr sampler;
        uint32_t seed;
    };
    std::vector<step> steps_;
    // A grammar from the options is tried on the chosen token first, and only applied to all of them when that fails.
    llama_sampler_ptr grammar_;
    std::vector<llama_token_data> candidates_;
};

// Number of tokens a history option means: -1 stands for the training context.
int32_t history_length(const model_resource &model, int32_t last_n, const char *what);

// Steps with arguments that need care.
llama_sampler *init_penalties(const model_resource &model, int32_t last_n, float repeat, float frequency, float presence);
llama_sampler *init_dry(const model_resource &model, float multiplier, float base, int32_t allowed_length, int32_t last_n,
                        std::vector<std::string> breakers);
llama_sampler *init_logit_bias(const model_resource &model, const int32_t *tokens, size_t tokens_len, const float *biases, size_t biases_len);
llama_sampler *init_temperature(float temperature);
std::vector<std::string> take_texts(const mullama_str *texts, size_t count, const char *what);

}  // namespace mullama

struct mullama_sampler {
    explicit mullama_sampler(std::unique_ptr<mullama::sampler_chain> chain)
        : core(std::make_shared<mullama::exclusive_core<mullama::sampler_chain>>("sampler", std::move(chain))) {}
    std::shared_ptr<mullama::exclusive_core<mullama::sampler_chain>> core;
    mullama::live_object counted;
};
