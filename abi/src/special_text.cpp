// The partition is llama.cpp's (tokenizer_st_partition): one special token after the other, longest text first, cuts the
// fragments that are still text. What remains is tokenized without control tokens, fragment by fragment, as it is there.
#include "special_text.h"

#include <algorithm>
#include <cctype>

#include "common.h"
#include "failure.h"

namespace mullama {

namespace {

const std::string mark_start = "\xEF\xB7\x90";  // U+FDD0
const std::string mark_end = "\xEF\xB7\x91";    // U+FDD1

struct fragment {
    size_t start, end;
    llama_token token;  // LLAMA_TOKEN_NULL: text
};

bool longer(std::string_view a, std::string_view b) { return a.size() != b.size() ? a.size() > b.size() : a < b; }

bool touches(const std::vector<std::pair<size_t, size_t>> &places, size_t start, size_t end) {
    const auto next = std::upper_bound(places.begin(), places.end(), start, [](size_t at, const auto &place) { return at < place.second; });
    return next != places.end() && next->first < end;
}

// llama.cpp makes <|start|>, <|channel|> and others of gpt-oss user-defined. They open and close turns all the same.
bool has_form_of_control(std::string_view text) { return text.size() > 4 && text.substr(0, 2) == "<|" && text.substr(text.size() - 2) == "|>"; }

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

}  // namespace

special_tokens::special_tokens(const llama_vocab *vocab) : vocab_(vocab) {
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE) return;
    constexpr int seen = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_UNKNOWN;
    constexpr int control = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
        const std::string_view text = llama_vocab_get_text(vocab, token);
        if (text.empty() || !(llama_vocab_get_attr(vocab, token) & seen)) continue;
        tokens_.push_back(token);
        const bool is_control = llama_vocab_get_attr(vocab, token) & control;
        if (is_control || has_form_of_control(text)) control_[static_cast<unsigned char>(text[0])].push_back(text);
        if (!is_control && has_form_of_control(text)) shown_.push_back(text);
    }
    std::stable_sort(tokens_.begin(), tokens_.end(), [&](llama_token a, llama_token b) {
        return std::string_view(llama_vocab_get_text(vocab, a)).size() > std::string_view(llama_vocab_get_text(vocab, b)).size();
    });
    for (auto &texts : control_) std::sort(texts.begin(), texts.end(), longer);
}

size_t special_tokens::starts(std::string_view text) const {
    if (text.empty()) return 0;
    for (std::string_view special : control_[static_cast<unsigned char>(text[0])]) {
        if (text.substr(0, special.size()) == special) return special.size();
    }
    return 0;
}

std::vector<text_piece> special_tokens::pieces(const shielded_text &shielded) const {
    const std::string &text = shielded.text;
    std::vector<fragment> fragments;
    size_t begin = 0;
    for (const auto &[start, end] : shielded.literal) {
        // A user-defined token is found in any text, but not in one that is cut behind its first character.
        if (std::find(shown_.begin(), shown_.end(), std::string_view(text).substr(start, end - start)) == shown_.end()) continue;
        fragments.push_back({begin, start + 1, LLAMA_TOKEN_NULL});
        begin = start + 1;
    }
    if (begin < text.size()) fragments.push_back({begin, text.size(), LLAMA_TOKEN_NULL});
    for (llama_token token : tokens_) {
        const std::string_view special = llama_vocab_get_text(vocab_, token);
        const llama_token_attr attributes = llama_vocab_get_attr(vocab_, token);
        std::vector<fragment> cut;
        for (const fragment &part : fragments) {
            size_t start = part.start;
            for (size_t from = start; part.token == LLAMA_TOKEN_NULL;) {
                const size_t match = std::string_view(text.data(), part.end).find(special, from);
                if (match == std::string_view::npos) break;
                from = match + special.size();
                if (!(attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) && touches(shielded.literal, match, from)) {
                    from = match + 1;
                    continue;
                }
                size_t left = match;
                while ((attributes & LLAMA_TOKEN_ATTR_LSTRIP) && left > start && is_space(text[left - 1])) --left;
                if (left > start) cut.push_back({start, left, LLAMA_TOKEN_NULL});
                cut.push_back({match, from, token});
                while ((attributes & LLAMA_TOKEN_ATTR_RSTRIP) && from < part.end && is_space(text[from])) ++from;
                start = from;
            }
            if (start < part.end) cut.push_back({start, part.end, part.token});
        }
        fragments.swap(cut);
    }

    std::vector<text_piece> pieces;
    for (const fragment &part : fragments) pieces.push_back({std::string_view(text).substr(part.start, part.end - part.start), part.token});
    return pieces;
}

std::vector<llama_token> special_tokens::tokenize(const shielded_text &shielded, bool add_special) const {
    if (shielded.literal.empty()) return common_tokenize(vocab_, shielded.text, add_special, true);
    std::vector<llama_token> tokens;
    if (add_special && llama_vocab_get_add_bos(vocab_)) tokens.push_back(llama_vocab_bos(vocab_));
    for (const text_piece &piece : pieces(shielded)) {
        if (piece.token != LLAMA_TOKEN_NULL) {
            tokens.push_back(piece.token);
        } else {
            const std::vector<llama_token> more = common_tokenize(vocab_, std::string(piece.text), false, false);
            tokens.insert(tokens.end(), more.begin(), more.end());
        }
    }
    if (add_special && llama_vocab_get_add_eos(vocab_)) tokens.push_back(llama_vocab_eos(vocab_));
    return tokens;
}

std::string text_shield::cover(const std::string &content) {
    if (content.find(mark_start) != std::string::npos || content.find(mark_end) != std::string::npos) {
        throw failure(code::invalid_argument, "a text of the chat holds U+FDD0 or U+FDD1, which Unicode keeps for programs; remove it");
    }
    std::string result;
    for (size_t at = 0; at < content.size();) {
        const bool is_also = !also_.empty() && content.compare(at, also_.size(), also_) == 0;
        const size_t size = is_also ? also_.size() : special_.starts(std::string_view(content).substr(at));
        if (size) {
            result += mark_start + std::to_string(covered_.size()) + mark_end;
            covered_.push_back(content.substr(at, size));
            at += size;
        } else {
            result += content[at++];
        }
    }
    return result;
}

shielded_text text_shield::uncover(const std::string &prompt) const {
    shielded_text result;
    size_t at = 0;
    for (size_t start = prompt.find(mark_start); start != std::string::npos; start = prompt.find(mark_start, at)) {
        const size_t number = start + mark_start.size();
        size_t end = number;
        while (end < prompt.size() && std::isdigit(static_cast<unsigned char>(prompt[end]))) ++end;
        constexpr size_t most_digits = 9;
        const bool is_mark = end > number && end - number <= most_digits && prompt.compare(end, mark_end.size(), mark_end) == 0;
        const size_t index = is_mark ? std::stoul(prompt.substr(number, end - number)) : covered_.size();
        result.text.append(prompt, at, start - at);
        if (index >= covered_.size()) {  // the character itself, which definitions and arguments may hold, or what a template cut off
            result.text += mark_start;
            at = number;
            continue;
        }
        const std::string &text = covered_[index];
        result.literal.emplace_back(result.text.size(), result.text.size() + text.size());
        result.text += text;
        at = end + mark_end.size();
    }
    result.text.append(prompt, at, std::string::npos);
    return result;
}

namespace {

void cover_text(text_shield &shield, common_json &object, const char *name) {
    if (object.is_object() && object.contains(name) && object.at(name).is_string()) object[name] = shield.cover(object.at(name).get<std::string>());
}

}  // namespace

void cover_messages(text_shield &shield, common_json &messages) {
    for (common_json &message : messages) {
        if (!message.is_object() || (message.contains("role") && message.at("role") == "assistant")) continue;
        cover_text(shield, message, "content");
        cover_text(shield, message, "name");
        if (!message.contains("content") || !message.at("content").is_array()) continue;
        for (common_json &part : message.at("content")) cover_text(shield, part, "text");
    }
}

void cover_tools(text_shield &shield, common_json &tools) {
    for (common_json &tool : tools) {
        if (tool.is_object() && tool.contains("function")) cover_text(shield, tool.at("function"), "description");
    }
}

}  // namespace mullama
