// What an answer may be, as changes of the grammars that llama.cpp makes of tools and schemas.
#pragma once

#include <string>
#include <vector>

namespace mullama {

// llama.cpp lets a model talk as long as it likes before a call that is required; here the answer is the call, behind its thinking.
std::string without_talk(std::string grammar);

// One call at most: for some formats llama.cpp allows several, whatever was asked for.
std::string with_one_call(std::string grammar);

// A grammar for all texts in which none of these stands.
std::string text_without(const std::vector<std::string> &texts);

// A grammar for answers of either kind. Both begin in the same way, as the template begins an answer.
std::string either(const std::string &one, const std::string &other);

}  // namespace mullama
