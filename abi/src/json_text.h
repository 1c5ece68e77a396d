// JSON that comes from outside: parsed with a limit on its depth, because what walks it later is recursive.
#pragma once

#include <string_view>

#include "json.h"

namespace mullama {

// Throws INVALID_JSON naming `what`.
common_json parse_json(std::string_view text, const char *what);

// The part of a value at a pointer (RFC 6901); null where there is nothing. Throws INVALID_ARGUMENT for what is no pointer.
common_json find_json(const common_json &value, std::string_view pointer);

}  // namespace mullama
