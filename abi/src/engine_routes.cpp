// Each route: its fields are checked one by one, then llama.cpp's own parsing makes a task of them. Nothing reaches it that
// it would drop, clamp or not survive.
#include "engine_routes.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "chat_constraints.h"
#include "engine_answers.h"
#include "engine_fields.h"
#include "failure.h"
#include "files.h"
#include "generated/request_fields.h"
#include "grammar.h"
#include "guard.h"
#include "json_text.h"
#include "sampling.h"
#include "server-chat.h"
#include "server-common.h"
#include "server-schema.h"
#include "template_limits.h"
#include "text.h"

namespace mullama {

namespace {

using type = field_type;

constexpr size_t most_stops = 64;
constexpr size_t longest_stop = 4096;
constexpr size_t most_inputs = 4096;

// Runs llama.cpp's code and blames what it throws on the caller's data.
template <class Body>
auto blame(int32_t code, const std::string &what, Body &&body) {
    try {
        return body();
    } catch (const failure &) {
        throw;
    } catch (const backend_abort &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &e) {
        throw failure(code, what + ": " + mended_utf8(e.what()));
    }
}

std::string place(const std::string &name, size_t index) { return name + "[" + std::to_string(index) + "]"; }

template <class T>
T taken(common_json &body, const char *name, T otherwise) {
    if (!body.contains(name)) return otherwise;
    const T value = body.at(name).get<T>();
    body.erase(name);
    return value;
}

std::string model_name(const engine_llama &llama, const common_json &body) {
    if (body.contains("model")) return body.at("model").get<std::string>();
    const std::string &path = llama.settings().load.path;
    const size_t start = path.find_last_of("/\\") + 1;
    const size_t end = path.size() > 5 && path.compare(path.size() - 5, 5, ".gguf") == 0 ? path.size() - 5 : path.size();
    return path.substr(start, end - start);
}

void require_mode(const engine_llama &llama, int32_t mode, const std::string &route) {
    if (llama.settings().options.mode == mode) return;
    static const char *const names[] = {"generate", "embed", "rerank"};
    throw failure(MULLAMA_E_UNSUPPORTED, "the route " + route + " needs an engine with mode " + names[mode] + "; this one was opened with mode " + names[llama.settings().options.mode]);
}

void require_fit(const engine_llama &llama, size_t n_tokens) {
    const size_t n_ctx = llama.n_ctx();
    if (n_tokens < n_ctx) return;
    throw failure(MULLAMA_E_CONTEXT_FULL, "the prompt has " + std::to_string(n_tokens) + " tokens, but a request can have " + std::to_string(n_ctx) +
                                              ", one for the answer at least; shorten the prompt, or open the engine with a larger n_ctx");
}

// What is to happen to a prompt that does not fit.
struct truncation {
    std::string strategy;  // empty: it is refused
    size_t most = 0;       // tokens of the prompt
    common_json removed = common_json::array();
};

truncation take_truncation(const engine_llama &llama, common_json &body, bool has_messages) {
    truncation asked;
    common_json field = taken(body, "truncation", common_json("disabled"));
    if (field.is_string()) field = common_json::object({{"strategy", field}});
    static const field_rules rules = {{"strategy", type::text, 0, 64}, {"reserve", type::integer, 1, 2147483647}};
    check_fields(field, "truncation", {&rules});
    if (!field.contains("strategy")) refuse_field("truncation.strategy", "is missing");
    asked.strategy = field.at("strategy").get<std::string>();
    if (asked.strategy == "disabled") asked.strategy.clear();
    if (asked.strategy == "oldest_messages" && !has_messages) refuse_field("truncation", "is oldest_messages, but this route has no messages; it must be start, middle or disabled");
    if (!asked.strategy.empty() && asked.strategy != "start" && asked.strategy != "middle" && asked.strategy != "oldest_messages") {
        refuse_field("truncation", "is \"" + asked.strategy + "\"; it must be start, middle, " + (has_messages ? "oldest_messages " : "") + "or disabled");
    }
    const int64_t n_ctx = llama.n_ctx();
    int64_t reserve = n_ctx / 4;
    for (const char *name : {"n_predict", "max_completion_tokens", "max_tokens"}) {
        if (body.contains(name) && body.at(name).get<int64_t>() > 0) reserve = body.at(name).get<int64_t>();
    }
    if (field.contains("reserve")) reserve = field.at("reserve").get<int64_t>();
    asked.most = n_ctx - std::min(reserve, n_ctx / 2);
    return asked;
}

// Cuts tokens out of a prompt, with whole characters on both sides of the gap. A BOS token in front stays.
std::vector<llama_token> cut_tokens(const engine_llama &llama, const std::vector<llama_token> &tokens, truncation &asked) {
    if (asked.strategy.empty() || tokens.size() <= asked.most) {
        if (!asked.strategy.empty()) asked.removed.push_back(0);
        return tokens;
    }
    const auto goes_on = [&](llama_token token) {
        const std::string piece = common_token_to_piece(llama.vocab(), token);
        return !piece.empty() && (static_cast<unsigned char>(piece[0]) & 0xC0) == 0x80;
    };
    size_t head = asked.strategy == "middle" ? asked.most / 2 : tokens[0] == llama_vocab_bos(llama.vocab()) ? 1 : 0;
    size_t tail = tokens.size() - (asked.most - head);
    while (head > 1 && goes_on(tokens[head])) --head;
    while (tail + 1 < tokens.size() && goes_on(tokens[tail])) ++tail;
    std::vector<llama_token> kept(tokens.begin(), tokens.begin() + head);
    kept.insert(kept.end(), tokens.begin() + tail, tokens.end());
    asked.removed.push_back(tail - head);
    return kept;
}

// What was cut, for the answer.
common_json told(const truncation &asked) {
    int64_t total = 0;
    for (const common_json &removed : asked.removed) total += removed.get<int64_t>();
    common_json note = common_json::object({{"strategy", asked.strategy}, {"tokens_removed", total}});
    if (asked.removed.size() > 1) note["tokens_removed_each"] = asked.removed;
    return note;
}

// Constraints of the answer, in one of the many forms of the APIs, become the fields json_schema or grammar.

std::string grammar_of_choices(const common_json &choices) {
    if (!choices.is_array() || choices.empty()) refuse_field("response_format.choices", "must be a list of at least one text");
    std::string grammar = "root ::= ";
    for (size_t i = 0; i < choices.size(); ++i) {
        if (!choices.at(i).is_string() || choices.at(i).get<std::string>().empty()) refuse_field(place("response_format.choices", i), "must be a text that is not empty");
        grammar += i ? " | \"" : "\"";
        for (char c : choices.at(i).get<std::string>()) {
            if (c == '"' || c == '\\') grammar += '\\';
            if (c == '\n') grammar += "\\n";
            else if (c == '\r') grammar += "\\r";
            else grammar += c;
        }
        grammar += '"';
    }
    return grammar;
}

// A schema that is not strict may ask for more than a grammar can enforce, as those of tools often do.
common_json checked_schema(const common_json &schema, const std::string &name, bool strict = true) {
    if (!schema.is_object() && !schema.is_boolean()) refuse_field(name, "must be a JSON schema, an object");
    if (strict) require_enforceable(schema);
    grammar_of_schema(schema.dump_safe());
    return schema.is_object() ? schema : common_json::object();
}

void take_response_format(common_json &body) {
    if (body.contains("json_schema")) body["json_schema"] = checked_schema(body.at("json_schema"), "json_schema");
    if (body.contains("json_schema") && body.contains("grammar")) refuse_field("grammar", "and json_schema exclude each other; give one");
    if (!body.contains("response_format")) return;
    if (body.contains("json_schema") || body.contains("grammar")) refuse_field("response_format", "excludes json_schema and grammar; give one");
    common_json format = body.at("response_format");
    body.erase("response_format");
    static const field_rules rules = {{"type", type::text},          {"json_schema", type::object}, {"schema", type::any},
                                      {"grammar", type::text, 0, 4 << 20}, {"regex", type::text, 0, 4096}, {"choices", type::array, 0, 1000}};
    check_fields(format, "response_format", {&rules});
    const std::string kind = format.contains("type") ? format.at("type").get<std::string>() : "";
    const auto require = [&](const char *name) -> const common_json & {
        if (!format.contains(name)) refuse_field(std::string("response_format.") + name, "is missing");
        return format.at(name);
    };
    if (kind == "json_object") {
        body["json_schema"] = checked_schema(format.contains("schema") ? format.at("schema") : common_json::object(), "response_format.schema");
    } else if (kind == "json_schema") {
        common_json wrapper = require("json_schema");
        static const field_rules wrapped = {{"name", type::text, 0, 256}, {"description", type::text}, {"strict", type::boolean}, {"schema", type::any}};
        check_fields(wrapper, "response_format.json_schema", {&wrapped});
        if (!wrapper.contains("schema")) refuse_field("response_format.json_schema.schema", "is missing");
        body["json_schema"] = checked_schema(wrapper.at("schema"), "response_format.json_schema.schema", !wrapper.contains("strict") || wrapper.at("strict").get<bool>());
    } else if (kind == "grammar") {
        body["grammar"] = require("grammar");
    } else if (kind == "regex") {
        body["grammar"] = grammar_of_regex(require("regex").get<std::string>());
    } else if (kind == "choice") {
        body["grammar"] = grammar_of_choices(require("choices"));
    } else if (kind != "text") {
        refuse_field("response_format.type", "is \"" + kind + "\"; it must be text, json_object, json_schema, grammar, regex or choice");
    }
}

void check_stops(common_json &body) {
    if (!body.contains("stop")) return;
    common_json stops = body.at("stop").is_string() ? common_json::array({body.at("stop")}) : body.at("stop");
    if (stops.size() > most_stops) refuse_field("stop", "has " + std::to_string(stops.size()) + " texts; at most " + std::to_string(most_stops) + " are taken");
    for (size_t i = 0; i < stops.size(); ++i) {
        const common_json &stop = stops.at(i);
        if (!stop.is_string() || stop.get<std::string>().empty()) refuse_field(place("stop", i), "must be a text that is not empty");
        if (stop.get<std::string>().size() > longest_stop) refuse_field(place("stop", i), "has " + std::to_string(stop.get<std::string>().size()) + " bytes; at most " + std::to_string(longest_stop) + " are taken");
    }
    body["stop"] = stops;
}

void check_logit_bias(const engine_llama &llama, const common_json &body) {
    if (!body.contains("logit_bias")) return;
    const common_json &biases = body.at("logit_bias");
    const int32_t n_vocab = llama_vocab_n_tokens(llama.vocab());
    const auto check_value = [](const common_json &value, const std::string &name) {
        const bool bans = value.is_boolean() && !value.get<bool>();
        if (!bans && !(value.is_number() && std::fabs(value.get<double>()) <= 1e6)) refuse_field(name, "must be a number from -1000000 to 1000000, or false");
    };
    const auto check_token = [&](int64_t token, const std::string &name) {
        if (token < 0 || token >= n_vocab) refuse_field(name, "names token " + std::to_string(token) + "; the vocabulary has tokens 0 to " + std::to_string(n_vocab - 1));
    };
    if (!biases.is_object() && !biases.is_array()) refuse_field("logit_bias", "must be an object, or a list of [token, bias]");
    if (biases.size() > static_cast<size_t>(n_vocab)) refuse_field("logit_bias", "has more entries than the vocabulary has tokens");
    if (biases.is_object()) {
        for (const auto &[key, value] : biases.items()) {
            const bool numeric = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
            if (numeric) check_token(std::stoll(key), "logit_bias." + key);
            if (!numeric) refuse_field("logit_bias", "names \"" + mended_utf8(key.substr(0, 40)) + "\"; its names must be token ids");
            check_value(value, "logit_bias." + key);
        }
        return;
    }
    for (size_t i = 0; i < biases.size(); ++i) {
        const common_json &pair = biases.at(i);
        if (!pair.is_array() || pair.size() != 2) refuse_field(place("logit_bias", i), "must be [token, bias]");
        if (pair.at(0).is_number_integer()) {
            check_token(pair.at(0).get<int64_t>(), place("logit_bias", i));
        } else if (!pair.at(0).is_string()) {
            refuse_field(place("logit_bias", i), "must name a token by its id or text");
        }
        check_value(pair.at(1), place("logit_bias", i));
    }
}

void check_lora(const engine_llama &llama, common_json &list, const std::string &name) {
    const size_t count = llama.settings().lora.size();
    for (size_t i = 0; i < list.size(); ++i) {
        static const field_rules rules = {{"id", type::integer, 0, 1e6}, {"scale", type::number, -1000, 1000}};
        check_fields(list.at(i), place(name, i), {&rules});
        if (!list.at(i).contains("id") || !list.at(i).contains("scale")) refuse_field(place(name, i), "needs id and scale");
        const int64_t id = list.at(i).at("id").get<int64_t>();
        if (id >= static_cast<int64_t>(count)) {
            refuse_field(place(name, i) + ".id", "is " + std::to_string(id) + "; the engine was opened with " + std::to_string(count) + " adapters");
        }
    }
}

void check_speculative(const engine_llama &llama, common_json &body) {
    if (!body.contains("speculative")) return;
    if (!llama.drafts()) refuse_field("speculative", "needs a model that guesses; open the engine with a draft_model that it can use");
    const double most = llama.settings().options.draft_max;
    const field_rules rules = {{"n_max", type::integer, 0, most}, {"n_min", type::integer, 0, most}, {"p_min", type::any}};
    common_json &asked = body.at("speculative");
    check_fields(asked, "speculative", {&rules});
    if (asked.contains("p_min")) refuse_field("speculative.p_min", "is the same for all requests of an engine; set engine_options.draft_p_min");
}

void check_texts(const common_json &body, const char *name, size_t longest) {
    if (!body.contains(name)) return;
    for (size_t i = 0; i < body.at(name).size(); ++i) {
        const common_json &text = body.at(name).at(i);
        if (!text.is_string() || text.get<std::string>().empty() || text.get<std::string>().size() > longest) refuse_field(place(name, i), "must be a text of 1 to " + std::to_string(longest) + " bytes");
    }
}

void check_samplers(const common_json &body) {
    check_texts(body, "samplers", 32);
    if (!body.contains("samplers")) return;
    for (const common_json &name : body.at("samplers")) {
        if (common_sampler_types_from_names({name.get<std::string>()}).empty()) refuse_field("samplers", "names \"" + name.get<std::string>() + "\", which does not exist");
    }
}

// All that generation routes share, on a body whose fields have the right types.
void check_generation(engine_llama &llama, common_json &body) {
    for (const char *name : {"max_tokens", "max_completion_tokens", "n_predict"}) {
        if (body.contains(name) && body.at(name).get<int64_t>() == 0) refuse_field(name, "is 0; leave it out for no limit, or ask for 1 token at least");
    }
    if (body.contains("n") && body.at("n").get<int64_t>() > llama.n_slots()) {
        refuse_field("n", "is " + std::to_string(body.at("n").get<int64_t>()) + ", but the engine has " + std::to_string(llama.n_slots()) + " slots; ask for fewer, or open it with more");
    }
    if (body.contains("id_slot") && body.at("id_slot").get<int64_t>() >= llama.n_slots()) {
        refuse_field("id_slot", "is " + std::to_string(body.at("id_slot").get<int64_t>()) + "; the engine has slots 0 to " + std::to_string(llama.n_slots() - 1));
    }
    if (body.contains("stream_options")) {
        static const field_rules rules = {{"include_usage", type::boolean}, {"include_obfuscation", type::boolean}, {"include_answer", type::boolean}};
        check_fields(body.at("stream_options"), "stream_options", {&rules});
    }
    take_response_format(body);
    check_stops(body);
    check_logit_bias(llama, body);
    check_samplers(body);
    check_texts(body, "dry_sequence_breakers", 128);
    if (body.contains("lora")) check_lora(llama, body.at("lora"), "lora");
    check_speculative(llama, body);
}

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

// Chats

void check_labels(common_json &body) {
    if (body.contains("store") && body.at("store").get<bool>()) refuse_field("store", "is true, but nothing is stored here; leave it out");
    if (body.contains("service_tier") && body.at("service_tier") != "auto" && body.at("service_tier") != "default") refuse_field("service_tier", "must be auto or default");
    if (body.contains("modalities")) {
        for (const common_json &modality : body.at("modalities")) {
            if (modality != "text") refuse_field("modalities", "may only hold text");
        }
    }
    for (const char *label : {"store", "service_tier", "modalities", "metadata", "safety_identifier", "prompt_cache_key", "user"}) body.erase(label);
}

void check_message(const server_chat_params &chat, common_json &message, const std::string &name) {
    static const field_rules rules = {{"role", type::text, 0, 64},          {"content", type::text_or_array},   {"name", type::text, 0, 256},        {"tool_calls", type::array, 0, 1024},
                                      {"tool_call_id", type::text, 0, 1024}, {"reasoning_content", type::text}, {"refusal", type::text}, {"annotations", type::array, 0, 0}, {"audio", type::object}, {"function_call", type::object}};
    const bool null_content = message.is_object() && message.contains("content") && message.at("content").is_null();
    check_fields(message, name, {&rules});
    if (!message.contains("role")) refuse_field(name + ".role", "is missing");
    for (const char *unsupported : {"audio", "function_call", "refusal"}) {
        if (message.contains(unsupported)) refuse_field(name + "." + unsupported, "is not supported; remove it");
    }
    if (message.contains("annotations") && !message.at("annotations").empty()) refuse_field(name + ".annotations", "is not supported; remove it");
    message.erase("annotations");
    if (null_content) message["content"] = nullptr;
    if (!message.contains("content") && !message.contains("tool_calls")) refuse_field(name + ".content", "is missing");
    if (message.contains("content") && message.at("content").is_array()) {
        for (size_t i = 0; i < message.at("content").size(); ++i) {
            common_json &part = message.at("content").at(i);
            const std::string at = place(name + ".content", i);
            static const field_rules parts = {{"type", type::text, 0, 64}, {"text", type::text}, {"image_url", type::object_or_text}, {"input_audio", type::object}, {"cache_control", type::object}, {"detail", type::text}};
            check_fields(part, at, {&parts});
            if (!part.contains("type")) refuse_field(at + ".type", "is missing");
            const std::string kind = part.at("type").get<std::string>();
            if (kind == "image_url" && !chat.allow_image) throw failure(MULLAMA_E_UNSUPPORTED, at + " is an image; open the engine with a projector that sees images");
            if (kind == "input_audio" && !chat.allow_audio) throw failure(MULLAMA_E_UNSUPPORTED, at + " is sound; open the engine with a projector that hears");
            if (kind == "text" && !part.contains("text")) refuse_field(at + ".text", "is missing");
            if (kind != "text" && kind != "image_url" && kind != "input_audio") refuse_field(at + ".type", "is \"" + kind + "\"; it must be text, image_url or input_audio");
        }
    }
    if (!message.contains("tool_calls")) return;
    for (size_t i = 0; i < message.at("tool_calls").size(); ++i) {
        common_json &call = message.at("tool_calls").at(i);
        const std::string at = place(name + ".tool_calls", i);
        static const field_rules calls = {{"id", type::text, 0, 1024}, {"type", type::text, 0, 64}, {"function", type::object}, {"index", type::integer, 0, 1e6}};
        check_fields(call, at, {&calls});
        call.erase("index");
        if (!call.contains("type")) call["type"] = "function";
        if (!call.contains("function")) refuse_field(at + ".function", "is missing");
        static const field_rules functions = {{"name", type::text, 0, 256}, {"arguments", type::any}};
        check_fields(call.at("function"), at + ".function", {&functions});
        for (const char *needed : {"name", "arguments"}) {
            if (!call.at("function").contains(needed)) refuse_field(at + ".function." + needed, "is missing");
        }
    }
}

void check_tools(common_json &body) {
    if (!body.contains("tools")) return;
    for (size_t i = 0; i < body.at("tools").size(); ++i) {
        common_json &tool = body.at("tools").at(i);
        const std::string at = place("tools", i);
        static const field_rules rules = {{"type", type::text, 0, 64}, {"function", type::object}};
        check_fields(tool, at, {&rules});
        if (!tool.contains("type") || tool.at("type") != "function" || !tool.contains("function")) refuse_field(at, "must be {\"type\": \"function\", \"function\": {...}}");
        static const field_rules functions = {{"name", type::text, 0, 256}, {"description", type::text, 0, 1 << 20}, {"parameters", type::object}, {"strict", type::boolean}};
        common_json &function = tool.at("function");
        check_fields(function, at + ".function", {&functions});
        if (!function.contains("name") || function.at("name").get<std::string>().empty()) refuse_field(at + ".function.name", "is missing");
        if (function.contains("parameters")) {
            checked_schema(function.at("parameters"), at + ".function.parameters", false);
        } else {
            function["parameters"] = common_json::object({{"type", "object"}, {"properties", common_json::object()}});
        }
        if (!function.contains("description")) function["description"] = "";
    }
}

// {"type": "function", "function": {"name": X}}: only that tool is offered, and must be called.
void take_tool_choice(common_json &body) {
    if (!body.contains("tool_choice")) return;
    common_json &choice = body.at("tool_choice");
    if (choice.is_string()) {
        if (choice != "auto" && choice != "none" && choice != "required") refuse_field("tool_choice", "is " + choice.dump_safe() + "; it must be auto, none, required or a function");
        if (choice == "required" && (!body.contains("tools") || body.at("tools").empty())) refuse_field("tool_choice", "is required, but there are no tools");
        return;
    }
    static const field_rules rules = {{"type", type::text, 0, 64}, {"function", type::object}};
    check_fields(choice, "tool_choice", {&rules});
    if (!choice.contains("type") || choice.at("type") != "function" || !choice.contains("function") || !choice.at("function").contains("name")) refuse_field("tool_choice", "must be {\"type\": \"function\", \"function\": {\"name\": ...}}");
    const std::string name = choice.at("function").at("name").dump_safe();
    common_json kept = common_json::array();
    if (body.contains("tools")) {
        for (const common_json &tool : body.at("tools")) {
            if (tool.at("function").at("name").dump_safe() == name) kept.push_back(tool);
        }
    }
    if (kept.empty()) refuse_field("tool_choice.function.name", "is " + name + ", which is none of the tools");
    body["tools"] = kept;
    body["tool_choice"] = "required";
}

struct chat_request {
    common_json data;  // as llama.cpp's parameters
    shielded_text prompt;
    std::vector<raw_buffer> files;
};

// A checked body to a prompt and parameters.
chat_request write_chat(engine_llama &llama, common_json &body) {
    if (!llama.has_template()) throw failure(MULLAMA_E_NO_TEMPLATE, "the model has no chat template; open the engine with one as engine_options.chat_template, or use the route completions");
    if (!body.contains("messages") || body.at("messages").empty()) refuse_field("messages", "must be a list of at least one message");
    for (size_t i = 0; i < body.at("messages").size(); ++i) check_message(llama.chat_params(), body.at("messages").at(i), place("messages", i));
    check_tools(body);
    take_tool_choice(body);
    if (body.contains("grammar") && body.contains("tools") && !body.at("tools").empty()) refuse_field("grammar", "cannot be combined with tools; use one of them");
    if (body.contains("reasoning_format")) {
        const std::string format = body.at("reasoning_format").get<std::string>();
        if (format != "none" && format != "auto" && format != "deepseek") refuse_field("reasoning_format", "is \"" + format + "\"; it must be none, auto or deepseek");
    }
    if (body.contains("top_logprobs") && !(body.contains("logprobs") && body.at("logprobs").get<bool>())) refuse_field("top_logprobs", "needs logprobs to be true");

    const bool has_tools = body.contains("tools") && !body.at("tools").empty();
    const bool may_call = has_tools && !(body.contains("tool_choice") && body.at("tool_choice") == "none");
    const bool must_call = may_call && body.contains("tool_choice") && body.at("tool_choice") == "required";
    if (may_call) require_tools(llama.tools(), must_call);
    const server_chat_params &chat = may_call ? llama.tool_chat_params() : llama.chat_params();
    text_shield shield(llama.special());
    cover_messages(shield, body.at("messages"));
    if (body.contains("tools")) cover_tools(shield, body.at("tools"));
    const template_budget budget;
    chat_request request;
    const auto parameters_of = [&](common_json chosen) {
        return blame(MULLAMA_E_TEMPLATE_FAILED, "the messages cannot be written with the chat template", [&] {
            try {
                return oaicompat_chat_params_parse(chosen, chat, request.files);
            } catch (const std::invalid_argument &e) {
                // What is left to be wrong with the fields; a template that fails has its own words.
                if (std::string(e.what()).rfind("Unable to generate parser", 0) == 0) throw;
                throw failure(MULLAMA_E_INVALID_ARGUMENT, mended_utf8(e.what()));
            }
        });
    };
    common_json schema = may_call && body.contains("json_schema") ? body.at("json_schema") : common_json();
    if (may_call) body.erase("json_schema");  // llama.cpp would forget the tools
    const bool single = may_call && body.contains("parallel_tool_calls") && !body.at("parallel_tool_calls").get<bool>();
    const auto grammar_of = [&](const common_json &data) {
        std::string grammar = data.at("grammar").get<std::string>();
        return single ? with_one_call(std::move(grammar)) : grammar;
    };
    const auto required = [&] {
        common_json forced = body;
        forced["tool_choice"] = "required";
        return without_talk(grammar_of(parameters_of(forced)));
    };
    request.data = parameters_of(body);
    if (single && request.data.contains("grammar")) request.data["grammar"] = grammar_of(request.data);
    if (must_call) {
        request.data["grammar"] = required();
    } else if (!schema.is_null()) {
        common_json answer = body;
        answer.erase("tools");
        answer.erase("tool_choice");
        answer["json_schema"] = schema;
        request.data["grammar"] = either(required(), parameters_of(answer).at("grammar").get<std::string>());
        request.data["grammar_type"] = "tool_calls";
        request.data["grammar_lazy"] = false;
        request.data["grammar_triggers"] = common_json::array();
    }
    request.prompt = shield.uncover(request.data.at("prompt").get<std::string>());
    return request;
}

struct fitted_chat {
    chat_request request;
    std::vector<llama_token> tokens;
    common_json cut;  // what was cut, where that was asked for
};

// Where the oldest turns can be left out: before each message of a user but the first. What a system said at the
// beginning stays, and so does the last turn.
std::vector<size_t> ends_of_turns(const common_json &messages, size_t &n_system) {
    const auto role = [&](size_t i) { return messages.at(i).is_object() && messages.at(i).contains("role") && messages.at(i).at("role").is_string() ? messages.at(i).at("role").get<std::string>() : ""; };
    n_system = 0;
    while (n_system < messages.size() && (role(n_system) == "system" || role(n_system) == "developer")) ++n_system;
    std::vector<size_t> ends;
    for (size_t i = n_system + 1; i < messages.size(); ++i) {
        if (role(i) == "user") ends.push_back(i);
    }
    return ends;
}

// Writes a chat so that it fits, or refuses it.
fitted_chat fit_chat(engine_llama &llama, common_json body) {
    truncation asked = take_truncation(llama, body, true);
    size_t n_system = 0;
    const common_json messages = body.contains("messages") ? body.at("messages") : common_json::array();
    const std::vector<size_t> ends = ends_of_turns(messages, n_system);
    // With the first `n_turns` turns left out.
    const auto write = [&](size_t n_turns) {
        common_json kept = body;
        if (n_turns) {
            kept["messages"] = common_json::array();
            for (size_t i = 0; i < messages.size(); ++i) {
                if (i < n_system || i >= ends[n_turns - 1]) kept["messages"].push_back(messages.at(i));
            }
        }
        fitted_chat written;
        written.request = write_chat(llama, kept);
        written.tokens = llama.special().tokenize(written.request.prompt, true);
        return written;
    };
    fitted_chat fitted = write(0);
    if (asked.strategy != "oldest_messages") {
        fitted.tokens = cut_tokens(llama, fitted.tokens, asked);
        if (!asked.strategy.empty()) fitted.cut = told(asked);
        return fitted;
    }
    const size_t n_whole = fitted.tokens.size();
    size_t n_left_out = 0;
    if (n_whole > asked.most && !ends.empty()) {
        size_t too_few = 0, enough = ends.size();
        fitted = write(enough);
        while (enough - too_few > 1) {
            const size_t middle = too_few + (enough - too_few) / 2;
            fitted_chat tried = write(middle);
            if (tried.tokens.size() <= asked.most) {
                fitted = std::move(tried);
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        n_left_out = ends[enough - 1] - n_system;
    }
    if (fitted.tokens.size() > asked.most) {
        throw failure(MULLAMA_E_CONTEXT_FULL, "the last turn has " + std::to_string(fitted.tokens.size()) + " tokens with what the system says, but a prompt can have " + std::to_string(asked.most) +
                                                  " of the " + std::to_string(llama.n_ctx()) + " tokens of a request, the rest is kept for the answer; shorten the message, or lower max_tokens or truncation.reserve");
    }
    asked.removed.push_back(n_whole - fitted.tokens.size());
    fitted.cut = told(asked);
    fitted.cut["messages_removed"] = n_left_out;
    return fitted;
}

std::unique_ptr<request_work> chat(engine_llama &llama, common_json body, task_response_type format) {
    require_mode(llama, MULLAMA_ENGINE_MODE_GENERATE, "chat/completions");
    check_fields(body, "", {&chat_request_fields()});
    const std::string model = model_name(llama, body);
    check_labels(body);
    check_generation(llama, body);
    const size_t top_logprobs = body.contains("top_logprobs") ? body.at("top_logprobs").get<size_t>() : 0;
    if (body.contains("logprobs") && body.at("logprobs").get<bool>()) body["top_logprobs"] = std::max<size_t>(1, top_logprobs);
    std::vector<std::string> stops;
    if (body.contains("stop")) stops = body.at("stop").get<std::vector<std::string>>();
    fitted_chat fitted = fit_chat(llama, body);
    if (!fitted.request.files.empty()) throw failure(MULLAMA_E_UNSUPPORTED, "images and sound are not taken by the engine yet");
    std::vector<server_tokens> prompts;
    prompts.emplace_back(fitted.tokens, llama.has_projector());
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
    const chat_request request = write_chat(llama, body);
    // The tokens tell what the text cannot: which of its special texts are tokens, and which were typed.
    return answered(common_json::object({{"prompt", request.prompt.text}, {"tokens", llama.special().tokenize(request.prompt, true)}}));
}

size_t count_tokens(engine_llama &llama, common_json body) {
    check_fields(body, "", {&chat_request_fields()});
    check_labels(body);
    check_generation(llama, body);
    if (body.contains("truncation")) refuse_field("truncation", "is not a field of this route");
    return llama.special().tokenize(write_chat(llama, body).prompt, true).size();
}

// OpenAI's Responses API

common_json chat_of_response(common_json body) {
    check_fields(body, "", {&response_request_fields()});
    if (!body.contains("input")) refuse_field("input", "is missing");
    if (body.contains("previous_response_id")) refuse_field("previous_response_id", "is not supported, nothing is stored here; send the whole conversation as input");
    if (body.contains("background") && body.at("background").get<bool>()) refuse_field("background", "is not supported; read the stream when you like");
    if (body.contains("truncation") && body.at("truncation") == "auto") body["truncation"] = "oldest_messages";
    if (body.contains("include") && !body.at("include").empty()) refuse_field("include", "is not supported; leave it out");
    for (const char *name : {"n", "logprobs", "top_logprobs"}) {
        if (body.contains(name)) refuse_field(name, "is not a field of this route");
    }
    if (body.contains("tools")) {
        for (size_t i = 0; i < body.at("tools").size(); ++i) {
            common_json &tool = body.at("tools").at(i);
            static const field_rules rules = {{"type", type::text, 0, 64}, {"name", type::text, 0, 256}, {"description", type::text, 0, 1 << 20}, {"parameters", type::object}, {"strict", type::boolean}};
            check_fields(tool, place("tools", i), {&rules});
            if (!tool.contains("type") || tool.at("type") != "function") refuse_field(place("tools", i) + ".type", "must be function");
        }
    }
    if (body.contains("tool_choice") && body.at("tool_choice").is_object() && body.at("tool_choice").contains("name")) {
        body["tool_choice"] = common_json::object({{"type", "function"}, {"function", common_json::object({{"name", body.at("tool_choice").at("name")}})}});
    }
    if (body.contains("text")) {
        common_json text = body.at("text");
        body.erase("text");
        static const field_rules rules = {{"format", type::object}};
        check_fields(text, "text", {&rules});
        if (text.contains("format")) {
            common_json format = text.at("format");
            if (format.contains("type") && format.at("type") == "json_schema") {
                common_json wrapper = format;
                wrapper.erase("type");
                format = common_json::object({{"type", "json_schema"}, {"json_schema", wrapper}});
            }
            body["response_format"] = format;
        }
    }
    if (body.contains("reasoning")) {
        static const field_rules rules = {{"effort", type::text, 0, 64}, {"summary", type::text, 0, 64}};
        check_fields(body.at("reasoning"), "reasoning", {&rules});
        if (body.at("reasoning").contains("summary")) refuse_field("reasoning.summary", "is not supported; leave it out");
    }
    for (const char *name : {"background", "include"}) body.erase(name);
    if (body.at("input").is_array()) {  // an answer that is sent back has an id; what is written by hand may have no type
        for (common_json &item : body.at("input")) {
            if (!item.is_object() || !item.contains("role")) continue;
            item.erase("id");
            if (item.at("role") == "assistant" && !item.contains("type")) item["type"] = "message";
        }
    }
    return blame(MULLAMA_E_INVALID_ARGUMENT, "input cannot be read", [&] { return server_chat_convert_responses_to_chatcmpl(body); });
}

// Anthropic's Messages API

void check_blocks(const common_json &content, const std::string &name) {
    if (content.is_string() || content.is_null()) return;
    if (!content.is_array()) refuse_field(name, "must be a text or a list of blocks");
    static const std::set<std::string> known = {"text", "thinking", "image", "tool_use", "tool_result"};
    for (size_t i = 0; i < content.size(); ++i) {
        const common_json &block = content.at(i);
        if (!block.is_object() || !block.contains("type") || !block.at("type").is_string()) refuse_field(place(name, i), "must be a block with a type");
        const std::string kind = block.at("type").get<std::string>();
        if (!known.count(kind)) refuse_field(place(name, i) + ".type", "is \"" + kind + "\"; it must be text, thinking, image, tool_use or tool_result");
        if (kind == "tool_result" && block.contains("content")) check_blocks(block.at("content"), place(name, i) + ".content");
    }
}

common_json chat_of_messages(common_json body) {
    check_fields(body, "", {&anthropic_request_fields()});
    if (!body.contains("messages") || body.at("messages").empty()) refuse_field("messages", "must be a list of at least one message");
    for (const char *name : {"stop", "n", "response_format", "timings_per_token", "return_progress"}) {
        if (body.contains(name)) refuse_field(name, "is not a field of this route");
    }
    if (body.contains("system")) check_blocks(body.at("system"), "system");
    for (size_t i = 0; i < body.at("messages").size(); ++i) {
        common_json &message = body.at("messages").at(i);
        static const field_rules rules = {{"role", type::text, 0, 64}, {"content", type::text_or_array}};
        check_fields(message, place("messages", i), {&rules});
        if (!message.contains("role") || (message.at("role") != "user" && message.at("role") != "assistant")) refuse_field(place("messages", i) + ".role", "must be user or assistant");
        if (!message.contains("content")) refuse_field(place("messages", i) + ".content", "is missing");
        check_blocks(message.at("content"), place("messages", i) + ".content");
    }
    if (body.contains("tools")) {
        for (size_t i = 0; i < body.at("tools").size(); ++i) {
            static const field_rules rules = {{"type", type::text, 0, 64}, {"name", type::text, 0, 256}, {"description", type::text, 0, 1 << 20}, {"input_schema", type::object}, {"cache_control", type::object}};
            check_fields(body.at("tools").at(i), place("tools", i), {&rules});
            if (body.at("tools").at(i).contains("type") && body.at("tools").at(i).at("type") != "custom") refuse_field(place("tools", i) + ".type", "must be custom");
        }
    }
    if (body.contains("service_tier") && body.at("service_tier") != "auto" && body.at("service_tier") != "standard_only") refuse_field("service_tier", "must be auto or standard_only");
    for (const char *label : {"metadata", "service_tier"}) body.erase(label);

    common_json chat = blame(MULLAMA_E_INVALID_ARGUMENT, "messages cannot be read", [&] { return server_chat_convert_anthropic_to_oai(body); });
    if (!body.contains("max_tokens")) chat.erase("max_tokens");
    static const std::set<std::string> translated = {"messages", "system", "stop_sequences", "tools", "tool_choice", "thinking", "metadata", "service_tier", "chat_template_kwargs"};
    for (const field_rule &rule : anthropic_request_fields()) {
        if (!translated.count(rule.name) && body.contains(rule.name)) chat[rule.name] = body.at(rule.name);
    }
    if (body.contains("tool_choice")) {
        common_json choice = body.at("tool_choice");
        static const field_rules rules = {{"type", type::text, 0, 64}, {"name", type::text, 0, 256}, {"disable_parallel_tool_use", type::boolean}};
        check_fields(choice, "tool_choice", {&rules});
        const std::string kind = choice.contains("type") ? choice.at("type").get<std::string>() : "";
        if (kind == "tool") {
            if (!choice.contains("name")) refuse_field("tool_choice.name", "is missing");
            chat["tool_choice"] = common_json::object({{"type", "function"}, {"function", common_json::object({{"name", choice.at("name")}})}});
        } else if (kind == "none") {
            chat["tool_choice"] = "none";
        } else if (kind != "auto" && kind != "any") {
            refuse_field("tool_choice.type", "is \"" + kind + "\"; it must be auto, any, tool or none");
        }
        if (choice.contains("disable_parallel_tool_use")) chat["parallel_tool_calls"] = !choice.at("disable_parallel_tool_use").get<bool>();
    }
    if (body.contains("thinking")) {
        common_json thinking = body.at("thinking");
        static const field_rules rules = {{"type", type::text, 0, 64}, {"budget_tokens", type::integer, 1, 2147483647}};
        check_fields(thinking, "thinking", {&rules});
        const std::string kind = thinking.contains("type") ? thinking.at("type").get<std::string>() : "";
        if (kind != "enabled" && kind != "disabled") refuse_field("thinking.type", "is \"" + kind + "\"; it must be enabled or disabled");
        chat.erase("thinking_budget_tokens");
        if (kind == "enabled" && thinking.contains("budget_tokens")) chat["reasoning_budget_tokens"] = thinking.at("budget_tokens");
        common_json arguments = chat.contains("chat_template_kwargs") ? chat.at("chat_template_kwargs") : common_json::object();
        arguments["enable_thinking"] = kind == "enabled";
        chat["chat_template_kwargs"] = arguments;
    }
    return chat;
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
                    throw failure(MULLAMA_E_INVALID_TOKEN, place(at, i) + " is " + token.dump_safe().substr(0, 40) + "; the vocabulary has tokens 0 to " + std::to_string(n_vocab - 1));
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
        for (server_tokens &prompt : prompts) prompt = server_tokens(cut_tokens(llama, prompt.get_tokens(), asked), llama.has_projector());
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
        static const field_rules rules = {{"text", type::text}, {"filename", type::text, 0, 4096}};
        common_json &chunk = extra.at(i);
        check_fields(chunk, place("input_extra", i), {&rules});
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
    if (format != "float" && format != "base64") refuse_field("encoding_format", "is \"" + format + "\"; it must be float or base64");
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
    return answered(common_json::object({{"content", mended_utf8(tokens_to_str(llama.vocab(), tokens[0].get_tokens()))}}));
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
    static const field_rules fields = {{"action", type::text, 0, 64}, {"id_slot", type::integer, 0, 255}, {"path", type::text, 0, 65536}};
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
    if (route == "chat/completions") return chat(llama, std::move(parsed), TASK_RESPONSE_TYPE_OAI_CHAT);
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
    throw failure(MULLAMA_E_INVALID_ARGUMENT, "there is no route \"" + route.substr(0, 100) + "\"; the routes are chat/completions, completions, responses, messages, messages/count_tokens, "
                                              "infill, embeddings, rerank, tokenize, detokenize, apply-template, props, slots, metrics and lora-adapters");
}

}  // namespace mullama
