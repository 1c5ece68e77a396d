// llama.cpp's own entry points print what is wrong to stderr and return NULL, and a hostile text can exhaust its recursive
// parser. So the text is bounded and parsed here first, rule by rule, to learn the reason and the place.
#include "grammar.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include "json-schema-to-grammar.h"
#include "json_text.h"
#include "libmullama.h"
#include "llama-grammar.h"
#include "log_capture.h"
#include "schema_check.h"
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
            refuse(shortened(located(text, e.what(), at - text.c_str()), longest_reason));
        }
    }
    if (parser.rules.size() > most_rules) refuse("it has " + std::to_string(parser.rules.size()) + " rules, repetitions and groups included; at most " + std::to_string(most_rules) + " are followed");
    for (const auto &[name, id] : parser.symbol_ids) {
        if (id >= parser.rules.size() || parser.rules[id].empty()) refuse("the rule \"" + shortened(name) + "\" is used but not defined");
    }
    if (!parser.symbol_ids.count(root)) refuse("it has no rule \"" + shortened(root) + "\" to start with");
}

// llama.cpp follows every way to read a text on its own: a token of 16 characters that can be read in 3 ways a character takes
// 43 million steps to reject. So walks are made through the grammar, mostly by the character that most of it allows, and
// the ways are counted: set by set, which stays cheap where the ways do not.
constexpr size_t most_stacks = 1024;
constexpr double most_ways = 1e5;
constexpr size_t longest_token = 16;
constexpr size_t n_walks = 24, longest_walk = 48;

// A character that the element on top of a stack takes; 0 if it takes a token or the text ends.
uint32_t character_of(const llama_grammar_stack &stack) {
    if (stack.empty()) return 0;
    const llama_grammar_element *top = stack.back();
    if (top->type == LLAMA_GRETYPE_CHAR) return top->value;
    if (top->type == LLAMA_GRETYPE_CHAR_ANY) return 'a';
    if (top->type != LLAMA_GRETYPE_CHAR_NOT) return 0;
    for (uint32_t c = 'a'; c <= 'z'; ++c) {
        bool excluded = false;
        for (const llama_grammar_element *at = top; at == top || at->type == LLAMA_GRETYPE_CHAR_ALT || at->type == LLAMA_GRETYPE_CHAR_RNG_UPPER; ++at) {
            excluded = excluded || (at->type == LLAMA_GRETYPE_CHAR_RNG_UPPER ? c > at[-1].value && c <= at->value : c == at->value);
        }
        if (!excluded) return c;
    }
    return 0;
}

void require_few_ways(llama_grammar &grammar) {
    uint32_t random = 1;
    const llama_grammar_stacks start = grammar.stacks;
    for (size_t walk = 0; walk < n_walks; ++walk) {
        std::map<llama_grammar_stack, double> ways;  // to each state, since the last token
        for (const llama_grammar_stack &stack : start) ways[stack] = 1;
        for (size_t step = 0; step < longest_walk; ++step) {
            if (ways.size() > most_stacks) {
                refuse("it can go on in more than " + std::to_string(most_stacks) + " ways at one place; write it with fewer alternatives or optional parts in a row");
            }
            std::map<uint32_t, size_t> votes;
            for (const auto &entry : ways) ++votes[character_of(entry.first)];
            votes.erase(0);
            if (votes.empty()) break;
            auto chosen = std::max_element(votes.begin(), votes.end(), [](const auto &a, const auto &b) { return a.second < b.second; });
            if (walk) {
                random = random * 1664525 + 1013904223;
                if ((random >> 16) % 4 == 0) chosen = std::next(votes.begin(), (random >> 8) % votes.size());
            }
            std::map<llama_grammar_stack, double> next;
            double total = 0;
            for (const auto &[stack, count] : ways) {
                grammar.stacks = {stack};
                llama_grammar_accept(&grammar, chosen->first);
                for (const llama_grammar_stack &reached : grammar.stacks) {
                    next[reached] += count;
                    total += count;
                }
            }
            if (total > most_ways) refuse("it can read one text in too many ways; write its repetitions so that there is only one");
            ways.swap(next);
            if ((step + 1) % longest_token == 0) {
                for (auto &entry : ways) entry.second = 1;
            }
        }
    }
}

struct sampler_deleter {
    void operator()(llama_sampler *sampler) const { llama_sampler_free(sampler); }
};

struct grammar_deleter {
    void operator()(llama_grammar *grammar) const { llama_grammar_free_impl(grammar); }
};

// The expression with parentheses around each character that is repeated and that llama.cpp would repeat together with
// those in front of it: one that it writes as more than one byte.
std::string grouped(const std::string &regex) {
    std::string result;
    bool in_class = false;
    for (size_t at = 0, size = 1; at < regex.size(); at += size) {
        const unsigned char c = regex[at];
        size = c == '\\' ? 2 : 1;
        while (c >= 0x80 && at + size < regex.size() && (regex[at + size] & 0xC0) == 0x80) ++size;
        const std::string atom = regex.substr(at, size);
        if (atom == "[" || atom == "]") in_class = atom == "[";
        const bool repeated = at + size < regex.size() && std::strchr("*+?{", regex[at + size]);
        result += repeated && !in_class && (atom.size() > 1 || c == '"') ? "(" + atom + ")" : atom;
    }
    return result;
}

// Whether the converter makes a rule of the pattern, and not that of any text.
std::string rule_of_pattern(const std::string &pattern) {
    // What llama.cpp would tell on the host's stderr.
    if (pattern.size() < 2 || pattern.front() != '^' || pattern.back() != '$') return "";
    for (size_t at = pattern.find("(?"); at != std::string::npos; at = pattern.find("(?", at + 1)) {
        if (pattern.compare(at, 3, "(?:") != 0) return "";
    }
    const std::string grammar = json_schema_to_grammar(common_json::object({{"type", "string"}, {"pattern", pattern}}), true);
    const std::string start = "root ::= \"\\\"\" (", end = ") \"\\\"\"";
    std::istringstream lines(grammar);
    for (std::string line; std::getline(lines, line);) {
        if (line.compare(0, start.size(), start) == 0 && line.size() >= start.size() + end.size()) return line.substr(start.size(), line.size() - start.size() - end.size());
    }
    return "";
}

[[noreturn]] void refuse_schema(const std::string &where, const std::string &reason) {
    throw failure(MULLAMA_E_INVALID_SCHEMA, "the JSON schema cannot be enforced: " + shortened(where) + " " + reason);
}

// llama.cpp reads the first of some keywords that it finds, and none beside it.
void require_read(const common_json &schema, const std::string &where) {
    static const std::vector<std::pair<const char *, std::vector<const char *>>> alone = {
        {"$ref", {"type", "properties", "required", "items", "enum", "const", "minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf", "oneOf", "allOf"}},
        {"anyOf", {"properties", "required", "additionalProperties", "items", "enum", "const", "oneOf", "allOf"}},
        {"oneOf", {"properties", "required", "additionalProperties", "items", "enum", "const", "allOf"}},
        {"allOf", {"properties", "required", "additionalProperties", "items"}},
        {"pattern", {"minLength", "maxLength", "format"}},
        {"format", {"minLength", "maxLength"}},
    };
    for (const auto &[keyword, ignored] : alone) {
        if (!schema.contains(keyword)) continue;
        for (const char *other : ignored) {
            if (schema.contains(other)) refuse_schema(where + other, "has no effect beside " + std::string(keyword) + "; write one of them, or set strict to false");
        }
    }
    for (const auto &[least, most] : {std::pair("minimum", "maximum"), std::pair("minLength", "maxLength"), std::pair("minItems", "maxItems")}) {
        if (!schema.contains(least) || !schema.contains(most) || !schema.at(least).is_number() || !schema.at(most).is_number()) continue;
        if (schema.at(least).get<double>() > schema.at(most).get<double>()) refuse_schema(where + least, std::string("is larger than ") + most + ", which nothing can be");
    }
    if (!schema.contains("required") || !schema.at("required").is_array()) return;
    for (const common_json &name : schema.at("required")) {
        const bool listed = name.is_string() && schema.contains("properties") && schema.at("properties").is_object() && schema.at("properties").contains(name.get<std::string>());
        if (!listed) refuse_schema(where + "required", "names " + shortened(name.dump_safe()) + ", which is not among the properties; add it to them");
    }
}

void require_enforceable(const common_json &schema, const std::string &where) {
    if (!schema.is_object()) return;
    require_read(schema, where);
    static const char *const ignored[] = {"not",           "if",                   "then",                  "else",             "contains",         "minContains",   "maxContains",
                                          "multipleOf",    "dependentRequired",    "dependentSchemas",      "propertyNames",    "patternProperties", "minProperties", "maxProperties",
                                          "unevaluatedProperties", "unevaluatedItems", "additionalItems",      "dependencies",        "$dynamicRef"};
    for (const char *keyword : ignored) {
        if (schema.contains(keyword)) refuse_schema(where + keyword, "has no form in a grammar; remove it, or set strict to false");
    }
    if (schema.contains("uniqueItems") && schema.at("uniqueItems") != false) refuse_schema(where + "uniqueItems", "has no form in a grammar; remove it, or set strict to false");
    if (schema.contains("type") && schema.at("type") == "number") {
        for (const char *keyword : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
            if (schema.contains(keyword)) refuse_schema(where + keyword, "is enforced for type integer only; remove it, or set strict to false");
        }
    }
    if (schema.contains("format") && schema.at("format").is_string()) {
        const std::string format = schema.at("format").get<std::string>();
        static const std::set<std::string> known = {"date", "time", "date-time", "uuid", "int32", "int64", "float", "double"};
        if (!known.count(format) && !(format.size() == 5 && format.compare(0, 4, "uuid") == 0)) refuse_schema(where + "format", "is \"" + shortened(format) + "\", which has no form in a grammar; remove it, or set strict to false");
    }
    if (schema.contains("pattern") && schema.at("pattern").is_string() && grouped(schema.at("pattern").get<std::string>()) != schema.at("pattern").get<std::string>()) {
        refuse_schema(where + "pattern", "is \"" + shortened(schema.at("pattern").get<std::string>()) + "\"; put parentheses around each character that is escaped, a quote or not ASCII, and repeated");
    }
    if (schema.contains("pattern") && schema.at("pattern").is_string()) {
        const std::string pattern = schema.at("pattern").get<std::string>();
        std::string rule;
        try {
            rule = rule_of_pattern(pattern);
        } catch (const std::exception &e) {
            refuse_schema(where + "pattern", "is \"" + shortened(pattern) + "\", which is no regular expression: " + shortened(e.what()));
        }
        if (rule.empty()) refuse_schema(where + "pattern", "is \"" + shortened(pattern) + "\", which has no form in a grammar; it must begin with ^ and end with $, without look-around");
    }
    for (const char *names : {"properties", "$defs", "definitions"}) {
        if (!schema.contains(names) || !schema.at(names).is_object()) continue;
        for (const auto &[name, inner] : schema.at(names).items()) require_enforceable(inner, where + names + "." + shortened(name) + ".");
    }
    for (const char *one : {"items", "additionalProperties"}) {
        if (schema.contains(one)) require_enforceable(schema.at(one), where + one + ".");
    }
    for (const char *list : {"anyOf", "oneOf", "allOf", "prefixItems", "items"}) {
        if (!schema.contains(list) || !schema.at(list).is_array()) continue;
        for (const common_json &inner : schema.at(list)) require_enforceable(inner, where + list + ".");
    }
}

}  // namespace

void require_enforceable(const common_json &schema) { require_enforceable(schema, ""); }

std::string grammar_of_regex(const std::string &regex) {
    if (regex.size() > longest_pattern) refuse("the regular expression has " + std::to_string(regex.size()) + " bytes; at most " + std::to_string(longest_pattern) + " are read");
    std::string rule, grammar;
    try {
        // Anchors of its own change nothing: the whole answer must match.
        std::string inner = regex;
        if (!inner.empty() && inner.front() == '^') inner.erase(0, 1);
        if (!inner.empty() && inner.back() == '$' && (inner.size() < 2 || inner[inner.size() - 2] != '\\')) inner.pop_back();
        const std::string pattern = "^(?:" + grouped(inner) + ")$";
        rule = rule_of_pattern(pattern);
        grammar = json_schema_to_grammar(common_json::object({{"type", "string"}, {"pattern", pattern}}), true);
    } catch (const std::exception &e) {
        refuse("the regular expression is not valid: " + shortened(e.what(), longest_reason));
    }
    if (rule.empty()) refuse("the regular expression \"" + shortened(regex) + "\" has no form in a grammar; look-around and back references do not");
    std::string result = "root ::= " + rule + "\n";
    std::istringstream lines(grammar);
    for (std::string line; std::getline(lines, line);) {
        if (line.compare(0, 9, "root ::= ") != 0) result += line + "\n";
    }
    return result;
}

// The tokens of the template's start of the answer, as `common` feeds them to a grammar.
std::vector<llama_token> prefill_of(const llama_vocab *vocab, const std::string &start, std::string &pieces) {
    std::vector<llama_token> tokens;
    for (llama_token token : common_tokenize(vocab, start, false, true)) {
        const std::string piece = common_token_to_piece(vocab, token, true);
        if (tokens.empty() && pieces.empty() && !piece.empty() && std::isspace(static_cast<unsigned char>(piece[0])) && !std::isspace(static_cast<unsigned char>(start[0]))) continue;
        tokens.push_back(token);
        pieces += piece;
    }
    return tokens;
}

void prepare_grammar(const llama_vocab *vocab, common_params_sampling &params) {
    if (common_grammar_value(params.grammar).empty()) return;
    std::vector<std::string> patterns;
    std::vector<llama_token> tokens;
    if (params.grammar_lazy) {
        for (const common_grammar_trigger &trigger : params.grammar_triggers) {
            if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN) {
                tokens.push_back(trigger.token);
            } else {
                patterns.push_back(trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD ? regex_escape(trigger.value) : trigger.value);
            }
        }
    }
    std::vector<llama_token> prefill;
    if (!params.grammar_lazy && common_grammar_needs_prefill(params.grammar) && !params.generation_prompt.empty()) {
        // A tokenizer that puts a space behind special tokens makes other characters of the start than the grammar has.
        std::string pieces;
        prefill = prefill_of(vocab, params.generation_prompt, pieces);
        if (pieces != params.generation_prompt) {
            string_replace_all(params.grammar.grammar, gbnf_format_literal(params.generation_prompt), gbnf_format_literal(pieces));
        }
    }
    const std::unique_ptr<llama_sampler, sampler_deleter> sampler(init_grammar(vocab, common_grammar_value(params.grammar), "root", patterns, tokens));
    try {
        for (llama_token token : prefill) llama_sampler_accept(sampler.get(), token);
    } catch (const std::exception &) {
        refuse("it does not go together with how the chat template starts an answer");
    }
}

llama_sampler *init_grammar(const llama_vocab *vocab, const std::string &grammar, const std::string &root,
                            const std::vector<std::string> &trigger_patterns, const std::vector<llama_token> &trigger_tokens) {
    check(vocab, grammar, root);
    std::vector<const char *> patterns;
    for (const std::string &pattern : trigger_patterns) {
        if (pattern.size() > longest_pattern) refuse("a trigger pattern has " + std::to_string(pattern.size()) + " bytes; at most " + std::to_string(longest_pattern) + " are read");
        try {
            const std::regex compiled(pattern);
        } catch (const std::regex_error &e) {
            refuse("the trigger pattern \"" + shortened(pattern) + "\" is no regular expression: " + e.what());
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
    std::unique_ptr<llama_sampler, sampler_deleter> made(sampler);
    const std::unique_ptr<llama_grammar, grammar_deleter> walked(
        llama_grammar_init_impl(vocab, grammar.c_str(), root.c_str(), false, nullptr, 0, nullptr, 0));
    if (walked) require_few_ways(*walked);
    return made.release();
}

std::string grammar_of_schema(std::string_view schema) {
    const common_json parsed = parse_json(schema, "the JSON schema");
    if (!parsed.is_object() && !parsed.is_boolean()) throw failure(MULLAMA_E_INVALID_SCHEMA, "the JSON schema is neither an object nor true or false");
    require_convertible(parsed);
    try {
        return json_schema_to_grammar(parsed, true);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &e) {
        throw failure(MULLAMA_E_INVALID_SCHEMA, std::string("the JSON schema cannot be enforced: ") + shortened(e.what(), longest_reason));
    }
}

}  // namespace mullama
