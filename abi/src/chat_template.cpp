// The area chat_template: messages to a prompt through llama.cpp's Jinja engine.
#include "backend.h"
#include "generated/options.h"
#include "json_text.h"
#include "model_resource.h"
#include "results.h"
#include "template_check.h"
#include "template_limits.h"
#include "text.h"
#include "tool_template.h"

namespace mullama {

namespace {

// Runs `body` and blames its exceptions on `what`.
template <class Body>
auto blame(int32_t code, const std::string &what, Body &&body) {
    try {
        return body();
    } catch (const failure &) {
        throw;
    } catch (const backend_abort &e) {
        throw failure(code, what + ": " + e.message);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &e) {
        throw failure(code, what + ": " + shortened(e.what(), longest_reason));
    }
}

std::shared_ptr<common_chat_templates> templates_of(model_resource &model, const std::string &override_source) {
    const auto parse = [&](const std::string &source) {
        check_template(source);
        return blame(MULLAMA_E_TEMPLATE_FAILED, "the chat template does not parse", [&] {
            try {
                return std::shared_ptr<common_chat_templates>(common_chat_templates_init(model.model.get(), override_source));
            } catch (const std::exception &) {
                common_chat_template(source, "", "");  // throws the reason, which the call above throws away
                throw;
            }
        });
    };
    if (!override_source.empty()) return parse(override_source);
    const char *own = llama_model_chat_template(model.model.get(), nullptr);
    if (!own) {
        throw failure(MULLAMA_E_NO_TEMPLATE, "the model has no chat template; pass one as chat_options.chat_template, or generate from a prompt");
    }
    std::lock_guard<std::mutex> lock(model.templates_mutex);
    if (!model.templates) {
        const char *with_tools = llama_model_chat_template(model.model.get(), "tool_use");
        if (with_tools) check_template(with_tools);
        model.templates = parse(own);
    }
    return model.templates;
}

}  // namespace

chat_prompt apply_chat_template(model_resource &model, std::string_view messages, const mullama_chat_options &options) {
    model.require_vocab();
    const template_budget budget(messages.size() + options.tools_len + options.template_arguments_len);
    common_json parsed = parse_json(messages, "messages");
    if (!parsed.is_array() || parsed.empty()) {
        throw failure(MULLAMA_E_INVALID_JSON, "messages is not a list of at least one {role, content} object");
    }
    text_shield shield(model.special());
    cover_messages(shield, parsed);
    common_chat_templates_inputs inputs;
    inputs.messages = blame(MULLAMA_E_INVALID_JSON, "messages", [&] { return common_chat_msgs_parse_oaicompat(parsed); });
    if (options.tools) {
        common_json tools = parse_json(take_text(options.tools, options.tools_len, "chat_options.tools"), "chat_options.tools");
        if (tools.is_array()) cover_tools(shield, tools);
        inputs.tools = blame(MULLAMA_E_INVALID_JSON, "chat_options.tools", [&] { return common_chat_tools_parse_oaicompat(tools); });
    }
    if (options.template_arguments) {
        const common_json arguments =
            parse_json(take_text(options.template_arguments, options.template_arguments_len, "chat_options.template_arguments"), "chat_options.template_arguments");
        if (!arguments.is_object()) throw failure(MULLAMA_E_INVALID_JSON, "chat_options.template_arguments is not an object");
        for (const auto &[key, value] : arguments.items()) inputs.chat_template_kwargs[key] = value.dump();
    }
    // The template's own BOS is cut off where tokenizing with special tokens adds one.
    inputs.add_bos = llama_vocab_get_add_bos(model.vocab);
    inputs.add_eos = llama_vocab_get_add_eos(model.vocab);
    inputs.tool_choice = static_cast<common_chat_tool_choice>(options.tool_choice);
    inputs.parallel_tool_calls = options.parallel_tool_calls;
    inputs.add_generation_prompt = options.add_generation_prompt;
    inputs.enable_thinking = options.enable_thinking;
    auto templates = templates_of(model, std::string(take_text(options.chat_template, options.chat_template_len, "chat_options.chat_template")));
    if (!inputs.tools.empty()) {
        const tool_support support = tool_support_of(templates.get(), false);
        require_tools(support, false);
        if (support == tool_support::chatml) templates = templates_of(model, chatml_tool_template());
    }

    return blame(MULLAMA_E_TEMPLATE_FAILED, "the chat template raised an error", [&] {
        common_chat_params params = common_chat_templates_apply(templates.get(), inputs);
        chat_prompt result;
        result.prompt = shield.uncover(params.prompt);
        result.generation_prompt = std::move(params.generation_prompt);
        result.stops = std::move(params.additional_stops);
        result.supports_thinking = params.supports_thinking;
        return result;
    });
}

}  // namespace mullama

using namespace mullama;

int32_t mullama_model_apply_chat_template(mullama_model *model, const char *messages, size_t messages_len, const mullama_chat_options *options,
                                          const char **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        const chat_prompt result = apply_chat_template(*resource, take_text(messages, messages_len, "messages"), read_chat_options(options));
        const common_json object = common_json::object({{"prompt", result.prompt.text},
                                                        {"stops", result.stops},
                                                        {"generation_prompt", result.generation_prompt},
                                                        {"supports_thinking", result.supports_thinking}});
        give(object.dump_safe(), out, out_len);
    });
}
