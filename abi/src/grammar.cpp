// llama.cpp's own entry points print what is wrong to stderr and return NULL, and a hostile text can exhaust its recursive
// parser. So the text is bounded and parsed here first, rule by rule, to learn the reason and the place.
#include "grammar.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <regex>

#include "json-schema-to-grammar.h"
#include "json_text.h"
#include "libmullama.h"
#include "llama-grammar.h"
#include "log_capture.h"
#include "text.h"

namespace mullama {

namespace {

constexpr size_t longest = 4u << 20;
constexpr size_t deepest = 512;
// llama.cpp follows references, and std::regex compiles, one stack frame or more for each of these.
constexpr size_t most_rules = 20000;
constexpr size_t longest_pattern = 4096;

[[noreturn]] void refuse(const std::string &reason) { throw failure(MULLAMA_E_INVALID_GRAMMAR, "the grammar is not valid: " + reason); }

std::string place(const std::string &text, size_t offset) {
    const size_t line = 1 + std::count(text.begin(), text.begin() + offset, '\n');
    const size_t start = offset ? text.rfind('\n', offset - 1) : std::string::npos;
    const size_t column = 1 + offset - (start == std::string::npos ? 0 : start + 1);
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// White space and comments between rules.
const char *skip_space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n' || *at == '#') {
        if (*at == '#') {
            while (*at && *at != '\n' && *at != '\r') ++at;
        } else {
            ++at;
        }
    }
    return at;
}

// {m,n} with n below m: llama.cpp would subtract one from the other and make rules until the memory is used up.
void require_repetition(const std::string &text, size_t at) {
    const auto number = [&](const char *&next) { return std::strtoull(next, const_cast<char **>(&next), 10); };
    const char *next = skip_space(text.c_str() + at + 1);
    const auto is_digit = [&] { return *next >= '0' && *next <= '9'; };
    if (!is_digit()) return;  // the parser says why
    const unsigned long long least = number(next);
    next = skip_space(next);
    if (*next != ',') return;
    next = skip_space(next + 1);
    if (is_digit() && number(next) < least) refuse("a repetition has a maximum below its minimum at " + place(text, at));
}

void require_sound(const std::string &text) {
    size_t depth = 0;
    char closing = 0;  // of the literal, character class or token we are in
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (closing) {
            if (c == '\\') {
                ++i;
            } else if (c == closing || (closing == '"' && c == '\n')) {
                closing = 0;
            }
        } else if (c == '"') {
            closing = '"';
        } else if (c == '[') {
            closing = ']';
        } else if (c == '#') {
            while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
        } else if (c == '<') {  // a token
            closing = '>';
        } else if (c == '{') {
            require_repetition(text, i);
        } else if (c == '(') {
            if (++depth > deepest) refuse("groups are nested more than " + std::to_string(deepest) + " deep at " + place(text, i));
        } else if (c == ')' && depth) {
            --depth;
        }
    }
}

// llama.cpp's messages end with " at " and the rest of the text.
std::string located(const std::string &text, const std::string &message, size_t rule_start) {
    for (size_t at = message.find(" at "); at != std::string::npos; at = message.find(" at ", at + 1)) {
        const size_t rest = message.size() - at - 4;
        if (rest <= text.size() && text.compare(text.size() - rest, rest, message, at + 4, rest) == 0) {
            return message.substr(0, at) + " at " + place(text, text.size() - rest) + (rest ? "" : " (the end)");
        }
    }
    return message + ", in the rule at " + place(text, rule_start);
}

void check(const llama_vocab *vocab, const std::string &text, const std::string &root) {
    if (text.size() > longest) refuse("it has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(longest) + " are read");
    if (text.find('\0') != std::string::npos) refuse("it holds a NUL character at " + place(text, text.find('\0')));
    if (text.rfind("%llguidance", 0) == 0) refuse("this build has no llguidance; write it in GBNF");
    require_sound(text);
    llama_grammar_parser parser(vocab);
    const char *at = skip_space(text.c_str());
    if (!*at) refuse("it is empty");
    while (*at) {
        try {
            at = parser.parse_rule(at);
        } catch (const std::exception &e) {
            refuse(mended_utf8(located(text, e.what(), at - text.c_str())));
        }
    }
    if (parser.rules.size() > most_rules) refuse("it has " + std::to_string(parser.rules.size()) + " rules, repetitions and groups included; at most " + std::to_string(most_rules) + " are followed");
    for (const auto &[name, id] : parser.symbol_ids) {
        if (id >= parser.rules.size() || parser.rules[id].empty()) refuse("the rule \"" + name + "\" is used but not defined");
    }
    if (!parser.symbol_ids.count(root)) refuse("it has no rule \"" + root + "\" to start with");
}

}  // namespace

llama_sampler *init_grammar(const llama_vocab *vocab, const std::string &grammar, const std::string &root,
                            const std::vector<std::string> &trigger_patterns, const std::vector<llama_token> &trigger_tokens) {
    check(vocab, grammar, root);
    std::vector<const char *> patterns;
    for (const std::string &pattern : trigger_patterns) {
        if (pattern.size() > longest_pattern) refuse("a trigger pattern has " + std::to_string(pattern.size()) + " bytes; at most " + std::to_string(longest_pattern) + " are read");
        try {
            const std::regex compiled(pattern);
        } catch (const std::regex_error &e) {
            refuse("the trigger pattern \"" + pattern + "\" is no regular expression: " + e.what());
        }
        patterns.push_back(pattern.c_str());
    }
    log_capture captured;
    const bool lazy = !trigger_patterns.empty() || !trigger_tokens.empty();
    llama_sampler *sampler = lazy ? llama_sampler_init_grammar_lazy_patterns(vocab, grammar.c_str(), root.c_str(), patterns.data(), patterns.size(),
                                                                             trigger_tokens.data(), trigger_tokens.size())
                                  : llama_sampler_init_grammar(vocab, grammar.c_str(), root.c_str());
    captured.add_line();
    if (!sampler) refuse(captured.errors("llama.cpp gave no reason"));
    return sampler;
}

std::string grammar_of_schema(std::string_view schema) {
    const common_json parsed = parse_json(schema, "the JSON schema");
    if (!parsed.is_object() && !parsed.is_boolean()) throw failure(MULLAMA_E_INVALID_SCHEMA, "the JSON schema is neither an object nor true or false");
    try {
        return json_schema_to_grammar(parsed, true);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &e) {
        throw failure(MULLAMA_E_INVALID_SCHEMA, std::string("the JSON schema cannot be enforced: ") + mended_utf8(e.what()));
    }
}

}  // namespace mullama
