// The engine's typed requests: whole answers, answers in pieces, functions as tools, and what goes wrong with them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <ranges>
#include <stdexcept>
#include <thread>

#include "../check.hpp"
#include "models.hpp"

#include <libmullama_engine.hpp>

namespace {

using namespace std::chrono_literals;
using mullama::ChatPiece;
using mullama::ChatStream;
using mullama::Engine;
using mullama::ErrorCode;
using mullama::Json;
using mullama::Message;
using mullama::Status;
using mullama::Tool;
using mullama::ToolRun;

static_assert(std::ranges::input_range<ChatStream> && std::is_nothrow_move_constructible_v<ChatStream> &&
              !std::is_copy_constructible_v<ChatStream>);

const std::vector<Message> greeting{{.role = "user", .content = "Say hello."}};

Engine tiny_engine() { return Engine(tiny(), {.n_ctx = 512, .n_slots = 2, .n_threads = 1}); }

// Definitions of tools take room.
Engine roomy_engine() {
    return Engine(tiny(),
                  {.n_ctx = 4096, .n_slots = 2, .n_threads = 1, .kv_overrides = {"llama.context_length=int:4096"}});
}

Tool weather(std::function<Json(const Json &)> function) {
    return {.name = "weather",
            .description = "The weather in a city.",
            .parameters = Json::parse(R"({"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}},
                                          "required": ["city"], "additionalProperties": false})"),
            .function = std::move(function)};
}

const std::vector<Message> question{{.role = "user", .content = "What is the weather in Paris?"}};

mullama::ChatRequest required(std::vector<Tool> tools) {
    return {.tools = std::move(tools),
            .tool_choice = "required",
            .parallel_tool_calls = false,
            .max_tokens = 120,
            .temperature = 0};
}

}  // namespace

TEST(an_image_is_as_many_tokens_as_its_projector_has_patches) {
    const Engine engine(tiny(), {.n_ctx = 256, .n_threads = 1, .projector = tiny("sees")});
    const auto image = [](const std::string &data) {
        return mullama::ContentPart{.type = "image_url",
                                    .image_url = Json::object({{"url", "data:image/png;base64," + data}})};
    };
    const auto asked = [&](std::vector<mullama::ContentPart> parts) {
        parts.insert(parts.begin(), {.type = "text", .text = "how many "});
        return engine.chat({{.role = "user", .content = parts}}, {.max_tokens = 2}).usage.prompt_tokens;
    };
    const std::string picture =
        "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAP0lEQVR42gE0AMv/ACXrjEj/icuFT8CQ"
        "gQDMR+38hhmyFP5lktQAi/zqnJ2OMkTX1+nxAPfeYFaN6YkHPz0WOewnG5m0+sZvAAAAAElFTkSuQmCC";
    CHECK(asked({image(picture)}) == asked({}) + 16);
    THROWS(mullama::MediaError, ErrorCode::media_invalid, "(3 bytes) is no image", asked({image("AAAA")}));
}

TEST(a_chat_is_answered_with_all_that_is_known_of_it) {
    const Engine engine = tiny_engine();
    const mullama::ChatAnswer answer = engine.chat(greeting, {.max_tokens = 6, .temperature = 0, .ignore_eos = true});
    CHECK(!answer.text().empty() && answer.text() == answer.choices[0].message.content);
    CHECK(answer.finish_reason() == "length" && answer.usage.completion_tokens == 6);
    CHECK(answer.usage.total_tokens == answer.usage.prompt_tokens + 6 && answer.timings.predicted_n == 6);
    CHECK(answer.object == "chat.completion" && answer.model == "llama" && answer.tool_calls().empty());
    CHECK(answer.raw["choices"][0]["message"]["content"].as_string() == answer.text());
    CHECK(answer.reasoning().empty() && answer.tool_runs.empty());
    const auto several = engine.chat(greeting, {.max_tokens = 2, .n = 2, .ignore_eos = true, .user = "me"});
    CHECK(several.choices.size() == 2 && several.choices[1].index == 1);
}

TEST(pieces_joined_are_the_answer) {
    const Engine engine = tiny_engine();
    const mullama::ChatRequest request{.max_tokens = 12, .temperature = 0, .ignore_eos = true};
    ChatStream stream = engine.chat_stream(greeting, request);
    std::string joined;
    int n = 0;
    for (const ChatPiece &piece : stream) {
        joined += piece.text();
        CHECK(piece.object == "chat.completion.chunk" && !piece.raw.is_null() && !piece.tool_run);
        ++n;
    }
    CHECK(n > 2 && joined == stream.answer().text() && joined == engine.chat(greeting, request).text());
    CHECK(stream.answer().usage.completion_tokens == 12 && !stream.next());
    CHECK(engine.chat_stream(greeting, request).answer().text() == joined);
    // What the loop has not taken, the answer reads.
    ChatStream begun = engine.chat_stream(greeting, request);
    CHECK(begun.next() && begun.next() && begun.answer().text() == joined && !begun.next());
    ChatPiece piece;
    ChatStream timed = engine.chat_stream(greeting, request);
    while (timed.next(piece, 60s) == Status::item) {}
    CHECK(timed.next(piece, 0ms) == Status::done);
}

TEST(leaving_a_loop_over_pieces_cancels_and_a_cancelled_answer_is_an_error) {
    const Engine engine = tiny_engine();
    const mullama::ChatRequest endless{.max_tokens = 400, .ignore_eos = true};
    const std::int64_t before = mullama::live_objects();
    for ([[maybe_unused]] const auto &piece : engine.chat_stream(greeting, endless)) break;
    CHECK(mullama::live_objects() == before && engine.info().n_streams == 0);
    ChatStream stream = engine.chat_stream(greeting, endless);
    CHECK(stream.next().has_value());
    std::thread([&] { stream.cancel(); }).join();
    for ([[maybe_unused]] const auto &piece : stream) {}
    THROWS(mullama::CancelledError, ErrorCode::cancelled, "before its answer was complete", stream.answer());
    ChatStream moved = std::move(stream);
    stream.cancel();
    THROWS(mullama::ArgumentError, ErrorCode::closed, "moved", stream.next());
    CHECK(!moved.next());
}

TEST(texts_go_on_in_every_form_of_a_prompt) {
    const Engine engine = tiny_engine();
    const mullama::CompletionRequest greedy{.max_tokens = 8, .temperature = 0, .ignore_eos = true};
    const auto answer = engine.complete("of of", greedy);
    const std::vector<std::int64_t> tokens = engine.tokenize("of of", {.add_special = true}).tokens;
    CHECK(answer.usage && answer.usage->completion_tokens == 8 &&
          engine.complete(tokens, greedy).text() == answer.text());
    CHECK(engine.complete(std::vector<std::string>{"of of", "the"}, greedy).choices.size() == 2);
    auto stream = engine.complete_stream("of of", greedy);
    std::string joined;
    for (const auto &piece : stream) joined += piece.text();
    CHECK(joined == answer.text() && stream.answer().finish_reason() == "length");
    CHECK(engine.complete("of of", {.max_tokens = 24, .temperature = 0, .stop = std::vector<std::string>{"like we"}})
              .finish_reason() == "stop");
    CHECK(engine.complete("of of", {.max_tokens = 24, .temperature = 0, .stop = "like we"}).finish_reason() == "stop");
    const auto chosen = engine.complete("of",
                                        {.max_tokens = 9,
                                         .response_format = {{.type = "choice", .choices = {{"water", "people"}}}}});
    CHECK(chosen.text() == "water" || chosen.text() == "people");
}

TEST(the_other_requests_have_methods_too) {
    const Engine engine = tiny_engine();
    CHECK(engine.detokenize(engine.tokenize("the of").tokens).content.find("the of") != std::string::npos);
    CHECK(engine.props().n_ctx == 512 && engine.props().mode == "generate");
    CHECK(engine.apply_template(greeting).prompt.find("Say hello.") != std::string::npos);
    const auto response = engine.respond("how many", {.max_output_tokens = 4, .ignore_eos = true});
    CHECK(response.status == "incomplete" || response.status == "completed");
    CHECK(!response.output.empty() && response.usage->output_tokens == 4);
    auto events = engine.respond_stream("how many", {.max_output_tokens = 4, .temperature = 0, .ignore_eos = true});
    CHECK(events.next()->type == "response.created" && events.answer().object == "response");
    const std::vector<mullama::AnthropicMessage> messages{{.role = "user", .content = "how many"}};
    const auto message = engine.message(messages, {.max_tokens = 4, .ignore_eos = true});
    CHECK(message.stop_reason == "max_tokens" && message.usage.output_tokens == 4 && message.content[0].type == "text");
    auto told = engine.message_stream(messages, {.max_tokens = 4, .ignore_eos = true});
    CHECK(told.next()->type == "message_start" && told.answer().role == "assistant");
    CHECK(engine.count_tokens(messages).input_tokens > 2);
    CHECK(engine.metrics().tokens_predicted_total >= 12);
}

TEST(texts_become_vectors) {
    const Engine engine(tiny("bert"), {.mode = mullama::EngineMode::embed, .n_ctx = 256, .n_threads = 1});
    const auto answer = engine.embed(std::vector<std::string>{"the of", "water"});
    CHECK(answer.data.size() == 2 && answer.data[1].index == 1 && answer.first() == answer.data[0].embedding);
    double square = 0;
    for (const double one : answer.first()) square += one * one;
    CHECK(answer.first().size() == 32 && std::abs(square - 1) < 1e-3);
    CHECK(engine.embed("the of", {.dimensions = 8}).first().size() == 8);
}

TEST(what_is_wrong_is_said_with_its_name) {
    const Engine engine = tiny_engine();
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, "top_p", engine.complete("a", {.top_p = 2}));
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, "messages", engine.chat({}));
    THROWS(mullama::ArgumentError, ErrorCode::invalid_json, "nan", engine.complete("a", {.temperature = std::nan("")}));
    THROWS(mullama::ArgumentError, ErrorCode::unsupported, "embed", engine.embed("a"));
    THROWS(mullama::GrammarError, ErrorCode::invalid_grammar, "", engine.complete("a", {.grammar = "root ::= ("}));
    THROWS(mullama::ArgumentError, ErrorCode::invalid_utf8, "UTF-8", engine.complete("\xff"));
    THROWS(mullama::ResourceError, ErrorCode::context_full, "512", engine.complete(std::vector<std::int64_t>(600, 5)));
}

TEST(thirty_two_threads_chat_at_once) {
    const Engine engine = tiny_engine();
    const auto ask = [&](std::size_t i) {
        const std::vector<Message> messages{{.role = "user", .content = "how many " + std::to_string(i % 4)}};
        return engine.chat(messages, {.max_tokens = 8, .temperature = 0, .ignore_eos = true}).text();
    };
    std::vector<std::string> answers(32);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < answers.size(); ++i) threads.emplace_back([&, i] { answers[i] = ask(i); });
    for (std::thread &thread : threads) thread.join();
    for (std::size_t i = 0; i < answers.size(); ++i) CHECK(!answers[i].empty() && answers[i] == answers[i % 4]);
}

TEST(functions_are_called_and_their_results_answered) {
    const Engine engine = roomy_engine();
    std::vector<std::string> cities;
    const Tool tool = weather([&](const Json &arguments) {
        cities.push_back(arguments["city"].as_string());
        return Json::object({{"sky", "clear"}, {"degrees", 21}});
    });
    const auto answer = engine.chat(question, required({tool}));
    CHECK(!cities.empty() && (cities[0] == "Paris" || cities[0] == "Oslo"));
    CHECK(answer.tool_runs.size() == cities.size() && answer.tool_calls().empty());
    const ToolRun &run = answer.tool_runs.at(0);
    CHECK(run.name == "weather" && run.arguments["city"].as_string() == cities[0] && !run.error && !run.id.empty());
    CHECK(run.result["degrees"].as_integer() == 21);

    // The same in pieces: the function's run is one of them, between those of the rounds.
    const std::size_t before = cities.size();
    ChatStream stream = engine.chat_stream(question, required({tool}));
    std::size_t n_runs = 0;
    std::string after;
    for (const ChatPiece &piece : stream) {
        if (piece.tool_run) {
            CHECK(piece.tool_run->name == "weather" && ++n_runs == stream.tool_runs().size());
        } else if (n_runs) {
            after += piece.text();
        }
    }
    CHECK(n_runs == cities.size() - before && stream.answer().tool_runs.size() == n_runs);
    CHECK(after == stream.answer().text() && after == answer.text());
}

TEST(calls_that_were_cut_off_are_not_made) {
    const Engine engine = roomy_engine();
    int n_calls = 0;
    mullama::ChatRequest request = required({weather([&](const Json &) -> Json { return ++n_calls; })});
    request.max_tokens = 6;
    const auto answer = engine.chat(question, request);
    CHECK(answer.finish_reason() == "length" && answer.tool_runs.empty() && n_calls == 0);
}

TEST(what_a_function_throws_is_told_to_the_model_or_comes_out) {
    const Engine engine = roomy_engine();
    const Tool broken = weather([](const Json &) -> Json { throw std::out_of_range("the station is closed"); });
    const auto answer = engine.chat(question, required({broken}));
    CHECK(answer.tool_runs.at(0).error == "the station is closed" && answer.tool_runs[0].result.is_null());
    // The model was told: the second prompt holds it, and so it is longer than with an empty result.
    const Tool silent = weather([](const Json &) -> Json { return ""; });
    CHECK(answer.usage.prompt_tokens > engine.chat(question, required({silent})).usage.prompt_tokens);
    mullama::ChatRequest request = required({broken});
    request.tool_errors = mullama::ToolErrors::raise;
    bool thrown = false;
    try {
        engine.chat(question, request);
    } catch (const std::out_of_range &error) {
        thrown = std::string(error.what()) == "the station is closed";
    }
    CHECK(thrown);
    const Tool misread = weather([](const Json &arguments) { return arguments["town"]; });
    CHECK(engine.chat(question, required({misread})).tool_runs.at(0).error->find("\"town\"") != std::string::npos);
}

TEST(a_model_that_calls_as_often_as_it_may_has_to_answer_in_the_last_round) {
    const Engine engine = tiny_engine();
    const Json named = Json::parse(R"({"type": "function", "function": {"name": "weather"}})");
    const Json call = Json::parse(R"({"choices": [{"message": {"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Oslo\"}"}}]}}]})");
    struct Case {
        std::int64_t max_rounds;
        Json given;
        std::vector<Json> sent;
        bool reached;
    };
    for (const Case &c : {
             Case{3, Json(), {Json(), Json(), "none"}, true},
             Case{3, "auto", {"auto", "auto", "none"}, true},
             Case{3, "required", {"required", "auto", "none"}, true},
             Case{2, named, {named, "none"}, true},
             Case{1, Json(), {"none"}, true},
             Case{1, "none", {"none"}, false},  // as the caller wanted it
             Case{8, "none", {"none"}, false},
             Case{8, "required", {"required", "auto", "auto", "auto", "auto", "auto", "auto", "none"}, true},
         }) {
        std::size_t n_calls = 0;
        Json body = Json::object({{"messages", Json::array()}});
        if (!c.given.is_null()) body["tool_choice"] = c.given;
        mullama::detail::Rounds rounds(engine, "chat/completions", body,
                                       {weather([&](const Json &) -> Json { return std::to_string(++n_calls); })},
                                       c.max_rounds, mullama::ToolErrors::tell);
        for (std::size_t i = 0; i < c.sent.size(); ++i) {
            const Json *choice = rounds.body().find("tool_choice");
            const bool is_last = i + 1 == c.sent.size();
            CHECK((choice ? *choice : Json()) == c.sent[i]);
            CHECK(rounds.reached_max_rounds() == (is_last && c.reached));
            if (is_last) break;
            rounds.take(call);
            CHECK(rounds.has_calls());
            rounds.run();
        }
        CHECK(n_calls == c.sent.size() - 1);
    }
}

TEST(the_answer_of_the_last_round_says_so) {
    const Engine engine = roomy_engine();
    int n_calls = 0;
    mullama::ChatRequest request = required({weather([&](const Json &) -> Json {
        ++n_calls;
        return "clear";
    })});
    request.max_rounds = 2;
    const auto answer = engine.chat(question, request);
    CHECK(answer.reached_max_rounds && answer.tool_runs.size() == 1 && n_calls == 1);
    CHECK(!answer.text().empty() && answer.tool_calls().empty());
    ChatStream stream = engine.chat_stream(question, request);
    std::vector<bool> seen;
    for ([[maybe_unused]] const ChatPiece &piece : stream) seen.push_back(stream.reached_max_rounds());
    CHECK(!seen.front() && seen.back());
    CHECK(stream.answer().reached_max_rounds && stream.answer().text() == answer.text());
    CHECK(!engine.chat(question, {.max_tokens = 2}).reached_max_rounds);
    request.max_rounds = 8;
    CHECK(!engine.chat(question, request).reached_max_rounds);

    // The schema holds for the last round, whether there were calls before it or not.
    request.response_format = {
        {.type = "json_schema",
         .json_schema = Json::parse(
             R"({"schema": {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}})")}};
    for (const int max_rounds : {2, 1}) {
        n_calls = 0;
        request.max_rounds = max_rounds;
        request.tool_choice = max_rounds == 1 ? Json("auto") : Json("required");
        const auto last = engine.chat_stream(question, request).answer();
        CHECK(last.reached_max_rounds && n_calls == max_rounds - 1);
        CHECK(Json::parse(last.text()).find("sure"));
    }
}

TEST(rounds_need_a_number_and_tools_without_a_function_are_the_callers) {
    const Engine engine = roomy_engine();
    mullama::ChatRequest request = required({weather([](const Json &) -> Json { return "clear"; })});
    request.max_rounds = 1;
    const char *needs_two = "max_rounds is 1, but tool_choice requires a call";
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, needs_two, engine.chat(question, request));
    request.tool_choice = Json::parse(R"({"type": "function", "function": {"name": "weather"}})");
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, needs_two, engine.chat_stream(question, request));
    request.max_rounds = 0;
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, "max_rounds is 0", engine.chat(question, request));
    request.max_rounds = 8;
    request.n = 2;
    THROWS(mullama::ArgumentError, ErrorCode::invalid_argument, "n is 2; where tools are functions it must be 1",
           engine.chat(question, request));

    const auto answer = engine.chat(question, required({weather(nullptr)}));
    CHECK(answer.finish_reason() == "tool_calls" && answer.tool_calls().size() >= 1 && answer.tool_runs.empty());
    const mullama::ToolCall &call = answer.tool_calls().at(0);
    CHECK(call.function.name == "weather" && Json::parse(call.function.arguments).find("city"));
    // The caller answers it by hand.
    std::vector<Message> messages = question;
    messages.push_back({.role = "assistant", .tool_calls = answer.tool_calls()});
    messages.push_back({.role = "tool", .content = "clear", .tool_call_id = call.id});
    CHECK(engine.chat(messages, {.max_tokens = 4, .ignore_eos = true}).usage.completion_tokens == 4);
}

TEST(a_call_of_an_unknown_name_is_told_to_the_model) {
    const Engine engine = tiny_engine();
    mullama::detail::Rounds rounds(engine, "chat/completions", Json::object({{"messages", Json::array()}}),
                                   {weather([](const Json &) -> Json { return "clear"; })}, 8,
                                   mullama::ToolErrors::tell);
    rounds.take(Json::parse(R"({"choices": [{"message": {"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "wether", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": "}}]}}]})"));
    CHECK(rounds.has_calls() && rounds.run().error->find("wether") != std::string::npos);
    CHECK(rounds.has_calls() && rounds.run().error->find("no JSON") != std::string::npos && !rounds.has_calls());
    CHECK(rounds.runs()[1].arguments == Json("{\"city\": ") && rounds.runs()[1].result.is_null());
}

TEST(cancelling_between_rounds_ends_all_of_them) {
    const Engine engine = roomy_engine();
    ChatStream *running = nullptr;
    const Tool cancelling = weather([&](const Json &) -> Json {
        running->cancel();
        return "clear";
    });
    ChatStream stream = engine.chat_stream(question, required({cancelling}));
    running = &stream;
    std::size_t n_runs = 0;
    for (const ChatPiece &piece : stream) n_runs += piece.tool_run.has_value();
    CHECK(n_runs >= 1);
    THROWS(mullama::CancelledError, ErrorCode::cancelled, "", stream.answer());
}
