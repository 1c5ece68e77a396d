// The form is that of Hermes and Qwen: definitions within <tools>, calls within <tool_call>, results within <tool_response>.
#include "tool_template.h"

#include "failure.h"
#include "libmullama.h"

namespace mullama {

namespace {

constexpr const char *chatml_source = R"({%- set first = messages[0] -%}
{%- if tools or first.role == 'system' %}
  {{- '<|im_start|>system\n' }}
  {%- if first.role == 'system' %}{{- first.content }}{%- endif %}
  {%- if tools and first.role == 'system' %}{{- '\n\n' }}{%- endif %}
  {%- if tools %}
    {{- '# Tools\n\nYou may call these functions:\n<tools>\n' }}
    {%- for tool in tools %}{{- tool | tojson + '\n' }}{%- endfor %}
    {{- '</tools>\n\nTo call one, answer with its name and arguments as JSON:\n<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>' }}
  {%- endif %}
  {{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
  {%- if message.role == 'tool' %}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
    {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
  {%- elif message.tool_calls %}
    {{- '<|im_start|>' + message.role }}
    {%- if message.content %}{{- '\n' + message.content }}{%- endif %}
    {%- for call in message.tool_calls %}
      {%- set called = call.function if call.function is defined else call %}
      {{- '\n<tool_call>\n{"name": "' }}
      {{- called.name }}
      {{- '", "arguments": ' }}
      {{- called.arguments | tojson }}
      {{- '}\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
  {%- elif message.role != 'system' or not loop.first %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
)";

}  // namespace

// What llama.cpp says of a template's capabilities is not enough: some show tools and have no form for calls, for others it has a
// form of its own. So it is asked for a call.
tool_support tool_support_of(const common_chat_templates *templates, bool parses) {
    common_chat_templates_inputs inputs;
    common_chat_msg message;
    message.role = "user";
    message.content = "x";
    inputs.messages = {message};
    inputs.tools = {{"probe_of_tools", "x", R"({"type": "object", "properties": {}})"}};
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    bool shown = false;
    try {
        const common_chat_params params = common_chat_templates_apply(templates, inputs);
        if (!params.grammar.empty()) return tool_support::own;
        shown = params.prompt.find(inputs.tools[0].name) != std::string::npos;
    } catch (const std::exception &) {
        return tool_support::own;  // it has something against the probe; what it has against a request it says then
    }
    if (shown && !parses) return tool_support::shown;
    if (common_chat_templates_source(templates).find("<|im_start|>") != std::string::npos) return tool_support::chatml;
    return shown ? tool_support::shown : tool_support::none;
}

const std::string &chatml_tool_template() {
    static const std::string source = chatml_source;
    return source;
}

void require_tools(tool_support support, bool call_is_required) {
    if (support == tool_support::none) {
        throw failure(MULLAMA_E_UNSUPPORTED, "tools cannot be honoured: the chat template has no place for tools; give one that has as chat_template, or send no tools");
    }
    if (support == tool_support::shown && call_is_required) {
        throw failure(MULLAMA_E_UNSUPPORTED, "tool_choice cannot be honoured: the chat template has no form for calls; give one that has as chat_template, or leave the choice to the model");
    }
}

}  // namespace mullama
