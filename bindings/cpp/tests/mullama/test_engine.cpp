// The engine below its typed level: requests and answers as JSON, from many threads, left early, cancelled and closed.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <ranges>
#include <set>
#include <thread>

#include "../check.hpp"
#include "models.hpp"

#include <libmullama.hpp>

namespace {

using namespace std::chrono_literals;
using mullama::Engine;
using mullama::ErrorCode;
using mullama::Status;
using mullama::Stream;
using mullama::StreamState;

static_assert(std::ranges::input_range<Stream> && std::is_nothrow_move_constructible_v<Stream> &&
              std::is_nothrow_move_constructible_v<Engine> && !std::is_copy_constructible_v<Engine>);

Engine tiny_engine(std::uint32_t n_slots = 4) {
    return Engine(tiny(), {.n_ctx = 256, .n_slots = n_slots, .n_threads = 1});
}

std::string completion(const std::string &prompt, int max_tokens, bool stream) {
    return R"({"prompt": ")" + prompt + R"(", "temperature": 0, "ignore_eos": true, "max_tokens": )" +
           std::to_string(max_tokens) + (stream ? R"(, "stream": true})" : "}");
}

// An answer that goes on until somebody ends it, or its context is full.
Stream endless(const Engine &engine) { return engine.request("completions", completion("the", 250, true)); }

}  // namespace

TEST(an_answer_is_one_event_or_a_range_of_them) {
    const Engine engine = tiny_engine();
    Stream whole = engine.request("completions", completion("of of", 8, false));
    const auto answer = whole.next();
    CHECK(answer && answer->data.find("\"completion_tokens\":8") != std::string::npos && !whole.next());
    int n = 0;
    std::string last;
    for (const auto &event : engine.request("completions", completion("of of", 8, true))) {
        ++n;
        last = event.data;
    }
    CHECK(n >= 9 && last.find("\"completion_tokens\":8") != std::string::npos);
    CHECK(engine.request("props").next()->data.find("\"n_ctx\":256") != std::string::npos);
}

TEST(leaving_the_loop_over_a_stream_cancels_its_request) {
    const Engine engine = tiny_engine(1);
    const std::int64_t before = mullama::live_objects();
    for (const auto &event : endless(engine)) {
        CHECK(!event.data.empty());
        break;
    }
    CHECK(mullama::live_objects() == before);
    // The one slot is free again: the next request needs it.
    CHECK(engine.request("completions", completion("of", 2, false)).next().has_value());
    CHECK(engine.info().n_streams == 0);
}

TEST(a_cancelled_stream_ends_and_says_so) {
    const Engine engine = tiny_engine();
    Stream stream = endless(engine);
    CHECK(stream.next().has_value());
    std::thread([&] { stream.cancel(); }).join();
    for ([[maybe_unused]] const auto &event : stream) {}
    CHECK(stream.info().state == StreamState::cancelled);
    mullama::StreamEvent event;
    CHECK(stream.next(event) == Status::cancelled);
}

TEST(closing_the_engine_ends_streams_that_others_read) {
    Engine engine = tiny_engine(2);
    std::vector<Stream> streams;
    for (int i = 0; i < 6; ++i) streams.push_back(endless(engine));  // four of them wait for a slot
    std::atomic<int> n_read{0}, n_ended{0};
    std::vector<std::thread> readers;
    for (Stream &stream : streams) {
        readers.emplace_back([&] {
            for ([[maybe_unused]] const auto &event : stream) ++n_read;
            ++n_ended;
        });
    }
    while (!n_read) std::this_thread::yield();
    engine.close();
    for (std::thread &reader : readers) reader.join();
    CHECK(n_ended == 6 && engine.closed());
    CHECK(std::ranges::any_of(streams, [](const Stream &one) { return one.info().state == StreamState::cancelled; }));
    THROWS(mullama::ArgumentError, ErrorCode::closed, "engine was closed", engine.request("props"));
}

TEST(streams_outlive_their_engine) {
    Stream stream = [] {
        Engine engine = tiny_engine();
        Stream started = endless(engine);
        started.next();
        return started;
    }();
    while (stream.next()) {}
    CHECK(stream.info().state == StreamState::cancelled);
}

TEST(thirty_two_threads_ask_at_once) {
    const Engine engine = tiny_engine(8);
    const std::vector<std::string> prompts{"the", "of of", "water", "how many", "people", "the of", "other", "an"};
    const auto text = [&](const std::string &prompt) {
        const std::string data = engine.request("completions", completion(prompt, 12, false)).next()->data;
        return mullama::json_find(data, "/choices/0/text").value();
    };
    std::vector<std::string> alone(prompts.size()), answers(32);
    std::ranges::transform(prompts, alone.begin(), text);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < answers.size(); ++i)
        threads.emplace_back([&, i] { answers[i] = text(prompts[i % prompts.size()]); });
    for (std::thread &thread : threads) thread.join();
    for (std::size_t i = 0; i < answers.size(); ++i) CHECK(answers[i] == alone[i % prompts.size()]);
}

TEST(one_thread_serves_many_streams) {
    const Engine engine = tiny_engine();
    std::vector<Stream> streams;
    std::set<std::int32_t> open;
    for (int i = 0; i < 20; ++i) {
        streams.push_back(engine.request("completions", completion("of", 3, true)));
        open.insert(streams.back().id());
    }
    CHECK(open.size() == 20);
    mullama::StreamEvent event;
    while (!open.empty()) {
        const auto ready = engine.wait(60s);
        CHECK(!ready.empty());
        if (ready.empty()) break;
        for (const std::int32_t id : ready) {
            Stream &stream = *std::ranges::find(streams, id, &Stream::id);
            Status status = Status::item;
            while (status == Status::item) status = stream.next(event, 0ms);
            if (status == Status::done) open.erase(id);
        }
    }
    std::thread([&] { engine.wake(); }).join();
    CHECK(engine.wait().empty());
    CHECK(engine.drain(60s));
    THROWS(mullama::ArgumentError, ErrorCode::closed, "drained", engine.request("props"));
}

TEST(what_is_wrong_with_a_request_is_said_at_once) {
    const Engine engine = tiny_engine();
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, "temprature",
           engine.request("completions", R"({"prompt": "a", "temprature": 1})"));
    THROWS(mullama::ArgumentError, ErrorCode::invalid_json, "body", engine.request("completions", "{"));
    THROWS(mullama::ArgumentError, ErrorCode::unsupported, "embed", engine.request("embeddings", R"({"input": "a"})"));
    THROWS(mullama::FileError, ErrorCode::file_not_found, "missing.gguf", Engine("missing.gguf"));
    THROWS(mullama::CancelledError, ErrorCode::cancelled, "",
           Engine(tiny(), {.progress = [](float) { return false; }}));
}
