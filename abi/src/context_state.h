// What stands behind a context handle: llama.cpp's context, its threads, and what we know of its memory and outputs.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ggml-cpu.h"
#include "log_capture.h"
#include "model_resource.h"

namespace mullama {

struct threadpool_deleter {
    void operator()(ggml_threadpool *pool) const;
};

// One run of entries to evaluate. Pointers are the caller's; those that are null have the defaults of context.yaml.
struct decode_request {
    const llama_token *tokens = nullptr;
    const float *embeddings = nullptr;
    size_t count = 0;
    std::vector<llama_pos> positions;
    std::vector<int32_t> sequence_counts;   // empty: one each
    std::vector<llama_seq_id> sequences;    // in order of the entries
    std::vector<int8_t> outputs;
};

class context_state {
  public:
    context_state(std::shared_ptr<model_resource> model, const mullama_context_options &options);
    ~context_state();

    const std::shared_ptr<model_resource> model;
    llama_context *llama() const { return context_.get(); }
    const std::vector<std::string> &warnings() const { return warnings_; }
    int32_t type_k() const { return type_k_; }
    int32_t type_v() const { return type_v_; }
    int32_t n_threads() const { return n_threads_; }
    int32_t n_threads_batch() const { return n_threads_batch_; }
    bool embeddings() const { return embeddings_; }
    // Positions that a sequence can have: those of the cache that the model can tell apart.
    uint32_t n_ctx_sequence() const;

    // Any thread. Makes the evaluation that runs end; see `operation`.
    void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }

    void set_threads(int32_t n_threads, int32_t n_threads_batch);
    void set_embeddings(bool embeddings);

    void require_sequence(int32_t sequence) const;
    void require_position(llama_pos position) const;
    // The memory of models that have one; embedding models do not.
    llama_memory_t require_memory() const;
    bool has_memory() const { return llama_get_memory(context_.get()) != nullptr; }
    // Behind the last position of the sequence; 0 if it is empty.
    llama_pos end_of(int32_t sequence) const;

    // While it exists, `cancel` (and the flag of a generation) stops evaluations. A cancel from before it does not count.
    class operation {
      public:
        operation(context_state &state, const std::atomic<bool> *also = nullptr);
        ~operation();
        operation(const operation &) = delete;
        operation &operator=(const operation &) = delete;

      private:
        context_state &state_;
    };
    bool is_cancelled() const noexcept;

    // Appends tokens to a sequence in batches of n_ubatch; all or nothing.
    void append(int32_t sequence, llama_pos position, const llama_token *tokens, size_t count, int32_t outputs);
    // The same for one batch that is known to be valid and to fit, with logits for its last token: the loop of a generation.
    void append_checked(int32_t sequence, llama_pos position, const llama_token *tokens, size_t count, bool last_output);
    void decode(decode_request &request);
    void encode(const llama_token *tokens, size_t count);

    // Outputs of the last decode.
    int32_t n_outputs() const { return n_outputs_; }
    const float *logits(int32_t index) const;
    const float *all_logits() const;
    const float *embedding(int32_t index) const;
    const float *all_embeddings() const;
    // What the decoder of an encoder-decoder model reads is there: it cannot evaluate anything before.
    void require_encoded() const;

    // The tokens that lie at positions 0, 1, 2, ... of a sequence as far as that is known: what a prompt can reuse.
    const std::vector<llama_token> &held(int32_t sequence) const { return held_[sequence]; }
    void forget_after(int32_t sequence, llama_pos position);
    void hold(int32_t sequence, std::vector<llama_token> tokens);
    // False where the memory cannot: it is then as before.
    bool remove(int32_t sequence, llama_pos start, llama_pos end);
    // Whether evaluation could go on at a position in front of the end: a sliding window that is not kept whole has
    // forgotten what lies far enough behind the end.
    bool has_window_of(int32_t sequence, llama_pos position) const;
    // Grows with every change of the sequence, and with every evaluation: how a generation sees that others were here.
    uint64_t revision(int32_t sequence) const { return revisions_[sequence]; }
    uint64_t evaluations() const { return evaluations_; }
    void note_evaluated(int32_t sequence, llama_pos position, const llama_token *tokens, size_t count);
    void drop_outputs();

  private:
    bool is_encoder_decoder() const { return llama_model_has_encoder(model->model.get()) && llama_model_has_decoder(model->model.get()); }
    void run(llama_batch batch, bool encode);
    void start_outputs(size_t entries);
    void collect_outputs(size_t first, const int8_t *outputs, size_t count, bool keep_copy);
    size_t row_of(int32_t index) const;

    llama_context_ptr context_;
    std::unique_ptr<ggml_threadpool, threadpool_deleter> threadpool_;
    std::vector<std::string> warnings_;
    int32_t type_k_, type_v_, n_threads_, n_threads_batch_;
    bool embeddings_;
    bool encoded_ = false, has_logits_ = false;
    bool broken_ = false;  // an exception has left llama.cpp in the midst of an evaluation
    std::atomic<bool> cancelled_{false};
    const std::atomic<bool> *also_cancelled_ = nullptr;
    std::vector<std::vector<llama_token>> held_;
    std::vector<uint64_t> revisions_;
    uint64_t evaluations_ = 0;

    // Which entry has which output row; rows of several batches are copied together, those of one stay llama.cpp's.
    std::vector<int32_t> rows_;
    std::atomic<int32_t> n_outputs_{0};  // read by other threads as well
    bool copied_ = false;
    std::vector<float> logits_copy_, embeddings_copy_;

    // Scratch for batches.
    std::vector<llama_pos> batch_positions_;
    std::vector<int32_t> batch_counts_;
    std::vector<llama_seq_id *> batch_sequences_;
    std::vector<int8_t> batch_outputs_;
};

}  // namespace mullama

struct mullama_context {
    explicit mullama_context(std::unique_ptr<mullama::context_state> state)
        : core(std::make_shared<mullama::exclusive_core<mullama::context_state>>("context", std::move(state))) {}
    std::shared_ptr<mullama::exclusive_core<mullama::context_state>> core;
    mullama::live_object counted;
};
