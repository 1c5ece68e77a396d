// Answers, streams, cancelling, moves and errors, as a C++ program meets them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <thread>

#include "../check.hpp"
#include "models.hpp"

#include <libmullama.hpp>

namespace {

using namespace std::chrono_literals;
using mullama::Context;
using mullama::ErrorCode;
using mullama::FinishReason;
using mullama::Generation;
using mullama::Model;
using mullama::Sampler;
using mullama::Status;

Context tiny_context(const mullama::ContextOptions &options = {.n_ctx = 256, .n_threads = 1}) {
    return Model(tiny()).create_context(options);  // a context keeps what it needs of its model
}

template <class T>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                            !std::is_copy_constructible_v<T>;
static_assert(moves_only<Model> && moves_only<Context> && moves_only<Sampler> && moves_only<Generation> &&
              moves_only<mullama::Log>);
static_assert(std::ranges::input_range<Generation> && std::ranges::input_range<mullama::TextStream<Generation>> &&
              std::ranges::input_range<mullama::Log>);

}  // namespace

TEST(a_real_model_answers_and_streams_the_same) {
    const Model model(real_model());
    Context context = model.create_context({.n_ctx = 512, .n_threads = 2});
    const auto answer = context.generate("The capital of France is", {.max_tokens = 12, .temperature = 0});
    CHECK(answer.find("Paris") != std::string::npos && answer.result.n_generated == 12);
    CHECK(answer.result.finish_reason == FinishReason::length);
    context.memory_clear();
    std::string streamed;
    for (auto piece : context.stream("The capital of France is", {.max_tokens = 12, .temperature = 0}))
        streamed += piece;
    CHECK(streamed == answer);
    CHECK(!context.generate({.messages = R"([{"role": "user", "content": "Say hello."}])", .max_tokens = 8}).empty());
}

TEST(what_to_go_on_from_may_be_a_text_tokens_or_messages) {
    Context context = tiny_context();
    const Model model(tiny());
    const std::string whole = context.generate("the people", {.max_tokens = 4, .temperature = 0});
    const std::vector<std::int32_t> tokens = model.tokenize("the people");
    CHECK(context.generate({.tokens = tokens, .max_tokens = 4, .temperature = 0}) == whole);
    mullama::GenerateOptions options;
    options.max_tokens = 4;
    options.temperature = 0;
    CHECK(context.generate("the people", options) == whole);
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, "", context.generate({.max_tokens = 4}));
}

TEST(a_chain_of_ones_own_chooses) {
    const Model model(tiny());
    Context context = model.create_context({.n_ctx = 128, .n_threads = 1});
    Sampler sampler = model.create_sampler_chain();
    sampler.add_top_k(5);
    sampler.add_greedy();
    CHECK(sampler.names().size() == 2);
    const std::string greedy = context.generate("the", {.max_tokens = 5, .temperature = 0});
    CHECK(context.generate("the", {.sampler = &sampler, .max_tokens = 5}) == greedy);
}

TEST(tokens_are_chosen_step_by_step_without_a_callback) {
    Context context = tiny_context();
    const std::string expected = context.generate("the", {.max_tokens = 5, .ignore_eos = true, .temperature = 0});
    Generation generation = context.start_generation("the", {.max_tokens = 5, .ignore_eos = true, .temperature = 0});
    std::string text;
    while (generation.prepare() == Status::item) {
        const mullama::Span<const float> logits = generation.logits_view();
        CHECK(std::ranges::equal(logits, generation.logits()));
        text += generation.accept(generation.choose()).text;
    }
    CHECK(text + generation.finish().text == expected || text == expected);
}

TEST(events_are_a_range) {
    Context context = tiny_context();
    Generation generation = context.start_generation("the", {.max_tokens = 6, .ignore_eos = true, .temperature = 0});
    std::vector<std::int32_t> tokens;
    for (const auto &event : generation) {
        if (event.token >= 0) tokens.push_back(event.token);
    }
    CHECK(tokens == generation.tokens() && tokens.size() == 6);
}

TEST(leaving_a_loop_early_frees_everything_and_the_context_goes_on) {
    Context context = tiny_context();
    const std::int64_t before = mullama::live_objects();
    for (const auto &piece : context.stream("the", {.max_tokens = -1, .ignore_eos = true})) {
        if (!piece.empty()) break;
    }
    CHECK(mullama::live_objects() == before);
    CHECK(context.generate("the", {.max_tokens = 2, .ignore_eos = true}).result.n_generated == 2);
}

TEST(another_thread_cancels) {
    Context context = Model(real_model()).create_context({.n_ctx = 2048, .n_threads = 2});
    auto stream = context.stream("Once upon a time", {.max_tokens = -1, .ignore_eos = true});
    std::atomic<int> n{0};
    std::thread canceller([&] {
        while (n < 3) std::this_thread::sleep_for(1ms);
        stream.cancel();
    });
    for (const auto &piece : stream) n += !piece.empty();
    canceller.join();
    CHECK(n < 1500 && stream.result().finish_reason == FinishReason::cancelled);

    std::atomic<bool> cancelled{false};
    std::thread decoder([&] {
        try {
            const std::vector<std::int32_t> tokens(2000, 5);
            context.memory_clear();
            context.decode(tokens);
        } catch (const mullama::CancelledError &) {
            cancelled = true;
        }
    });
    for (int i = 0; i < 20'000 && !cancelled; ++i) {
        context.cancel();
        std::this_thread::sleep_for(1ms);
    }
    decoder.join();
    CHECK(cancelled);
}

TEST(waiting_has_a_limit) {
    Context context = Model(real_model()).create_context({.n_ctx = 512, .n_ubatch = 32, .n_threads = 2});
    const std::vector<std::int32_t> prompt(200, 5);
    Generation generation = context.start_generation({.tokens = prompt, .max_tokens = 1, .ignore_eos = true});
    mullama::TokenEvent event;
    CHECK(generation.next(event, 1ms) == Status::waiting);
    CHECK(generation.run(1ms) == Status::waiting);
    CHECK(generation.next(event, 60s) == Status::item);
}

TEST(every_handle_moves) {
    Model model(tiny());
    Model moved_model = std::move(model);
    Context context = moved_model.create_context({.n_ctx = 128, .n_threads = 1});
    Context moved_context = std::move(context);
    Sampler sampler = moved_model.create_sampler({.seed = 7});
    Sampler moved_sampler = std::move(sampler);
    Generation generation = moved_context.start_generation("the", {.max_tokens = 3, .ignore_eos = true});
    Generation moved_generation = std::move(generation);
    mullama::Log log = mullama::open_log(true);
    mullama::Log moved_log = std::move(log);
    CHECK(model.closed() && context.closed() && sampler.closed() && generation.closed() && log.closed());
    CHECK(moved_model.n_vocab() > 0 && moved_context.n_ctx() >= 128 && moved_sampler.seed() == 7);
    CHECK(moved_generation.run() == Status::done);
    mullama::log_message(mullama::LogLevel::warning, "moved");
    mullama::LogEntry entry;
    while (moved_log.next(entry, 1s) == Status::item && entry.text != "moved") {}
    CHECK(entry.text == "moved" && entry.level == mullama::LogLevel::warning);
    THROWS(mullama::ArgumentError, ErrorCode::closed, "moved", model.n_vocab());
    THROWS(mullama::ArgumentError, ErrorCode::closed, "moved", context.info());
    THROWS(mullama::ArgumentError, ErrorCode::closed, "moved", sampler.reset());
    THROWS(mullama::ArgumentError, ErrorCode::closed, "moved", generation.next());
    THROWS(mullama::ArgumentError, ErrorCode::closed, "moved", log.next());
}

TEST(errors_come_by_family) {
    const Model model(tiny());
    Context context = model.create_context({.n_ctx = 64, .n_threads = 1});
    THROWS(mullama::FileError, ErrorCode::file_not_found, "missing.gguf", Model("missing.gguf"));
    THROWS(mullama::ArgumentError, ErrorCode::invalid_utf8, "UTF-8", model.tokenize("\xff"));
    THROWS(mullama::ArgumentError, ErrorCode::out_of_range, "", mullama::device(10'000));
    THROWS(mullama::ResourceError, ErrorCode::context_full, "1000",
           context.generate({.tokens = std::vector<std::int32_t>(1000, 5)}));
    THROWS(mullama::VocabularyError, ErrorCode::invalid_token, "-1", model.token_text(-1));
    THROWS(mullama::InferenceError, ErrorCode::no_output, "", context.logits());
    THROWS(mullama::GrammarError, ErrorCode::invalid_grammar, "", context.generate("the", {.grammar = "root ::= ["}));
    THROWS(mullama::CancelledError, ErrorCode::cancelled, "", Model(tiny(), {}, [](float) { return false; }));
    context.close();
    THROWS(mullama::ArgumentError, ErrorCode::closed, "context was closed", context.generate("the"));
}

TEST(what_a_progress_callback_throws_reaches_the_caller) {
    std::vector<float> parts;
    {
        const Model model(tiny(), {}, [&](float part) { return parts.push_back(part), true; });
    }
    CHECK(!parts.empty() && std::ranges::is_sorted(parts) && parts.back() == 1);
    bool thrown = false;
    try {
        Model(tiny(), {}, [](float) -> bool { throw std::out_of_range("mine"); });
    } catch (const std::out_of_range &) {
        thrown = true;
    }
    CHECK(thrown);
}

TEST(a_busy_context_says_so_at_once) {
    Context context = Model(real_model()).create_context({.n_ctx = 1024, .n_threads = 1});
    const std::vector<std::int32_t> tokens(800, 5);
    std::atomic<bool> ended{false};
    std::thread decoder([&] {
        try {
            context.decode(tokens);
        } catch (const mullama::Error &) {  // cancelled, or the other thread was first
        }
        ended = true;
    });
    bool busy = false;
    while (!busy && !ended) {
        try {
            context.memory_max();
            std::this_thread::sleep_for(1ms);
        } catch (const mullama::ResourceError &error) {
            busy = error.code() == ErrorCode::busy;
        }
    }
    context.cancel();
    decoder.join();
    CHECK(busy);
}

TEST(one_model_serves_many_threads) {
    const Model model(tiny());
    std::vector<std::string> answers(4);
    std::vector<std::thread> threads;
    for (std::string &answer : answers) {
        threads.emplace_back([&model, &answer] {
            answer = model.create_context({.n_ctx = 64, .n_threads = 1})
                         .generate("the people", {.max_tokens = 16, .temperature = 0});
        });
    }
    for (std::thread &thread : threads) thread.join();
    CHECK(!answers[0].empty() && std::ranges::count(answers, answers[0]) == 4);
}
