// llama.cpp's converter builds a tree of a schema and of what it refers to, each reference once, and writes a rule for each
// part. It calls itself for parts within parts and for references, as deep as they go; it copies a schema for each of several
// types; and where `allOf` refers to something, it writes the properties of that anew, each time. So a schema is looked at
// first as a graph of definitions, where all of this can be counted without following it.
#include "schema_check.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common.h"
#include "failure.h"
#include "libmullama.h"
#include "text.h"

namespace mullama {

namespace {

constexpr size_t most_references = 4096;
// 3,000 levels take a stack of 8 MB.
constexpr size_t deepest = 1000;
constexpr size_t most_parts = 200000;
constexpr size_t most_alternatives = 100000;  // that are tried one by one to find out what types a value can have
constexpr size_t most_name_bytes = size_t{16} << 20;
// A rule for each of them, that tells what may follow. From 350 on the grammar has too many ways to go on.
constexpr size_t most_optional = 320;

[[noreturn]] void refuse(const std::string &reason) { throw failure(MULLAMA_E_INVALID_SCHEMA, "the JSON schema cannot be enforced: " + reason); }

size_t sum(size_t a, size_t b) { return std::min(a + b, most_parts + 1); }
size_t product(size_t a, size_t b) { return a && b > (most_parts + 1) / a ? most_parts + 1 : a * b; }

// The root, or what a reference names.
struct definition {
    std::string name;
    size_t depth = 0, parts = 0, alternatives = 0;
    std::vector<size_t> references;  // all
    std::vector<size_t> direct;      // those that the value itself is, with nothing in between
    std::vector<size_t> merged;      // those within allOf
};

class graph {
  public:
    explicit graph(const common_json &root) : root_(root) {
        definitions_.emplace_back().name = "the whole";
        look(0, &root);
        // Grows while it is gone through.
        for (size_t i = 1; i < definitions_.size(); ++i) {
            if (const common_json *target = resolved(definitions_[i].name)) look(i, target);
        }
        require_ends();
        require_bounds();
    }

  private:
    // The same names as llama.cpp takes; it says itself what leads nowhere.
    const common_json *resolved(const std::string &reference) const {
        const common_json *target = &root_;
        const std::vector<std::string> steps = string_split(reference.substr(1), "/");
        for (size_t i = 1; i < steps.size(); ++i) {
            if (target->is_object() && target->contains(steps[i])) {
                target = &target->at(steps[i]);
            } else if (target->is_array() && !steps[i].empty() && steps[i].find_first_not_of("0123456789") == std::string::npos) {
                const std::string digits = steps[i].substr(std::min(steps[i].find_first_not_of('0'), steps[i].size() - 1));
                if (digits.size() > 9 || std::stoul(digits) >= target->size()) return nullptr;
                target = &target->at(std::stoul(digits));
            } else {
                return nullptr;
            }
        }
        return target;
    }

    size_t number_of(const std::string &reference) {
        const auto [found, is_new] = numbers_.emplace(reference, definitions_.size());
        if (is_new) {
            if (definitions_.size() > most_references) refuse("it has more than " + std::to_string(most_references) + " references");
            definitions_.emplace_back().name = reference;
        }
        return found->second;
    }

    void look(size_t number, const common_json *schema) {
        const size_t parts = look(number, *schema, 1, true, false, 0);
        definitions_[number].parts = parts;
        n_parts_ = sum(n_parts_, parts);
        if (n_parts_ > most_parts) refuse("it has more than " + std::to_string(most_parts) + " parts, with what its references name and each type of several");
    }

    // The number of its parts. `direct`: the value itself is this; `merged`: it is within allOf; `name_size`: bytes of the names that lead to it.
    size_t look(size_t number, const common_json &schema, size_t depth, bool direct, bool merged, size_t name_size) {
        definitions_[number].depth = std::max(definitions_[number].depth, depth);
        name_bytes_ += name_size;
        if (name_bytes_ > most_name_bytes) refuse("the names of its properties are too long");
        if (!schema.is_object()) return 1;
        if (direct) ++definitions_[number].alternatives;
        if (schema.contains("$ref")) {
            if (!schema.at("$ref").is_string() || schema.at("$ref").get<std::string>().compare(0, 2, "#/") != 0) return 1;
            const size_t target = number_of(schema.at("$ref").get<std::string>());
            definitions_[number].references.push_back(target);
            if (direct) definitions_[number].direct.push_back(target);
            if (merged) definitions_[number].merged.push_back(target);
            return 1;
        }
        size_t parts = 1;
        const auto add = [&](const common_json &inner, bool is_direct, bool is_merged, size_t size) { parts = sum(parts, look(number, inner, depth + 1, is_direct, is_merged, name_size + size)); };
        if (schema.contains("properties") && schema.at("properties").is_object()) {
            const common_json &properties = schema.at("properties");
            const size_t n_required = schema.contains("required") && schema.at("required").is_array() ? schema.at("required").size() : 0;
            if (properties.size() > n_required + most_optional) {
                refuse("an object has " + std::to_string(properties.size()) + " properties, of which at most " + std::to_string(most_optional) + " can be optional; require more of them");
            }
            for (const auto &[name, inner] : properties.items()) add(inner, false, false, name.size());
        }
        for (const char *one : {"additionalProperties", "items", "prefixItems"}) {
            if (schema.contains(one) && schema.at(one).is_object()) add(schema.at(one), false, false, 16);
        }
        for (const char *list : {"items", "prefixItems", "anyOf", "oneOf", "allOf"}) {
            if (!schema.contains(list) || !schema.at(list).is_array()) continue;
            const std::string keyword = list;
            const bool is_choice = keyword == "anyOf" || keyword == "oneOf";
            for (const common_json &inner : schema.at(list)) add(inner, direct && (is_choice || keyword == "allOf"), keyword == "allOf" || (merged && is_choice), 4);
        }
        // It is built anew for each.
        return schema.contains("type") && schema.at("type").is_array() ? product(parts, schema.at("type").size()) : parts;
    }

    // Orders definitions so that each comes behind those that its `edges` lead to. Those in circles, and those that lead to one, are left out.
    std::vector<size_t> ordered(std::vector<size_t> definition::*edges) const {
        std::vector<std::vector<size_t>> users(definitions_.size());
        std::vector<size_t> open(definitions_.size()), order;
        for (size_t i = 0; i < definitions_.size(); ++i) {
            open[i] = (definitions_[i].*edges).size();
            for (size_t target : definitions_[i].*edges) users[target].push_back(i);
            if (!open[i]) order.push_back(i);
        }
        for (size_t at = 0; at < order.size(); ++at) {
            for (size_t user : users[order[at]]) {
                if (--open[user] == 0) order.push_back(user);
            }
        }
        return order;
    }

    bool reaches(size_t from, size_t to, std::vector<size_t> definition::*edges) const {
        std::vector<bool> seen(definitions_.size());
        std::vector<size_t> open = {from};
        while (!open.empty()) {
            const size_t at = open.back();
            open.pop_back();
            if (at == to) return true;
            if (seen[at]) continue;
            seen[at] = true;
            open.insert(open.end(), (definitions_[at].*edges).begin(), (definitions_[at].*edges).end());
        }
        return false;
    }

    void require_ends() const {
        std::vector<bool> ended(definitions_.size());
        for (size_t i : ordered(&definition::direct)) ended[i] = true;
        for (size_t i = 0; i < definitions_.size(); ++i) {
            for (size_t target : definitions_[i].direct) {
                if (!ended[i] && reaches(target, i, &definition::direct)) refuse(shortened(definitions_[i].name) + " leads to itself with nothing in between");
            }
            for (size_t target : definitions_[i].merged) {
                if (reaches(target, i, &definition::references)) refuse(shortened(definitions_[target].name) + " leads to itself through allOf; refer to it without allOf");
            }
        }
    }

    void require_bounds() const {
        std::vector<size_t> alternatives(definitions_.size()), merged(definitions_.size()), depths(definitions_.size());
        for (size_t i : ordered(&definition::direct)) {
            alternatives[i] = definitions_[i].alternatives;
            for (size_t target : definitions_[i].direct) alternatives[i] = std::min(alternatives[i] + alternatives[target], most_alternatives + 1);
            if (alternatives[i] > most_alternatives) refuse(shortened(definitions_[i].name) + " can be more than " + std::to_string(most_alternatives) + " alternatives");
        }
        size_t written = 0;
        for (size_t i : ordered(&definition::merged)) {
            merged[i] = definitions_[i].parts;
            for (size_t target : definitions_[i].merged) merged[i] = sum(merged[i], merged[target]);
            written = sum(written, merged[i]);
        }
        if (written > most_parts) refuse("it has more than " + std::to_string(most_parts) + " parts, with what allOf refers to");
        // Those that are left out of the order could follow one another in any way.
        size_t most = 0, in_circles = 0;
        std::vector<bool> done(definitions_.size());
        for (size_t i : ordered(&definition::references)) {
            done[i] = true;
            for (size_t target : definitions_[i].references) depths[i] = std::max(depths[i], depths[target]);
            depths[i] += definitions_[i].depth;
            most = std::max(most, depths[i]);
        }
        for (size_t i = 0; i < definitions_.size(); ++i) in_circles += done[i] ? 0 : definitions_[i].depth;
        if (most + in_circles > deepest) refuse("its parts refer to one another, more than " + std::to_string(deepest) + " levels deep");
    }

    const common_json &root_;
    std::vector<definition> definitions_;
    std::map<std::string, size_t> numbers_;
    size_t n_parts_ = 0, name_bytes_ = 0;
};

}  // namespace

void require_convertible(const common_json &schema) { graph{schema}; }

}  // namespace mullama
