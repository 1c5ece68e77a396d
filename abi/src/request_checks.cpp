#include "request_checks.h"

#include <cmath>

#include "engine_fields.h"
#include "generated/request_fields.h"
#include "grammar.h"
#include "sampling.h"

namespace mullama {

std::string place(const std::string &name, size_t index) { return name + "[" + std::to_string(index) + "]"; }

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

common_json checked_schema(const common_json &schema, const std::string &name, bool strict) {
    if (!schema.is_object() && !schema.is_boolean()) refuse_field(name, "must be a JSON schema, an object");
    if (strict) require_enforceable(schema);
    grammar_of_schema(schema.dump_safe());
    return schema.is_object() ? schema : common_json::object();
}

void check_lora(const engine_llama &llama, common_json &list, const std::string &name) {
    const size_t count = llama.settings().lora.size();
    for (size_t i = 0; i < list.size(); ++i) {
        check_fields(list.at(i), place(name, i), {&lora_scale_fields()});
        if (!list.at(i).contains("id") || !list.at(i).contains("scale")) refuse_field(place(name, i), "needs id and scale");
        const int64_t id = list.at(i).at("id").get<int64_t>();
        if (id >= static_cast<int64_t>(count)) {
            refuse_field(place(name, i) + ".id", "is " + std::to_string(id) + "; the engine was opened with " + std::to_string(count) + " adapters");
        }
    }
}

namespace {

using type = field_type;

constexpr size_t most_stops = 64;
constexpr size_t longest_stop = 4096;

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

void take_response_format(common_json &body) {
    if (body.contains("json_schema")) body["json_schema"] = checked_schema(body.at("json_schema"), "json_schema");
    if (body.contains("json_schema") && body.contains("grammar")) refuse_field("grammar", "and json_schema exclude each other; give one");
    if (!body.contains("response_format")) return;
    if (body.contains("json_schema") || body.contains("grammar")) refuse_field("response_format", "excludes json_schema and grammar; give one");
    common_json format = body.at("response_format");
    body.erase("response_format");
    check_fields(format, "response_format", {&response_format_fields()});
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
        refuse_field("response_format.type", "is \"" + shortened(kind) + "\"; it must be text, json_object, json_schema, grammar, regex or choice");
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
            if (!numeric) refuse_field("logit_bias", "names \"" + shortened(key, 40) + "\"; its names must be token ids");
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

}  // namespace

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
        check_fields(body.at("stream_options"), "stream_options", {&stream_options_fields()});
    }
    take_response_format(body);
    check_stops(body);
    check_logit_bias(llama, body);
    check_samplers(body);
    check_texts(body, "dry_sequence_breakers", 128);
    if (body.contains("lora")) check_lora(llama, body.at("lora"), "lora");
    check_speculative(llama, body);
}

}  // namespace mullama
