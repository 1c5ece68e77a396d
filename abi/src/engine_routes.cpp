// Each route: its fields are checked one by one, then llama.cpp's own parsing makes a task of them. Nothing reaches it that
// it would drop, clamp or not survive.
#include "engine_routes.h"

#include <algorithm>

#include "chat_dialects.h"
#include "chat_request.h"
#include "engine_answers.h"
#include "engine_fields.h"
#include "failure.h"
#include "files.h"
#include "generated/request_fields.h"
#include "grammar.h"
#include "json_text.h"
#include "media_prompt.h"
#include "request_checks.h"
#include "server-common.h"
#include "server-schema.h"
#include "text.h"
#include "truncation.h"

namespace mullama {

namespace {

constexpr size_t most_inputs = 4096;

// Tasks for prompts, from llama.cpp's reading of the parameters.
std::unique_ptr<generation_work> generation(engine_llama &llama, common_json data, std::vector<server_tokens> prompts, server_task_type kind, task_response_type format,
                                            size_t top_logprobs, const std::string &model) {
    auto work = std::make_unique<generation_work>(format, model, top_logprobs, llama.vocab());
    work->priority = taken(data, "priority", 0);
    work->deadline_ms = taken(data, "deadline_ms", 0);
    common_json stream_options = taken(data, "stream_options", common_json::object());
    work->includes_answer = taken(stream_options, "include_answer", false);
    work->times_events = data.contains("timings_per_token") && data.at("timings_per_token").get<bool>();
    const common_json speculative = taken(data, "speculative", common_json::object());
    common_chat_msg_delimiters delimiters = common_chat_msg_delimiters_parse(data.contains("message_delimiters") ? data.at("message_delimiters") : common_json::array());
    delimiters.tokenize(llama.vocab());
    for (size_t i = 0; i < prompts.size(); ++i) {
        require_fit(llama, prompts[i].size());
        server_task task(kind);
        task.id = llama.new_task_id();
        task.tokens = std::move(prompts[i]);
        task.params = blame(MULLAMA_E_INVALID_ARGUMENT, "the request cannot be read", [&] {
            return server_schema::eval_llama_cmpl_schema(llama.vocab(), llama.params(), llama.meta().logit_bias_eog, data);
        });
        common_params_speculative_draft &draft = task.params.speculative.draft;
        if (speculative.contains("n_max")) draft.n_max = speculative.at("n_max").get<int32_t>();
        if (speculative.contains("n_min")) draft.n_min = speculative.at("n_min").get<int32_t>();
        task.params.message_spans = task.tokens.find_message_spans(delimiters);
        task.id_slot = data.contains("id_slot") ? data.at("id_slot").get<int>() : -1;
        if (i == 0) {
            prepare_grammar(llama.vocab(), task.params.sampling);
        } else {
            task.params.sampling.grammar = work->tasks[0].params.sampling.grammar;
        }
        for (int32_t child = 1; child < task.params.n_cmpl; ++child) task.add_child(task.id, llama.new_task_id());
        work->streamed = task.params.stream;
        work->tasks.push_back(std::move(task));
    }
    work->number_tasks(format == TASK_RESPONSE_TYPE_ANTHROPIC ? "msg_" + random_string() : format == TASK_RESPONSE_TYPE_OAI_CMPL ? "cmpl-" + random_string() : gen_chatcmplid());
    return work;
}
std::unique_ptr<request_work> chat(engine_llama &llama, dialect_chat asked, task_response_type format) {
    common_json &body = asked.body;
    require_mode(llama, MULLAMA_ENGINE_MODE_GENERATE, "chat/completions");
    check_fields(body, "", {&chat_request_fields()});
    const std::string model = model_name(llama, body);
    check_labels(body);
    check_generation(llama, body);
    const size_t top_logprobs = body.contains("top_logprobs") ? body.at("top_logprobs").get<size_t>() : 0;
    if (body.contains("logprobs") && body.at("logprobs").get<bool>()) body["top_logprobs"] = std::max<size_t>(1, top_logprobs);
    std::vector<std::string> stops;
    if (body.contains("stop")) stops = body.at("stop").get<std::vector<std::string>>();
    fitted_chat fitted = fit_chat(llama, std::move(asked));
    std::vector<server_tokens> prompts;
    prompts.push_back(std::move(fitted.request.tokens));
    auto work = generation(llama, fitted.request.data, std::move(prompts), SERVER_TASK_TYPE_COMPLETION, format, top_logprobs, model);
    work->stops = std::move(stops);
    if (!fitted.cut.is_null()) work->note("truncation", fitted.cut);
    return work;
}

std::unique_ptr<request_work> answered(const common_json &answer) {
    auto work = std::make_unique<loop_work>();
    work->events = {answer.dump_safe()};
    return work;
}

std::unique_ptr<request_work> apply_template(engine_llama &llama, common_json body) {
    check_fields(body, "", {&chat_request_fields()});
    check_labels(body);
    check_generation(llama, body);
    if (body.contains("truncation")) refuse_field("truncation", "is not a field of this route");
    const chat_request request = write_chat(llama, {std::move(body), {}});
    // The tokens tell what the text cannot: which of its special texts are tokens, and which were typed.
    const std::vector<llama_token> tokens = ids_of(request.tokens);
    const bool has_media = std::find(tokens.begin(), tokens.end(), LLAMA_TOKEN_NULL) != tokens.end();
    return answered(common_json::object({{"prompt", has_media ? shown_prompt(request.prompt) : request.prompt.text}, {"tokens", tokens}}));
}

size_t count_tokens(engine_llama &llama, dialect_chat asked) {
    common_json &body = asked.body;
    check_fields(body, "", {&chat_request_fields()});
    check_labels(body);
    check_generation(llama, body);
    if (body.contains("truncation")) refuse_field("truncation", "is not a field of this route");
    return write_chat(llama, std::move(asked)).tokens.size();
}
// Completions and infill

std::vector<server_tokens> take_prompts(const engine_llama &llama, const common_json &prompt, const std::string &name, bool parse_special) {
    const auto tokens_of = [&](const common_json &one, const std::string &at) {
        std::vector<llama_token> tokens;
        if (one.is_string()) {
            tokens = common_tokenize(llama.vocab(), one.get<std::string>(), true, parse_special);
        } else {
            const int32_t n_vocab = llama_vocab_n_tokens(llama.vocab());
            for (size_t i = 0; i < one.size(); ++i) {
                const common_json &token = one.at(i);
                if (!token.is_number_integer() || token.get<int64_t>() < 0 || token.get<int64_t>() >= n_vocab) {
                    throw failure(MULLAMA_E_INVALID_TOKEN, place(at, i) + " is " + shortened(token.dump_safe(), 40) + "; the vocabulary has tokens 0 to " + std::to_string(n_vocab - 1));
                }
                tokens.push_back(token.get<llama_token>());
            }
        }
        if (tokens.empty()) refuse_field(at, "has no tokens; give at least one");
        return server_tokens(tokens, llama.has_projector());
    };
    std::vector<server_tokens> prompts;
    const bool several = prompt.is_array() && !prompt.empty() && (prompt.at(0).is_string() || prompt.at(0).is_array());
    if (!several) {
        if (!prompt.is_string() && !prompt.is_array()) refuse_field(name, "must be a text, a list of tokens, or a list of these");
        prompts.push_back(tokens_of(prompt, name));
        return prompts;
    }
    if (prompt.size() > most_inputs) refuse_field(name, "has " + std::to_string(prompt.size()) + " entries; at most " + std::to_string(most_inputs) + " are taken at once");
    for (size_t i = 0; i < prompt.size(); ++i) {
        if (!prompt.at(i).is_string() && !prompt.at(i).is_array()) refuse_field(place(name, i), "must be a text or a list of tokens");
        prompts.push_back(tokens_of(prompt.at(i), place(name, i)));
    }
    return prompts;
}

std::unique_ptr<request_work> completions(engine_llama &llama, common_json body) {
    require_mode(llama, MULLAMA_ENGINE_MODE_GENERATE, "completions");
    check_fields(body, "", {&completion_request_fields()});
    const std::string model = model_name(llama, body);
    body.erase("user");
    check_generation(llama, body);
    if (!body.contains("prompt")) refuse_field("prompt", "is missing");
    if (body.contains("suffix")) refuse_field("suffix", "is not supported; use the route infill");
    if (taken(body, "echo", false)) refuse_field("echo", "is not supported; the prompt is known to you");
    const int64_t n = body.contains("n") ? body.at("n").get<int64_t>() : 1;
    if (taken<int64_t>(body, "best_of", n) != n) refuse_field("best_of", "must be n: all answers are given");
    const bool parse_special = taken(body, "parse_special", true);
    const bool has_logprobs = body.contains("logprobs");
    const size_t top_logprobs = has_logprobs ? body.at("logprobs").get<size_t>() : 0;
    if (has_logprobs) body["logprobs"] = std::max<size_t>(1, top_logprobs);
    truncation asked = take_truncation(llama, body, false);
    std::vector<server_tokens> prompts = take_prompts(llama, body.at("prompt"), "prompt", parse_special);
    if (!asked.strategy.empty()) {
        for (server_tokens &prompt : prompts) prompt = server_tokens(cut_tokens(llama, ids_of(prompt), asked), llama.has_projector());
    }
    auto work = generation(llama, body, std::move(prompts), SERVER_TASK_TYPE_COMPLETION, TASK_RESPONSE_TYPE_OAI_CMPL, top_logprobs, model);
    if (!asked.strategy.empty()) work->note("truncation", told(asked));
    return work;
}

// [REP]project [SEP]file text ... [SEP]file [PRE]before prompt [SUF]after [MID], as models with these tokens were trained.
std::unique_ptr<request_work> infill(engine_llama &llama, common_json body) {
    require_mode(llama, MULLAMA_ENGINE_MODE_GENERATE, "infill");
    check_fields(body, "", {&infill_request_fields()});
    const std::string model = model_name(llama, body);
    body.erase("user");
    check_generation(llama, body);
    if (body.contains("truncation")) refuse_field("truncation", "is not a field of this route");
    const llama_vocab *vocab = llama.vocab();
    const llama_token before = llama_vocab_fim_pre(vocab), after = llama_vocab_fim_suf(vocab), middle = llama_vocab_fim_mid(vocab);
    const llama_token project = llama_vocab_fim_rep(vocab), file = llama_vocab_fim_sep(vocab);
    if (before == LLAMA_TOKEN_NULL || after == LLAMA_TOKEN_NULL || middle == LLAMA_TOKEN_NULL) {
        throw failure(MULLAMA_E_UNSUPPORTED, "this model has no tokens for filling in the middle; use a code model that has them");
    }
    for (const char *name : {"input_prefix", "input_suffix"}) {
        if (!body.contains(name)) refuse_field(name, "is missing");
    }
    std::vector<llama_token> tokens;
    const auto add = [&](const std::string &text) {
        const std::vector<llama_token> more = common_tokenize(vocab, text, false, false);
        tokens.insert(tokens.end(), more.begin(), more.end());
    };
    if (llama_vocab_get_add_bos(vocab)) tokens.push_back(llama_vocab_bos(vocab));
    if (project != LLAMA_TOKEN_NULL) {
        tokens.push_back(project);
        add("project\n");
    }
    common_json extra = body.contains("input_extra") ? body.at("input_extra") : common_json::array();
    for (size_t i = 0; i < extra.size(); ++i) {
        common_json &chunk = extra.at(i);
        check_fields(chunk, place("input_extra", i), {&extra_file_fields()});
        if (!chunk.contains("text")) refuse_field(place("input_extra", i) + ".text", "is missing");
        if (file != LLAMA_TOKEN_NULL) {
            tokens.push_back(file);
            add((chunk.contains("filename") ? chunk.at("filename").get<std::string>() : "file" + std::to_string(i)) + "\n");
        } else {
            add("\n\n");
        }
        add(chunk.at("text").get<std::string>());
    }
    if (file != LLAMA_TOKEN_NULL) {
        tokens.push_back(file);
        add("filename\n");
    }
    tokens.push_back(before);
    add(body.at("input_prefix").get<std::string>() + (body.contains("prompt") ? body.at("prompt").get<std::string>() : ""));
    tokens.push_back(after);
    add(body.at("input_suffix").get<std::string>());
    tokens.push_back(middle);
    std::vector<server_tokens> prompts;
    prompts.emplace_back(tokens, llama.has_projector());
    return generation(llama, body, std::move(prompts), SERVER_TASK_TYPE_INFILL, TASK_RESPONSE_TYPE_OAI_CMPL, 0, model);
}

// Embeddings and rerank

void require_ubatch(const engine_llama &llama, size_t n_tokens, const std::string &name) {
    const size_t most = std::min<size_t>(llama.params().n_ubatch, llama.n_ctx());
    if (n_tokens <= most) return;
    throw failure(MULLAMA_E_CONTEXT_FULL, name + " has " + std::to_string(n_tokens) + " tokens, but at most " + std::to_string(most) + " can be evaluated at once; shorten it, or open the engine with a larger n_ubatch and n_ctx");
}

std::unique_ptr<request_work> embeddings(engine_llama &llama, common_json body) {
    require_mode(llama, MULLAMA_ENGINE_MODE_EMBED, "embeddings");
    check_fields(body, "", {&embedding_request_fields()});
    if (!body.contains("input")) refuse_field("input", "is missing");
    const std::string format = body.contains("encoding_format") ? body.at("encoding_format").get<std::string>() : "float";
    if (format != "float" && format != "base64") refuse_field("encoding_format", "is \"" + shortened(format) + "\"; it must be float or base64");
    const int32_t width = llama_model_n_embd_out(llama.model());
    const int32_t dimensions = body.contains("dimensions") ? body.at("dimensions").get<int32_t>() : 0;
    if (dimensions > width) refuse_field("dimensions", "is " + std::to_string(dimensions) + "; the model's vectors have " + std::to_string(width));
    const int32_t normalize = body.contains("embd_normalize") ? body.at("embd_normalize").get<int32_t>() : 2;
    auto work = std::make_unique<embedding_work>(model_name(llama, body), format == "base64", dimensions, normalize == 2);
    work->priority = taken(body, "priority", 0);
    work->deadline_ms = taken(body, "deadline_ms", 0);
    std::vector<server_tokens> inputs = take_prompts(llama, body.at("input"), "input", taken(body, "parse_special", false));
    for (size_t i = 0; i < inputs.size(); ++i) {
        require_ubatch(llama, inputs[i].size(), inputs.size() == 1 ? "input" : place("input", i));
        server_task task(SERVER_TASK_TYPE_EMBEDDING);
        task.id = llama.new_task_id();
        task.index = i;
        task.tokens = std::move(inputs[i]);
        task.params.res_type = TASK_RESPONSE_TYPE_OAI_EMBD;
        task.params.embd_normalize = normalize;
        work->tasks.push_back(std::move(task));
    }
    return work;
}

std::unique_ptr<request_work> rerank(engine_llama &llama, common_json body) {
    require_mode(llama, MULLAMA_ENGINE_MODE_RERANK, "rerank");
    check_fields(body, "", {&rerank_request_fields()});
    if (!body.contains("query")) refuse_field("query", "is missing");
    if (!body.contains("documents") || body.at("documents").empty()) refuse_field("documents", "must be a list of at least one text");
    std::vector<std::string> documents;
    for (size_t i = 0; i < body.at("documents").size(); ++i) {
        if (!body.at("documents").at(i).is_string()) refuse_field(place("documents", i), "must be a text");
        documents.push_back(body.at("documents").at(i).get<std::string>());
    }
    const std::string query = body.at("query").get<std::string>();
    const size_t top_n = body.contains("top_n") ? body.at("top_n").get<size_t>() : documents.size();
    auto work = std::make_unique<rerank_work>(model_name(llama, body), documents, top_n, taken(body, "return_documents", false));
    work->priority = taken(body, "priority", 0);
    work->deadline_ms = taken(body, "deadline_ms", 0);
    const char *pattern = llama_model_chat_template(llama.model(), "rerank");
    for (size_t i = 0; i < documents.size(); ++i) {
        server_task task(SERVER_TASK_TYPE_RERANK);
        task.id = llama.new_task_id();
        task.index = i;
        if (pattern) {
            text_shield shield(llama.special());
            std::string prompt = pattern;
            string_replace_all(prompt, "{query}", shield.cover(query));
            string_replace_all(prompt, "{document}", shield.cover(documents[i]));
            task.tokens = server_tokens(llama.special().tokenize(shield.uncover(prompt), false), llama.has_projector());
        } else {
            task.tokens = format_prompt_rerank(llama.model(), llama.vocab(), nullptr, query, documents[i], mtmd_helper_init_opt_default());
        }
        require_ubatch(llama, task.tokens.size(), place("documents", i) + " with the query");
        work->tasks.push_back(std::move(task));
    }
    return work;
}

// Tokens

std::unique_ptr<request_work> tokenize(engine_llama &llama, common_json body) {
    check_fields(body, "", {&tokenize_request_fields()});
    if (!body.contains("content")) refuse_field("content", "is missing");
    const bool with_pieces = taken(body, "with_pieces", false);
    common_json tokens = common_json::array();
    for (llama_token token : common_tokenize(llama.vocab(), body.at("content").get<std::string>(), taken(body, "add_special", false), taken(body, "parse_special", true))) {
        if (!with_pieces) {
            tokens.push_back(token);
            continue;
        }
        const std::string piece = common_token_to_piece(llama.vocab(), token);
        common_json shown = piece;
        if (valid_utf8_prefix(piece) != piece.size()) {
            shown = common_json::array();
            for (unsigned char byte : piece) shown.push_back(static_cast<int>(byte));
        }
        tokens.push_back(common_json::object({{"id", token}, {"piece", shown}}));
    }
    return answered(common_json::object({{"tokens", tokens}}));
}

std::unique_ptr<request_work> detokenize(engine_llama &llama, common_json body) {
    check_fields(body, "", {&detokenize_request_fields()});
    if (!body.contains("tokens")) refuse_field("tokens", "is missing");
    if (body.at("tokens").empty()) return answered(common_json::object({{"content", ""}}));
    if (!body.at("tokens").at(0).is_number_integer()) refuse_field("tokens", "must be a list of token ids");
    const std::vector<server_tokens> tokens = take_prompts(llama, body.at("tokens"), "tokens", false);
    return answered(common_json::object({{"content", mended_utf8(tokens_to_str(llama.vocab(), ids_of(tokens[0])))}}));
}

// The engine itself

std::unique_ptr<request_work> props(engine_llama &llama, common_json body) {
    check_fields(body, "", {});
    const server_context_meta &meta = llama.meta();
    task_params defaults;
    defaults.sampling = llama.params().sampling;
    common_json caps = common_json::object();
    for (const auto &[name, value] : meta.chat_template_caps) caps[name] = value;
    const char *names[] = {"generate", "embed", "rerank"};
    const char *const tools[] = {"template", "shown", "chatml", "none"};
    return answered(common_json::object({{"model", model_name(llama, body)},
                                         {"model_path", meta.model_path},
                                         {"model_ftype", meta.model_ftype},
                                         {"mode", names[llama.settings().options.mode]},
                                         {"n_ctx", llama.n_ctx()},
                                         {"n_ctx_train", meta.model_n_ctx_train},
                                         {"total_slots", llama.n_slots()},
                                         {"n_params", meta.model_n_params},
                                         {"size", meta.model_size},
                                         {"modalities", common_json::object({{"vision", meta.has_inp_image}, {"audio", meta.has_inp_audio}})},
                                         {"default_generation_settings", defaults.to_json(true)},
                                         {"chat_template", llama.has_template() ? common_json(common_chat_templates_source(llama.chat_params().tmpls.get(), "")) : common_json()},
                                         {"chat_template_caps", caps},
                                         {"tools", tools[static_cast<int>(llama.tools())]},
                                         {"bos_token", meta.bos_token_str},
                                         {"eos_token", meta.eos_token_str}}));
}

std::unique_ptr<request_work> ask(engine_llama &llama, server_task_type kind, std::function<common_json(server_task_result &)> answer) {
    auto work = std::make_unique<loop_work>(std::move(answer));
    server_task task(kind);
    task.id = llama.new_task_id();
    work->tasks.push_back(std::move(task));
    return work;
}

// An action on one slot. What is slow of it, reading and writing the file, is done by the caller's threads.
std::unique_ptr<request_work> slot_action(engine_llama &llama, const common_json &body) {
    require_mode(llama, MULLAMA_ENGINE_MODE_GENERATE, "slots with an action");
    const std::string action = body.contains("action") ? body.at("action").get<std::string>() : "";
    if (action != "save" && action != "restore" && action != "erase") refuse_field("action", "is \"" + action + "\"; it must be save, restore or erase");
    if (!body.contains("id_slot")) refuse_field("id_slot", "is missing");
    const int64_t id_slot = body.at("id_slot").get<int64_t>();
    if (id_slot >= llama.n_slots()) refuse_field("id_slot", "is " + std::to_string(id_slot) + "; the engine has slots 0 to " + std::to_string(llama.n_slots() - 1));
    if (body.contains("path") == (action == "erase")) refuse_field("path", action == "erase" ? "is nothing that erase needs; leave it out" : "is missing; give the file");
    const std::string path = body.contains("path") ? body.at("path").get<std::string>() : "";
    if (action != "erase" && path.empty()) refuse_field("path", "is empty; give the file");
    if (path.find('\0') != std::string::npos) refuse_field("path", "holds a zero byte");

    server_task task(action == "save" ? SERVER_TASK_TYPE_SLOT_SAVE : action == "restore" ? SERVER_TASK_TYPE_SLOT_RESTORE : SERVER_TASK_TYPE_SLOT_ERASE);
    size_t n_read = 0;
    if (action == "restore") {
        std::vector<uint8_t> bytes = read_file(path);
        llama.check_slot_state(bytes);
        n_read = bytes.size();
        task.cli_files.push_back(std::move(bytes));  // llama.cpp's own use of it is that of its command line
    }
    auto work = std::make_unique<loop_work>([action, path, n_read](server_task_result &result) {
        auto &done = static_cast<slot_action_result &>(result);
        if (done.error) throw failure(*done.error);
        common_json answer = common_json::object({{"id_slot", done.id_slot}});
        if (action == "save") {
            write_file(path, done.saved);
            answer["path"] = path;
            answer["n_saved"] = done.n_tokens;
            answer["n_written"] = done.saved.size();
        } else if (action == "restore") {
            answer["path"] = path;
            answer["n_restored"] = done.n_tokens;
            answer["n_read"] = n_read;
        } else {
            answer["n_erased"] = done.n_tokens;
        }
        return answer;
    });
    task.id = llama.new_task_id();
    task.slot_action.id_slot = static_cast<int>(id_slot);
    work->tasks.push_back(std::move(task));
    return work;
}

std::unique_ptr<request_work> slots(engine_llama &llama, common_json body) {
    static const field_rules fields = {{"action", field_type::text, 0, 64}, {"id_slot", field_type::integer, 0, 255}, {"path", field_type::text, 0, 65536}};
    check_fields(body, "", {&fields});
    if (!body.empty()) return slot_action(llama, body);
    return ask(llama, SERVER_TASK_TYPE_SLOT_GET, [](server_task_result &result) { return static_cast<server_task_result_slots &>(result).slots_data; });
}

std::unique_ptr<request_work> metrics(engine_llama &llama, common_json body) {
    check_fields(body, "", {});
    return ask(llama, SERVER_TASK_TYPE_METRICS, [](server_task_result &result) {
        const auto &made = static_cast<server_task_result_metrics &>(result);
        const server_metrics &metrics = made.metrics;
        return common_json::object({{"prompt_tokens_total", metrics.prompt.count},
                                    {"prompt_tokens_cached_total", metrics.n_prompt_cached},
                                    {"prompt_seconds_total", metrics.prompt.time / 1e6},
                                    {"tokens_predicted_total", metrics.predict.count},
                                    {"tokens_predicted_seconds_total", metrics.predict.time / 1e6},
                                    {"n_decode_total", metrics.n_decode},
                                    {"n_tokens_max", metrics.n_tokens_max},
                                    {"n_busy_slots_per_decode", metrics.n_decode ? static_cast<double>(metrics.n_busy_slots) / static_cast<double>(metrics.n_decode) : 0.0},
                                    {"draft_tokens_total", metrics.n_draft_tokens},
                                    {"draft_tokens_accepted_total", metrics.n_draft_accepted},
                                    {"slots_processing", made.n_processing_slots}});
    });
}

// An empty object asks for the adapters, a list of {id, scale} sets the scales of those that requests do not set.
std::unique_ptr<request_work> lora_adapters(engine_llama &llama, common_json body) {
    if (body.is_array()) {
        check_lora(llama, body, "body");
        auto work = ask(llama, SERVER_TASK_TYPE_SET_LORA, [](server_task_result &) { return common_json::object({{"success", true}}); });
        work->tasks[0].set_lora = parse_lora_request(body);
        return work;
    }
    check_fields(body, "", {});
    return ask(llama, SERVER_TASK_TYPE_GET_LORA, [](server_task_result &result) { return result.to_json(); });
}

}  // namespace

std::unique_ptr<request_work> prepare_request(engine_llama &llama, const std::string &route, std::string_view body) {
    common_json parsed = body.empty() ? common_json::object() : parse_json(body, "the body");
    if (parsed.is_null()) parsed = common_json::object();
    if (route == "chat/completions") return chat(llama, {std::move(parsed), {}}, TASK_RESPONSE_TYPE_OAI_CHAT);
    if (route == "completions") return completions(llama, std::move(parsed));
    if (route == "responses") return chat(llama, chat_of_response(std::move(parsed)), TASK_RESPONSE_TYPE_OAI_RESP);
    if (route == "messages") return chat(llama, chat_of_messages(std::move(parsed)), TASK_RESPONSE_TYPE_ANTHROPIC);
    if (route == "messages/count_tokens") return answered(common_json::object({{"input_tokens", count_tokens(llama, chat_of_messages(std::move(parsed)))}}));
    if (route == "infill") return infill(llama, std::move(parsed));
    if (route == "embeddings") return embeddings(llama, std::move(parsed));
    if (route == "rerank") return rerank(llama, std::move(parsed));
    if (route == "tokenize") return tokenize(llama, std::move(parsed));
    if (route == "detokenize") return detokenize(llama, std::move(parsed));
    if (route == "apply-template") return apply_template(llama, std::move(parsed));
    if (route == "props") return props(llama, std::move(parsed));
    if (route == "slots") return slots(llama, std::move(parsed));
    if (route == "metrics") return metrics(llama, std::move(parsed));
    if (route == "lora-adapters") return lora_adapters(llama, std::move(parsed));
    throw failure(MULLAMA_E_INVALID_ARGUMENT, "there is no route \"" + shortened(route, 100) + "\"; the routes are chat/completions, completions, responses, messages, messages/count_tokens, "
                                              "infill, embeddings, rerank, tokenize, detokenize, apply-template, props, slots, metrics and lora-adapters");
}

}  // namespace mullama
