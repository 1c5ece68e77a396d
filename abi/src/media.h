// The images and sounds of a request: from base64 in its JSON to pixels and samples.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine_llama.h"
#include "json.h"
#include "mtmd.h"

namespace mullama {

struct medium {
    std::string name;         // the field that holds it
    size_t message;           // of the chat
    mtmd::bitmap_ptr bitmap;  // its id is a hash of the file, by which the prompt cache knows it again
};

// Takes the images and sounds out of checked messages, in order; llama.cpp puts a mark where each of them was. `names` are
// the fields that hold them in the caller's own form of chat; if empty that is the form of the messages. Throws UNSUPPORTED for
// what the projector does not take, INVALID_ARGUMENT for a wrong form, MEDIA_INVALID for what cannot be decoded.
std::vector<medium> take_media(const engine_llama &llama, common_json &messages, const std::vector<std::string> &names);

// How closely an image is looked at is the projector's matter: a wish for less is refused.
void check_detail(const std::string &detail, const std::string &name);

// The bytes of a base64 text, which may be broken into lines. Throws INVALID_ARGUMENT.
std::vector<unsigned char> decoded_base64(std::string_view text, const std::string &name);

}  // namespace mullama
