// What stands behind a model handle, shared by the contexts and samplers on it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "chat.h"
#include "handle.h"
#include "libmullama.h"
#include "llama-cpp.h"
#include "special_text.h"

namespace mullama {

struct model_resource {
    llama_model_ptr model;
    const llama_vocab *vocab = nullptr;
    int32_t n_vocab = 0;  // 0 without a vocabulary
    int32_t position_limit = 0;  // see model_check.h
    bool vocab_only = false;
    std::string description, architecture;
    std::vector<std::string> warnings;
    std::vector<llama_token> end_tokens;

    // Parsing a template is dear, applying it is cheap: the parsed one is kept for the model's own template.
    std::mutex templates_mutex;
    std::shared_ptr<common_chat_templates> templates;

    // Made when a chat first needs them.
    const special_tokens &special();

    // The vocabulary for a call that needs one.
    const llama_vocab *require_vocab() const;
    void require_token(llama_token token, const char *what = "the token") const;
    std::vector<llama_token> tokenize(std::string_view text, bool add_special, bool parse_special) const;
    void append_piece(std::string &text, llama_token token, bool special) const;
    std::string detokenize(const llama_token *tokens, size_t count, bool remove_special, bool unparse_special) const;
    bool is_end(llama_token token) const { return llama_vocab_is_eog(vocab, token); }

  private:
    std::once_flag special_once_;
    std::unique_ptr<special_tokens> special_;
};

struct chat_prompt {
    shielded_text prompt;
    std::string generation_prompt;
    std::vector<std::string> stops;
    bool supports_thinking = false;
};

// Messages as a prompt; see chat_template.yaml.
chat_prompt apply_chat_template(model_resource &model, std::string_view messages, const mullama_chat_options &options);

}  // namespace mullama

struct mullama_error : mullama::error_object {};

struct mullama_model {
    explicit mullama_model(std::shared_ptr<mullama::model_resource> resource)
        : core(std::make_shared<mullama::shared_core<mullama::model_resource>>("model", std::move(resource))) {}
    std::shared_ptr<mullama::shared_core<mullama::model_resource>> core;
    mullama::live_object counted;
};
