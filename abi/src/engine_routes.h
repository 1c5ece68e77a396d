// From a route and a JSON body to work for the engine.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine_llama.h"

namespace mullama {

// Throws a failure that names the field for everything that cannot be honoured. Any thread.
std::unique_ptr<request_work> prepare_request(engine_llama &llama, const std::string &route, std::string_view body);

}  // namespace mullama
