// The depth is counted before parsing: outside of strings every bracket counts.
#include "json_text.h"

#include <algorithm>

#include "libmullama.h"
#include "text.h"

namespace mullama {

namespace {

constexpr size_t deepest = 256;

size_t depth_of(std::string_view text) {
    size_t depth = 0, most = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') {
                ++i;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            most = ++depth > most ? depth : most;
        } else if ((c == ']' || c == '}') && depth) {
            --depth;
        }
    }
    return most;
}

// A step of a pointer, `a~1b`, as the name that it stands for.
std::string pointer_step(std::string_view step, std::string_view pointer) {
    std::string name;
    for (size_t i = 0; i < step.size(); ++i) {
        if (step[i] != '~') {
            name += step[i];
            continue;
        }
        const char escaped = ++i < step.size() ? step[i] : '\0';
        if (escaped != '0' && escaped != '1') {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "the pointer \"" + shortened(pointer) + "\" has a ~ that is followed by neither 0 nor 1; ~0 stands for a tilde, ~1 for a slash");
        }
        name += escaped == '0' ? '~' : '/';
    }
    return name;
}

// Whether a step names an item of an array: digits without a leading zero, and not behind the end.
bool is_place(const std::string &step, size_t size) {
    constexpr size_t most_digits = 9;
    const bool is_number = !step.empty() && step.size() <= most_digits && step.find_first_not_of("0123456789") == std::string::npos;
    return is_number && (step.size() == 1 || step[0] != '0') && std::stoul(step) < size;
}

}  // namespace

common_json parse_json(std::string_view text, const char *what) {
    const size_t depth = depth_of(text);
    if (depth > deepest) {
        throw failure(MULLAMA_E_INVALID_JSON, std::string(what) + " is nested " + std::to_string(depth) + " deep; at most " + std::to_string(deepest) + " levels are read");
    }
    try {
        return common_json::parse(std::string(text));
    } catch (const std::exception &e) {
        throw failure(MULLAMA_E_INVALID_JSON, std::string(what) + " is not JSON: " + shortened(e.what(), longest_reason));
    }
}

common_json find_json(const common_json &value, std::string_view pointer) {
    if (!pointer.empty() && pointer[0] != '/') {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the pointer \"" + shortened(pointer) + "\" does not begin with a slash; write one before each name and place, such as /choices/0");
    }
    // All steps are read before the first is taken: a wrong pointer is wrong for every value.
    std::vector<std::string> steps;
    for (size_t at = 0; at < pointer.size();) {
        const size_t end = std::min(pointer.find('/', at + 1), pointer.size());
        steps.push_back(pointer_step(pointer.substr(at + 1, end - at - 1), pointer));
        at = end;
    }
    const common_json *part = &value;
    for (const std::string &step : steps) {
        if (part->is_object() && part->contains(step)) {
            part = &part->at(step);
        } else if (part->is_array() && is_place(step, part->size())) {
            part = &part->at(std::stoul(step));
        } else {
            return nullptr;
        }
    }
    return *part;
}

}  // namespace mullama
