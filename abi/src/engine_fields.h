// The fields of requests: which there are, of what type and range. Everything else is refused with its name.
#pragma once

#include <string>
#include <vector>

#include "json.h"

namespace mullama {

enum class field_type { boolean, integer, number, text, object, array, text_or_array, object_or_text, any };

struct field_rule {
    const char *name;
    field_type type;
    double min = 0, max = 0;  // of a number; of the length of a text or array where max > 0
};

using field_rules = std::vector<field_rule>;

// Throws INVALID_ARGUMENT for a field that is unknown or wrong. A field that is null counts as absent and is removed.
void check_fields(common_json &object, const std::string &what, const std::vector<const field_rules *> &rules);

// Throws INVALID_ARGUMENT naming the field.
[[noreturn]] void refuse_field(const std::string &name, const std::string &reason);

}  // namespace mullama
