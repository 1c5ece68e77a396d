#include "chat_request.h"

#include "chat_constraints.h"
#include "engine_fields.h"
#include "generated/request_fields.h"
#include "request_checks.h"
#include "template_limits.h"
#include "truncation.h"

namespace mullama {

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

namespace {

using type = field_type;

void check_message(const server_chat_params &chat, common_json &message, const std::string &name) {
    const bool null_content = message.is_object() && message.contains("content") && message.at("content").is_null();
    check_fields(message, name, {&message_fields()});
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
            check_fields(part, at, {&content_part_fields()});
            if (!part.contains("type")) refuse_field(at + ".type", "is missing");
            const std::string kind = part.at("type").get<std::string>();
            if (kind == "image_url" && !chat.allow_image) throw failure(MULLAMA_E_UNSUPPORTED, at + " is an image; open the engine with a projector that sees images");
            if (kind == "input_audio" && !chat.allow_audio) throw failure(MULLAMA_E_UNSUPPORTED, at + " is sound; open the engine with a projector that hears");
            if (kind == "text" && !part.contains("text")) refuse_field(at + ".text", "is missing");
            if (kind != "text" && kind != "image_url" && kind != "input_audio") refuse_field(at + ".type", "is \"" + shortened(kind) + "\"; it must be text, image_url or input_audio");
        }
    }
    if (!message.contains("tool_calls")) return;
    for (size_t i = 0; i < message.at("tool_calls").size(); ++i) {
        common_json &call = message.at("tool_calls").at(i);
        const std::string at = place(name + ".tool_calls", i);
        check_fields(call, at, {&tool_call_fields()});
        call.erase("index");
        if (!call.contains("type")) call["type"] = "function";
        if (!call.contains("function")) refuse_field(at + ".function", "is missing");
        static const field_rules function = {{"name", type::text, 0, 256}, {"arguments", type::object_or_text}};  // templates take an object too
        check_fields(call.at("function"), at + ".function", {&function});
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
        check_fields(tool, at, {&tool_fields()});
        if (!tool.contains("type") || tool.at("type") != "function" || !tool.contains("function")) refuse_field(at, "must be {\"type\": \"function\", \"function\": {...}}");
        common_json &function = tool.at("function");
        check_fields(function, at + ".function", {&tool_function_fields()});
        if (!function.contains("name") || function.at("name").get<std::string>().empty()) refuse_field(at + ".function.name", "is missing");
        if (function.contains("parameters")) {
            if (!function.at("parameters").is_object()) refuse_field(at + ".function.parameters", "must be a JSON schema, an object");
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
        if (choice != "auto" && choice != "none" && choice != "required") refuse_field("tool_choice", "is " + shortened(choice.dump_safe()) + "; it must be auto, none, required or a function");
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
    if (kept.empty()) refuse_field("tool_choice.function.name", "is " + shortened(name) + ", which is none of the tools");
    body["tools"] = kept;
    body["tool_choice"] = "required";
}

// Bytes of all texts in it.
size_t size_of_texts(const common_json &value) {
    if (value.is_string()) return value.get<std::string>().size();
    size_t size = 0;
    if (value.is_array() || value.is_object()) {
        for (const common_json &inner : value) size += size_of_texts(inner);
    }
    return size;
}

}  // namespace

chat_request write_chat(engine_llama &llama, common_json &body) {
    if (!llama.has_template()) throw failure(MULLAMA_E_NO_TEMPLATE, "the model has no chat template; open the engine with one as engine_options.chat_template, or use the route completions");
    if (!body.contains("messages") || body.at("messages").empty()) refuse_field("messages", "must be a list of at least one message");
    for (size_t i = 0; i < body.at("messages").size(); ++i) check_message(llama.chat_params(), body.at("messages").at(i), place("messages", i));
    check_tools(body);
    take_tool_choice(body);
    if (body.contains("grammar") && body.contains("tools") && !body.at("tools").empty()) refuse_field("grammar", "cannot be combined with tools; use one of them");
    if (body.contains("reasoning_format")) {
        const std::string format = body.at("reasoning_format").get<std::string>();
        if (format != "none" && format != "auto" && format != "deepseek") refuse_field("reasoning_format", "is \"" + shortened(format) + "\"; it must be none, auto or deepseek");
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
    const template_budget budget(size_of_texts(body));
    chat_request request;
    const auto parameters_of = [&](common_json chosen) {
        return blame(MULLAMA_E_TEMPLATE_FAILED, "the messages cannot be written with the chat template", [&] {
            try {
                return oaicompat_chat_params_parse(chosen, chat, request.files);
            } catch (const std::invalid_argument &e) {
                // What is left to be wrong with the fields; a template that fails has its own words.
                if (std::string(e.what()).rfind("Unable to generate parser", 0) == 0) throw;
                throw failure(MULLAMA_E_INVALID_ARGUMENT, shortened(e.what(), longest_reason));
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

namespace {

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

}  // namespace

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

}  // namespace mullama
