// The area vocabulary: text to tokens and back.
#include <cstring>
#include <stdexcept>

#include "model_resource.h"
#include "results.h"
#include "text.h"

namespace mullama {

const llama_vocab *model_resource::require_vocab() const {
    if (n_vocab == 0) throw failure(MULLAMA_E_NO_VOCABULARY, "the model has no vocabulary; pass token ids in place of text");
    return vocab;
}

void model_resource::require_token(llama_token token, const char *what) const {
    require_vocab();
    if (token < 0 || token >= n_vocab) {
        throw failure(MULLAMA_E_INVALID_TOKEN, std::string(what) + " is " + std::to_string(token) + "; the vocabulary has ids 0 to " + std::to_string(n_vocab - 1));
    }
}

std::vector<llama_token> model_resource::tokenize(std::string_view text, bool add_special, bool parse_special) const {
    require_vocab();
    if (text.size() > static_cast<size_t>(INT32_MAX)) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "the text has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(INT32_MAX) + " can be tokenized at once");
    }
    // Every token but the special ones stands for at least one byte in nearly all vocabularies: one pass is enough.
    std::vector<llama_token> tokens(text.size() + 8);
    const auto run = [&] {
        try {
            return llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(), static_cast<int32_t>(tokens.size()),
                                  add_special, parse_special);
        } catch (const std::out_of_range &) {  // a vocabulary without byte tokens
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "the text holds a character that the vocabulary has no token for");
        }
    };
    int32_t count = run();
    if (count < 0 && count != INT32_MIN) {
        tokens.resize(-count);
        count = run();
    }
    if (count < 0) throw failure(MULLAMA_E_INVALID_ARGUMENT, "the text has too many tokens to count in 32 bits");
    tokens.resize(count);
    return tokens;
}

const special_tokens &model_resource::special() {
    std::call_once(special_once_, [&] { special_ = std::make_unique<special_tokens>(vocab); });
    return *special_;
}

void model_resource::append_piece(std::string &text, llama_token token, bool special) const {
    char small[64];
    const int32_t size = llama_token_to_piece(vocab, token, small, sizeof(small), 0, special);
    if (size >= 0) {
        text.append(small, size);
        return;
    }
    const size_t before = text.size();
    text.resize(before - size);
    llama_token_to_piece(vocab, token, &text[before], -size, 0, special);
}

std::string model_resource::detokenize(const llama_token *tokens, size_t count, bool remove_special, bool unparse_special) const {
    require_vocab();
    require_array(tokens, count, "tokens");
    if (count > static_cast<size_t>(INT32_MAX)) throw failure(MULLAMA_E_INVALID_ARGUMENT, "there are " + std::to_string(count) + " tokens; at most " + std::to_string(INT32_MAX) + " can be turned to text at once");
    for (size_t i = 0; i < count; ++i) require_token(tokens[i], ("token " + std::to_string(i)).c_str());
    std::string text(count * 8 + 32, '\0');
    const auto run = [&] {
        return llama_detokenize(vocab, tokens, static_cast<int32_t>(count), &text[0], static_cast<int32_t>(text.size()), remove_special, unparse_special);
    };
    int32_t size = count ? run() : 0;
    if (size < 0) {
        text.resize(-size);
        size = run();
    }
    text.resize(size < 0 ? 0 : size);
    return mended_utf8(text);
}

namespace {

// The resource of an open model with a vocabulary that holds the token.
std::shared_ptr<model_resource> enter_with_token(mullama_model *model, int32_t token) {
    auto resource = require(model, "model").core->enter();
    resource->require_token(token);
    return resource;
}

}  // namespace

}  // namespace mullama

using namespace mullama;

int32_t mullama_model_tokenize(mullama_model *model, const char *text, size_t text_len, int32_t add_special, int32_t parse_special,
                               const int32_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        give(resource->tokenize(take_text(text, text_len, "the text"), add_special, parse_special), out, out_len);
    });
}

int32_t mullama_model_count_tokens(mullama_model *model, const char *text, size_t text_len, int32_t add_special,
                                   int32_t parse_special, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        give(static_cast<int32_t>(resource->tokenize(take_text(text, text_len, "the text"), add_special, parse_special).size()), out);
    });
}

int32_t mullama_model_detokenize(mullama_model *model, const int32_t *tokens, size_t tokens_len, int32_t remove_special,
                                 int32_t unparse_special, const char **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        give(resource->detokenize(tokens, tokens_len, remove_special, unparse_special), out, out_len);
    });
}

int32_t mullama_model_token_piece(mullama_model *model, int32_t token, int32_t special, const uint8_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        std::string piece;
        enter_with_token(model, token)->append_piece(piece, token, special);
        give(piece.data(), piece.size(), out, out_len);
    });
}

int32_t mullama_model_token_text(mullama_model *model, int32_t token, const char **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] { give(mended_utf8(llama_vocab_get_text(enter_with_token(model, token)->vocab, token)), out, out_len); });
}

int32_t mullama_model_token_attributes(mullama_model *model, int32_t token, uint64_t *out, mullama_error **err) {
    return guarded(err, [&] { give(static_cast<uint64_t>(llama_vocab_get_attr(enter_with_token(model, token)->vocab, token)), out); });
}

int32_t mullama_model_token_score(mullama_model *model, int32_t token, float *out, mullama_error **err) {
    return guarded(err, [&] { give(llama_vocab_get_score(enter_with_token(model, token)->vocab, token), out); });
}

int32_t mullama_model_token_is_end(mullama_model *model, int32_t token, int32_t *out, mullama_error **err) {
    return guarded(err, [&] { give(static_cast<int32_t>(llama_vocab_is_eog(enter_with_token(model, token)->vocab, token)), out); });
}

int32_t mullama_model_token_is_control(mullama_model *model, int32_t token, int32_t *out, mullama_error **err) {
    return guarded(err, [&] { give(static_cast<int32_t>(llama_vocab_is_control(enter_with_token(model, token)->vocab, token)), out); });
}

int32_t mullama_model_special_tokens(mullama_model *model, mullama_special_tokens *out, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        const llama_vocab *vocab = resource->require_vocab();
        mullama_special_tokens tokens{};
        tokens.bos = llama_vocab_bos(vocab);
        tokens.eos = llama_vocab_eos(vocab);
        tokens.eot = llama_vocab_eot(vocab);
        tokens.sep = llama_vocab_sep(vocab);
        tokens.newline = llama_vocab_nl(vocab);
        tokens.pad = llama_vocab_pad(vocab);
        tokens.mask = llama_vocab_mask(vocab);
        tokens.fim_prefix = llama_vocab_fim_pre(vocab);
        tokens.fim_suffix = llama_vocab_fim_suf(vocab);
        tokens.fim_middle = llama_vocab_fim_mid(vocab);
        tokens.fim_pad = llama_vocab_fim_pad(vocab);
        tokens.fim_repository = llama_vocab_fim_rep(vocab);
        tokens.fim_separator = llama_vocab_fim_sep(vocab);
        tokens.add_bos = llama_vocab_get_add_bos(vocab);
        tokens.add_eos = llama_vocab_get_add_eos(vocab);
        tokens.add_sep = llama_vocab_get_add_sep(vocab);
        give(tokens, out);
    });
}

int32_t mullama_model_end_tokens(mullama_model *model, const int32_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        resource->require_vocab();
        give(resource->end_tokens, out, out_len);
    });
}

int32_t mullama_model_suppressed_tokens(mullama_model *model, const int32_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto resource = require(model, "model").core->enter();
        int32_t count = 0;
        const llama_token *tokens = llama_vocab_get_suppress_tokens(resource->require_vocab(), &count);
        give(std::vector<int32_t>(tokens, tokens + count), out, out_len);
    });
}
