// Adaptive-p as llama.cpp describes it (llama.h; pull request 17927): logits are reshaped around a target probability,
// which moves against the running mean of the probabilities that the chosen tokens had before.
#include "adaptive_p.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace mullama {

namespace {

constexpr float peak_logit = 5.0f;
constexpr float sharpness = 10.0f;
constexpr float width = 0.3f;

struct adaptive_p {
    adaptive_p(float target, float decay, uint32_t seed) : target(target), decay(decay), seed(seed) { restart(); }

    // The running mean starts at the target.
    void restart() {
        weighted_sum = target / (1.0f - decay);
        total_weight = 1.0f / (1.0f - decay);
        chosen = LLAMA_TOKEN_NULL;
        random.seed(seed);
    }

    float target, decay;
    uint32_t seed;
    std::mt19937 random;
    float weighted_sum, total_weight;
    llama_token chosen;         // by the last apply, until it is accepted
    float chosen_probability;   // before the reshaping
};

adaptive_p &state(const llama_sampler *sampler) { return *static_cast<adaptive_p *>(sampler->ctx); }

void softmax(llama_token_data_array *candidates) {
    llama_token_data *data = candidates->data;
    float largest = data[0].logit;
    for (size_t i = 1; i < candidates->size; ++i) largest = std::max(largest, data[i].logit);
    float sum = 0;
    for (size_t i = 0; i < candidates->size; ++i) sum += data[i].p = std::exp(data[i].logit - largest);
    for (size_t i = 0; i < candidates->size; ++i) data[i].p /= sum;
}

int choose(adaptive_p &settings, const llama_token_data_array *candidates) {
    std::vector<float> weights(candidates->size);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = candidates->data[i].p;
    return std::discrete_distribution<int>(weights.begin(), weights.end())(settings.random);
}

void apply(llama_sampler *sampler, llama_token_data_array *candidates) {
    if (candidates->size == 0) return;
    adaptive_p &settings = state(sampler);
    softmax(candidates);
    if (settings.target < 0) {
        candidates->selected = choose(settings, candidates);
        return;
    }
    std::vector<float> before(candidates->size);
    for (size_t i = 0; i < before.size(); ++i) before[i] = candidates->data[i].p;
    const float wanted = std::clamp(2.0f * settings.target - settings.weighted_sum / settings.total_weight, 0.0f, 1.0f);
    for (size_t i = 0; i < candidates->size; ++i) {
        llama_token_data &candidate = candidates->data[i];
        if (candidate.logit == -std::numeric_limits<float>::infinity()) continue;
        const float distance = std::fabs(candidate.p - wanted) / width;
        candidate.logit = peak_logit - sharpness * distance * distance / (1.0f + distance);
    }
    candidates->sorted = false;
    softmax(candidates);
    candidates->selected = choose(settings, candidates);
    settings.chosen = candidates->data[candidates->selected].id;
    settings.chosen_probability = before[candidates->selected];
}

void accept(llama_sampler *sampler, llama_token token) {
    adaptive_p &settings = state(sampler);
    if (settings.chosen == token) {
        settings.weighted_sum = settings.chosen_probability + settings.decay * settings.weighted_sum;
        settings.total_weight = 1.0f + settings.decay * settings.total_weight;
    }
    settings.chosen = LLAMA_TOKEN_NULL;
}

llama_sampler_i *interface_of_steps();

llama_sampler *clone(const llama_sampler *sampler) { return llama_sampler_init(interface_of_steps(), new adaptive_p(state(sampler))); }

llama_sampler_i make_interface() {
    llama_sampler_i interface{};
    interface.name = [](const llama_sampler *) { return "adaptive-p"; };
    interface.apply = apply;
    interface.accept = accept;
    interface.reset = [](llama_sampler *sampler) { state(sampler).restart(); };
    interface.clone = clone;
    interface.free = [](llama_sampler *sampler) { delete &state(sampler); };
    return interface;
}

llama_sampler_i *interface_of_steps() {
    static llama_sampler_i interface = make_interface();
    return &interface;
}

}  // namespace

llama_sampler *init_adaptive_p(float target, float decay, uint32_t seed) {
    return llama_sampler_init(interface_of_steps(), new adaptive_p(target, decay, seed));
}

}  // namespace mullama
