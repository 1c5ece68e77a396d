// The area sampler: chains from options or step by step.
#include "adaptive_p.h"
#include "backend.h"
#include "context_state.h"
#include "generated/options.h"
#include "grammar.h"
#include "results.h"
#include "sampler_chain.h"
#include "tail_free.h"
#include "text.h"

#include <cfloat>
#include <cmath>

using namespace mullama;

namespace {

using use = exclusive_core<sampler_chain>::use;

use enter(mullama_sampler *sampler) { return require(sampler, "sampler").core->enter(); }

// Numbers outside of their range in the description are errors that name them; NaN is in no range.
float within(float value, float min, float max, const char *name) {
    if (!(value >= min && value <= max)) {
        const std::string upper = max >= FLT_MAX ? "at least " + std::to_string(min) : std::to_string(min) + " to " + std::to_string(max);
        throw failure(MULLAMA_E_INVALID_ARGUMENT, std::string(name) + " is " + std::to_string(value) + "; it must be " + (min <= -FLT_MAX ? "a finite number" : upper));
    }
    return value;
}

float finite(float value, const char *name) { return within(value, -FLT_MAX, FLT_MAX, name); }
float part(float value, const char *name) { return within(value, 0, 1, name); }
float not_negative(float value, const char *name) { return within(value, 0, FLT_MAX, name); }

// Adds the step that `make` creates from the chain's model.
template <class Make>
int32_t add_step(mullama_sampler *sampler, mullama_error **err, Make &&make) {
    return guarded(err, [&] {
        auto chain = enter(sampler);
        chain->add(make(*chain->model));
    });
}

// The same for a step that draws from chance; `make` gets the seed as well.
template <class Make>
int32_t add_chance(mullama_sampler *sampler, uint32_t seed, mullama_error **err, Make &&make) {
    return guarded(err, [&] {
        auto chain = enter(sampler);
        chain->add_chance(seed, [&](uint32_t drawn) { return make(*chain->model, drawn); });
    });
}

const float *require_logits(const sampler_chain &chain, const float *logits, size_t count) {
    if (count != static_cast<size_t>(chain.model->n_vocab)) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "there are " + std::to_string(count) + " logits; the vocabulary has " + std::to_string(chain.model->n_vocab) + " tokens");
    }
    require_array(logits, count, "logits");
    return logits;
}

}  // namespace

int32_t mullama_get_sampler_settings(int32_t preset, mullama_sampler_settings *out, mullama_error **err) {
    return guarded(err, [&] {
        mullama_sampler_settings settings{};
        const auto set = [&](float temperature, int32_t top_k, float top_p, float min_p, float repeat_penalty) {
            settings.temperature = temperature;
            settings.top_k = top_k;
            settings.top_p = top_p;
            settings.min_p = min_p;
            settings.repeat_penalty = repeat_penalty;
        };
        switch (preset) {
            case MULLAMA_SAMPLER_PRESET_GREEDY: set(0.0f, 1, 1.0f, 0.0f, 1.0f); break;
            case MULLAMA_SAMPLER_PRESET_PRECISE: set(0.3f, 20, 0.9f, 0.1f, 1.05f); break;
            case MULLAMA_SAMPLER_PRESET_BALANCED: set(0.8f, 40, 0.95f, 0.05f, 1.0f); break;
            case MULLAMA_SAMPLER_PRESET_CREATIVE: set(1.1f, 100, 0.98f, 0.02f, 1.0f); break;
            default:
                throw failure(MULLAMA_E_INVALID_ARGUMENT, "the preset is " + std::to_string(preset) + "; it must be 0 (greedy), 1 (precise), 2 (balanced) or 3 (creative)");
        }
        give(settings, out);
    });
}

int32_t mullama_model_create_sampler(mullama_model *model, const mullama_sampler_options *options, mullama_sampler **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        auto resource = require(model, "model").core->enter();
        *out = new mullama_sampler(std::make_unique<sampler_chain>(std::move(resource), read_sampler_options(options)));
    });
}

int32_t mullama_model_create_sampler_chain(mullama_model *model, mullama_sampler **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        *out = new mullama_sampler(std::make_unique<sampler_chain>(require(model, "model").core->enter()));
    });
}

void mullama_sampler_close(mullama_sampler *sampler) {
    if (sampler) sampler->core->close();
}

void mullama_sampler_free(mullama_sampler *sampler) {
    mullama_sampler_close(sampler);
    delete sampler;
}

int32_t mullama_sampler_add_greedy(mullama_sampler *sampler, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return llama_sampler_init_greedy(); });
}

int32_t mullama_sampler_add_dist(mullama_sampler *sampler, uint32_t seed, mullama_error **err) {
    return add_chance(sampler, seed, err, [&](const model_resource &, uint32_t drawn) { return llama_sampler_init_dist(drawn); });
}

int32_t mullama_sampler_add_top_k(mullama_sampler *sampler, int32_t k, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return llama_sampler_init_top_k(k); });
}

int32_t mullama_sampler_add_top_p(mullama_sampler *sampler, float p, size_t min_keep, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return llama_sampler_init_top_p(part(p, "p"), min_keep); });
}

int32_t mullama_sampler_add_min_p(mullama_sampler *sampler, float p, size_t min_keep, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return llama_sampler_init_min_p(part(p, "p"), min_keep); });
}

int32_t mullama_sampler_add_typical(mullama_sampler *sampler, float p, size_t min_keep, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return llama_sampler_init_typical(part(p, "p"), min_keep); });
}

int32_t mullama_sampler_add_tail_free(mullama_sampler *sampler, float z, size_t min_keep, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return init_tail_free(part(z, "z"), min_keep); });
}

int32_t mullama_sampler_add_temperature(mullama_sampler *sampler, float temperature, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return init_temperature(finite(temperature, "temperature")); });
}

int32_t mullama_sampler_add_dynamic_temperature(mullama_sampler *sampler, float temperature, float range, float exponent, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) {
        return llama_sampler_init_temp_ext(finite(temperature, "temperature"), not_negative(range, "range"), finite(exponent, "exponent"));
    });
}

int32_t mullama_sampler_add_top_n_sigma(mullama_sampler *sampler, float n, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &) { return llama_sampler_init_top_n_sigma(finite(n, "n")); });
}

int32_t mullama_sampler_add_xtc(mullama_sampler *sampler, float probability, float threshold, size_t min_keep, uint32_t seed, mullama_error **err) {
    return add_chance(sampler, seed, err, [&](const model_resource &, uint32_t drawn) {
        return llama_sampler_init_xtc(part(probability, "probability"), part(threshold, "threshold"), min_keep, drawn);
    });
}

int32_t mullama_sampler_add_mirostat(mullama_sampler *sampler, float tau, float eta, int32_t m, uint32_t seed, mullama_error **err) {
    return add_chance(sampler, seed, err, [&](const model_resource &model, uint32_t drawn) {
        if (m < 2) throw failure(MULLAMA_E_INVALID_ARGUMENT, "m is " + std::to_string(m) + "; it must be at least 2");
        return llama_sampler_init_mirostat(model.n_vocab, drawn, not_negative(tau, "tau"), not_negative(eta, "eta"), m);
    });
}

int32_t mullama_sampler_add_mirostat_v2(mullama_sampler *sampler, float tau, float eta, uint32_t seed, mullama_error **err) {
    return add_chance(sampler, seed, err, [&](const model_resource &, uint32_t drawn) {
        return llama_sampler_init_mirostat_v2(drawn, not_negative(tau, "tau"), not_negative(eta, "eta"));
    });
}

int32_t mullama_sampler_add_adaptive_p(mullama_sampler *sampler, float target, float decay, uint32_t seed, mullama_error **err) {
    return add_chance(sampler, seed, err, [&](const model_resource &, uint32_t drawn) {
        return init_adaptive_p(within(target, -FLT_MAX, 1, "target"), within(decay, 0, 0.99f, "decay"), drawn);
    });
}

int32_t mullama_sampler_add_dry(mullama_sampler *sampler, float multiplier, float base, int32_t allowed_length, int32_t last_n,
                                const mullama_str *breakers, size_t breakers_len, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &model) {
        if (allowed_length < 0) throw failure(MULLAMA_E_INVALID_ARGUMENT, "allowed_length is " + std::to_string(allowed_length) + "; it must be at least 0");
        return init_dry(model, finite(multiplier, "multiplier"), finite(base, "base"), allowed_length, last_n, take_texts(breakers, breakers_len, "breakers"));
    });
}

int32_t mullama_sampler_add_penalties(mullama_sampler *sampler, int32_t last_n, float repeat, float frequency, float presence, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &model) {
        return init_penalties(model, last_n, repeat, finite(frequency, "frequency"), finite(presence, "presence"));
    });
}

int32_t mullama_sampler_add_logit_bias(mullama_sampler *sampler, const int32_t *tokens, size_t tokens_len, const float *biases, size_t biases_len,
                                       mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &model) { return init_logit_bias(model, tokens, tokens_len, biases, biases_len); });
}

int32_t mullama_sampler_add_infill(mullama_sampler *sampler, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &model) { return llama_sampler_init_infill(model.vocab); });
}

int32_t mullama_sampler_add_grammar(mullama_sampler *sampler, const char *grammar, size_t grammar_len, const char *root, size_t root_len,
                                    const mullama_str *trigger_patterns, size_t trigger_patterns_len, const int32_t *trigger_tokens,
                                    size_t trigger_tokens_len, mullama_error **err) {
    return add_step(sampler, err, [&](const model_resource &model) {
        require_array(trigger_tokens, trigger_tokens_len, "trigger_tokens");
        for (size_t i = 0; i < trigger_tokens_len; ++i) model.require_token(trigger_tokens[i], ("trigger token " + std::to_string(i)).c_str());
        return init_grammar(model.vocab, std::string(take_text(grammar, grammar_len, "the grammar")), std::string(take_text(root, root_len, "the root")),
                            take_texts(trigger_patterns, trigger_patterns_len, "trigger_patterns"),
                            std::vector<llama_token>(trigger_tokens, trigger_tokens + trigger_tokens_len));
    });
}

int32_t mullama_sampler_remove(mullama_sampler *sampler, size_t index, mullama_error **err) {
    return guarded(err, [&] { enter(sampler)->remove(index); });
}

int32_t mullama_sampler_names(mullama_sampler *sampler, const mullama_str **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] { give(enter(sampler)->names(), out, out_len); });
}

int32_t mullama_sampler_seed(mullama_sampler *sampler, uint32_t *out, mullama_error **err) {
    return guarded(err, [&] { give(enter(sampler)->seed(), out); });
}

int32_t mullama_sampler_apply(mullama_sampler *sampler, const float *logits, size_t logits_len, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto chain = enter(sampler);
        give(chain->apply(require_logits(*chain, logits, logits_len)), out, out_len);
    });
}

int32_t mullama_sampler_choose(mullama_sampler *sampler, const float *logits, size_t logits_len, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        const auto chain = enter(sampler);
        give(chain->choose(require_logits(*chain, logits, logits_len)), out);
    });
}

int32_t mullama_sampler_sample(mullama_sampler *sampler, mullama_context *context, int32_t index, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        const auto chain = enter(sampler);
        const auto state = require(context, "context").core->enter();
        chain->require_vocabulary_of(*state->model);
        give(chain->choose(state->logits(index)), out);
    });
}

int32_t mullama_sampler_accept(mullama_sampler *sampler, int32_t token, mullama_error **err) {
    return guarded(err, [&] { enter(sampler)->accept(token); });
}

int32_t mullama_sampler_reset(mullama_sampler *sampler, mullama_error **err) {
    return guarded(err, [&] { enter(sampler)->reset(); });
}

int32_t mullama_sampler_clone(mullama_sampler *sampler, mullama_sampler **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        *out = new mullama_sampler(enter(sampler)->clone());
    });
}
