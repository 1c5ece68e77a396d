#include "truncation.h"

#include <algorithm>

#include "engine_fields.h"
#include "request_checks.h"

namespace mullama {

truncation take_truncation(const engine_llama &llama, common_json &body, bool has_messages) {
    truncation asked;
    common_json field = taken(body, "truncation", common_json("disabled"));
    if (field.is_string()) field = common_json::object({{"strategy", field}});
    static const field_rules rules = {{"strategy", field_type::text, 0, 64}, {"reserve", field_type::integer, 1, 2147483647}};
    check_fields(field, "truncation", {&rules});
    if (!field.contains("strategy")) refuse_field("truncation.strategy", "is missing");
    asked.strategy = field.at("strategy").get<std::string>();
    if (asked.strategy == "disabled") asked.strategy.clear();
    if (asked.strategy == "oldest_messages" && !has_messages) refuse_field("truncation", "is oldest_messages, but this route has no messages; it must be start, middle or disabled");
    if (!asked.strategy.empty() && asked.strategy != "start" && asked.strategy != "middle" && asked.strategy != "oldest_messages") {
        refuse_field("truncation", "is \"" + asked.strategy + "\"; it must be start, middle, " + (has_messages ? "oldest_messages " : "") + "or disabled");
    }
    const int64_t n_ctx = llama.n_ctx();
    int64_t reserve = n_ctx / 4;
    for (const char *name : {"n_predict", "max_completion_tokens", "max_tokens"}) {
        if (body.contains(name) && body.at(name).get<int64_t>() > 0) reserve = body.at(name).get<int64_t>();
    }
    if (field.contains("reserve")) reserve = field.at("reserve").get<int64_t>();
    asked.most = n_ctx - std::min(reserve, n_ctx / 2);
    return asked;
}

std::vector<llama_token> cut_tokens(const engine_llama &llama, const std::vector<llama_token> &tokens, truncation &asked) {
    if (asked.strategy.empty() || tokens.size() <= asked.most) {
        if (!asked.strategy.empty()) asked.removed.push_back(0);
        return tokens;
    }
    const auto goes_on = [&](llama_token token) {
        const std::string piece = common_token_to_piece(llama.vocab(), token);
        return !piece.empty() && (static_cast<unsigned char>(piece[0]) & 0xC0) == 0x80;
    };
    size_t head = asked.strategy == "middle" ? asked.most / 2 : tokens[0] == llama_vocab_bos(llama.vocab()) ? 1 : 0;
    size_t tail = tokens.size() - (asked.most - head);
    while (head > 1 && goes_on(tokens[head])) --head;
    while (tail + 1 < tokens.size() && goes_on(tokens[tail])) ++tail;
    std::vector<llama_token> kept(tokens.begin(), tokens.begin() + head);
    kept.insert(kept.end(), tokens.begin() + tail, tokens.end());
    asked.removed.push_back(tail - head);
    return kept;
}

common_json told(const truncation &asked) {
    int64_t total = 0;
    for (const common_json &removed : asked.removed) total += removed.get<int64_t>();
    common_json note = common_json::object({{"strategy", asked.strategy}, {"tokens_removed", total}});
    if (asked.removed.size() > 1) note["tokens_removed_each"] = asked.removed;
    return note;
}

}  // namespace mullama
