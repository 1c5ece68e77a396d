// What keeps llama.cpp's converter from an end, before it begins.
#pragma once

#include "json.h"

namespace mullama {

// Throws INVALID_SCHEMA for a JSON schema from which llama.cpp would not come back with a grammar, or not before memory is used up.
void require_convertible(const common_json &schema);

}  // namespace mullama
