// Other APIs' ways to say a chat, as one of chat/completions.
#pragma once

#include "chat_request.h"
#include "json.h"

namespace mullama {

// OpenAI's Responses API.
dialect_chat chat_of_response(common_json body);

// Anthropic's Messages API.
dialect_chat chat_of_messages(common_json body);

}  // namespace mullama
