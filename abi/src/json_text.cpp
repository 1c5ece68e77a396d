// The depth is counted before parsing: outside of strings every bracket counts.
#include "json_text.h"

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

}  // namespace

common_json parse_json(std::string_view text, const char *what) {
    const size_t depth = depth_of(text);
    if (depth > deepest) {
        throw failure(MULLAMA_E_INVALID_JSON, std::string(what) + " is nested " + std::to_string(depth) + " deep; at most " + std::to_string(deepest) + " levels are read");
    }
    try {
        return common_json::parse(std::string(text));
    } catch (const std::exception &e) {
        throw failure(MULLAMA_E_INVALID_JSON, std::string(what) + " is not JSON: " + mended_utf8(e.what()));
    }
}

}  // namespace mullama
