// Evaluating tokens: checking them, cutting them into batches, and keeping track of memory and outputs.
#include "context_state.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "backend.h"
#include "common.h"
#include "llama-context.h"
#include "llama-ext.h"
#include "llama-kv-cache-iswa.h"
#include "llama-model.h"
#include "text.h"

namespace mullama {

namespace {

std::string number(int64_t value) { return std::to_string(value); }

llama_context_params params_of(const mullama_context_options &options) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = options.n_ctx;
    params.n_batch = options.n_batch;
    params.n_ubatch = std::min(options.n_ubatch, options.n_batch);
    params.n_seq_max = options.n_sequences;
    params.pooling_type = static_cast<enum llama_pooling_type>(options.pooling);
    params.attention_type = static_cast<llama_attention_type>(options.attention);
    params.flash_attn_type = static_cast<llama_flash_attn_type>(options.flash_attention);
    params.rope_scaling_type = static_cast<llama_rope_scaling_type>(options.rope_scaling);
    params.rope_freq_base = options.rope_freq_base;
    params.rope_freq_scale = options.rope_freq_scale;
    params.yarn_ext_factor = options.yarn_ext_factor;
    params.yarn_attn_factor = options.yarn_attn_factor;
    params.yarn_beta_fast = options.yarn_beta_fast;
    params.yarn_beta_slow = options.yarn_beta_slow;
    params.yarn_orig_ctx = options.yarn_original_n_ctx;
    params.type_k = static_cast<ggml_type>(options.type_k);
    params.type_v = static_cast<ggml_type>(options.type_v);
    params.offload_kqv = options.offload_kv;
    params.op_offload = options.offload_ops;
    params.kv_unified = options.unified_kv;
    params.swa_full = options.full_swa;
    params.embeddings = options.embeddings;
    params.no_perf = false;
    return params;
}

// llama.cpp reserves the graph of pooled embeddings for equally long sequences, and fails where they do not fill a ubatch.
uint32_t pooled_ubatch(uint32_t n_ubatch, uint64_t n_ctx, uint32_t n_sequences) {
    const uint32_t n_tokens = static_cast<uint32_t>(std::min<uint64_t>(n_ubatch, n_ctx));
    return n_tokens > n_sequences && n_tokens % n_sequences ? n_tokens - n_tokens % n_sequences : n_ubatch;
}

// Multi-dimensional positions (M-RoPE): llama.cpp makes them for tokens, but reads four for each input embedding. Those of
// text are three times its position, then 0.
bool has_four_positions(const llama_model *model) {
    const llama_rope_type type = llama_model_rope_type(model);
    return type == LLAMA_ROPE_TYPE_MROPE || type == LLAMA_ROPE_TYPE_IMROPE;
}

std::vector<llama_pos> four_positions(const llama_pos *positions, size_t count) {
    std::vector<llama_pos> four;
    for (int i = 0; i < 3; ++i) four.insert(four.end(), positions, positions + count);
    four.resize(4 * count, 0);
    return four;
}

int32_t default_threads() { return std::max(1, common_cpu_get_num_math()); }

void require_threads(int32_t n_threads) {
    if (n_threads > GGML_MAX_N_THREADS) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the number of threads is " + number(n_threads) + "; at most " + number(GGML_MAX_N_THREADS) + " are possible");
    }
}

// Linux promises memory it does not have, and ends the process that uses it: what cannot fit at all is refused before.
// A lower bound: the cache and the attention mask of one ubatch, and its logits.
void require_memory_for(const llama_model *model, const llama_context_params &params) {
    if (llama_model_n_devices(model) > 0) return;
    const llama_hparams &facts = model->hparams;
    const double n_ctx = params.n_ctx ? params.n_ctx : facts.n_ctx_train;
    const double n_ubatch = std::min<double>(params.n_ubatch, n_ctx);
    const auto bytes_each = [](ggml_type type) { return static_cast<double>(ggml_type_size(type)) / static_cast<double>(ggml_blck_size(type)); };
    const bool caches = !llama_model_is_recurrent(model);
    double cache = caches ? n_ctx * n_ubatch * 2 : 0;
    for (uint32_t layer = 0; caches && layer < facts.n_layer(); ++layer) {
        cache += n_ctx * (facts.n_embd_k_gqa(layer) * bytes_each(params.type_k) + facts.n_embd_v_gqa(layer) * bytes_each(params.type_v));
    }
    const double needed = cache + n_ubatch * llama_vocab_n_tokens(llama_model_get_vocab(model)) * 4;
    size_t free_memory = 0, total = 0;
    ggml_backend_dev_memory(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), &free_memory, &total);
    if (total && needed > static_cast<double>(total)) {
        throw failure(MULLAMA_E_OUT_OF_MEMORY, "a context of " + number(static_cast<int64_t>(n_ctx)) + " tokens with n_ubatch " + number(params.n_ubatch) + " needs at least " +
                                                   number(static_cast<int64_t>(needed / (1 << 20))) + " MB, this machine has " + number(static_cast<int64_t>(total >> 20)) +
                                                   " MB; choose a smaller n_ctx or n_ubatch");
    }
}

// Ends the threads of a pool whose computation an exception has left. They wait for the thread that is gone, if it had
// begun, and cannot be told: then they are left behind. False in that case.
bool end_abandoned(std::unique_ptr<ggml_threadpool, threadpool_deleter> pool) {
    std::promise<void> promise;
    std::future<void> ended = promise.get_future();
    std::thread([pool = std::move(pool), promise = std::move(promise)]() mutable {
        pool.reset();
        promise.set_value();
    }).detach();
    return ended.wait_for(std::chrono::seconds(1)) == std::future_status::ready;
}

}  // namespace

context_state::context_state(std::shared_ptr<model_resource> given, const mullama_context_options &options)
    : model(std::move(given)), type_k_(options.type_k), type_v_(options.type_v), embeddings_(options.embeddings) {
    if (model->vocab_only) {
        throw failure(MULLAMA_E_UNSUPPORTED, "the model was loaded with vocab_only, without weights; load it again without that option");
    }
    if (options.n_sequences > llama_max_parallel_sequences()) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "context_options.n_sequences is " + number(options.n_sequences) + "; at most " + number(llama_max_parallel_sequences()) + " are possible");
    }
    // Positions are 32-bit numbers with a sign.
    if (options.n_ctx > INT32_MAX) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "context_options.n_ctx is " + number(options.n_ctx) + "; at most " + number(INT32_MAX) + " are possible");
    }
    if (std::min(options.n_batch, options.n_ctx ? options.n_ctx : options.n_batch) < options.n_sequences) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "context_options.n_sequences is " + number(options.n_sequences) + ", but n_batch is " + number(options.n_batch) + " and n_ctx is " +
                                                      number(options.n_ctx) + "; both must have room for a token of each sequence");
    }
    require_threads(options.n_threads);
    require_threads(options.n_threads_batch);
    n_threads_ = options.n_threads ? options.n_threads : default_threads();
    n_threads_batch_ = options.n_threads_batch ? options.n_threads_batch : n_threads_;

    llama_context_params params = params_of(options);
    params.n_threads = n_threads_;
    params.n_threads_batch = n_threads_batch_;
    if (options.embeddings) {
        const uint32_t n_ctx = options.n_ctx ? options.n_ctx : static_cast<uint32_t>(llama_model_n_ctx_train(model->model.get()));
        const uint64_t padded = (static_cast<uint64_t>(n_ctx) + 255) / 256 * 256;  // as llama.cpp does
        params.n_ubatch = pooled_ubatch(params.n_ubatch, padded, options.n_sequences);
    }
    params.abort_callback = [](void *user) { return static_cast<context_state *>(user)->is_cancelled(); };
    params.abort_callback_data = this;

    require_memory_for(model->model.get(), params);
    log_capture captured;
    const int aborts = abort_count();
    context_.reset(llama_init_from_model(model->model.get(), params));
    captured.add_line();
    if (!context_) {
        const std::string reasons = captured.errors("llama.cpp gave no reason");
        if (abort_count() != aborts) {  // llama.cpp has caught it
            throw failure(MULLAMA_E_INTERNAL, "a check inside llama.cpp failed, so the context cannot be created: " + reasons + "; the model may be damaged");
        }
        const bool memory = reasons.find("alloc") != std::string::npos || reasons.find("buffer") != std::string::npos;
        throw failure(memory ? MULLAMA_E_OUT_OF_MEMORY : MULLAMA_E_UNSUPPORTED, "the context cannot be created: " + reasons);
    }
    warnings_ = captured.warnings();
    if (options.n_ctx > 0 && llama_n_ctx(context_.get()) != options.n_ctx) {
        warnings_.push_back("n_ctx is " + number(llama_n_ctx(context_.get())) + ", not " + number(options.n_ctx) + " as asked for");
    }
    if (options.yarn_attn_factor >= 0 && context_->get_cparams().yarn_ext_factor != 0) {
        warnings_.push_back("yarn_attn_factor is ignored: llama.cpp computes it from rope_freq_scale unless yarn_ext_factor is 0");
    }
    held_.resize(options.n_sequences);
    revisions_.resize(options.n_sequences);
    set_threads(n_threads_, n_threads_batch_);
}

void threadpool_deleter::operator()(ggml_threadpool *pool) const {
    reinterpret_cast<decltype(ggml_threadpool_free) *>(cpu_function("ggml_threadpool_free"))(pool);
}

context_state::~context_state() {
    if (context_) llama_detach_threadpool(context_.get());
    if (broken_ && !end_abandoned(std::move(threadpool_))) {
        // Those threads may still read and write what the context and the model hold.
        context_.release();
        new std::shared_ptr<model_resource>(model);
        return;
    }
    context_.reset();
    threadpool_.reset();
#ifdef __GLIBC__
    // A context's large blocks leave holes that glibc keeps: a process that opens and closes contexts would grow.
    malloc_trim(0);
#endif
}

void context_state::set_threads(int32_t n_threads, int32_t n_threads_batch) {
    require_threads(n_threads);
    require_threads(n_threads_batch);
    // Without a pool of its own llama.cpp would start and end the threads for every batch.
    ggml_threadpool_params params = ggml_threadpool_params_default(std::max(n_threads, n_threads_batch));
    const auto create = reinterpret_cast<decltype(ggml_threadpool_new) *>(cpu_function("ggml_threadpool_new"));
    std::unique_ptr<ggml_threadpool, threadpool_deleter> pool(create(&params));
    if (!pool) throw failure(MULLAMA_E_OUT_OF_MEMORY, "a pool of " + number(params.n_threads) + " threads cannot be created");
    llama_attach_threadpool(context_.get(), pool.get(), pool.get());
    threadpool_ = std::move(pool);
    llama_set_n_threads(context_.get(), n_threads, n_threads_batch);
    n_threads_ = n_threads;
    n_threads_batch_ = n_threads_batch;
}

void context_state::set_embeddings(bool embeddings) {
    llama_set_embeddings(context_.get(), embeddings);
    embeddings_ = embeddings;
    drop_outputs();
}

void context_state::require_sequence(int32_t sequence) const {
    if (sequence < 0 || static_cast<size_t>(sequence) >= held_.size()) {
        throw failure(MULLAMA_E_OUT_OF_RANGE, "sequence " + number(sequence) + " does not exist; the context has sequences 0 to " + number(static_cast<int64_t>(held_.size()) - 1) +
                                                  " (context_options.n_sequences)");
    }
}

uint32_t context_state::n_ctx_sequence() const {
    const uint32_t n_ctx = llama_n_ctx_seq(context_.get()), limit = static_cast<uint32_t>(model->position_limit);
    return limit ? std::min(n_ctx, limit) : n_ctx;
}

llama_memory_t context_state::require_memory() const {
    llama_memory_t memory = llama_get_memory(context_.get());
    if (!memory) throw failure(MULLAMA_E_UNSUPPORTED, "this model keeps no memory between evaluations (an encoder)");
    return memory;
}

llama_pos context_state::end_of(int32_t sequence) const {
    llama_memory_t memory = llama_get_memory(context_.get());
    return memory ? llama_memory_seq_pos_max(memory, sequence) + 1 : 0;
}

context_state::operation::operation(context_state &state, const std::atomic<bool> *also) : state_(state) {
    state_.cancelled_.store(false, std::memory_order_relaxed);
    state_.also_cancelled_ = also;
}

context_state::operation::~operation() { state_.also_cancelled_ = nullptr; }

bool context_state::is_cancelled() const noexcept {
    return cancelled_.load(std::memory_order_relaxed) || (also_cancelled_ && also_cancelled_->load(std::memory_order_relaxed));
}

// Evaluates one batch and turns llama.cpp's answer into an exception.
void context_state::run(llama_batch batch, bool encode) {
    if (is_cancelled()) throw failure(MULLAMA_E_CANCELLED, "the evaluation was cancelled");
    if (!encode) require_encoded();
    ++evaluations_;
    log_capture captured;
    int32_t outcome = 0;
    try {
        outcome = encode ? llama_encode(context_.get(), batch) : llama_decode(context_.get(), batch);
    } catch (...) {
        broken_ = true;
        throw;
    }
    if (outcome == 0) {
        // Where embeddings are pooled, llama.cpp hands the decoder a buffer that nothing was written to.
        if (encode) encoded_ = llama_pooling_type(context_.get()) == LLAMA_POOLING_TYPE_NONE;
        has_logits_ = context_->get_gf_res_reserve()->get_logits() && !(encode && is_encoder_decoder());
        return;
    }
    captured.add_line();
    if (outcome == 2 || is_cancelled()) throw failure(MULLAMA_E_CANCELLED, "the evaluation was cancelled");
    if (outcome == 1) {
        throw failure(MULLAMA_E_CONTEXT_FULL, "there is no room for " + number(batch.n_tokens) + " more tokens in the context of " + number(llama_n_ctx(context_.get())) +
                                                  "; create it with a larger n_ctx, or forget a part of its memory");
    }
    const std::string reasons = captured.errors("llama.cpp gave no reason (code " + number(outcome) + ")");
    if (outcome == -1) throw failure(MULLAMA_E_INVALID_ARGUMENT, "llama.cpp refused the batch: " + reasons);
    throw failure(MULLAMA_E_DECODE_FAILED, "the batch could not be evaluated: " + reasons);
}

void context_state::drop_outputs() {
    rows_.clear();
    n_outputs_ = 0;
    copied_ = has_logits_ = false;
    logits_copy_.clear();
    embeddings_copy_.clear();
}

void context_state::start_outputs(size_t entries) {
    drop_outputs();
    rows_.assign(entries, -1);
}

void context_state::collect_outputs(size_t first, const int8_t *outputs, size_t count, bool keep_copy) {
    const int32_t before = n_outputs_;
    for (size_t i = 0; i < count; ++i) {
        if (outputs[i]) rows_[first + i] = n_outputs_++;
    }
    const size_t added = n_outputs_ - before;
    if (!keep_copy || added == 0) return;
    copied_ = true;
    if (const float *logits = llama_get_logits(context_.get())) {
        logits_copy_.insert(logits_copy_.end(), logits, logits + added * llama_vocab_n_tokens(model->vocab));
    }
    if (embeddings_ && llama_pooling_type(context_.get()) == LLAMA_POOLING_TYPE_NONE) {
        if (const float *embeddings = llama_get_embeddings(context_.get())) {
            embeddings_copy_.insert(embeddings_copy_.end(), embeddings, embeddings + added * llama_model_n_embd_out(model->model.get()));
        }
    }
}

void context_state::append_checked(int32_t sequence, llama_pos position, const llama_token *tokens, size_t count, bool last_output) {
    batch_positions_.resize(count);
    batch_counts_.assign(count, 1);
    llama_seq_id id = sequence;
    batch_sequences_.assign(count, &id);
    batch_outputs_.assign(count, 0);
    for (size_t i = 0; i < count; ++i) batch_positions_[i] = position + static_cast<llama_pos>(i);
    batch_outputs_[count - 1] = last_output;
    start_outputs(count);
    run({static_cast<int32_t>(count), const_cast<llama_token *>(tokens), nullptr, batch_positions_.data(), batch_counts_.data(), batch_sequences_.data(), batch_outputs_.data()}, false);
    collect_outputs(0, batch_outputs_.data(), count, false);
    llama_synchronize(context_.get());
    note_evaluated(sequence, position, tokens, count);
}

void context_state::append(int32_t sequence, llama_pos position, const llama_token *tokens, size_t count, int32_t outputs) {
    require_sequence(sequence);
    const llama_pos end = end_of(sequence);
    if (position < 0) position = end;
    if (has_memory() && position < end) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "decode_options.position is " + number(position) + ", but sequence " + number(sequence) + " already ends at " + number(end) +
                                                      "; remove what lies behind the position first");
    }
    decode_request request;
    request.tokens = tokens;
    request.count = count;
    request.positions.resize(count);
    request.sequences.assign(count, sequence);
    request.outputs.assign(count, outputs == MULLAMA_OUTPUTS_ALL);
    for (size_t i = 0; i < count; ++i) request.positions[i] = position + static_cast<llama_pos>(i);
    if (count && outputs == MULLAMA_OUTPUTS_LAST) request.outputs[count - 1] = 1;
    try {
        decode(request);
    } catch (...) {
        if (has_memory()) remove(sequence, position, -1);
        throw;
    }
}

void context_state::decode(decode_request &request) {
    const size_t count = request.count;
    if (count == 0) throw failure(MULLAMA_E_INVALID_ARGUMENT, "there is nothing to evaluate; give at least one token");
    if (count > static_cast<size_t>(INT32_MAX)) throw failure(MULLAMA_E_INVALID_ARGUMENT, "there are " + std::to_string(count) + " entries; at most " + number(INT32_MAX) + " can be evaluated at once");
    const int32_t n_tokens = llama_vocab_n_tokens(model->vocab);
    if (request.tokens) {
        for (size_t i = 0; i < count; ++i) {
            if (request.tokens[i] < 0 || request.tokens[i] >= n_tokens) {
                throw failure(MULLAMA_E_INVALID_TOKEN, "token " + std::to_string(i) + " is " + number(request.tokens[i]) + "; the vocabulary has ids 0 to " + number(n_tokens - 1));
            }
        }
    }
    for (llama_seq_id sequence : request.sequences) require_sequence(sequence);
    const bool bounded = has_memory() && !llama_model_is_recurrent(model->model.get());
    for (size_t i = 0; i < count; ++i) {
        const llama_pos position = request.positions[i];
        if (position < 0) throw failure(MULLAMA_E_OUT_OF_RANGE, "the position of entry " + std::to_string(i) + " is " + number(position) + "; positions are 0 or more");
        require_position(position);
        if (bounded && static_cast<uint32_t>(position) >= n_ctx_sequence()) {
            throw failure(MULLAMA_E_CONTEXT_FULL, "position " + number(position) + " lies outside the context of " + number(n_ctx_sequence()) + " tokens for each sequence; " +
                                                      number(static_cast<int64_t>(count)) + " tokens were given; create the context with a larger n_ctx, or give fewer tokens");
        }
    }

    // Attention to all tokens needs all of them in one ubatch.
    const bool whole = !has_memory() || !llama_get_causal_attn(context_.get());
    const size_t n_ubatch = llama_n_ubatch(context_.get());
    if (whole && count > n_ubatch) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, std::to_string(count) + " tokens were given, but attention to all tokens needs them in one ubatch of " + std::to_string(n_ubatch) +
                                                      "; create the context with a larger n_ubatch (and n_batch)");
    }
    size_t output_batches = 0;
    for (size_t first = 0; first < count; first += n_ubatch) {
        const size_t size = std::min(n_ubatch, count - first);
        output_batches += std::any_of(request.outputs.begin() + first, request.outputs.begin() + first + size, [](int8_t output) { return output != 0; });
    }

    std::vector<int32_t> counts = request.sequence_counts;
    if (counts.empty()) counts.assign(count, 1);
    std::vector<llama_seq_id *> sequences(count);
    for (size_t i = 0, next = 0; i < count; next += counts[i++]) sequences[i] = &request.sequences[next];

    start_outputs(count);
    const size_t width = request.embeddings ? llama_model_n_embd_inp(model->model.get()) : 0;
    try {
        for (size_t first = 0; first < count; first += n_ubatch) {
            const size_t size = std::min(n_ubatch, count - first);
            std::vector<llama_pos> four;
            if (request.embeddings && has_four_positions(model->model.get())) four = four_positions(&request.positions[first], size);
            run({static_cast<int32_t>(size), request.tokens ? const_cast<llama_token *>(request.tokens + first) : nullptr,
                 request.embeddings ? const_cast<float *>(request.embeddings + first * width) : nullptr, four.empty() ? &request.positions[first] : four.data(), &counts[first],
                 &sequences[first], &request.outputs[first]},
                false);
            collect_outputs(first, &request.outputs[first], size, output_batches > 1);
            for (size_t i = first; i < first + size; ++i) {
                for (int32_t k = 0; k < counts[i]; ++k) {
                    note_evaluated(sequences[i][k], request.positions[i], request.tokens ? &request.tokens[i] : nullptr, 1);
                }
            }
        }
        // llama.cpp counts and times what it has evaluated only when it is waited for.
        llama_synchronize(context_.get());
    } catch (...) {
        drop_outputs();
        throw;
    }
}

// A position past the model's table would be read from behind its end.
void context_state::require_position(llama_pos position) const {
    const int32_t limit = model->position_limit;
    if (limit && position >= limit) {
        throw failure(MULLAMA_E_CONTEXT_FULL, "position " + number(position) + " lies outside the " + number(limit) + " positions that the model knows; give fewer tokens");
    }
}

void context_state::require_encoded() const {
    if (encoded_ || !is_encoder_decoder()) return;
    throw failure(MULLAMA_E_UNSUPPORTED, "the model's decoder reads what its encoder made of a text, and nothing was encoded yet; call encode with the text's tokens first, in a context with pooling none, then go on from model_info.decoder_start_token");
}

void context_state::encode(const llama_token *tokens, size_t count) {
    if (!llama_model_has_encoder(model->model.get()) && has_memory()) {
        throw failure(MULLAMA_E_UNSUPPORTED, "the model has no encoder; use decode");
    }
    if (count == 0) throw failure(MULLAMA_E_INVALID_ARGUMENT, "there is nothing to evaluate; give at least one token");
    const size_t n_ubatch = llama_n_ubatch(context_.get());
    if (count > n_ubatch) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, std::to_string(count) + " tokens were given, but an encoder needs them in one ubatch of " + std::to_string(n_ubatch) +
                                                      "; create the context with a larger n_ubatch (and n_batch)");
    }
    for (size_t i = 0; i < count; ++i) {
        if (tokens[i] < 0 || tokens[i] >= llama_vocab_n_tokens(model->vocab)) {
            throw failure(MULLAMA_E_INVALID_TOKEN, "token " + std::to_string(i) + " is " + number(tokens[i]) + "; the vocabulary has ids 0 to " + number(llama_vocab_n_tokens(model->vocab) - 1));
        }
    }
    require_position(static_cast<llama_pos>(count) - 1);
    std::vector<int8_t> outputs(count, 1);
    std::vector<llama_pos> positions(count);
    for (size_t i = 0; i < count; ++i) positions[i] = static_cast<llama_pos>(i);
    std::vector<int32_t> counts(count, 1);
    llama_seq_id id = 0;
    std::vector<llama_seq_id *> sequences(count, &id);
    start_outputs(count);
    try {
        run({static_cast<int32_t>(count), const_cast<llama_token *>(tokens), nullptr, positions.data(), counts.data(), sequences.data(), outputs.data()}, true);
    } catch (...) {
        drop_outputs();
        throw;
    }
    collect_outputs(0, outputs.data(), count, false);
}

size_t context_state::row_of(int32_t index) const {
    if (n_outputs_ == 0) throw failure(MULLAMA_E_NO_OUTPUT, "the last evaluation gave no outputs; decode with outputs, or decode first");
    if (index < 0) {
        if (index < -n_outputs_) throw failure(MULLAMA_E_OUT_OF_RANGE, "output " + number(index) + " does not exist; the last decode gave " + number(n_outputs_));
        return n_outputs_ + index;
    }
    if (static_cast<size_t>(index) >= rows_.size()) {
        throw failure(MULLAMA_E_OUT_OF_RANGE, "entry " + number(index) + " does not exist; the last decode had entries 0 to " + number(static_cast<int64_t>(rows_.size()) - 1));
    }
    if (rows_[index] < 0) throw failure(MULLAMA_E_NO_OUTPUT, "entry " + number(index) + " was decoded without output; ask for it with `outputs`");
    return rows_[index];
}

const float *context_state::logits(int32_t index) const {
    const size_t row = row_of(index);
    return all_logits() + row * llama_vocab_n_tokens(model->vocab);
}

const float *context_state::all_logits() const {
    if (n_outputs_ == 0) row_of(-1);
    const float *logits = copied_ ? (logits_copy_.empty() ? nullptr : logits_copy_.data()) : llama_get_logits(context_.get());
    // llama.cpp has a buffer of zeros for models without logits, and for those of an encoder.
    if (!logits || !has_logits_) throw failure(MULLAMA_E_NO_OUTPUT, "the last evaluation gave no logits; embedding models and encoders have none");
    return logits;
}

const float *context_state::embedding(int32_t index) const {
    const size_t row = row_of(index);
    return all_embeddings() + row * llama_model_n_embd_out(model->model.get());
}

const float *context_state::all_embeddings() const {
    if (n_outputs_ == 0) row_of(-1);
    if (!embeddings_) throw failure(MULLAMA_E_NO_OUTPUT, "the context gives no embeddings; create it with embeddings, or switch them on with set_embeddings");
    if (llama_pooling_type(context_.get()) != LLAMA_POOLING_TYPE_NONE) {
        throw failure(MULLAMA_E_NO_OUTPUT, "the context pools embeddings by sequence; ask for those of the sequence, or create it with pooling none");
    }
    const float *embeddings = copied_ ? (embeddings_copy_.empty() ? nullptr : embeddings_copy_.data()) : llama_get_embeddings(context_.get());
    if (!embeddings) throw failure(MULLAMA_E_NO_OUTPUT, "the last evaluation gave no embeddings");
    return embeddings;
}

void context_state::note_evaluated(int32_t sequence, llama_pos position, const llama_token *tokens, size_t count) {
    ++revisions_[sequence];
    std::vector<llama_token> &held = held_[sequence];
    if (tokens && static_cast<size_t>(position) == held.size()) held.insert(held.end(), tokens, tokens + count);
}

void context_state::forget_after(int32_t sequence, llama_pos position) {
    const size_t known = position < 0 ? 0 : position;
    for (size_t i = 0; i < held_.size(); ++i) {
        if (sequence >= 0 && i != static_cast<size_t>(sequence)) continue;
        ++revisions_[i];
        if (held_[i].size() > known) held_[i].resize(known);
    }
}

void context_state::hold(int32_t sequence, std::vector<llama_token> tokens) {
    ++revisions_[sequence];
    held_[sequence] = std::move(tokens);
}

bool context_state::has_window_of(int32_t sequence, llama_pos position) const {
    const llama_hparams &facts = model->model->hparams;
    if (facts.swa_type == LLAMA_SWA_TYPE_NONE || facts.n_swa == 0) return true;
    llama_memory_t memory = require_memory();
    const llama_pos window_start = llama_memory_seq_pos_min(memory, sequence);
    // What the caller removed from the front is in no layer; only what the other layers still have can be missing.
    const auto *cache = dynamic_cast<const llama_kv_cache_iswa *>(memory);
    const llama_pos start = cache ? cache->get_base()->seq_pos_min(sequence) : 0;
    if (window_start <= start) return true;
    return window_start < position && llama_hparams::is_masked_swa(facts.n_swa, facts.swa_type, window_start - 1, position);
}

bool context_state::remove(int32_t sequence, llama_pos start, llama_pos end) {
    llama_memory_t memory = require_memory();
    // llama.cpp reports success in both cases: for positions in front of the last one, which a recurrent state cannot
    // forget, and for an end whose sliding window is gone.
    const bool has_state = llama_model_is_recurrent(model->model.get()) || llama_model_is_hybrid(model->model.get());
    for (size_t one = 0; one < held_.size(); ++one) {
        if (sequence >= 0 && one != static_cast<size_t>(sequence)) continue;
        const llama_pos last = llama_memory_seq_pos_max(memory, one);
        const bool to_the_end = end < 0 || end > last;
        const bool whole = start <= 0 && to_the_end;
        const bool nothing = start > last || (end >= 0 && end <= std::max(start, 0));
        if (whole || nothing) continue;
        if (has_state || (to_the_end && !has_window_of(one, start))) return false;
    }
    const bool removed = llama_memory_seq_rm(memory, sequence, start, end);
    if (removed) forget_after(sequence, start);
    return removed;
}

}  // namespace mullama
