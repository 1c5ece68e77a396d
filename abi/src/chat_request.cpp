#include "chat_request.h"

#include "chat_constraints.h"
#include "engine_fields.h"
#include "generated/request_fields.h"
#include "media_prompt.h"
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

void check_image(common_json &part, const std::string &name) {
    static const field_rules rules = {{"url", type::text}, {"detail", type::text, 0, 64}};
    if (!part.contains("image_url")) refuse_field(name + ".image_url", "is missing");
    common_json &image = part.at("image_url");
    check_fields(image, name + ".image_url", {&rules});
    if (!image.contains("url")) refuse_field(name + ".image_url.url", "is missing");
    if (image.contains("detail")) check_detail(image.at("detail").get<std::string>(), name + ".image_url.detail");
}

void check_sound(common_json &part, const std::string &name) {
    static const field_rules rules = {{"data", type::text}, {"format", type::text, 0, 64}};
    if (!part.contains("input_audio")) refuse_field(name + ".input_audio", "is missing");
    common_json &sound = part.at("input_audio");
    check_fields(sound, name + ".input_audio", {&rules});
    if (!sound.contains("data")) refuse_field(name + ".input_audio.data", "is missing");
    const std::string format = sound.contains("format") ? sound.at("format").get<std::string>() : "wav";
    if (format != "wav" && format != "mp3" && format != "flac") refuse_field(name + ".input_audio.format", "is \"" + format + "\"; it must be wav, mp3 or flac");
}

void check_message(common_json &message, const std::string &name) {
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
            if (kind == "image_url") check_image(part, at);
            if (kind == "input_audio") check_sound(part, at);
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

bool shows_calls(const common_json &messages) {
    for (size_t i = 0; i < messages.size(); ++i) {
        const common_json &message = messages.at(i);
        if (message.at("role") == "tool" || (message.contains("tool_calls") && !message.at("tool_calls").empty())) return true;
    }
    return false;
}

// What calls begin with, where that is a tag, which stands in no other text.
std::vector<std::string> tags_of_calls(const common_json &triggers) {
    std::vector<std::string> tags;
    for (const common_json &trigger : triggers) {
        if (trigger.at("type") != static_cast<int>(COMMON_GRAMMAR_TRIGGER_TYPE_WORD)) continue;
        const std::string word = trigger.at("value").get<std::string>();
        const size_t end = word.find_first_of(">]");
        if ((word[0] == '<' || word[0] == '[') && end != std::string::npos) tags.push_back(word.substr(0, end + 1));
    }
    return tags;
}

// Checks the messages and takes their images and sounds out.
std::vector<medium> take_messages(const engine_llama &llama, dialect_chat &chat) {
    common_json &body = chat.body;
    if (!llama.has_template()) throw failure(MULLAMA_E_NO_TEMPLATE, "the model has no chat template; open the engine with one as engine_options.chat_template, or use the route completions");
    if (!body.contains("messages") || body.at("messages").empty()) refuse_field("messages", "must be a list of at least one message");
    for (size_t i = 0; i < body.at("messages").size(); ++i) check_message(body.at("messages").at(i), place("messages", i));
    return take_media(llama, body.at("messages"), chat.media);
}

chat_request write(engine_llama &llama, common_json body, const std::vector<const medium *> &media) {
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
    // Also where no call may be made: calls and results of before are to be seen.
    const server_chat_params &chat = has_tools || shows_calls(body.at("messages")) ? llama.tool_chat_params() : llama.chat_params();
    text_shield shield(llama.special(), llama.has_projector() ? get_media_marker() : "");
    cover_messages(shield, body.at("messages"));
    if (body.contains("tools")) cover_tools(shield, body.at("tools"));
    const template_budget budget(size_of_texts(body));
    chat_request request;
    const auto parameters_of = [&](common_json chosen) {
        return blame(MULLAMA_E_TEMPLATE_FAILED, "the messages cannot be written with the chat template", [&] {
            try {
                std::vector<raw_buffer> files;  // what is in the place of those that were taken out
                return oaicompat_chat_params_parse(chosen, chat, files);
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
    } else if (has_tools && !may_call && (llama.tools() == tool_support::own || llama.tools() == tool_support::chatml) && !request.data.contains("grammar")) {
        // A model that sees tools writes calls, which would be left in the text.
        common_json calling = body;
        calling["tool_choice"] = "auto";
        const std::vector<std::string> tags = tags_of_calls(parameters_of(calling).at("grammar_triggers"));
        if (!tags.empty()) request.data["grammar"] = text_without(tags);
    }
    request.prompt = shield.uncover(request.data.at("prompt").get<std::string>());
    request.tokens = tokens_of(llama, request.prompt, media);
    return request;
}

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

chat_request write_chat(engine_llama &llama, dialect_chat chat) {
    const std::vector<medium> media = take_messages(llama, chat);
    std::vector<const medium *> all;
    for (const medium &one : media) all.push_back(&one);
    return write(llama, std::move(chat.body), all);
}

fitted_chat fit_chat(engine_llama &llama, dialect_chat chat) {
    truncation asked = take_truncation(llama, chat.body, true);
    const std::vector<medium> media = take_messages(llama, chat);
    const common_json &body = chat.body, &messages = body.at("messages");
    if (!media.empty() && (asked.strategy == "start" || asked.strategy == "middle")) {
        refuse_field("truncation", "is " + asked.strategy + ", but " + media.front().name + " is an image or sound, of which no part can be left out; it must be oldest_messages or disabled");
    }
    size_t n_system = 0;
    const std::vector<size_t> ends = ends_of_turns(messages, n_system);
    // With the first `n_turns` turns left out.
    const auto written = [&](size_t n_turns) {
        const auto stays = [&](size_t message) { return n_turns == 0 || message < n_system || message >= ends[n_turns - 1]; };
        common_json kept = body;
        kept["messages"] = common_json::array();
        for (size_t i = 0; i < messages.size(); ++i) {
            if (stays(i)) kept["messages"].push_back(messages.at(i));
        }
        std::vector<const medium *> kept_media;
        for (const medium &one : media) {
            if (stays(one.message)) kept_media.push_back(&one);
        }
        return write(llama, std::move(kept), kept_media);
    };
    fitted_chat fitted{written(0), {}};
    server_tokens &tokens = fitted.request.tokens;
    if (asked.strategy != "oldest_messages") {
        if (!asked.strategy.empty()) {
            tokens = server_tokens(cut_tokens(llama, ids_of(tokens), asked), llama.has_projector());
            fitted.cut = told(asked);
        }
        return fitted;
    }
    const size_t n_whole = tokens.size();
    size_t n_left_out = 0;
    if (n_whole > asked.most && !ends.empty()) {
        size_t too_few = 0, enough = ends.size();
        fitted.request = written(enough);
        while (enough - too_few > 1) {
            const size_t middle = too_few + (enough - too_few) / 2;
            chat_request tried = written(middle);
            if (tried.tokens.size() <= asked.most) {
                fitted.request = std::move(tried);
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        n_left_out = ends[enough - 1] - n_system;
    }
    if (tokens.size() > asked.most) {
        throw failure(MULLAMA_E_CONTEXT_FULL, "the last turn has " + std::to_string(tokens.size()) + " tokens with what the system says, but a prompt can have " + std::to_string(asked.most) +
                                                  " of the " + std::to_string(llama.n_ctx()) + " tokens of a request, the rest is kept for the answer; shorten the message, or lower max_tokens or truncation.reserve");
    }
    asked.removed.push_back(n_whole - tokens.size());
    fitted.cut = told(asked);
    fitted.cut["messages_removed"] = n_left_out;
    return fitted;
}

}  // namespace mullama
