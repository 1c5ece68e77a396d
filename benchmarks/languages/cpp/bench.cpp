// The C++ program of the comparison between languages; the protocol stands in benchmarks/languages/README.md.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <optional>

#include <libmullama_engine.hpp>

namespace {

constexpr int n_new = 128, n_new_of_chat = 64;

template <class Body>
double seconds(Body &&body, int calls = 1) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The fastest of five rounds: interruptions only ever add.
template <class Body>
double per_call(Body &&body, int calls) {
    double fastest = seconds(body, calls);
    for (int round = 1; round < 5; ++round) fastest = std::min(fastest, seconds(body, calls));
    return fastest / calls;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 3) return std::cerr << "usage: " << argv[0] << " MODEL N_THREADS\n", 2;
    const mullama::Model model(argv[1]);
    mullama::Context context = model.create_context({.n_ctx = 1024, .n_threads = std::stoi(argv[2])});
    const mullama::GenerateOptions options{.tokens = {{model.special_tokens().bos}},
                                           .max_tokens = n_new,
                                           .ignore_eos = true,
                                           .temperature = 0};

    std::optional<mullama::Engine> engine;  // opened by the first word that needs it
    const auto chat = [&] {
        return engine->chat_stream({{.role = "user", .content = "Say hello."}},
                                   {.max_tokens = n_new_of_chat, .temperature = 0, .ignore_eos = true});
    };

    std::cout.precision(9);
    volatile std::int32_t kept = 0;  // what a loop leaves there, no compiler leaves out
    for (std::string word; std::cin >> word;) {
        context.memory_clear();
        double took = 0;
        if (word == "generate") {
            took = seconds([&] { context.generate(options); });
        } else if (word == "stream") {
            took = seconds([&] {
                for (const auto &piece : context.stream(options)) kept = static_cast<std::int32_t>(piece.size());
            });
        } else if (word == "engine") {
            if (!engine)
                engine.emplace(argv[1],
                               mullama::EngineOptions{.n_ctx = 1024, .n_slots = 1, .n_threads = std::stoi(argv[2])});
            took = seconds([&] {
                for (const auto &piece : chat()) kept = static_cast<std::int32_t>(piece.text().size());
            });
        } else if (word == "call") {
            took = per_call([&] { kept = model.n_vocab(); }, 1'000'000) - per_call([&] { kept = 1; }, 1'000'000);
        } else {
            took = per_call([&] { kept = model.tokenize("Hello world")[0]; }, 2'000);
        }
        std::cout << took << std::endl;
    }
}
