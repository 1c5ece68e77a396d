// Limits for chat templates while they run: they come from files and callers, and llama.cpp's Jinja engine runs whatever
// they say, to the end of the stack, of memory and of time. Its interpreter is a part of this file and takes the place of the one
// in llama.cpp's library: every statement goes through one function there, which is the only place to count.
#include "template_limits.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "jinja/lexer.h"
#include "jinja/runtime.h"
#include "jinja/utils.h"
#include "jinja/value.h"

namespace {

using jinja::func_args;
using jinja::is_val;
using jinja::value;

// An endless loop of twice as many took 10 s on two slow cores; 4,000 messages took fewer than that with the templates of gpt-oss and Qwen3.
constexpr size_t most_steps = 500000;
// A level takes about 1 KB of the stack.
constexpr size_t deepest = 2000;
constexpr int64_t longest_range = 100000;
constexpr size_t entries_per_step = 128;  // of a list that is made: about as much work as one step

// Bytes of what is held at one time, or written out by one operation, and how many more for each byte of the messages.
constexpr size_t most_bytes = size_t{256} << 20;
constexpr size_t bytes_for_each = 64;
// Lists and objects in one another. Requests have at most 256, and printing and freeing takes stack for each.
constexpr size_t deepest_data = 400;
constexpr size_t entry_size = 64, part_size = 64, value_size = 320;  // about what the interpreter holds for each

struct limits {
    size_t depth = 0, steps = 0, most = most_bytes;
    size_t held = 0;      // bytes of values that statements gave
    size_t begun = 0;     // bytes that the statement that runs has begun to make
    size_t referred = 0;  // bytes of all that was put into lists, as often as it was
    size_t run = 0;       // what was made by another run is not counted in this one
    bool has_budget = false;
    std::string exceeded;  // what, once something is
};
thread_local limits here;

void start_run() {
    const size_t run = here.run + 1;
    here = {};
    here.run = run;
}

[[noreturn]] void exceed(std::string reason) {
    here.exceeded = std::move(reason);
    throw std::runtime_error(here.exceeded);
}

class step {
  public:
    step() {
        if (here.depth == 0 && !here.has_budget) start_run();
        if (!here.exceeded.empty()) throw std::runtime_error(here.exceeded);
        if (here.depth >= deepest) exceed("the template calls itself, more than " + std::to_string(deepest) + " levels deep");
        if (++here.steps > most_steps) exceed("the template takes more than " + std::to_string(most_steps) + " steps: it loops, or has too many messages to write");
        ++here.depth;
    }
    ~step() { --here.depth; }
    step(const step &) = delete;
    step &operator=(const step &) = delete;
};

void require_room(size_t bytes) {
    if (bytes > here.most || here.held + here.begun > here.most - bytes) exceed("the template makes more than " + std::to_string(here.most >> 20) + " MB of text and lists");
}

// Before it is made, where one operation could make all of it.
void spend(size_t bytes) {
    require_room(bytes);
    here.begun += bytes;
}

// Counts a value as held until it is gone.
class holding {
  public:
    explicit holding(size_t bytes) : bytes_(bytes), run_(here.run) { here.held += bytes; }
    ~holding() {
        if (run_ == here.run) here.held -= bytes_;
    }
    holding(const holding &) = delete;
    holding &operator=(const holding &) = delete;

  private:
    const size_t bytes_, run_;
};

size_t product(size_t a, size_t b) { return b && a > SIZE_MAX / b ? SIZE_MAX : a * b; }

size_t size_of(const jinja::string &text) { return text.length() + text.parts.size() * part_size; }

const jinja::string &counted(const jinja::string &text) {
    spend(size_of(text));
    return text;
}

// What a value would take if everything were written out that it refers to, each time that it does: a list that holds another
// twice, and so on, is as long as that when it is printed or compared.
class extent {
  public:
    // Throws when `outer` is among what `inside` refers to: it would go on for ever.
    explicit extent(const value &inside, const jinja::value_t *outer = nullptr) : outer_(outer) { add(inside, 1); }
    size_t bytes = 0, entries = 0;

  private:
    void add(const value &one, size_t level) {
        if (one.get() == outer_) exceed("the template puts a list or an object into itself");
        if (level > deepest_data) exceed("the template puts lists or objects into one another, more than " + std::to_string(deepest_data) + " deep");
        bytes += entry_size + size_of(one->val_str);
        if (++entries % entries_per_step == 0) ++here.steps;
        if (bytes > here.most || here.steps > most_steps) exceed("the template makes lists or objects of more than " + std::to_string(here.most >> 20) + " MB");
        for (const value &entry : one->val_arr) add(entry, level + 1);
        for (const auto &[key, entry] : one->val_obj) {
            add(key, level + 1);
            add(entry, level + 1);
        }
    }

    const jinja::value_t *const outer_;
};

size_t count(const std::string &text, const std::string &part) {
    if (part.empty()) return text.size() + 1;
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}

std::string text_of(const value &one) { return is_val<jinja::value_string>(one) ? one->val_str.str() : ""; }

// Sorting needs an order: numbers have one and texts have one, but not with each other or with anything else. std::sort leaves its
// memory where there is none.
void require_order(const value &list, const value &attribute) {
    const std::string name = is_val<jinja::value_int>(attribute) ? std::to_string(attribute->val_int) : text_of(attribute);
    const bool by_value = name == "value";
    size_t n_numbers = 0, n_texts = 0, n_others = 0;
    const auto look = [&](const value &one) {
        const bool is_number = is_val<jinja::value_int>(one) || is_val<jinja::value_float>(one);
        if (is_number && std::isnan(one->as_float())) throw std::runtime_error("cannot sort what is not a number");
        ++(is_number ? n_numbers : is_val<jinja::value_string>(one) ? n_texts : n_others);
    };
    for (const value &entry : list->val_arr) {
        if (attribute->is_undefined()) {
            look(entry);
            continue;
        }
        value chosen = attribute;  // what has none is not compared by it
        for (size_t i = 0; i < entry->val_arr.size(); ++i) {
            if (std::to_string(i) == name) chosen = entry->val_arr[i];
        }
        for (const auto &[key, inner] : entry->val_obj) {
            if (text_of(key) == name) chosen = inner;
        }
        chosen == attribute ? void(++n_others) : look(chosen);
    }
    for (const auto &[key, entry] : list->val_obj) look(by_value ? entry : key);
    const size_t n = n_numbers + n_texts + n_others;
    if (n > 1 && n_numbers != n && n_texts != n) throw std::runtime_error("cannot sort values that have no order: all must be numbers, or all texts");
}

void require_divisor(const value &number, const value &divisor) {
    // The processor traps both.
    if (is_val<jinja::value_int>(divisor) && divisor->val_int == 0) throw std::runtime_error("cannot divide by 0");
    if (is_val<jinja::value_int>(divisor) && divisor->val_int == -1 && number->val_int == INT64_MIN) throw std::runtime_error("cannot divide the least number by -1");
}

// What a filter or a method is about to do, before it does: those that make more than they are given, keep what they are given, or
// do not come back.
void look_ahead(const std::string &name, const func_args &args) {
    const value nothing = std::make_shared<jinja::value_undefined_t>();
    const auto argument = [&](const char *key, size_t place) { return args.get_kwarg_or_pos(key, place); };
    const value input = args.get_pos(0, nothing);
    if (name == "append") {
        here.referred += extent(args.get_pos(1, nothing), input.get()).bytes;
        require_room(here.referred);
    } else if (name == "tojson" || name == "string" || name == "safe") {
        const extent all(input);
        const value indent = argument("indent", 2);
        const size_t width = is_val<jinja::value_int>(indent) && indent->val_int > 0 ? static_cast<size_t>(indent->val_int) : 0;
        spend(all.bytes);
        spend(product(all.entries, product(width, std::min(all.entries, deepest_data))));
        const value separators = argument("separators", 3);
        for (const value &separator : separators->val_arr) spend(product(all.entries, separator->val_str.length()));
    } else if (name == "join") {
        const extent all(input);
        spend(all.bytes);
        spend(product(all.entries, text_of(argument("d", 1)).size()));
    } else if (name == "replace") {
        spend(product(count(text_of(input), text_of(args.get_pos(1, nothing))), text_of(args.get_pos(2, nothing)).size()));
    } else if (name == "split" || name == "rsplit") {
        const std::string text = text_of(input);
        const size_t n = args.count() > 1 ? count(text, text_of(args.get_pos(1))) : count(text, " ");
        spend(product(n, value_size));
        here.steps += product(n, text.size()) >> 16;  // it moves the rest of the text for each
    } else if (name == "indent") {
        const value width = argument("width", 1);
        const size_t size = is_val<jinja::value_int>(width) ? static_cast<size_t>(std::max<int64_t>(0, width->val_int)) : text_of(width).size();
        spend(product(count(text_of(input), "\n") + 2, size));
    } else if (name == "items" || name == "dictsort") {
        spend(product(input->val_obj.size(), value_size));
        if (name == "dictsort") require_order(input, argument("by", 2));
    } else if (name == "sort") {
        require_order(input, argument("attribute", 3));
    } else if (name == "select" || name == "selectattr" || name == "reject" || name == "rejectattr") {
        for (size_t i = 1; i + 1 < args.count(); ++i) {
            if (text_of(args.get_pos(i)) != "divisibleby") continue;
            for (const value &entry : input->val_arr) {
                require_divisor(entry, args.get_pos(i + 1));
                for (const auto &[key, inner] : entry->val_obj) require_divisor(inner, args.get_pos(i + 1));
            }
        }
    }
}

// About what a new value takes, without what it shares with others.
size_t size_of_new(const value &made) {
    size_t size = value_size + size_of(made->val_str);
    for (const value &entry : made->val_arr) size += entry.use_count() == 1 ? size_of_new(entry) : entry_size;
    for (const auto &[key, entry] : made->val_obj) size += entry.use_count() == 1 ? size_of_new(entry) + value_size : 2 * entry_size;
    return size;
}

// {% set ns.x = ... %}: the object must not hold itself, or it would do so for ever.
void require_no_circle(const jinja::member_expression &member, jinja::context &context) {
    value object = member.object->execute(context);
    const std::string name = jinja::cast_stmt<jinja::identifier>(member.property)->val;
    value nothing = std::make_shared<jinja::value_undefined_t>();
    try {
        const extent given(object->at(name, nothing), object.get());
        if (given.entries > 1) require_room(extent(object).bytes);
    } catch (const std::exception &) {
        jinja::cast_val<jinja::value_object>(object)->insert(name, nothing);
        throw;
    }
}

// What a statement gives.
value looked_at(const jinja::statement &made_by, jinja::context &context, value result) {
    here.begun = 0;
    const bool is_list = is_val<jinja::value_array>(result) || is_val<jinja::value_object>(result);
    if (result.use_count() == 1 && (is_list || is_val<jinja::value_string>(result))) {  // it is new: nobody else has it
        if (is_list) extent{result};
        const size_t size = size_of_new(result);
        require_room(size);
        jinja::value_t *const made = result.get();
        result = value(made, [kept = std::move(result), counted = std::make_shared<holding>(size)](jinja::value_t *) {});
    } else if (is_list && here.depth == 1) {  // it is written, as often as it is given
        here.referred += extent(result).bytes;
        require_room(here.referred);
    }
    const auto *set = dynamic_cast<const jinja::set_statement *>(&made_by);
    const auto *member = set ? dynamic_cast<const jinja::member_expression *>(set->assignee.get()) : nullptr;
    if (member) require_no_circle(*member, context);
    return result;
}

// Lists are made whole before a loop begins.
const jinja::func_builtins &limited_builtins() {
    static const jinja::func_builtins limited = [] {
        jinja::func_builtins builtins = jinja::global_builtins();
        builtins["range"] = [range = builtins.at("range")](const func_args &args) -> value {
            for (size_t i = 0; i < args.count() && i < 2; ++i) {
                const value number = args.get_pos(i);
                if (is_val<jinja::value_int>(number) && (number->as_int() > longest_range || number->as_int() < -longest_range)) {
                    exceed("the template asks for range(" + std::to_string(number->as_int()) + "); at most " + std::to_string(longest_range) + " are possible");
                }
            }
            const value list = range(args);
            here.steps += list->as_array().size() / entries_per_step;
            return list;
        };
        builtins["test_is_divisibleby"] = [test = builtins.at("test_is_divisibleby")](const func_args &args) -> value {
            args.ensure_count(2);
            require_divisor(args.get_pos(0), args.get_pos(1));
            return test(args);
        };
        builtins["tojson"] = [tojson = builtins.at("tojson")](const func_args &args) -> value {
            look_ahead("tojson", args);
            return tojson(args);
        };
        return builtins;
    }();
    return limited;
}

// Filters and methods are functions that hold what they are called on.
template <class T, class... Arguments>
std::shared_ptr<typename jinja::extract_pointee<T>::type> made(Arguments &&...arguments) {
    auto one = jinja::mk_val<T>(std::forward<Arguments>(arguments)...);
    if constexpr (std::is_same_v<T, jinja::value_func> && sizeof...(Arguments) == 3) {
        one->val_func = [name = one->name, function = one->val_func](const func_args &args) {
            look_ahead(name, args);
            return function(args);
        };
    }
    return one;
}

void gather(const value &one, jinja::value_string &parts) {
    spend(extent(one).bytes);
    jinja::gather_string_parts_recursive(one, parts);
}

}  // namespace

namespace mullama {

template_budget::template_budget(size_t size) : outside_(here.has_budget) {
    if (outside_) return;
    start_run();
    here.has_budget = true;
    here.most = most_bytes + product(size, bytes_for_each);
}

template_budget::~template_budget() { here.has_budget = outside_; }

}  // namespace mullama

// A block that is tried is one level, and one step. What is written where `execute_impl` stands depends on the first word behind it:
// functions are defined with `context & ctx`, and the one call has `ctx`.
#define try if (const step counted_step; true) try
#define execute_impl(first) LIMITED_##first)
#define LIMITED_context execute_impl(context
#define LIMITED_ctx looked_at(*this, ctx, execute_impl(ctx)
#define append(text) append(counted(text))
#define mk_val made
#define gather_string_parts_recursive gather
#define global_builtins limited_builtins
#include "jinja/runtime.cpp"
#undef global_builtins
#undef gather_string_parts_recursive
#undef mk_val
#undef append
#undef LIMITED_ctx
#undef LIMITED_context
#undef execute_impl
#undef try
