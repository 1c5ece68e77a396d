// Runs conformance cases through the C++ header. `runner CASES --list` prints their names, `runner CASES NAME` runs one and adds
// its line to cpp.jsonl in the folder MULLAMA_CONFORMANCE_RESULTS, `runner CASES --none-passes` fails where a case passes.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "dispatch.hpp"

namespace {

constexpr std::size_t sent = 1'000'000;  // items that `collect` takes at most

// Why a case failed.
struct failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::string json_of(const value *of) { return write_json(of, nullptr); }

void must_match(const value *expected, const value *found) {
    if (const char *reason = mismatch(expected, found)) throw failed(reason);
}

// The names bound by `as`, each to a value. Objects are released in the end, last one first.
class Bindings {
  public:
    Bindings() = default;
    Bindings(const Bindings &) = delete;
    Bindings &operator=(const Bindings &) = delete;

    ~Bindings() {
        while (!bound_.empty()) {
            value *const last = bound_.back().second;
            bound_.pop_back();
            const auto is_same = [last](const auto &one) { return one.second == last; };  // bound twice
            if (last->kind == HANDLE && std::none_of(bound_.begin(), bound_.end(), is_same))
                last->release(last->pointer);
        }
    }

    void bind(const std::string &name, value *one) { bound_.emplace_back(name, one); }

    value *find(const std::string &name) const {
        const auto found = std::find_if(bound_.rbegin(), bound_.rend(),
                                        [&](const auto &one) { return one.first == name; });
        if (found == bound_.rend()) throw failed("nothing is bound to " + name);
        return found->second;
    }

    // The value with every reference replaced.
    value *resolve(const value *one) const {
        if (one->kind == MAP && given(one, "ref")) return follow(one);
        if ((one->kind != LIST && one->kind != MAP) || given(one, "answers")) return const_cast<value *>(one);
        value *const copy = one->kind == LIST ? of_list() : of_map();
        for (std::size_t i = 0; i < one->len; ++i) {
            append(copy, resolve(one->items[i]));
            copy->keys[i] = one->keys[i];
        }
        return copy;
    }

  private:
    // {"ref": name, "path": [...], "cut": n, "flip": n}: a bound value, or a part of it.
    value *follow(const value *reference) const {
        const value *one = find(given(reference, "ref")->data);
        const value *const path = given(reference, "path");
        for (std::size_t i = 0; path && i < path->len; ++i) {
            const value *const step = path->items[i];
            const std::size_t at = step->negative ? one->len - step->magnitude : step->magnitude;
            if (step->kind == NUMBER && at >= one->len) throw failed(json_of(one) + " has no item " + json_of(step));
            one = step->kind == TEXT ? given(one, step->data) : one->items[at];
            if (!one) return of_none();
        }
        const value *const cut = given(reference, "cut"), *const flip = given(reference, "flip");
        if (!cut && !flip) return const_cast<value *>(one);
        value *const copy = of_bytes(reinterpret_cast<const std::uint8_t *>(one->data), one->len);
        copy->kind = one->kind;
        if (cut) copy->len = std::min(as_size(cut, 0), one->len);
        if (flip) copy->data[as_size(flip, 0)] ^= 1;
        return copy;
    }

    std::vector<std::pair<std::string, value *>> bound_;
};

const caller &find_caller(const std::string &name) {
    const auto found = std::find_if(callers.begin(), callers.end(),
                                    [&](const caller &one) { return one.name == name; });
    if (found == callers.end()) throw failed("no function " + name);
    return *found;
}

// Calls a stream again and again; the items, or one field of each.
void collect(const value *step, const caller &caller, void *on, const value *args, outcome &outcome) {
    const std::string field = given(step, "collect")->data;
    const std::size_t limit = as_size(given(step, "limit"), sent);
    value *const list = of_list();
    while (list->len < limit) {
        caller.call(on, args, outcome);
        if (outcome.status != "item") break;
        const value *const item = field == "*" ? outcome.result : given(outcome.result, field.c_str());
        append(list, item ? const_cast<value *>(item) : of_none());
    }
    outcome.result = list;
}

void must_be_expected(const value *step, const mullama::Error &error) {
    const value *const expected = given(step, "error"), *const parts = given(step, "message");
    const std::string code = to_string(error.code()), message = error.what();
    if (!expected) throw failed(code + ": " + message);
    if (code != expected->data) throw failed(code + " instead of " + expected->data + ": " + message);
    // What C can only show as zero has no message there, so the cases ask for none.
    if (!parts || error.code() == mullama::ErrorCode::closed) return;
    value *const matcher = of_map();
    put(matcher, "contains", const_cast<value *>(parts));
    must_match(matcher, of(message));
}

void call(const value *step, Bindings &bindings) {
    const caller &caller = find_caller(given(step, "call")->data);
    const value *const receiver = given(step, "on");
    value *const on = receiver ? bindings.find(given(receiver, "ref")->data) : nullptr;
    if (!caller.on.empty() && (!on || on->kind != HANDLE || caller.on != on->type))
        throw failed("needs a " + caller.on);
    value *const args = given(step, "args") ? bindings.resolve(given(step, "args")) : of_map();
    if (const value *timeout = given(step, "timeout_ms")) put(args, "timeout_ms", const_cast<value *>(timeout));
    const value *const expect = given(step, "expect") ? bindings.resolve(given(step, "expect")) : nullptr;
    void *const object = on ? on->pointer : nullptr;
    outcome outcome;
    try {
        given(step, "collect") ? collect(step, caller, object, args, outcome) : caller.call(object, args, outcome);
    } catch (const mullama::Error &error) {
        return must_be_expected(step, error);
    }
    const value *const as = given(step, "as");
    if (as || outcome.result->kind == HANDLE) bindings.bind(as ? as->data : "", outcome.result);
    if (given(step, "error")) throw failed("succeeded with " + json_of(outcome.result) + ", an error was expected");
    const value *const status = given(step, "status");
    if (status && outcome.status != status->data) throw failed("the status is " + outcome.status);
    if (expect) must_match(expect, outcome.result);
}

// Lists that callbacks write to exist before the call.
void bind_calls(const value *args, Bindings &bindings) {
    for (std::size_t i = 0; args && i < args->len; ++i) {
        value *const one = args->items[i];
        if (one->kind != MAP || !given(one, "answers") || !given(one, "as")) continue;
        value *const calls = of_list();
        bindings.bind(given(one, "as")->data, calls);
        put(one, "calls", calls);
    }
}

void truncate_file(const value *step) {
    const std::string path = given(step, "truncate_file")->data;
    std::string content(as_size(given(step, "length"), 0), '\0');
    if (!std::ifstream(path, std::ios::binary).read(content.data(), static_cast<std::streamsize>(content.size()))) {
        throw failed("cannot read " + path);
    }
    if (!(std::ofstream(path, std::ios::binary) << content)) throw failed("cannot write " + path);
}

void run_step(const value *step, Bindings &bindings) {
    if (given(step, "truncate_file")) return truncate_file(step);
    if (given(step, "check")) {
        return must_match(bindings.resolve(given(step, "expect")), bindings.resolve(given(step, "check")));
    }
    bind_calls(given(step, "args"), bindings);
    call(step, bindings);
}

// Why a case failed; nothing if it passed.
std::optional<std::string> run_case(const value *one) {
    const value *const steps = given(one, "steps");
    const std::int64_t before = mullama::live_objects();
    std::size_t i = 0;
    try {
        Bindings bindings;
        for (; i < steps->len; ++i) run_step(steps->items[i], bindings);
    } catch (const std::exception &error) {
        const value *const name = given(steps->items[i], "call");
        return "step " + std::to_string(i + 1) + (name ? std::string(" ") + name->data : "") + ": " + error.what();
    }
    const std::int64_t left = mullama::live_objects() - before;
    return left ? std::optional<std::string>(std::to_string(left) + " objects are left over") : std::nullopt;
}

// Says what a case came to, and notes it for the parity table.
bool settle(const value *one, std::optional<std::string> failure) {
    const value *const gap = given(one, "gap");
    if (gap && !failure) failure = std::string("is listed as a gap (") + gap->data + "), but passes";
    const bool is_gap = gap && failure->find("is listed") != 0;
    value *const report = of_map();
    put(report, "case", const_cast<value *>(given(one, "case")));
    put(report, "language", of(std::string("cpp")));
    put(report, "result", of(std::string(is_gap ? "gap" : failure ? "fail" : "pass")));
    if (is_gap) {
        put(report, "reason", const_cast<value *>(gap));
    } else if (failure) {
        put(report, "message", of(*failure));
    }
    std::cout << json_of(report) << "\n";
    if (const char *folder = std::getenv("MULLAMA_CONFORMANCE_RESULTS")) {
        std::ofstream(std::string(folder) + "/cpp.jsonl", std::ios::app) << json_of(report) + "\n";
    }
    return is_gap || !failure;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 3) return std::cerr << "usage: " << argv[0] << " CASES --list|--none-passes|NAME\n", 2;
    const std::string wanted = argv[2];
    std::ifstream file(argv[1]);
    int found = 0, wrong = 0;
    for (std::string line; std::getline(file, line); forget_values()) {
        const value *const one = parse_json(line.data(), line.size());
        const std::string name = given(one, "case")->data;
        if (wanted == "--list") {
            std::cout << name << "\n";
        } else if (wanted == "--none-passes") {
            if (!run_case(one)) ++wrong, std::cout << "passes: " << name << "\n";
        } else if (wanted == name) {
            wrong += !settle(one, run_case(one));
        } else {
            continue;
        }
        ++found;
    }
    if (!found) std::cerr << "no case " << wanted << " in " << argv[1] << "\n";
    return found && !wrong ? 0 : 1;
}
