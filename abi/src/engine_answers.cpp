// llama.cpp's own JSON is taken where it is that of the API; usage and timings come last, and once, for all answers together.
#include "engine_answers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base64.hpp"
#include "server-common.h"
#include "text.h"

namespace mullama {

namespace {

std::vector<std::string> dumped(const std::vector<common_json> &events) {
    std::vector<std::string> texts;
    for (const common_json &event : events) texts.push_back(event.dump_safe());
    return texts;
}

// What the model said after its last part that could be parsed: better whole than well-formed.
std::string unparsed_rest(const task_result_state &state) {
    const std::string &shown = state.chat_msg.content;
    return state.generated_text.compare(0, shown.size(), shown) == 0 ? state.generated_text.substr(shown.size()) : std::string();
}

// {token, logprob, top_logprobs} of each token, in the form of OpenAI's first completions API.
common_json legacy_logprobs(const common_json &content, size_t &offset) {
    common_json tokens = common_json::array(), logprobs = common_json::array(), top = common_json::array(), offsets = common_json::array();
    for (const common_json &entry : content) {
        const std::string token = entry.at("token").get<std::string>();
        tokens.push_back(token);
        logprobs.push_back(entry.at("logprob").get<double>());
        common_json alternatives = common_json::object();
        for (const common_json &other : entry.at("top_logprobs")) alternatives[other.at("token").get<std::string>()] = other.at("logprob").get<double>();
        top.push_back(alternatives);
        offsets.push_back(offset);
        offset += token.size();
    }
    return common_json::object({{"tokens", tokens}, {"token_logprobs", logprobs}, {"top_logprobs", top}, {"text_offset", offsets}});
}

std::vector<common_json> events_of(const common_json &made) {
    std::vector<common_json> events;
    if (made.is_array()) {
        for (const common_json &event : made) events.push_back(event);
    } else if (!made.is_null()) {
        events.push_back(made);
    }
    return events;
}

// The message of a complete text. What the caller began is no part of it, as it is none of a stream.
void read_whole(server_task_result_cmpl_final &result, task_result_state &state) {
    const common_chat_msg begun = state.chat_msg;
    try {
        result.update(state);
        result.oaicompat_msg.content.erase(0, begun.content.size());
        result.oaicompat_msg.reasoning_content.erase(0, begun.reasoning_content.size());
    } catch (const std::exception &) {  // the answer breaks off within a call, or is none: it is given as text
        result.is_updated = true;
        result.oaicompat_msg = {};
    }
}

}  // namespace

void generation_work::number_tasks(const std::string &id) {
    id_ = id;
    for (server_task &task : tasks) {
        const auto add = [&](server_task &one, bool counts_prompt) {
            one.index = states_.size();
            one.params.res_type = format_;
            one.params.oaicompat_cmpl_id = id;
            one.params.oaicompat_model = model_;
            one.params.include_usage = false;
            states_.push_back(one.create_state());
            outcomes_.emplace_back();
            outcomes_.back().counts_prompt = counts_prompt;
        };
        add(task, true);
        for (server_task &child : task.child_tasks) add(child, false);
    }
}

std::vector<std::string> generation_work::take(server_task_result &result) {
    if (result.is_error()) throw failure_of(result);
    if (!result.is_stop()) return dumped(take_partial(static_cast<server_task_result_cmpl_partial &>(result)));
    auto &final = static_cast<server_task_result_cmpl_final &>(result);
    return dumped(streamed ? take_end(final) : take_whole(final));
}

std::vector<common_json> generation_work::take_partial(server_task_result_cmpl_partial &result) {
    outcome &of = outcomes_.at(result.index);
    try {
        // What opens an answer is written for token 1, which is never seen where it is the start of a character.
        if (!result.is_progress) result.n_decoded = of.begun ? std::max(2, result.n_decoded) : 1;
        result.update(states_[result.index]);
    } catch (const std::exception &) {  // an answer that is no whole call yet; its text stays for the next time
        result.is_updated = true;
    }
    of.begun = of.begun || !result.is_progress;
    if (!result.prob_output.probs.empty()) {
        of.logprobs.push_back(completion_token_output::probs_vector_to_json({result.prob_output}, result.post_sampling_probs).at(0));
        result.prob_output.probs.clear();
    }
    std::vector<common_json> events = events_of(result.to_json());
    // Tokens are told of with their text: what is held back may become a stop text, which is no part of the answer.
    const bool has_text = format_ == TASK_RESPONSE_TYPE_OAI_CMPL ? !result.content.empty() : !result.oaicompat_msg_diffs.empty();
    if (has_text && !events.empty()) give_logprobs(events.back(), of);
    for (common_json &event : events) arrange(event);
    return events;
}

std::vector<common_json> generation_work::take_whole(server_task_result_cmpl_final &result) {
    read_whole(result, states_.at(result.index));
    count(result);
    outcomes_[result.index].answer = result.to_json();
    return n_finished_ == outcomes_.size() ? std::vector<common_json>{finish()} : std::vector<common_json>();
}

std::vector<common_json> generation_work::take_end(server_task_result_cmpl_final &result) {
    task_result_state &state = states_.at(result.index);
    outcome &of = outcomes_[result.index];
    const server_task_result_cmpl_final untouched = includes_answer ? result : server_task_result_cmpl_final();
    bool parsed = true;
    try {
        result.update(state);
        parsed = !result.oaicompat_msg.empty();
    } catch (const std::exception &) {
        parsed = false;
    }
    if (!parsed) {  // the answer breaks off within a call, or is none: its rest is given as text
        result.is_updated = true;
        common_chat_msg_diff rest;
        rest.content_delta = unparsed_rest(state);
        result.oaicompat_msg = state.chat_msg;
        result.oaicompat_msg.content += rest.content_delta;
        if (!rest.content_delta.empty()) result.oaicompat_msg_diffs = {rest};
    }
    count(result);
    std::vector<common_json> events;
    if (format_ != TASK_RESPONSE_TYPE_OAI_CMPL) events = take_rest(result);
    for (common_json &event : events_of(result.to_json())) events.push_back(std::move(event));
    if (result.stop != STOP_TYPE_WORD) give_logprobs(events.back(), of);
    const bool last = n_finished_ == outcomes_.size();
    if (last && format_ == TASK_RESPONSE_TYPE_OAI_CHAT) {
        common_json totals = events.back();
        totals["choices"] = common_json::array();
        events.push_back(totals);
    }
    for (common_json &event : events) arrange(event);
    if (last) conclude(events.back());
    if (includes_answer) {
        of.answer = whole(untouched, state);
        if (last) events.push_back(finish());
    }
    return events;
}

// What the last result adds to the answer comes like all before it: llama.cpp's own last events leave it out, or open again
// what is open.
std::vector<common_json> generation_work::take_rest(server_task_result_cmpl_final &result) {
    outcome &of = outcomes_[result.index];
    if (of.begun && result.oaicompat_msg_diffs.empty()) return {};
    const task_result_state &state = states_[result.index];
    server_task_result_cmpl_partial rest;
    rest.index = result.index;
    rest.res_type = format_;
    rest.oaicompat_cmpl_id = id_;
    rest.oaicompat_model = model_;
    rest.n_prompt_tokens = result.n_prompt_tokens;
    rest.n_prompt_tokens_cache = result.n_prompt_tokens_cache;
    rest.n_decoded = of.begun ? 2 : 1;
    rest.post_sampling_probs = false;
    rest.thinking_block_started = state.thinking_block_started;
    rest.text_block_started = state.text_block_started;
    rest.oai_resp_created = state.oai_resp_created;
    rest.oai_resp_id = state.oai_resp_id;
    rest.oai_resp_reasoning_id = state.oai_resp_reasoning_id;
    rest.oai_resp_message_id = state.oai_resp_message_id;
    rest.oai_resp_fc_id = state.oai_resp_fc_id;
    rest.anthropic_has_reasoning = !state.chat_msg.reasoning_content.empty();
    rest.oaicompat_msg_diffs.swap(result.oaicompat_msg_diffs);
    rest.is_updated = true;
    of.begun = true;
    return events_of(rest.to_json());
}

void generation_work::count(const server_task_result_cmpl_final &result) {
    outcome &done = outcomes_[result.index];
    done.n_prompt = result.n_prompt_tokens;
    done.n_cached = result.n_prompt_tokens_cache;
    done.n_generated = result.n_decoded;
    done.stats = result.stats;
    ++n_finished_;
}

// The answer as it would have been without a stream, with the ids that were given in the stream.
common_json generation_work::whole(server_task_result_cmpl_final result, const task_result_state &streamed_state) const {
    result.stream = false;
    result.content = streamed_state.generated_text;
    if (result.stop == STOP_TYPE_WORD) {  // as llama.cpp does it
        const size_t n_stop = common_tokenize(vocab_, result.stopping_word, false).size();
        result.probs_output.resize(result.probs_output.size() - std::min(n_stop, result.probs_output.size()));
    }
    task_result_state state(streamed_state.chat_parser_params);
    state.generated_tool_call_ids = streamed_state.generated_tool_call_ids;
    read_whole(result, state);
    result.oai_resp_id = streamed_state.oai_resp_id;
    common_json answer = result.to_json();
    if (format_ == TASK_RESPONSE_TYPE_OAI_RESP) {
        for (common_json &item : answer.at("output")) {
            if (item.at("type") == "reasoning") item["id"] = streamed_state.oai_resp_reasoning_id;
            if (item.at("type") == "message") item["id"] = streamed_state.oai_resp_message_id;
        }
    }
    return answer;
}

// The whole answer, from those to each prompt.
common_json generation_work::finish() {
    common_json answer = outcomes_[0].answer;
    for (size_t i = 1; i < outcomes_.size(); ++i) answer["choices"].push_back(outcomes_[i].answer.at("choices").at(0));
    if (answer.contains("choices")) {
        for (common_json &choice : answer.at("choices")) {
            size_t offset = 0;
            arrange_logprobs(choice, offset);
        }
    }
    if (format_ == TASK_RESPONSE_TYPE_ANTHROPIC) arrange_stop(answer);
    conclude(answer);
    return answer;
}

void generation_work::give_logprobs(common_json &event, outcome &of) {
    if (of.logprobs.empty() || !event.contains("choices") || event.at("choices").empty()) return;
    common_json &choice = event.at("choices").at(0);
    choice["logprobs"] = common_json::object({{"content", of.logprobs}});
    of.logprobs = common_json::array();
    arrange_logprobs(choice, of.text_offset);
}

// Into the form of the API, with as many alternatives as were asked for.
void generation_work::arrange_logprobs(common_json &choice, size_t &text_offset) const {
    if (!choice.contains("logprobs") || choice.at("logprobs").is_null()) return;
    common_json &content = choice.at("logprobs").at("content");
    for (common_json &token : content) {
        common_json &top = token.at("top_logprobs");
        while (top.size() > top_logprobs_) top.erase(top.size() - 1);
    }
    if (format_ == TASK_RESPONSE_TYPE_OAI_CMPL) choice["logprobs"] = legacy_logprobs(common_json(content), text_offset);
}

// What ended a message of Anthropic's API was a stop text only where the caller gave it.
void generation_work::arrange_stop(common_json &stopped) const {
    if (!stopped.contains("stop_sequence") || stopped.at("stop_sequence").is_null()) return;
    if (std::find(stops.begin(), stops.end(), stopped.at("stop_sequence").get<std::string>()) == stops.end()) {
        stopped["stop_sequence"] = nullptr;
    } else {
        stopped["stop_reason"] = "stop_sequence";
    }
}

// Brings one event of a stream into the form of the API.
void generation_work::arrange(common_json &event) {
    if (event.contains("data")) event = common_json(event.at("data"));  // of an event with a name, which its data has too
    if (format_ == TASK_RESPONSE_TYPE_OAI_RESP) {
        event["sequence_number"] = n_events_++;
        std::string item;
        if (event.contains("item_id")) item = event.at("item_id").get<std::string>();
        if (event.contains("item")) item = event.at("item").at("id").get<std::string>();
        if (!item.empty()) event["output_index"] = output_items_.emplace(item, output_items_.size()).first->second;
        if (event.contains("part") || event.at("type") == "response.output_text.delta" || event.at("type") == "response.output_text.done" || event.at("type") == "response.reasoning_text.delta") event["content_index"] = 0;
    }
    if (format_ == TASK_RESPONSE_TYPE_ANTHROPIC && event.contains("delta")) arrange_stop(event.at("delta"));
    if (!times_events) event.erase("timings");
    if (!has_own_usage()) event.erase("usage");
}

// The last event of a stream, and the whole answer, tell what all of it took.
void generation_work::conclude(common_json &last) const {
    last["usage"] = usage();
    last["timings"] = timings();
    for (const auto &[name, value] : notes_) last[name] = value;
}

common_json generation_work::usage() const {
    int64_t n_prompt = 0, n_cached = 0, n_generated = 0;
    for (const outcome &done : outcomes_) {
        n_generated += done.n_generated;
        if (done.counts_prompt) n_prompt += done.n_prompt, n_cached += done.n_cached;
    }
    if (format_ == TASK_RESPONSE_TYPE_ANTHROPIC) {
        return common_json::object({{"cache_read_input_tokens", n_cached}, {"input_tokens", n_prompt - n_cached}, {"output_tokens", n_generated}});
    }
    if (format_ == TASK_RESPONSE_TYPE_OAI_RESP) {
        return common_json::object({{"input_tokens", n_prompt},
                                    {"output_tokens", n_generated},
                                    {"total_tokens", n_prompt + n_generated},
                                    {"input_tokens_details", common_json::object({{"cached_tokens", n_cached}})}});
    }
    return common_json::object({{"prompt_tokens", n_prompt},
                                {"completion_tokens", n_generated},
                                {"total_tokens", n_prompt + n_generated},
                                {"prompt_tokens_details", common_json::object({{"cached_tokens", n_cached}})}});
}

// Times of answers that ran at the same time do not add up: the longest counts.
common_json generation_work::timings() const {
    uint64_t n_prefilled = 0, n_cached = 0, n_generated = 0, n_drafted = 0, n_accepted = 0;
    double prefill_ms = 0, decode_ms = 0;
    for (const outcome &done : outcomes_) {
        if (done.counts_prompt) n_prefilled += done.stats.n_prompt_processed, n_cached += done.stats.n_prompt_cached;
        n_generated += done.stats.n_gen;
        n_drafted += done.stats.n_draft_tokens;
        n_accepted += done.stats.n_draft_accepted;
        prefill_ms = std::max(prefill_ms, done.stats.t_prompt_ms());
        decode_ms = std::max(decode_ms, done.stats.t_gen_ms());
    }
    const auto rate = [](uint64_t count, double ms) { return ms > 0 ? 1000.0 * static_cast<double>(count) / ms : 0.0; };
    common_json timings = common_json::object({{"cache_n", n_cached},
                                               {"prompt_n", n_prefilled},
                                               {"prompt_ms", prefill_ms},
                                               {"prompt_per_second", rate(n_prefilled, prefill_ms)},
                                               {"predicted_n", n_generated},
                                               {"predicted_ms", decode_ms},
                                               {"predicted_per_second", rate(n_generated, decode_ms)}});
    if (n_drafted) timings["draft_n"] = n_drafted, timings["draft_n_accepted"] = n_accepted;
    return timings;
}

std::vector<std::string> embedding_work::take(server_task_result &result) {
    if (result.is_error()) throw failure_of(result);
    auto &made = static_cast<server_task_result_embd &>(result);
    for (std::vector<float> &vector : made.embedding) {
        if (!dimensions_ || dimensions_ >= vector.size()) continue;
        vector.resize(dimensions_);
        if (normalize_) {
            const std::vector<float> cut = vector;
            common_embd_normalize(cut.data(), vector.data(), static_cast<int>(cut.size()), 2);
        }
    }
    n_tokens_ += made.n_tokens;
    vectors_[result.index] = std::move(made.embedding);
    if (vectors_.size() < tasks.size()) return {};

    const auto written = [&](const std::vector<float> &vector) -> common_json {
        if (base64_) return base64::encode(reinterpret_cast<const char *>(vector.data()), vector.size() * sizeof(float));
        return vector;
    };
    common_json data = common_json::array();
    for (const auto &[index, vectors] : vectors_) {
        common_json entry = common_json::object({{"object", "embedding"}, {"index", index}});
        if (vectors.size() == 1) {
            entry["embedding"] = written(vectors[0]);
        } else {
            entry["embedding"] = common_json::array();
            for (const std::vector<float> &vector : vectors) entry["embedding"].push_back(written(vector));
        }
        data.push_back(entry);
    }
    const common_json usage = common_json::object({{"prompt_tokens", n_tokens_}, {"total_tokens", n_tokens_}});
    return dumped({common_json::object({{"object", "list"}, {"data", data}, {"model", model_}, {"usage", usage}})});
}

std::vector<std::string> rerank_work::take(server_task_result &result) {
    if (result.is_error()) throw failure_of(result);
    const auto &made = static_cast<server_task_result_rerank &>(result);
    n_tokens_ += made.n_tokens;
    scores_[result.index] = made.score;
    if (scores_.size() < tasks.size()) return {};
    std::vector<std::pair<size_t, float>> order(scores_.begin(), scores_.end());
    std::stable_sort(order.begin(), order.end(), [](const auto &a, const auto &b) { return a.second > b.second; });
    if (order.size() > top_n_) order.resize(top_n_);
    common_json results = common_json::array();
    for (const auto &[index, score] : order) {
        common_json entry = common_json::object({{"index", index}, {"relevance_score", score}});
        if (gives_documents_) entry["document"] = common_json::object({{"text", documents_[index]}});
        results.push_back(entry);
    }
    const common_json usage = common_json::object({{"prompt_tokens", n_tokens_}, {"total_tokens", n_tokens_}});
    return dumped({common_json::object({{"object", "list"}, {"results", results}, {"model", model_}, {"usage", usage}})});
}

std::vector<std::string> loop_work::take(server_task_result &result) {
    if (result.is_error()) throw failure_of(result);
    return dumped({answer_(result)});
}

}  // namespace mullama
