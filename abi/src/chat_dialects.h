// Other APIs' ways to say a chat, as one of chat/completions.
#pragma once

#include "json.h"

namespace mullama {

// OpenAI's Responses API.
common_json chat_of_response(common_json body);

// Anthropic's Messages API.
common_json chat_of_messages(common_json body);

}  // namespace mullama
