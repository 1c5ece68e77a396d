// The area generation: from a prompt to text, token by token.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include "backend.h"
#include "context_state.h"
#include "generated/options.h"
#include "results.h"
#include "sampler_chain.h"
#include "text.h"
#include "text_release.h"

namespace mullama {

namespace {

using context_core = exclusive_core<context_state>;
using sampler_core = exclusive_core<sampler_chain>;
using steady = std::chrono::steady_clock;

class stopwatch {
  public:
    explicit stopwatch(double &total_ms) : total_ms_(total_ms), start_(steady::now()) {}
    ~stopwatch() { total_ms_ += std::chrono::duration<double, std::milli>(steady::now() - start_).count(); }

  private:
    double &total_ms_;
    const steady::time_point start_;
};

class deadline {
  public:
    explicit deadline(int32_t timeout_ms) : limited_(timeout_ms >= 0), end_(steady::now() + std::chrono::milliseconds(std::max(timeout_ms, 0))) {}
    bool over() const { return limited_ && steady::now() >= end_; }

  private:
    const bool limited_;
    const steady::time_point end_;
};

// What is asked for, taken out of the caller's memory.
struct generation_request {
    std::vector<llama_token> prompt;
    std::vector<std::string> stops;
    std::vector<llama_token> stop_tokens;
    mullama_generate_options options;  // its pointers are not used after the start
    int32_t n_dropped = 0;
};

// Tokens at the start that neither truncation nor shifting drops: as many as asked for, and BOS, which models lean on.
size_t n_spared(const generation_request &request, const model_resource &model) {
    const bool has_bos = request.prompt[0] == llama_vocab_bos(model.vocab);
    return std::max<size_t>(request.options.n_keep, has_bos);
}

class generation_state {
  public:
    generation_state(std::shared_ptr<context_core> context, const model_resource &model, generation_request request, std::unique_ptr<sampler_chain> own, std::shared_ptr<sampler_core> given)
        : context_(std::move(context)), n_vocab_(model.n_vocab), request_(std::move(request)),
          banned_(request_.options.ignore_eos ? model.end_tokens : std::vector<llama_token>()), own_sampler_(std::move(own)), given_sampler_(std::move(given)), release_(request_.stops) {}

    void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }

    enum class state { waiting, ready, ended };

    // Evaluates the prompt or the last token, until the logits of the next one are there, the end or the deadline.
    state prepare(const deadline &until);
    int32_t next(const deadline &until, mullama_token_event &event);
    int32_t run(const deadline &until);

    const float *logits();
    size_t n_logits() const { return n_vocab_; }
    llama_token choose();
    mullama_token_event accept(llama_token token);
    mullama_token_event finish(int32_t reason);

    std::shared_ptr<const void> lent() const { return lent_; }
    const std::string &text() const { return text_; }
    const std::vector<llama_token> &tokens() const { return tokens_; }
    const std::vector<llama_token> &prompt() const { return request_.prompt; }
    mullama_generation_result result();

  private:
    void begin(context_state &context);
    void make_room(context_state &context);
    bool evaluate(context_state &context, const deadline &until);
    void note_logprobs(const float *logits);
    void require_ready() const;
    mullama_token_event event_of(llama_token token, std::string text);
    int32_t ended_status() const { return reason_ == MULLAMA_FINISH_REASON_CANCELLED ? MULLAMA_STATUS_CANCELLED : MULLAMA_STATUS_DONE; }

    const std::shared_ptr<context_core> context_;
    const size_t n_vocab_;
    generation_request request_;
    const std::vector<llama_token> banned_;  // never chosen
    const std::unique_ptr<sampler_chain> own_sampler_;
    const std::shared_ptr<sampler_core> given_sampler_;
    text_release release_;
    std::atomic<bool> cancelled_{false};

    bool begun_ = false, echoed_ = false, ready_ = false;
    int32_t reason_ = MULLAMA_FINISH_REASON_NONE;
    size_t n_evaluated_ = 0;   // tokens of the prompt that are in memory
    llama_pos end_ = 0;        // behind the last position in memory
    bool outstanding_ = false; // the last token of tokens_ is not in memory yet
    uint64_t revision_ = 0, evaluations_ = 0;

    struct lent_memory {
        std::vector<llama_token> tokens;
        std::string text, event_text;
        std::vector<int32_t> top_tokens;
        std::vector<float> top_logprobs;
    };
    const std::shared_ptr<lent_memory> lent_ = std::make_shared<lent_memory>();
    std::vector<llama_token> &tokens_ = lent_->tokens;
    std::string &text_ = lent_->text, &event_text_ = lent_->event_text;
    std::vector<int32_t> &top_tokens_ = lent_->top_tokens;
    std::vector<float> &top_logprobs_ = lent_->top_logprobs;
    std::vector<float> logits_for_event_;
    double log_sum_ = 0;
    const float *current_logits_ = nullptr;

    int32_t n_reused_ = 0, n_shifted_ = 0;
    double prefill_ms_ = 0, decode_ms_ = 0, sample_ms_ = 0;
};

[[noreturn]] void throw_disturbed() {
    throw failure(MULLAMA_E_INVALID_ARGUMENT, "another call changed the generation's sequence while it ran; start a new generation, or use a sequence of its own for each");
}

// Finds the longest prefix of the prompt that the sequence already holds, and forgets the rest of the sequence.
void generation_state::begin(context_state &context) {
    const int32_t sequence = request_.options.sequence;
    const std::vector<llama_token> &prompt = request_.prompt;
    const std::vector<llama_token> &held = context.held(sequence);
    size_t reused = 0;
    if (request_.options.reuse_prefix) {
        // One token at least is evaluated, for its logits.
        const size_t most = std::min(held.size(), prompt.size() - 1);
        while (reused < most && held[reused] == prompt[reused]) ++reused;
    }
    if (context.end_of(sequence) > static_cast<llama_pos>(reused) && !context.remove(sequence, static_cast<llama_pos>(reused), -1)) {
        reused = 0;  // a recurrent memory cannot go back, nor one whose sliding window has moved on
        context.remove(sequence, 0, -1);
    }
    n_evaluated_ = reused;
    n_reused_ = static_cast<int32_t>(reused);
    end_ = static_cast<llama_pos>(reused);
    revision_ = context.revision(sequence);
    begun_ = true;
    if (own_sampler_) {
        for (llama_token token : prompt) own_sampler_->accept_prompt(token);
    }
}

// Called when the next token has no place. Shifts, or ends the generation.
void generation_state::make_room(context_state &context) {
    if (request_.options.overflow != MULLAMA_OVERFLOW_SHIFT) {
        reason_ = MULLAMA_FINISH_REASON_CONTEXT_FULL;
        return;
    }
    const int32_t sequence = request_.options.sequence;
    const llama_pos keep = std::min<llama_pos>(n_spared(request_, *context.model), end_ / 2);
    const llama_pos forgotten = std::max<llama_pos>(1, (end_ - keep) / 2);
    llama_memory_t memory = context.require_memory();
    if (!llama_memory_seq_rm(memory, sequence, keep, keep + forgotten)) throw failure(MULLAMA_E_DECODE_FAILED, "the memory of this model cannot forget a part of a sequence");
    llama_memory_seq_add(memory, sequence, keep + forgotten, end_, -forgotten);
    // What was shifted still carries traces of what was forgotten: only the kept start can serve another prompt.
    context.forget_after(sequence, keep);
    end_ -= forgotten;
    n_shifted_ += forgotten;
    revision_ = context.revision(sequence);
}

// One step of evaluation. True when the logits of the next token are there.
bool generation_state::evaluate(context_state &context, const deadline &until) {
    const int32_t sequence = request_.options.sequence;
    const context_state::operation operation(context, &cancelled_);
    const auto append = [&](const llama_token *tokens, size_t count, bool output) {
        try {
            context.append_checked(sequence, end_, tokens, count, output);
        } catch (...) {
            if (!context.remove(sequence, end_, -1)) context.remove(sequence, 0, -1);
            throw;
        }
        end_ += static_cast<llama_pos>(count);
        revision_ = context.revision(sequence);
        evaluations_ = context.evaluations();
    };

    if (n_evaluated_ < request_.prompt.size()) {
        const stopwatch timed(prefill_ms_);
        const size_t step = llama_n_ubatch(context.llama());
        while (n_evaluated_ < request_.prompt.size()) {
            const size_t count = std::min(step, request_.prompt.size() - n_evaluated_);
            append(&request_.prompt[n_evaluated_], count, n_evaluated_ + count == request_.prompt.size());
            n_evaluated_ += count;
            if (n_evaluated_ < request_.prompt.size() && until.over()) return false;
        }
        return true;
    }
    const stopwatch timed(decode_ms_);
    if (!outstanding_) {
        // Another evaluation on this context has taken the logits away: evaluate the last token once more.
        const llama_token last = tokens_.empty() ? request_.prompt.back() : tokens_.back();
        if (!context.remove(sequence, end_ - 1, -1)) {
            throw failure(MULLAMA_E_DECODE_FAILED, "another evaluation on the context has replaced the logits, and this model's memory cannot go back to give them again; choose before others evaluate");
        }
        --end_;
        append(&last, 1, true);
        return true;
    }
    if (!llama_model_is_recurrent(context.model->model.get()) && end_ >= static_cast<llama_pos>(context.n_ctx_sequence())) {
        make_room(context);
        if (reason_ != MULLAMA_FINISH_REASON_NONE) return false;
    }
    append(&tokens_.back(), 1, true);
    outstanding_ = false;
    return true;
}

generation_state::state generation_state::prepare(const deadline &until) {
    if (reason_ != MULLAMA_FINISH_REASON_NONE) return state::ended;
    auto context = context_->enter();
    if (!begun_) begin(*context);
    if (context->revision(request_.options.sequence) != revision_) throw_disturbed();
    if (ready_ && context->evaluations() != evaluations_) ready_ = false;
    if (!ready_) {
        try {
            if (cancelled_.load(std::memory_order_relaxed)) throw failure(MULLAMA_E_CANCELLED, "the generation was cancelled");
            if (!evaluate(*context, until)) return reason_ == MULLAMA_FINISH_REASON_NONE ? state::waiting : state::ended;
        } catch (const failure &stopped) {
            if (stopped.code != MULLAMA_E_CANCELLED) throw;
            reason_ = MULLAMA_FINISH_REASON_CANCELLED;
            return state::ended;
        }
        ready_ = true;
        const float *logits = context->logits(-1);
        if (request_.options.logprobs >= 0) note_logprobs(logits);
        current_logits_ = logits;
    }
    if (request_.options.max_tokens >= 0 && static_cast<int64_t>(tokens_.size()) >= request_.options.max_tokens) {
        reason_ = MULLAMA_FINISH_REASON_LENGTH;
        return state::ended;
    }
    return state::ready;
}

// Log softmax of the model's own logits, before anything changes them.
void generation_state::note_logprobs(const float *logits) {
    logits_for_event_.assign(logits, logits + n_vocab_);
    const float largest = *std::max_element(logits_for_event_.begin(), logits_for_event_.end());
    double sum = 0;
    for (float logit : logits_for_event_) sum += std::exp(static_cast<double>(logit) - largest);
    log_sum_ = largest + std::log(sum);

    const size_t count = std::min<size_t>(request_.options.logprobs, n_vocab_);
    std::vector<int32_t> order(n_vocab_);
    for (size_t i = 0; i < n_vocab_; ++i) order[i] = static_cast<int32_t>(i);
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int32_t a, int32_t b) {
        return logits_for_event_[a] > logits_for_event_[b] || (logits_for_event_[a] == logits_for_event_[b] && a < b);
    });
    top_tokens_.assign(order.begin(), order.begin() + count);
    top_logprobs_.clear();
    for (int32_t token : top_tokens_) top_logprobs_.push_back(static_cast<float>(logits_for_event_[token] - log_sum_));
}

void generation_state::require_ready() const {
    if (!ready_ || reason_ != MULLAMA_FINISH_REASON_NONE) {
        throw failure(MULLAMA_E_NO_OUTPUT, reason_ == MULLAMA_FINISH_REASON_NONE ? "there are no logits yet; call prepare until it gives ITEM" : "the generation has ended");
    }
}

const float *generation_state::logits() {
    require_ready();
    const auto context = context_->enter();
    if (context->evaluations() != evaluations_) throw failure(MULLAMA_E_NO_OUTPUT, "another evaluation on the context has replaced the logits; call prepare again");
    return current_logits_;
}

llama_token generation_state::choose() {
    const float *logits = this->logits();
    const stopwatch timed(sample_ms_);
    return own_sampler_ ? own_sampler_->choose(logits, banned_) : given_sampler_->enter()->choose(logits, banned_);
}

mullama_token_event generation_state::event_of(llama_token token, std::string text) {
    event_text_ = std::move(text);
    text_ += event_text_;
    mullama_token_event event{};
    event.text = event_text_.c_str();
    event.text_len = event_text_.size();
    event.token = token;
    if (token >= 0 && request_.options.logprobs >= 0) {
        event.logprob = static_cast<float>(logits_for_event_[token] - log_sum_);
        event.top_tokens = top_tokens_.data();
        event.top_tokens_len = top_tokens_.size();
        event.top_logprobs = top_logprobs_.data();
        event.top_logprobs_len = top_logprobs_.size();
    }
    return event;
}

mullama_token_event generation_state::accept(llama_token token) {
    require_ready();
    const auto context = context_->enter();
    const model_resource &model = *context->model;
    model.require_token(token);
    {
        const stopwatch timed(sample_ms_);
        if (own_sampler_) {
            own_sampler_->accept(token);
        } else {
            given_sampler_->enter()->accept(token);
        }
    }
    tokens_.push_back(token);
    outstanding_ = true;
    ready_ = false;
    std::string released;
    const bool ends = (model.is_end(token) && !request_.options.ignore_eos) ||
                      std::find(request_.stop_tokens.begin(), request_.stop_tokens.end(), token) != request_.stop_tokens.end();
    if (ends) {
        reason_ = MULLAMA_FINISH_REASON_STOP;
    } else {
        std::string piece;
        model.append_piece(piece, token, false);
        released = release_.add(piece);
        if (release_.stopped()) {
            reason_ = MULLAMA_FINISH_REASON_STOP;
        } else if (request_.options.max_tokens >= 0 && static_cast<int64_t>(tokens_.size()) >= request_.options.max_tokens) {
            reason_ = MULLAMA_FINISH_REASON_LENGTH;
        }
    }
    if (reason_ != MULLAMA_FINISH_REASON_NONE) released += release_.finish();
    return event_of(token, std::move(released));
}

mullama_token_event generation_state::finish(int32_t reason) {
    if (reason_ == MULLAMA_FINISH_REASON_NONE) reason_ = reason;
    return event_of(-1, release_.finish());
}

int32_t generation_state::next(const deadline &until, mullama_token_event &event) {
    if (request_.options.echo && !echoed_) {
        echoed_ = true;
        const std::vector<llama_token> &prompt = request_.prompt;
        const auto context = context_->enter();
        const llama_vocab *vocab = context->model->vocab;
        // As the caller wrote it: without the BOS that the tokenizer adds.
        const size_t first = llama_vocab_get_add_bos(vocab) && prompt[0] == llama_vocab_bos(vocab);
        event = event_of(-1, context->model->detokenize(prompt.data() + first, prompt.size() - first, false, true));
        return MULLAMA_STATUS_ITEM;
    }
    switch (prepare(until)) {
        case state::waiting: return MULLAMA_STATUS_WAITING;
        case state::ready: event = accept(choose()); return MULLAMA_STATUS_ITEM;
        case state::ended: break;
    }
    if (!release_.has_rest()) return ended_status();
    event = event_of(-1, release_.finish());
    return MULLAMA_STATUS_ITEM;
}

int32_t generation_state::run(const deadline &until) {
    mullama_token_event event;
    for (;;) {
        const int32_t status = next(until, event);
        if (status != MULLAMA_STATUS_ITEM) return status;
        if (until.over() && reason_ == MULLAMA_FINISH_REASON_NONE) return MULLAMA_STATUS_WAITING;
    }
}

mullama_generation_result generation_state::result() {
    mullama_generation_result result{};
    const bool cancelled = reason_ == MULLAMA_FINISH_REASON_NONE && cancelled_.load(std::memory_order_relaxed);
    result.finish_reason = cancelled ? static_cast<int32_t>(MULLAMA_FINISH_REASON_CANCELLED) : reason_;
    if (release_.stopped()) {
        result.stop_text = release_.stopped()->c_str();
        result.stop_text_len = release_.stopped()->size();
    }
    result.n_prompt = static_cast<int32_t>(request_.prompt.size());
    result.n_reused = n_reused_;
    result.n_dropped = request_.n_dropped;
    result.n_shifted = n_shifted_;
    result.n_generated = static_cast<int32_t>(tokens_.size());
    result.prefill_ms = prefill_ms_;
    result.decode_ms = decode_ms_ + sample_ms_;
    result.sample_ms = sample_ms_;
    result.seed = own_sampler_ ? own_sampler_->seed() : given_sampler_->enter()->seed();
    return result;
}

// Cuts a prompt that is longer than the context, as the caller chose.
void fit(generation_request &request, const context_state &context) {
    if (llama_model_is_recurrent(context.model->model.get())) return;
    std::vector<llama_token> &prompt = request.prompt;
    const mullama_generate_options &options = request.options;
    const size_t n_ctx = context.n_ctx_sequence();
    if (prompt.size() <= n_ctx) return;
    if (options.overflow == MULLAMA_OVERFLOW_ERROR) {
        throw failure(MULLAMA_E_CONTEXT_FULL, "the prompt has " + std::to_string(prompt.size()) + " tokens, the context holds " + std::to_string(n_ctx) +
                                                  " for each sequence; shorten the prompt, create the context with a larger n_ctx, or choose another overflow policy");
    }
    const size_t room = options.max_tokens < 0 ? n_ctx / 2 : std::min<size_t>(std::max(options.max_tokens, 1), n_ctx / 2);
    const size_t kept = n_ctx - room;
    size_t start = n_spared(request, *context.model);
    if (options.overflow == MULLAMA_OVERFLOW_TRUNCATE_MIDDLE) start = std::max(start, kept / 2);
    if (start >= kept) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "generate_options.n_keep is " + std::to_string(options.n_keep) + ", but only " + std::to_string(kept) + " tokens of the prompt fit; keep fewer");
    }
    request.n_dropped = static_cast<int32_t>(prompt.size() - kept);
    prompt.erase(prompt.begin() + start, prompt.begin() + start + request.n_dropped);
}

}  // namespace

}  // namespace mullama

using namespace mullama;

struct mullama_generation {
    explicit mullama_generation(std::unique_ptr<generation_state> state)
        : core(std::make_shared<exclusive_core<generation_state>>("generation", std::move(state))) {}
    std::shared_ptr<exclusive_core<generation_state>> core;
    live_object counted;
};

namespace {

exclusive_core<generation_state>::use enter(mullama_generation *generation) { return require(generation, "generation").core->enter(); }

generation_request take_request(context_state &context, const char *prompt, size_t prompt_len, const int32_t *tokens, size_t tokens_len, const char *messages,
                                size_t messages_len, const mullama_generate_options &options, const mullama_chat_options *chat) {
    model_resource &model = *context.model;
    generation_request request;
    request.options = options;
    require_array(prompt, prompt_len, "the prompt");
    require_array(tokens, tokens_len, "tokens");
    require_array(messages, messages_len, "messages");
    if ((prompt != nullptr) + (tokens != nullptr) + (messages != nullptr) != 1) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "give exactly one of prompt, tokens and messages");
    }
    context.require_sequence(options.sequence);
    context.require_memory();
    context.require_encoded();
    if (options.overflow == MULLAMA_OVERFLOW_SHIFT && !llama_memory_can_shift(context.require_memory())) {
        throw failure(MULLAMA_E_UNSUPPORTED, "this model's memory cannot be shifted; choose another overflow policy");
    }
    request.stops = take_texts(options.stop, options.stop_len, "generate_options.stop");
    for (const std::string &stop : request.stops) {
        if (stop.empty()) throw failure(MULLAMA_E_INVALID_ARGUMENT, "a stop text is empty, it would end every generation; leave it out");
    }
    for (size_t i = 0; i < options.stop_tokens_len; ++i) model.require_token(options.stop_tokens[i], ("stop token " + std::to_string(i)).c_str());
    request.stop_tokens.assign(options.stop_tokens, options.stop_tokens + options.stop_tokens_len);

    if (prompt) {
        request.prompt = model.tokenize(take_text(prompt, prompt_len, "the prompt"), options.add_special, options.parse_special);
    } else if (tokens) {
        for (size_t i = 0; i < tokens_len; ++i) model.require_token(tokens[i], ("prompt token " + std::to_string(i)).c_str());
        request.prompt.assign(tokens, tokens + tokens_len);
    } else {
        const chat_prompt written = apply_chat_template(model, take_text(messages, messages_len, "messages"), read_chat_options(chat));
        request.prompt = written.prompt.literal.empty() ? model.tokenize(written.prompt.text, true, true) : model.special().tokenize(written.prompt, true);
        request.stops.insert(request.stops.end(), written.stops.begin(), written.stops.end());
    }
    if (request.prompt.empty()) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the prompt has no tokens; give at least one, such as BOS");
    }
    fit(request, context);
    return request;
}

}  // namespace

int32_t mullama_context_generate(mullama_context *context, const char *prompt, size_t prompt_len, const int32_t *tokens, size_t tokens_len,
                                 const char *messages, size_t messages_len, mullama_sampler *sampler, const mullama_generate_options *options,
                                 const mullama_sampler_options *sampling, const mullama_chat_options *chat, mullama_generation **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        const std::shared_ptr<context_core> core = require(context, "context").core;
        auto state = core->enter();
        generation_request request =
            take_request(*state, prompt, prompt_len, tokens, tokens_len, messages, messages_len, read_generate_options(options), chat);
        std::unique_ptr<sampler_chain> own;
        if (sampler) {
            sampler->core->enter()->require_vocabulary_of(*state->model);
        } else {
            own = std::make_unique<sampler_chain>(state->model, read_sampler_options(sampling));
        }
        *out = new mullama_generation(std::make_unique<generation_state>(core, *state->model, std::move(request), std::move(own), sampler ? sampler->core : nullptr));
    });
}

void mullama_generation_close(mullama_generation *generation) {
    if (generation) generation->core->close();
}

void mullama_generation_free(mullama_generation *generation) {
    mullama_generation_close(generation);
    delete generation;
}

int32_t mullama_generation_next(mullama_generation *generation, int32_t timeout_ms, mullama_token_event *out, int32_t *out_status, mullama_error **err) {
    return guarded(err, [&] {
        require_struct(out);
        require_out(out_status);
        auto state = enter(generation);
        mullama_token_event event{};
        *out_status = state->next(deadline(timeout_ms), event);
        if (*out_status == MULLAMA_STATUS_ITEM) give(event, out);
    });
}

int32_t mullama_generation_run(mullama_generation *generation, int32_t timeout_ms, int32_t *out_status, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out_status);
        *out_status = enter(generation)->run(deadline(timeout_ms));
    });
}

void mullama_generation_cancel(mullama_generation *generation) {
    guarded_void([&] {
        if (generation) generation->core->signal([](generation_state &state) { state.cancel(); });
    });
}

int32_t mullama_generation_text(mullama_generation *generation, const char **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const std::string &text = enter(generation)->text();
        borrow(text.c_str(), text.size(), out, out_len);
    });
}

int32_t mullama_generation_tokens(mullama_generation *generation, const int32_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const std::vector<llama_token> &tokens = enter(generation)->tokens();
        borrow(tokens.data(), tokens.size(), out, out_len);
    });
}

int32_t mullama_generation_prompt_tokens(mullama_generation *generation, const int32_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const std::vector<llama_token> &tokens = enter(generation)->prompt();
        borrow(tokens.data(), tokens.size(), out, out_len);
    });
}

int32_t mullama_generation_get_result(mullama_generation *generation, mullama_generation_result *out, mullama_error **err) {
    return guarded(err, [&] { give(enter(generation)->result(), out); });
}

int32_t mullama_generation_prepare(mullama_generation *generation, int32_t timeout_ms, int32_t *out_status, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out_status);
        auto state = enter(generation);
        switch (state->prepare(deadline(timeout_ms))) {
            case generation_state::state::waiting: *out_status = MULLAMA_STATUS_WAITING; break;
            case generation_state::state::ready: *out_status = MULLAMA_STATUS_ITEM; break;
            case generation_state::state::ended:
                *out_status = state->result().finish_reason == MULLAMA_FINISH_REASON_CANCELLED ? MULLAMA_STATUS_CANCELLED : MULLAMA_STATUS_DONE;
                break;
        }
    });
}

int32_t mullama_generation_logits(mullama_generation *generation, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(generation);
        borrow(state->logits(), state->n_logits(), out, out_len);
    });
}

int32_t mullama_generation_choose(mullama_generation *generation, int32_t *out, mullama_error **err) {
    return guarded(err, [&] { give(enter(generation)->choose(), out); });
}

int32_t mullama_generation_accept(mullama_generation *generation, int32_t token, mullama_token_event *out, mullama_error **err) {
    return guarded(err, [&] {
        require_struct(out);
        give(enter(generation)->accept(token), out);
    });
}

int32_t mullama_generation_finish(mullama_generation *generation, mullama_token_event *out, mullama_error **err) {
    return guarded(err, [&] {
        require_struct(out);
        give(enter(generation)->finish(MULLAMA_FINISH_REASON_STOP), out);
    });
}
