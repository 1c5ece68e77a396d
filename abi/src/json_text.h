// JSON that comes from outside: parsed with a limit on its depth, because what walks it later is recursive.
#pragma once

#include <string_view>

#include "json.h"

namespace mullama {

// Throws INVALID_JSON naming `what`.
common_json parse_json(std::string_view text, const char *what);

}  // namespace mullama
