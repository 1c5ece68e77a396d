// The seam to llama.cpp's server: its slots, batching and caches, driven by a loop that is ours.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "failure.h"
#include "libmullama.h"
#include "load_request.h"
#include "server-common.h"
#include "server-context.h"
#include "special_text.h"
#include "tool_template.h"

struct server_slot;

namespace mullama {

// The options of an engine, out of the caller's memory.
struct engine_settings {
    mullama_engine_options options;  // its pointers are not used
    load_request load;
    std::vector<std::string> lora, control_vectors;
    std::vector<float> lora_scales, control_vector_scales;
    std::string draft_model, projector, chat_template, template_arguments;
};

// One request: what llama.cpp is to evaluate for it, and how the results become an answer.
struct request_work {
    virtual ~request_work() = default;

    // Handed over one after the other as slots become free; a task with children needs a slot for each of them.
    std::vector<server_task> tasks;
    bool needs_slot = true;
    bool streamed = false;
    bool includes_answer = false;  // streamed, and the last event is the whole answer
    int32_t priority = 0;
    int32_t deadline_ms = 0;  // 0: none
    // The answer of a request that needs no evaluation.
    std::vector<std::string> events;

    // Makes events of a result. Throws the failure that ends the stream. Results come in order, one call at a time.
    virtual std::vector<std::string> take(server_task_result &result) = 0;
};

// What became of an action on a slot.
struct slot_action_result : server_task_result {
    size_t n_tokens = 0;
    std::vector<uint8_t> saved;      // in its envelope
    std::unique_ptr<failure> error;  // why it could not be done
    common_json to_json() override { return {}; }
};

// All tokens, LLAMA_TOKEN_NULL where an image or sound is. server_tokens::get_tokens aborts where there could be one.
std::vector<llama_token> ids_of(const server_tokens &tokens);

// A failure that a result of llama.cpp's stands for.
failure failure_of(const server_task_result &result);

class engine_llama {
  public:
    // Loads the model on the calling thread.
    explicit engine_llama(engine_settings &settings);
    ~engine_llama();
    engine_llama(const engine_llama &) = delete;
    engine_llama &operator=(const engine_llama &) = delete;

    const engine_settings &settings() const { return settings_; }
    const common_params &params() const { return params_; }
    const server_context_meta &meta() const { return *meta_; }
    const llama_model *model() const { return model_; }
    const llama_vocab *vocab() const { return vocab_; }
    const special_tokens &special() const { return *special_; }
    const std::vector<std::string> &warnings() const { return warnings_; }
    int32_t n_ctx() const { return n_ctx_; }
    int32_t n_slots() const { return params_.n_parallel; }
    bool has_template() const { return has_template_; }
    // How chats are written, and those with tools.
    const server_chat_params &chat_params() const { return meta_->chat_params; }
    const server_chat_params &tool_chat_params() const { return chatml_tools_ ? *chatml_tools_ : chat_params(); }
    tool_support tools() const { return tools_; }
    bool drafts() const;
    bool has_projector() const { return meta_->has_mtmd; }
    const mtmd_context *projector() const;  // null without one

    int new_task_id();
    // Throws STATE_INVALID for bytes that are no state of a slot of this engine. Any thread.
    void check_slot_state(const std::vector<uint8_t> &bytes) const;

    // Runs on the calling thread until `stop`. `after_step` is called after each step, where results are to be taken.
    // Throws fatal_abort when one of llama.cpp's checks fails.
    void run(std::function<void()> after_step);
    void stop();  // any thread

    // Any thread, but one at a time.
    void post(server_task &&task);
    void cancel(const std::vector<int> &tasks);
    void wake();
    // A result that is there; null if there is none.
    std::unique_ptr<server_task_result> take();

    // Only within `after_step`.
    void set_paused(int task, bool paused);
    std::vector<int> tasks_in_slots();

  private:
    void step();
    void load();
    bool start(server_task &&task, bool is_yielding);
    void act(const server_task &task, server_slot &slot);
    std::vector<uint8_t> save(const server_slot &slot, size_t &n_tokens) const;
    size_t restore(server_slot &slot, const std::vector<uint8_t> &bytes);
    uint64_t shape() const;

    engine_settings &settings_;
    common_params params_;
    server_context context_;
    std::unique_ptr<server_context_meta> meta_;
    const llama_model *model_ = nullptr;
    const llama_vocab *vocab_ = nullptr;
    std::unique_ptr<special_tokens> special_;
    std::vector<std::string> warnings_;
    int32_t n_ctx_ = 0;
    bool has_template_ = false;
    tool_support tools_ = tool_support::none;
    std::unique_ptr<server_chat_params> chatml_tools_;
    // The loop looks at these also within a step, when others may post and cancel.
    std::mutex bookkeeping_;
    std::unordered_set<int> expected_;  // tasks whose results are to come
    std::unordered_set<int> paused_;    // tasks that wait for their reader
    std::unordered_map<int, std::string> rests_;  // text that ended tasks had not sent
    std::function<void()> after_step_;
    // The loop's own.
    std::vector<server_task> waiting_actions_;  // on slots that work
    std::vector<int> released_;                 // slots that such an action comes first to
};

}  // namespace mullama
