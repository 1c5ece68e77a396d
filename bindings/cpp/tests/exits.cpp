// Ends the process in one of several ways while another thread generates, or while an engine's streams are open.
// `exits WAY MODEL`; the exit code is 7.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <libmullama.hpp>

namespace {

std::atomic<int> pieces{0};

// Without an end; `last` is asked after each piece.
void generate(mullama::Context &context, bool (*last)() = [] { return false; }) {
    try {
        for (;;) {
            for (const auto &piece : context.stream("the", {.max_tokens = 100, .ignore_eos = true})) {
                pieces += !piece.empty();
                if (last()) std::exit(7);
            }
        }
    } catch (const mullama::Error &) {  // closed by the end of main
    }
}

void wait_for_pieces() {
    while (pieces < 3) std::this_thread::sleep_for(std::chrono::microseconds(50));
}

// Two slots; six threads read a stream each, and nobody reads four others.
void exit_with_an_engine(const char *path) {
    static const mullama::Engine engine(path, {.n_ctx = 128, .n_slots = 2, .n_threads = 2});  // destroyed by exit
    static std::vector<mullama::Stream> unread;
    const auto ask = [] {
        return engine.request("completions",
                              R"({"prompt": "the", "max_tokens": 100, "ignore_eos": true, "stream": true})");
    };
    for (int i = 0; i < 4; ++i) unread.push_back(ask());
    for (int i = 0; i < 6; ++i) {
        std::thread([stream = ask()]() mutable {
            while (stream.next()) ++pieces;
        }).detach();
    }
    wait_for_pieces();
    std::exit(7);
}

mullama::Context open(const char *path) { return mullama::Model(path).create_context({.n_ctx = 128, .n_threads = 2}); }

}  // namespace

int main(int, char **arguments) {
    const std::string way = arguments[1];
    if (way == "engine") exit_with_an_engine(arguments[2]);
    static mullama::Context lasting = open(arguments[2]);  // destroyed by exit, after main
    if (way == "closing") {
        mullama::Context context = open(arguments[2]);
        std::thread thread([&] { generate(context); });
        wait_for_pieces();
        context.close();
        thread.join();
        return 7;
    }
    if (way == "exit in the thread") {
        std::thread([] { generate(lasting, [] { return pieces > 3; }); }).detach();
        for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    std::thread([] { generate(lasting); }).detach();
    wait_for_pieces();
    if (way == "exit") std::exit(7);
    if (way == "quick exit") std::quick_exit(7);
    if (way == "exception") throw std::runtime_error("out of main");
    return 7;
}
