#include "chat_constraints.h"

#include <algorithm>
#include <cctype>
#include <regex>

#include "json-schema-to-grammar.h"
#include "peg-parser.h"

namespace mullama {

namespace {

bool is_of_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; }

// The same rules under names of their own. Literals and character classes are left as they are.
std::string with_prefix(const std::string &grammar, const std::string &prefix) {
    std::string renamed;
    for (size_t i = 0; i < grammar.size();) {
        const char c = grammar[i];
        if (c == '"' || c == '[') {
            const char end = c == '"' ? '"' : ']';
            size_t last = i + 1;
            while (last < grammar.size() && grammar[last] != end) last += grammar[last] == '\\' ? 2 : 1;
            last = std::min(last + 1, grammar.size());
            renamed.append(grammar, i, last - i);
            i = last;
        } else if (c == '{') {  // {1,20}
            const size_t last = std::min(grammar.find('}', i), grammar.size() - 1) + 1;
            renamed.append(grammar, i, last - i);
            i = last;
        } else if (is_of_name(c)) {
            size_t last = i;
            while (last < grammar.size() && is_of_name(grammar[last])) ++last;
            renamed += prefix;
            renamed.append(grammar, i, last - i);
            i = last;
        } else {
            renamed += c;
            ++i;
        }
    }
    return renamed;
}

}  // namespace

std::string without_talk(std::string grammar) {
    static const std::regex talk(R"((\nroot ::= [^\n]*?) until-\d+\? tool-call)");
    return std::regex_replace(grammar, talk, "$1 tool-call");
}

std::string with_one_call(std::string grammar) {
    static const std::regex several(R"((^|\n)tool-calls ::= \(tool-call space\)\+)");
    return std::regex_replace(grammar, several, "$1tool-calls ::= tool-call space");
}

std::string text_without(const std::vector<std::string> &texts) {
    const common_peg_arena parser = build_peg_parser([&](common_peg_parser_builder &p) { return p.until_one_of(texts); });
    return build_grammar([&](const common_grammar_builder &builder) { parser.build_grammar(builder); });
}

std::string either(const std::string &one, const std::string &other) {
    // A call is parsed as one, all else as text: the fence that llama.cpp allows around JSON would stay in it.
    static const std::string fenced = "\"```json\" space response-format space \"```\" | ";
    std::string plain = other;
    const size_t fence = plain.find(fenced);
    if (fence != std::string::npos) plain.erase(fence, fenced.size());
    return "root ::= one-root | other-root\n" + with_prefix(one, "one-") + "\n" + with_prefix(plain, "other-");
}

}  // namespace mullama
