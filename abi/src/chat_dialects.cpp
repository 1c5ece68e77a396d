#include "chat_dialects.h"

#include <set>

#include "engine_fields.h"
#include "generated/request_fields.h"
#include "request_checks.h"
#include "server-chat.h"
#include "text.h"

namespace mullama {

namespace {

using type = field_type;

// An image is data of a type; whatever else it may be in the API is somewhere else.
void check_source(const common_json &block, const std::string &name) {
    common_json source = block.contains("source") ? block.at("source") : common_json::object();
    static const field_rules rules = {{"type", type::text, 0, 64}, {"media_type", type::text, 0, 64}, {"data", type::text}, {"url", type::text}, {"file_id", type::text}};
    check_fields(source, name, {&rules});
    const std::string kind = source.contains("type") ? source.at("type").get<std::string>() : "";
    if (kind == "url" || kind == "file") refuse_field(name + ".type", "is " + kind + ", and nothing is fetched here; send the image as {\"type\": \"base64\", \"media_type\": ..., \"data\": ...}");
    if (kind != "base64") refuse_field(name + ".type", "is \"" + kind + "\"; it must be base64");
    for (const char *needed : {"media_type", "data"}) {
        if (!source.contains(needed)) refuse_field(name + "." + needed, "is missing");
    }
    const std::string media_type = source.at("media_type").get<std::string>();
    if (media_type.rfind("image/", 0) != 0 || media_type.find_first_of(",;") != std::string::npos) refuse_field(name + ".media_type", "is \"" + media_type + "\"; it must be that of an image, such as image/png");
}

// `media` gets the places of images in the order in which llama.cpp writes them: those of results come behind the others.
void check_blocks(const common_json &content, const std::string &name, const std::set<std::string> &known, std::vector<std::string> &media) {
    if (content.is_string() || content.is_null()) return;
    if (!content.is_array()) refuse_field(name, "must be a text or a list of blocks");
    std::vector<std::string> of_results;
    for (size_t i = 0; i < content.size(); ++i) {
        const common_json &block = content.at(i);
        if (!block.is_object() || !block.contains("type") || !block.at("type").is_string()) refuse_field(place(name, i), "must be a block with a type");
        const std::string kind = block.at("type").get<std::string>();
        if (!known.count(kind)) {
            std::string all;
            for (const std::string &one : known) all += (all.empty() ? "" : ", ") + one;
            refuse_field(place(name, i) + ".type", "is \"" + shortened(kind) + "\"; it must be " + (known.size() > 1 ? "one of " : "") + all);
        }
        if (kind == "image") {
            check_source(block, place(name, i) + ".source");
            media.push_back(place(name, i) + ".source.data");
        }
        if (kind == "tool_result" && block.contains("content")) check_blocks(block.at("content"), place(name, i) + ".content", {"text", "image"}, of_results);
    }
    media.insert(media.end(), of_results.begin(), of_results.end());
}

// The images of one content of the Responses API. What its items may be else llama.cpp tells.
void check_input_images(common_json &content, const std::string &name, std::vector<std::string> &media) {
    if (!content.is_array()) return;
    for (size_t i = 0; i < content.size(); ++i) {
        common_json &part = content.at(i);
        if (!part.is_object() || !part.contains("type") || part.at("type") != "input_image") continue;
        const std::string at = place(name, i);
        if (part.contains("file_id") && !part.at("file_id").is_null()) refuse_field(at + ".file_id", "is not supported, no files are stored here; send the image as image_url, a data: URL");
        static const field_rules rules = {{"type", type::text, 0, 64}, {"image_url", type::text}, {"file_id", type::text}, {"detail", type::text, 0, 64}};
        check_fields(part, at, {&rules});
        if (!part.contains("image_url")) refuse_field(at + ".image_url", "is missing");
        if (part.contains("detail")) check_detail(part.at("detail").get<std::string>(), at + ".detail");
        part.erase("detail");
        media.push_back(at + ".image_url");
    }
}

}  // namespace

dialect_chat chat_of_response(common_json body) {
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
    std::vector<std::string> media;
    if (body.at("input").is_array()) {  // an answer that is sent back has an id; what is written by hand may have no type
        for (size_t i = 0; i < body.at("input").size(); ++i) {
            common_json &item = body.at("input").at(i);
            if (!item.is_object()) continue;
            for (const char *name : {"content", "output"}) {
                if (item.contains(name)) check_input_images(item.at(name), place("input", i) + "." + name, media);
            }
            if (!item.contains("role")) continue;
            item.erase("id");
            if (item.at("role") == "assistant" && !item.contains("type")) item["type"] = "message";
        }
    }
    return {blame(MULLAMA_E_INVALID_ARGUMENT, "input cannot be read", [&] { return server_chat_convert_responses_to_chatcmpl(body); }), std::move(media)};
}

dialect_chat chat_of_messages(common_json body) {
    check_fields(body, "", {&anthropic_request_fields()});
    if (!body.contains("messages") || body.at("messages").empty()) refuse_field("messages", "must be a list of at least one message");
    for (const char *name : {"stop", "n", "response_format", "timings_per_token", "return_progress"}) {
        if (body.contains(name)) refuse_field(name, "is not a field of this route");
    }
    std::vector<std::string> media;
    if (body.contains("system")) check_blocks(body.at("system"), "system", {"text"}, media);
    for (size_t i = 0; i < body.at("messages").size(); ++i) {
        common_json &message = body.at("messages").at(i);
        check_fields(message, place("messages", i), {&anthropic_message_fields()});
        if (!message.contains("role") || (message.at("role") != "user" && message.at("role") != "assistant")) refuse_field(place("messages", i) + ".role", "must be user or assistant");
        if (!message.contains("content")) refuse_field(place("messages", i) + ".content", "is missing");
        check_blocks(message.at("content"), place("messages", i) + ".content", {"text", "thinking", "image", "tool_use", "tool_result"}, media);
    }
    if (body.contains("tools")) {
        for (size_t i = 0; i < body.at("tools").size(); ++i) {
            check_fields(body.at("tools").at(i), place("tools", i), {&anthropic_tool_fields()});
            if (body.at("tools").at(i).contains("input_schema") && !body.at("tools").at(i).at("input_schema").is_object()) refuse_field(place("tools", i) + ".input_schema", "must be a JSON schema, an object");
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
    return {std::move(chat), std::move(media)};
}

}  // namespace mullama
