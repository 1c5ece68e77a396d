// A look at a chat template before llama.cpp's Jinja engine parses it, which is recursive.
#pragma once

#include <string>

namespace mullama {

// Throws TEMPLATE_FAILED for expressions and blocks so long or deep that parsing them would exhaust the stack.
void check_template(const std::string &source);

}  // namespace mullama
