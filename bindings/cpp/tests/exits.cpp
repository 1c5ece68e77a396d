// Ends the process in one of several ways while another thread generates. `exits WAY MODEL`; the exit code is 7.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

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

mullama::Context open(const char *path) { return mullama::Model(path).create_context({.n_ctx = 128, .n_threads = 2}); }

}  // namespace

int main(int, char **arguments) {
    const std::string way = arguments[1];
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
