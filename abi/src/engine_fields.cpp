#include "engine_fields.h"

#include <cmath>

#include "libmullama.h"
#include "failure.h"
#include "text.h"

namespace mullama {

namespace {

const char *name_of(field_type type) {
    switch (type) {
        case field_type::boolean: return "true or false";
        case field_type::integer: return "a whole number";
        case field_type::number: return "a number";
        case field_type::text: return "a text";
        case field_type::object: return "an object";
        case field_type::array: return "a list";
        case field_type::text_or_array: return "a text or a list";
        case field_type::object_or_text: return "an object or a text";
        case field_type::any: break;
    }
    return "a value";
}

bool is_of(const common_json &value, field_type type) {
    switch (type) {
        case field_type::boolean: return value.is_boolean();
        case field_type::integer: {
            if (value.is_number_integer()) return true;
            if (!value.is_number_float()) return false;
            const double number = value.get<double>();
            return std::isfinite(number) && number == std::floor(number) && std::fabs(number) < 9e15;
        }
        case field_type::number: return value.is_number();
        case field_type::text: return value.is_string();
        case field_type::object: return value.is_object();
        case field_type::array: return value.is_array();
        case field_type::text_or_array: return value.is_string() || value.is_array();
        case field_type::object_or_text: return value.is_object() || value.is_string();
        case field_type::any: return true;
    }
    return true;
}

// 4 and 0.5, not 4.000000.
std::string written(double number) {
    return number == std::floor(number) && std::fabs(number) < 1e15 ? std::to_string(static_cast<int64_t>(number)) : common_json(number).dump();
}

std::string shown(const common_json &value) { return shortened(value.dump_safe(), 60); }

void check(common_json &value, const std::string &path, const field_rule &rule) {
    if (!is_of(value, rule.type)) refuse_field(path, "is " + shown(value) + "; it must be " + name_of(rule.type));
    if (rule.type == field_type::integer || rule.type == field_type::number) {
        const double number = value.get<double>();
        if (!(number >= rule.min && number <= rule.max)) refuse_field(path, "is " + shown(value) + "; it must be " + written(rule.min) + " to " + written(rule.max));
        if (rule.type == field_type::integer && value.is_number_float()) value = static_cast<int64_t>(number);
    } else if (rule.max > 0) {
        const size_t size = value.is_string() ? value.get<std::string>().size() : value.size();
        if (size > rule.max) refuse_field(path, "has " + std::to_string(size) + (value.is_string() ? " bytes" : " items") + "; at most " + written(rule.max) + " are taken");
    }
}

}  // namespace

void refuse_field(const std::string &name, const std::string &reason) { throw failure(MULLAMA_E_INVALID_ARGUMENT, name + " " + reason); }

void check_fields(common_json &object, const std::string &what, const std::vector<const field_rules *> &rules) {
    if (!object.is_object()) throw failure(MULLAMA_E_INVALID_ARGUMENT, (what.empty() ? "the body" : what) + " is " + shown(object) + "; it must be an object");
    std::vector<std::string> absent;
    for (const auto &[key, value] : object.items()) {
        const field_rule *found = nullptr;
        for (const field_rules *list : rules) {
            for (const field_rule &rule : *list) {
                if (key == rule.name) found = &rule;
            }
        }
        const std::string path = what.empty() ? key : what + "." + key;
        if (!found) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "the field " + shortened(path) + " does not exist here; remove it or correct its name");
        }
        if (value.is_null()) {
            absent.push_back(key);
        } else {
            check(value, path, *found);
        }
    }
    for (const std::string &key : absent) object.erase(key);
}

}  // namespace mullama
