// Chat templates and tools: llama.cpp drops the tools of a request where the template has no place for them.
#pragma once

#include <string>

#include "chat.h"

namespace mullama {

enum class tool_support {
    own,     // the template has a form for calls
    shown,   // it shows tools, and calls come as text
    chatml,  // it has neither or no form, but is ChatML: the form that ChatML models with tools use stands in for it
    none,
};

// `parses`: whether calls are to be understood; a prompt alone only has to show the tools.
tool_support tool_support_of(const common_chat_templates *templates, bool parses);

// Jinja source for requests with tools where the support is `chatml`.
const std::string &chatml_tool_template();

// Throws UNSUPPORTED where the tools, or a call that is required, would be forgotten.
void require_tools(tool_support support, bool call_is_required);

}  // namespace mullama
