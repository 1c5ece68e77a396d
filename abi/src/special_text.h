// Text that looks like a special token but was typed by somebody: it goes through a chat template and the tokenizer as text.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json.h"
#include "llama.h"

namespace mullama {

// A text with the places, in order and apart, where special tokens are not to be seen.
struct shielded_text {
    std::string text;
    std::vector<std::pair<size_t, size_t>> literal;  // [start, end) in bytes
};

// A piece of a text: a special token, or text in which none is to be seen.
struct text_piece {
    std::string_view text;
    llama_token token;  // LLAMA_TOKEN_NULL: text
};

class special_tokens {
  public:
    explicit special_tokens(const llama_vocab *vocab);

    // Length of the longest control token's text that starts at the beginning of `text`; 0 if none does.
    size_t starts(std::string_view text) const;

    // What llama_tokenize gives with parse_special, but without the special tokens that touch a literal place.
    std::vector<llama_token> tokenize(const shielded_text &text, bool add_special) const;
    // The pieces that this is tokenized in. They point into the text.
    std::vector<text_piece> pieces(const shielded_text &text) const;

  private:
    const llama_vocab *vocab_;
    std::vector<llama_token> tokens_;                         // all that the tokenizer sees in a text, longest text first
    std::array<std::vector<std::string_view>, 256> control_;  // texts of control tokens by their first byte, longest first
    std::vector<std::string_view> shown_;                     // of them, those that llama.cpp makes user-defined in order to show them
};

// Takes typed texts through a template: puts a mark in place of each special text in them, and finds the marks in what the
// template wrote. A mark survives what templates do to contents (trimming, splitting, JSON).
class text_shield {
  public:
    // `also` is one more text to be covered, if it is not empty.
    explicit text_shield(const special_tokens &special, std::string also = "") : special_(special), also_(std::move(also)) {}

    // Throws INVALID_ARGUMENT for a text that holds a mark's own character, a noncharacter of Unicode.
    std::string cover(const std::string &content);
    shielded_text uncover(const std::string &prompt) const;

  private:
    const special_tokens &special_;
    const std::string also_;
    std::vector<std::string> covered_;
};

// Covers all that users, tools and systems said in a list of messages. What the assistant said is the model's own text, in
// which its tokens have their meaning. What has not the form of a message is left alone.
void cover_messages(text_shield &shield, common_json &messages);
// Covers the descriptions in a list of tools.
void cover_tools(text_shield &shield, common_json &tools);

}  // namespace mullama
