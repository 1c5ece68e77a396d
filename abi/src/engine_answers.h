// How results of llama.cpp become the JSON of an answer, by kind of request.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine_llama.h"
#include "json.h"

namespace mullama {

// Text for one or several prompts, each once or several times.
class generation_work : public request_work {
  public:
    // `format` of the tasks; `model` as the answer names it; `top_logprobs` to show of those that were computed.
    generation_work(task_response_type format, std::string model, size_t top_logprobs, const llama_vocab *vocab)
        : format_(format), model_(std::move(model)), top_logprobs_(top_logprobs), vocab_(vocab) {}

    // Whether the events of a stream tell the times up to them.
    bool times_events = false;
    // The stop texts of the caller; the template has its own.
    std::vector<std::string> stops;

    // Called once, when the tasks are complete.
    void number_tasks(const std::string &id);
    // A part of the answer that tells what happened to the prompt.
    void note(const std::string &name, common_json value) { notes_[name] = std::move(value); }

    std::vector<std::string> take(server_task_result &result) override;

  private:
    struct outcome {
        bool counts_prompt = true;  // not the second answer to one prompt
        bool begun = false;         // a first token has been told of
        int32_t n_prompt = 0, n_cached = 0, n_generated = 0;
        server_slot_stats stats;
        common_json answer;
        common_json logprobs = common_json::array();  // of tokens whose text is held back
        size_t text_offset = 0;
    };

    std::vector<common_json> take_partial(server_task_result_cmpl_partial &result);
    std::vector<common_json> take_whole(server_task_result_cmpl_final &result);
    std::vector<common_json> take_end(server_task_result_cmpl_final &result);
    std::vector<common_json> take_rest(server_task_result_cmpl_final &result);
    void count(const server_task_result_cmpl_final &result);
    common_json whole(server_task_result_cmpl_final result, const task_result_state &streamed_state) const;
    common_json finish();
    void give_logprobs(common_json &event, outcome &of);
    void arrange_logprobs(common_json &choice, size_t &text_offset) const;
    void arrange_stop(common_json &stopped) const;
    void arrange(common_json &event);
    void conclude(common_json &last) const;
    bool has_own_usage() const { return format_ == TASK_RESPONSE_TYPE_OAI_RESP || format_ == TASK_RESPONSE_TYPE_ANTHROPIC; }
    common_json usage() const;
    common_json timings() const;

    const task_response_type format_;
    const std::string model_;
    const size_t top_logprobs_;
    const llama_vocab *const vocab_;
    std::string id_;
    std::vector<task_result_state> states_;
    std::vector<outcome> outcomes_;
    std::map<std::string, common_json> notes_;
    std::map<std::string, size_t> output_items_;  // of the Responses API, by id
    size_t n_finished_ = 0, n_events_ = 0;
};

// One vector for each text, or for each token of it without pooling.
class embedding_work : public request_work {
  public:
    embedding_work(std::string model, bool base64, size_t dimensions, bool normalize) : model_(std::move(model)), base64_(base64), dimensions_(dimensions), normalize_(normalize) {}
    std::vector<std::string> take(server_task_result &result) override;

  private:
    const std::string model_;
    const bool base64_;
    const size_t dimensions_;  // 0: all
    const bool normalize_;     // after dimensions were cut off
    std::map<size_t, std::vector<std::vector<float>>> vectors_;
    int64_t n_tokens_ = 0;
};

// One score for each document.
class rerank_work : public request_work {
  public:
    rerank_work(std::string model, std::vector<std::string> documents, size_t top_n, bool gives_documents) : model_(std::move(model)), documents_(std::move(documents)), top_n_(top_n), gives_documents_(gives_documents) {}
    std::vector<std::string> take(server_task_result &result) override;

  private:
    const std::string model_;
    const std::vector<std::string> documents_;
    const size_t top_n_;
    const bool gives_documents_;
    std::map<size_t, float> scores_;
    int64_t n_tokens_ = 0;
};

// A question to the loop itself, such as the state of its slots; or an answer that is there already.
class loop_work : public request_work {
  public:
    explicit loop_work(std::function<common_json(server_task_result &)> answer = {}) : answer_(std::move(answer)) { needs_slot = false; }
    std::vector<std::string> take(server_task_result &result) override;

  private:
    const std::function<common_json(server_task_result &)> answer_;
};

}  // namespace mullama
