// Tokenizers that split at every number (StarCoder, SmolLM, Refact, Command-R, EXAONE, ...) begin with the expression \p{N}.
// llama.cpp has a hand-written splitter for what follows it, but compiles this one as a std::regex at each call: 20 of the
// 23 µs that two words take. The linker sends the calls here (--wrap, see CMakeLists.txt); the result is the same.
#include <string>
#include <vector>

#include "unicode.h"

#define SPLIT "_Z19unicode_regex_splitRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKSt6vectorIS4_SaIS4_EEb"

using words = std::vector<std::string>;

words split_by_llama_cpp(const std::string &text, const words &expressions, bool byte_encode) __asm__("__real_" SPLIT);
words split(const std::string &text, const words &expressions, bool byte_encode) __asm__("__wrap_" SPLIT);

namespace {

// Beyond these many parts the fixed cost of a call for each part exceeds that of the expression.
constexpr size_t most_parts = 16;

bool is_number(uint32_t codepoint) {
    if (codepoint < 128) return codepoint >= '0' && codepoint <= '9';
    const unicode_cpt_flags flags = unicode_cpt_flags_from_cpt(codepoint);
    return !flags.is_whitespace && flags.category_flag() == unicode_cpt_flags::NUMBER;
}

bool has_number(const std::string &text) {
    for (size_t at = 0; at < text.size();) {
        if (is_number(unicode_cpt_from_utf8(text, at))) return true;
    }
    return false;
}

// The text cut around every number; empty if there are too many.
words parts_of(const std::string &text) {
    words parts;
    size_t start = 0, at = 0;
    while (at < text.size()) {
        const size_t character = at;
        if (!is_number(unicode_cpt_from_utf8(text, at))) continue;
        if (character > start) parts.push_back(text.substr(start, character - start));
        parts.push_back(text.substr(character, at - character));
        start = at;
        if (parts.size() > most_parts) return {};
    }
    if (start < text.size()) parts.push_back(text.substr(start));
    return parts;
}

}  // namespace

words split(const std::string &text, const words &expressions, bool byte_encode) {
    if (expressions.size() != 2 || expressions[0] != "\\p{N}") return split_by_llama_cpp(text, expressions, byte_encode);
    thread_local words rest(1);  // kept: copying the expression would cost as much as a short split
    if (rest[0] != expressions[1]) rest[0] = expressions[1];
    if (!has_number(text)) return split_by_llama_cpp(text, rest, byte_encode);
    const words parts = parts_of(text);
    if (parts.empty()) return split_by_llama_cpp(text, expressions, byte_encode);
    words all;
    for (const std::string &part : parts) {
        words some = split_by_llama_cpp(part, rest, byte_encode);
        all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    }
    return all;
}
