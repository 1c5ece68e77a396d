// Building chains from options, and running them on logits.
#include "sampler_chain.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "adaptive_p.h"
#include "grammar.h"
#include "tail_free.h"
#include "text.h"

namespace mullama {

namespace {

const float minus_infinity = -std::numeric_limits<float>::infinity();

bool is_grammar(const llama_sampler *step) { return std::strcmp(llama_sampler_name(step), "grammar") == 0; }

// Whether a grammar that has seen the text so far allows the token.
bool allows(llama_sampler *grammar, llama_token token) {
    llama_token_data one{token, 1.0f, 0.0f};
    llama_token_data_array candidates{&one, 1, -1, false};
    llama_sampler_apply(grammar, &candidates);
    return one.logit != minus_infinity;
}

struct step_settings {
    const model_resource &model;
    const mullama_sampler_options &options;
    size_t min_keep;
    uint32_t seed;
};

uint32_t drawn_seed(uint32_t seed) {
    while (seed == sampler_chain::unset_seed) seed = std::random_device()();
    return seed;
}

// Typical and tail-free sampling take every candidate for a possible one: those that were banned must go first.
bool needs_possible_candidates(const llama_sampler *step) {
    const char *name = llama_sampler_name(step);
    return std::strcmp(name, "typical") == 0 || std::strcmp(name, "tail-free") == 0;
}

void drop_impossible(llama_token_data_array &candidates) {
    llama_token_data *end = std::remove_if(candidates.data, candidates.data + candidates.size, [](const llama_token_data &candidate) { return candidate.logit == minus_infinity; });
    candidates.size = end - candidates.data;
}

// One named step of an options chain; null if it would do nothing.
llama_sampler *init_step(const std::string &name, const step_settings &settings) {
    const mullama_sampler_options &o = settings.options;
    const size_t min_keep = settings.min_keep;
    if (name == "penalties") {
        const bool off = o.repeat_last_n == 0 || (o.repeat_penalty == 1 && o.frequency_penalty == 0 && o.presence_penalty == 0);
        return off ? nullptr : init_penalties(settings.model, o.repeat_last_n, o.repeat_penalty, o.frequency_penalty, o.presence_penalty);
    }
    if (name == "dry") {
        if (o.dry_multiplier == 0 || o.dry_last_n == 0) return nullptr;
        return init_dry(settings.model, o.dry_multiplier, o.dry_base, o.dry_allowed_length, o.dry_last_n,
                        take_texts(o.dry_breakers, o.dry_breakers_len, "sampler_options.dry_breakers"));
    }
    if (name == "top_n_sigma") return o.top_n_sigma > 0 ? llama_sampler_init_top_n_sigma(o.top_n_sigma) : nullptr;
    if (name == "top_k") return o.top_k > 0 ? llama_sampler_init_top_k(o.top_k) : nullptr;
    if (name == "typical_p") return o.typical_p < 1 ? llama_sampler_init_typical(o.typical_p, min_keep) : nullptr;
    if (name == "tail_free") return o.tail_free_z < 1 ? init_tail_free(o.tail_free_z, min_keep) : nullptr;
    if (name == "top_p") return o.top_p < 1 ? llama_sampler_init_top_p(o.top_p, min_keep) : nullptr;
    if (name == "min_p") return o.min_p > 0 ? llama_sampler_init_min_p(o.min_p, min_keep) : nullptr;
    if (name == "xtc") {
        return o.xtc_probability > 0 && o.xtc_threshold <= 0.5f ? llama_sampler_init_xtc(o.xtc_probability, o.xtc_threshold, min_keep, settings.seed) : nullptr;
    }
    if (name == "temperature") {
        if (o.dynatemp_range > 0) return llama_sampler_init_temp_ext(o.temperature, o.dynatemp_range, o.dynatemp_exponent);
        return o.temperature == 1 ? nullptr : init_temperature(o.temperature);
    }
    if (name == "infill") return llama_sampler_init_infill(settings.model.vocab);
    throw failure(MULLAMA_E_INVALID_ARGUMENT, "sampler_options.order names \"" + name + "\"; there are penalties, dry, top_n_sigma, top_k, "
                                              "typical_p, tail_free, top_p, min_p, xtc, temperature and infill");
}

std::vector<std::string> order_of(const mullama_sampler_options &options) {
    if (options.order_len == 0) {
        return {"penalties", "dry", "top_n_sigma", "top_k", "typical_p", "tail_free", "top_p", "min_p", "xtc", "temperature"};
    }
    std::vector<std::string> order = take_texts(options.order, options.order_len, "sampler_options.order");
    for (size_t i = 0; i < order.size(); ++i) {
        for (size_t k = 0; k < i; ++k) {
            if (order[i] == order[k]) throw failure(MULLAMA_E_INVALID_ARGUMENT, "sampler_options.order names \"" + order[i] + "\" twice");
        }
    }
    return order;
}

}  // namespace

sampler_chain::sampler_chain(std::shared_ptr<model_resource> given) : model(std::move(given)) {
    model->require_vocab();
}

sampler_chain::sampler_chain(std::shared_ptr<model_resource> given, const mullama_sampler_options &o) : sampler_chain(std::move(given)) {
    const step_settings settings{*model, o, static_cast<size_t>(o.min_keep), drawn_seed(o.seed)};
    const std::vector<std::string> order = order_of(o);
    if (o.bias_tokens_len || o.biases_len) add(init_logit_bias(*model, o.bias_tokens, o.bias_tokens_len, o.biases, o.biases_len));
    int32_t n_suppressed = 0;
    if (const llama_token *suppressed = llama_vocab_get_suppress_tokens(model->vocab, &n_suppressed)) {
        const std::vector<float> biases(n_suppressed, minus_infinity);
        if (n_suppressed) add(init_logit_bias(*model, suppressed, n_suppressed, biases.data(), biases.size()));
    }
    const auto add_if_any = [&](llama_sampler *step) {
        if (step) add(step);
    };
    if (o.mirostat) {
        add(init_temperature(o.temperature));
        add_chance(settings.seed, [&](uint32_t seed) {
            return o.mirostat == 1 ? llama_sampler_init_mirostat(model->n_vocab, seed, o.mirostat_tau, o.mirostat_eta, 100)
                                   : llama_sampler_init_mirostat_v2(seed, o.mirostat_tau, o.mirostat_eta);
        });
    } else if (o.temperature <= 0) {
        // The most likely token survives every truncation: only what changes the ranking matters.
        for (const std::string &name : order) {
            if (name == "penalties" || name == "dry") {
                add_if_any(init_step(name, settings));
            } else {
                llama_sampler_ptr checked(init_step(name, settings));  // still refuses an unknown name
            }
        }
        add(llama_sampler_init_greedy());
    } else {
        for (const std::string &name : order) add_if_any(init_step(name, settings));
        add_chance(settings.seed, [&](uint32_t seed) {
            return o.adaptive_target >= 0 ? init_adaptive_p(o.adaptive_target, o.adaptive_decay, seed) : llama_sampler_init_dist(seed);
        });
    }

    if (o.grammar && o.json_schema) throw failure(MULLAMA_E_INVALID_ARGUMENT, "grammar and json_schema exclude each other; give one");
    if (o.grammar) grammar_.reset(init_grammar(model->vocab, std::string(take_text(o.grammar, o.grammar_len, "sampler_options.grammar")), "root"));
    if (o.json_schema) {
        grammar_.reset(init_grammar(model->vocab, grammar_of_schema(take_text(o.json_schema, o.json_schema_len, "sampler_options.json_schema")), "root"));
    }
}

void sampler_chain::add(llama_sampler *given) {
    llama_sampler_ptr sampler(given);
    if (!sampler) throw failure(MULLAMA_E_INTERNAL, "llama.cpp could not create the sampler");
    steps_.push_back({std::move(sampler), unset_seed});
}

void sampler_chain::add_chance(uint32_t seed, const std::function<llama_sampler *(uint32_t)> &make) {
    seed = drawn_seed(seed);
    add(make(seed));
    steps_.back().seed = seed;
}

void sampler_chain::remove(size_t index) {
    if (index >= steps_.size()) throw failure(MULLAMA_E_OUT_OF_RANGE, "step " + std::to_string(index) + " does not exist; the chain has " + std::to_string(steps_.size()));
    steps_.erase(steps_.begin() + index);
}

std::vector<std::string> sampler_chain::names() const {
    std::vector<std::string> names;
    if (grammar_) names.emplace_back("grammar");
    for (const step &step : steps_) names.emplace_back(llama_sampler_name(step.sampler.get()));
    return names;
}

uint32_t sampler_chain::seed() const {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        if (step->seed != unset_seed) return step->seed;
    }
    return unset_seed;
}

void sampler_chain::apply_steps(llama_token_data_array &candidates) const {
    for (const step &step : steps_) {
        if (needs_possible_candidates(step.sampler.get())) drop_impossible(candidates);
        if (candidates.size == 0) return;
        llama_sampler_apply(step.sampler.get(), &candidates);
    }
}

void sampler_chain::require_vocabulary_of(const model_resource &other) const {
    if (other.n_vocab != model->n_vocab) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the sampler was made for a vocabulary of " + std::to_string(model->n_vocab) + " tokens, the context has " + std::to_string(other.n_vocab));
    }
}

void sampler_chain::fill(const float *logits, const std::vector<llama_token> &banned) {
    const int32_t n_vocab = model->n_vocab;
    candidates_.resize(n_vocab);
    bool finite = true;  // NaN and infinity would end in sorts without an order
    for (llama_token token = 0; token < n_vocab; ++token) {
        const float logit = logits[token];
        finite &= logit <= FLT_MAX;
        candidates_[token] = {token, logit, 0.0f};
    }
    if (!finite) throw failure(MULLAMA_E_INVALID_ARGUMENT, "the logits hold NaN or infinity; the model's weights may be damaged");
    for (llama_token token : banned) candidates_[token].logit = minus_infinity;
    const auto is_possible = [](const llama_token_data &candidate) { return candidate.logit > minus_infinity; };
    if (std::none_of(candidates_.begin(), candidates_.end(), is_possible)) throw failure(MULLAMA_E_INVALID_ARGUMENT, "every logit is minus infinity: no token is left to choose");
}

llama_token sampler_chain::run() {
    llama_token_data_array candidates{candidates_.data(), candidates_.size(), -1, false};
    apply_steps(candidates);
    if (candidates.selected < 0 || static_cast<size_t>(candidates.selected) >= candidates.size) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, candidates.size ? "the chain has no step that chooses; end it with greedy, dist, mirostat or adaptive_p"
                                                                  : "the chain has dropped every token");
    }
    const llama_token_data &chosen = candidates.data[candidates.selected];
    if (!(chosen.logit > minus_infinity)) throw failure(grammar_ ? MULLAMA_E_INVALID_GRAMMAR : MULLAMA_E_INVALID_ARGUMENT, "the grammar and the sampler options together leave no token to choose");
    return chosen.id;
}

llama_token sampler_chain::choose(const float *logits, const std::vector<llama_token> &banned) {
    fill(logits, banned);
    const llama_token token = run();
    if (!grammar_ || allows(grammar_.get(), token)) return token;
    fill(logits, banned);
    llama_token_data_array candidates{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(grammar_.get(), &candidates);
    return run();
}

std::vector<float> sampler_chain::apply(const float *logits) const {
    const std::unique_ptr<sampler_chain> copy = clone();
    copy->fill(logits);
    llama_token_data_array candidates{copy->candidates_.data(), copy->candidates_.size(), -1, false};
    if (copy->grammar_) llama_sampler_apply(copy->grammar_.get(), &candidates);
    copy->apply_steps(candidates);
    std::vector<float> applied(model->n_vocab, minus_infinity);
    for (size_t i = 0; i < candidates.size; ++i) applied[candidates.data[i].id] = candidates.data[i].logit;
    return applied;
}

void sampler_chain::accept(llama_token token) {
    model->require_token(token);
    const auto require_allowed = [&](llama_sampler *grammar) {
        if (!allows(grammar, token)) throw failure(MULLAMA_E_INVALID_TOKEN, "the grammar does not allow token " + std::to_string(token) + " here");
    };
    if (grammar_) require_allowed(grammar_.get());
    for (const step &step : steps_) {
        if (is_grammar(step.sampler.get())) require_allowed(step.sampler.get());
    }
    if (grammar_) llama_sampler_accept(grammar_.get(), token);
    for (const step &step : steps_) llama_sampler_accept(step.sampler.get(), token);
}

void sampler_chain::accept_prompt(llama_token token) {
    for (const step &step : steps_) llama_sampler_accept(step.sampler.get(), token);
}

void sampler_chain::reset() {
    if (grammar_) llama_sampler_reset(grammar_.get());
    for (const step &step : steps_) llama_sampler_reset(step.sampler.get());
}

std::unique_ptr<sampler_chain> sampler_chain::clone() const {
    auto copy = std::make_unique<sampler_chain>(model);
    for (const step &step : steps_) copy->steps_.push_back({llama_sampler_ptr(llama_sampler_clone(step.sampler.get())), step.seed});
    if (grammar_) copy->grammar_.reset(llama_sampler_clone(grammar_.get()));
    return copy;
}

int32_t history_length(const model_resource &model, int32_t last_n, const char *what) {
    constexpr int32_t most = 1 << 24;  // the samplers allocate this many entries at once
    if (last_n < -1 || last_n > most) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, std::string(what) + " is " + std::to_string(last_n) + "; it must be -1 (the training context) to " + std::to_string(most));
    }
    return last_n == -1 ? llama_model_n_ctx_train(model.model.get()) : last_n;
}

llama_sampler *init_penalties(const model_resource &model, int32_t last_n, float repeat, float frequency, float presence) {
    if (!(repeat > 0) || !std::isfinite(repeat) || !std::isfinite(1 / repeat)) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the repeat penalty is " + std::to_string(repeat) + "; it must be a number above 0");
    }
    return llama_sampler_init_penalties(model.n_vocab, history_length(model, last_n, "the history of the penalties (last_n)"), repeat, frequency, presence);
}

llama_sampler *init_dry(const model_resource &model, float multiplier, float base, int32_t allowed_length, int32_t last_n, std::vector<std::string> breakers) {
    constexpr size_t longest = 40;  // llama.cpp cuts longer ones off
    if (breakers.empty()) breakers = {"\n", ":", "\"", "*"};
    std::vector<const char *> texts;
    for (const std::string &breaker : breakers) {
        if (breaker.empty() || breaker.size() > longest || breaker.find('\0') != std::string::npos) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "the DRY breaker \"" + breaker + "\" has " + std::to_string(breaker.size()) + " bytes; breakers have 1 to " + std::to_string(longest) + " and no NUL");
        }
        texts.push_back(breaker.c_str());
    }
    return llama_sampler_init_dry(model.vocab, multiplier, base, allowed_length, history_length(model, last_n, "the history of DRY (last_n)"), texts.data(), texts.size());
}

llama_sampler *init_logit_bias(const model_resource &model, const int32_t *tokens, size_t tokens_len, const float *biases, size_t biases_len) {
    require_array(tokens, tokens_len, "tokens");
    require_array(biases, biases_len, "biases");
    if (tokens_len != biases_len) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "there are " + std::to_string(tokens_len) + " tokens but " + std::to_string(biases_len) + " biases; each token needs one");
    }
    std::vector<llama_logit_bias> pairs;
    for (size_t i = 0; i < tokens_len; ++i) {
        model.require_token(tokens[i], ("bias token " + std::to_string(i)).c_str());
        if (!(biases[i] <= FLT_MAX)) throw failure(MULLAMA_E_INVALID_ARGUMENT, "bias " + std::to_string(i) + " is NaN or infinity; it must be a number, or minus infinity to ban the token");
        pairs.push_back({tokens[i], biases[i]});
    }
    return llama_sampler_init_logit_bias(model.n_vocab, static_cast<int32_t>(pairs.size()), pairs.data());
}

llama_sampler *init_temperature(float temperature) {
    // Below this the division overflows; the limit of the distribution is the most likely token anyway.
    constexpr float smallest = 1e-4f;
    return llama_sampler_init_temp(temperature < smallest ? 0.0f : temperature);
}

std::vector<std::string> take_texts(const mullama_str *texts, size_t count, const char *what) {
    require_array(texts, count, what);
    std::vector<std::string> taken;
    for (size_t i = 0; i < count; ++i) taken.emplace_back(take_text(texts[i].data, texts[i].len, (std::string(what) + "[" + std::to_string(i) + "]").c_str()));
    return taken;
}

}  // namespace mullama
