// Limits for chat templates while they run: they come from files and callers, and llama.cpp's Jinja engine runs whatever
// they say, to the end of the stack and of time. Its interpreter is a part of this file and takes the place of the one in
// llama.cpp's library: every statement goes through one function there, which is the only place to count.
#include "template_limits.h"

#include <stdexcept>
#include <string>

#include "jinja/lexer.h"
#include "jinja/runtime.h"
#include "jinja/utils.h"
#include "jinja/value.h"

namespace {

// An endless loop of twice as many took 10 s on two slow cores; 4,000 messages took fewer than that with the templates of gpt-oss and Qwen3.
constexpr size_t most_steps = 500000;
// A level takes about 1 KB of the stack.
constexpr size_t deepest = 2000;
constexpr int64_t longest_range = 100000;
constexpr size_t entries_per_step = 128;  // of a list that is made: about as much work as one step

struct limits {
    size_t depth = 0, steps = 0;
    bool has_budget = false;
    std::string exceeded;  // what, once something is
};
thread_local limits here;

void exceed(std::string reason) {
    here.exceeded = std::move(reason);
    throw std::runtime_error(here.exceeded);
}

class step {
  public:
    step() {
        if (here.depth == 0 && !here.has_budget) here = {};
        if (!here.exceeded.empty()) throw std::runtime_error(here.exceeded);
        if (here.depth >= deepest) exceed("the template calls itself, more than " + std::to_string(deepest) + " levels deep");
        if (++here.steps > most_steps) exceed("the template takes more than " + std::to_string(most_steps) + " steps: it loops, or has too many messages to write");
        ++here.depth;
    }
    ~step() { --here.depth; }
    step(const step &) = delete;
    step &operator=(const step &) = delete;
};

// Lists are made whole before a loop begins.
const jinja::func_builtins &limited_builtins() {
    static const jinja::func_builtins limited = [] {
        jinja::func_builtins builtins = jinja::global_builtins();
        builtins["range"] = [range = builtins.at("range")](const jinja::func_args &args) -> jinja::value {
            for (size_t i = 0; i < args.count() && i < 2; ++i) {
                const jinja::value number = args.get_pos(i);
                if (jinja::is_val<jinja::value_int>(number) && (number->as_int() > longest_range || number->as_int() < -longest_range)) {
                    exceed("the template asks for range(" + std::to_string(number->as_int()) + "); at most " + std::to_string(longest_range) + " are possible");
                }
            }
            const jinja::value list = range(args);
            here.steps += list->as_array().size() / entries_per_step;
            return list;
        };
        return builtins;
    }();
    return limited;
}

}  // namespace

namespace mullama {

template_budget::template_budget() : outside_(here.has_budget) {
    if (!outside_) here = {};
    here.has_budget = true;
}

template_budget::~template_budget() { here.has_budget = outside_; }

}  // namespace mullama

// A block that is tried is one level, and one step.
#define try if (const step counted; true) try
#define global_builtins limited_builtins
#include "jinja/runtime.cpp"
#undef global_builtins
#undef try
