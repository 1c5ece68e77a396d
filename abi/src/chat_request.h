// From the messages and tools of a chat to the prompt that its template writes.
#pragma once

#include <vector>

#include "engine_llama.h"
#include "json.h"
#include "media.h"
#include "special_text.h"

namespace mullama {

struct chat_request {
    common_json data;  // as llama.cpp's parameters
    shielded_text prompt;
    server_tokens tokens;
};

struct fitted_chat {
    chat_request request;
    common_json cut;  // what was cut, where that was asked for
};

// Takes the fields that only label a request, and refuses those of them that ask for more.
void check_labels(common_json &body);

// A chat in some API's form as one of chat/completions.
struct dialect_chat {
    common_json body;
    std::vector<std::string> media;  // the fields that hold its images and sounds, in their order; empty: those of body
};

// A checked body to a prompt and parameters.
chat_request write_chat(engine_llama &llama, dialect_chat chat);

// Writes a chat so that it fits, or refuses it.
fitted_chat fit_chat(engine_llama &llama, dialect_chat chat);

}  // namespace mullama
