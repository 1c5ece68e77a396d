// What the routes check of requests beyond the types of their fields.
#pragma once

#include <string>
#include <utility>

#include "engine_llama.h"
#include "failure.h"
#include "guard.h"
#include "json.h"
#include "text.h"

namespace mullama {

// Runs llama.cpp's code and blames what it throws on the caller's data.
template <class Body>
auto blame(int32_t code, const std::string &what, Body &&body) {
    try {
        return body();
    } catch (const failure &) {
        throw;
    } catch (const backend_abort &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &e) {
        throw failure(code, what + ": " + shortened(e.what(), longest_reason));
    }
}

// Takes a field out of a body.
template <class T>
T taken(common_json &body, const char *name, T otherwise) {
    if (!body.contains(name)) return otherwise;
    const T value = body.at(name).get<T>();
    body.erase(name);
    return value;
}

// The name of an entry of a list: messages[3].
std::string place(const std::string &name, size_t index);

// As the answer names the model.
std::string model_name(const engine_llama &llama, const common_json &body);

void require_mode(const engine_llama &llama, int32_t mode, const std::string &route);
void require_fit(const engine_llama &llama, size_t n_tokens);

// A schema that is not strict may ask for more than a grammar can enforce, as those of tools often do.
common_json checked_schema(const common_json &schema, const std::string &name, bool strict = true);

void check_lora(const engine_llama &llama, common_json &list, const std::string &name);

// All that generation routes share, on a body whose fields have the right types. Constraints of the answer, in one of the many
// forms of the APIs, become the fields json_schema or grammar.
void check_generation(engine_llama &llama, common_json &body);

}  // namespace mullama
