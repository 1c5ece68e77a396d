// The smallest harness that names its tests: `program --list` prints them for CTest, `program NAME` runs one, and each test
// must leave as many live objects as it found.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

struct Test {
    const char *name;
    void (*body)();
};

inline std::vector<Test> &tests() {
    static std::vector<Test> all;
    return all;
}

inline int &failures() {
    static int count = 0;
    return count;
}

inline bool add_test(const char *name, void (*body)()) {
    tests().push_back({name, body});
    return true;
}

inline void report(const char *file, int line, const std::string &what) {
    ++failures();
    std::cerr << file << ":" << line << ": " << what << "\n";
}

#define TEST(name)                                             \
    static void name();                                        \
    static const bool name##_is_added = add_test(#name, name); \
    static void name()

#define CHECK(...)                                                                \
    do {                                                                          \
        if (!(__VA_ARGS__)) report(__FILE__, __LINE__, #__VA_ARGS__ " is false"); \
    } while (0)

// Whether a call throws just this class, with this code and this part of a message.
template <class Error, class Code, class Body>
void check_throws(const char *file, int line, Code code, const std::string &part, Body &&body) {
    try {
        body();
    } catch (const Error &error) {
        const std::string said = error.what();
        if (typeid(error) != typeid(Error))
            report(file, line, std::string("a ") + typeid(error).name() + " was thrown");
        if (error.code() != code || said.find(part) == std::string::npos)
            report(file, line, to_string(error.code()) + ": " + said);
        return;
    } catch (const std::exception &error) {
        report(file, line, std::string("another exception: ") + error.what());
        return;
    }
    report(file, line, "nothing was thrown");
}

#define THROWS(Error, code, part, ...) check_throws<Error>(__FILE__, __LINE__, code, part, [&] { __VA_ARGS__; })

// `live_objects` counts what the library has given out.
inline int run_tests(int argc, char **argv, const std::function<std::int64_t()> &live_objects) {
    const std::string wanted = argc > 1 ? argv[1] : "";
    int found = 0;
    for (const Test &test : tests()) {
        if (wanted == "--list") {
            std::cout << test.name << "\n";
            continue;
        }
        if (!wanted.empty() && wanted != test.name) continue;
        ++found;
        const std::int64_t before = live_objects();
        try {
            test.body();
        } catch (const std::exception &error) {
            report(test.name, 0, std::string("ended with: ") + error.what());
        }
        if (live_objects() != before)
            report(test.name, 0, std::to_string(live_objects() - before) + " objects are left over");
    }
    if (!found && wanted != "--list") report(argv[0], 0, "there is no test " + wanted);
    return failures() ? 1 : 0;
}
