// Takes the place of ggml's own `ggml_backend_cpu_reg` and hands on that of the variant in use.
#include "cpu_variant.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "failure.h"
#include "ggml-cpu.h"

namespace mullama {

namespace {

std::string wanted() {
    const char *name = std::getenv("MULLAMA_CPU");
    return name ? name : "";
}

std::string asked(const std::string &name) { return "MULLAMA_CPU is \"" + name + "\""; }

}  // namespace

#ifdef MULLAMA_CPU_VARIANTS

// Generated (cmake/cpu_variants.cmake), best first: VARIANT(haswell, NEEDS("sse4.2"), NEEDS("avx"), ...)
#define VARIANT(name, ...) extern "C" ggml_backend_reg_t ggml_backend_cpu_reg_##name(void);
#include "cpu_variants.inc"
#undef VARIANT

namespace {

void append(std::string &list, const std::string &name) { list += (list.empty() ? "" : ", ") + name; }

struct instruction_set {
    const char *name;
    bool present;  // in the processor, and the operating system saves its registers
};

struct variant {
    std::string name;
    ggml_backend_reg_t (*registration)();
    std::vector<instruction_set> needs;

    std::string missing() const {
        std::string names;
        for (const instruction_set &set : needs) {
            if (!set.present) append(names, set.name);
        }
        return names;
    }
};

const std::vector<variant> &variants() {
#define NEEDS(set) {set, __builtin_cpu_supports(set) != 0}
#define VARIANT(name, ...) {#name, ggml_backend_cpu_reg_##name, {__VA_ARGS__}},
    static const std::vector<variant> all = {
#include "cpu_variants.inc"
    };
    return all;
}

const variant &choose() {
    const std::string name = wanted();
    std::string held, usable;
    for (const variant &one : variants()) {
        const std::string missing = one.missing();
        if (missing.empty() && (name.empty() || one.name == name)) return one;
        if (one.name == name) {
            throw failure(code::invalid_argument, asked(name) + ", which this processor cannot run: it lacks " +
                                                      missing + "; unset it to use the best that can run");
        }
        append(held, one.name);
        if (missing.empty()) append(usable, one.name);
    }
    throw failure(code::invalid_argument,
                  asked(name) + "; this library holds " + held + ", of which this processor can run " + usable);
}

const variant &chosen() {
    static const variant &one = choose();
    return one;
}

}  // namespace

const std::string &cpu_variant() { return chosen().name; }

}  // namespace mullama

ggml_backend_reg_t ggml_backend_cpu_reg(void) { return mullama::chosen().registration(); }

#else

const std::string &cpu_variant() {
    static const std::string none;
    if (!wanted().empty()) {
        throw failure(code::invalid_argument,
                      asked(wanted()) + ", but this library was built for one kind of processor; unset it, or build "
                                        "with -DMULLAMA_CPU_VARIANTS=ON");
    }
    return none;
}

}  // namespace mullama

#endif
