// Chains and brackets become a tree as deep as they have words, blocks (and each elif) one as deep as they are nested. The
// largest template in llama.cpp's collection has 58 words in a tag and fewer than 45 open branches; a stack of 8 MB holds 3,000.
#include "template_check.h"

#include <cctype>
#include <vector>

#include "failure.h"
#include "libmullama.h"

namespace mullama {

namespace {

constexpr size_t longest_tag = 1000;
constexpr size_t deepest_block = 500;

[[noreturn]] void refuse(const std::string &reason, size_t offset) {
    throw failure(MULLAMA_E_TEMPLATE_FAILED, "the chat template is not read: " + reason + " at byte " + std::to_string(offset));
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The words and signs of the tag that starts at `at`, which is moved behind its end.
std::vector<std::string> words_of_tag(const std::string &source, size_t &at) {
    const size_t start = at;
    const std::string end = source[at + 1] == '%' ? "%}" : "}}";
    std::vector<std::string> words;
    size_t braces = 0;
    for (at += 2; at < source.size();) {
        const char c = source[at];
        if (braces == 0 && source.compare(at, 2, end) == 0) {
            at += 2;
            break;
        }
        if (std::isspace(static_cast<unsigned char>(c))) {
            ++at;
            continue;
        }
        const size_t first = at++;
        if (c == '"' || c == '\'') {
            while (at < source.size() && source[at] != c) at += source[at] == '\\' ? 2 : 1;
            ++at;
        } else if (is_word(c)) {
            while (at < source.size() && is_word(source[at])) ++at;
        } else if (c == '{') {
            ++braces;
        } else if (c == '}' && braces) {
            --braces;
        }
        if (words.size() == longest_tag) refuse("a tag has more than " + std::to_string(longest_tag) + " words", start);
        words.push_back(source.substr(first, at - first));
    }
    return words;
}

}  // namespace

void check_template(const std::string &source) {
    std::vector<size_t> blocks;  // open ones, with the branches that each has so far
    size_t depth = 0;
    for (size_t at = source.find('{'); at != std::string::npos && at + 1 < source.size(); at = source.find('{', at)) {
        if (source[at + 1] == '#') {
            at = source.find("#}", at + 2);
            if (at == std::string::npos) return;
            continue;
        }
        if (source[at + 1] != '%' && source[at + 1] != '{') {
            ++at;
            continue;
        }
        const size_t start = at;
        const bool statement = source[at + 1] == '%';
        const std::vector<std::string> words = words_of_tag(source, at);
        if (!statement) continue;
        size_t i = 0;
        while (i < words.size() && (words[i] == "-" || words[i] == "+")) ++i;
        const std::string keyword = i < words.size() ? words[i] : "";
        if (keyword == "if" || keyword == "for" || keyword == "macro" || keyword == "call" || keyword == "filter") {
            blocks.push_back(1);
            ++depth;
        } else if (keyword == "elif" && !blocks.empty()) {
            ++blocks.back();
            ++depth;
        } else if (keyword.compare(0, 3, "end") == 0 && keyword != "endset" && !blocks.empty()) {
            depth -= blocks.back();
            blocks.pop_back();
        }
        if (depth > deepest_block) refuse("blocks are nested more than " + std::to_string(deepest_block) + " deep", start);
    }
}

}  // namespace mullama
