// What an engine's typed methods stand on: answers in pieces, functions among the tools, and the rounds in which a model calls
// them.
#ifndef LIBMULLAMA_TOOLS_HPP
#define LIBMULLAMA_TOOLS_HPP

#include <libmullama.hpp>
#include <libmullama_json.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <variant>

namespace mullama {

/// A function that the model may call.
struct Tool {
    std::string name = {};
    /// What it does and when to call it.
    std::string description = {};
    /// JSON schema of its arguments, an object. What the model gives follows it.
    Json parameters = Json::object({{"type", "object"}, {"properties", Json::object()}});
    /// Called with the arguments, on the thread that reads the answer. What it returns goes to the model: a text as it is,
    /// anything else as JSON. Without a function an answer that calls the tool is the last one, and the call the caller's to make.
    std::function<Json(const Json &arguments)> function = {};
};

/// A call that the model made, and what came of it.
struct ToolRun {
    /// The call's id.
    std::string id = {};
    std::string name = {};
    /// As the model gave them; a text where they are no JSON.
    Json arguments = {};
    /// What the function returned; null where it failed.
    Json result = {};
    /// Why there is no result: an unknown name, arguments that are no JSON, or what the function threw.
    std::optional<std::string> error = {};
};

/// What happens when a function among the tools fails.
enum class ToolErrors : std::int32_t {
    /// The model is told, and goes on.
    tell = 0,
    /// What the function threw comes out of the call that reads the answer.
    raise = 1,
};

inline std::string to_string(ToolErrors value) { return value == ToolErrors::tell ? "tell" : "raise"; }

inline Json to_json(const Tool &tool) {
    Json function = Json::object({{"name", tool.name}, {"parameters", tool.parameters}});
    if (!tool.description.empty()) function["description"] = tool.description;
    return Json::object({{"type", "function"}, {"function", std::move(function)}});
}

namespace detail {

// Values into JSON

inline const Json &to_json(const Json &value) { return value; }
inline Json to_json(bool value) { return value; }
inline Json to_json(std::int64_t value) { return value; }
inline Json to_json(double value) { return value; }
inline Json to_json(const std::string &value) { return value; }

template <class T>
Json to_json(const std::vector<T> &items);  // of objects, too, whose own overloads stand beside them

template <class... T>
Json to_json(const std::variant<T...> &value) {
    return std::visit([](const auto &one) -> Json { return to_json(one); }, value);
}

template <class T>
Json to_json(const std::map<std::string, T> &items) {
    Json::Object members;
    for (const auto &[name, item] : items) members.emplace_back(name, to_json(item));
    return members;
}

template <class T>
Json to_json(const std::vector<T> &items) {
    Json::Array array;
    array.reserve(items.size());
    for (const T &item : items) array.push_back(to_json(item));
    return array;
}

/// Adds a member, unless there is no value.
template <class T>
void put(Json::Object &to, const char *name, const T &value) {
    to.emplace_back(name, to_json(value));
}

template <class T>
void put(Json::Object &to, const char *name, const std::optional<T> &value) {
    if (value) put(to, name, *value);
}

// Values out of JSON

inline void from_json(const Json &from, Json &to) { to = from; }
inline void from_json(const Json &from, bool &to) { to = from.as_bool(); }
inline void from_json(const Json &from, std::int64_t &to) { to = from.as_integer(); }
inline void from_json(const Json &from, double &to) { to = from.as_number(); }
inline void from_json(const Json &from, std::string &to) { to = from.as_string(); }

template <class T>
void from_json(const Json &from, std::vector<T> &to) {
    to.clear();
    to.reserve(from.size());
    for (const Json &item : from.as_array()) from_json(item, to.emplace_back());
}

template <class T>
void from_json(const Json &from, std::map<std::string, T> &to) {
    to.clear();
    for (const auto &[name, item] : from.as_object()) from_json(item, to[name]);
}

/// A member that is always there.
template <class T>
void get(const Json &from, const char *name, T &to) {
    from_json(from[name], to);
}

/// A member that may be absent or null.
template <class T>
void get_optional(const Json &from, const char *name, T &to) {
    const Json *found = from.find(name);
    if (found && !found->is_null()) from_json(*found, to);
}

template <class T>
void get_optional(const Json &from, const char *name, std::optional<T> &to) {
    const Json *found = from.find(name);
    if (found && !found->is_null()) from_json(*found, to.emplace());
}

/// What a shortcut gives where its path is not there.
template <class T>
const T &none() {
    static const T nothing{};
    return nothing;
}

template <class Answer>
Answer read_answer(const std::string &text) {
    Answer answer;
    answer.raw = Json::parse(text);
    from_json(answer.raw, answer);
    return answer;
}

[[noreturn]] inline void fail_cancelled() {
    throw CancelledError(ErrorCode::cancelled, "the request was cancelled before its answer was complete");
}

/// The requests of a conversation in which the model may call functions: each answer's calls and their results go into the next.
class Rounds {
  public:
    Rounds(const Engine &engine, const char *route, Json body, std::vector<Tool> tools, std::int64_t max_rounds,
           ToolErrors errors)
        : engine_(&engine),
          route_(route),
          body_(std::move(body)),
          tools_(std::move(tools)),
          max_rounds_(max_rounds),
          errors_(errors) {
        if (max_rounds < 1) {
            throw ArgumentError(ErrorCode::invalid_argument,
                                "max_rounds is " + std::to_string(max_rounds) + "; it must be at least 1");
        }
        const Json *choice = body_.find("tool_choice");
        if (max_rounds == 1 && choice && (*choice == Json("required") || choice->is_object())) {
            throw ArgumentError(ErrorCode::invalid_argument,
                                "max_rounds is 1, but tool_choice requires a call; it must be at least 2: one to call, "
                                "one to answer");
        }
        if (const Json *n = body_.find("n"); n && *n != Json(1)) {
            throw ArgumentError(ErrorCode::invalid_argument,
                                "n is " + n->dump() + "; where tools are functions it must be 1");
        }
        end_calls();
    }

    /// The request of this round.
    const Json &body() const noexcept { return body_; }

    /// Sends the request of this round.
    Stream send() const { return engine_->request(route_, body_.dump()); }

    /// Takes an answer's calls. None where there are none, or they were cut off, or it was the last round, or one is of a tool
    /// without a function: that is the caller's to make.
    void take(const Json &answer) {
        const Json &choice = answer["choices"][0];
        const Json *calls = choice["message"].find("tool_calls");
        const Json *reason = choice.find("finish_reason");
        if (!calls || !calls->size() || (reason && *reason == Json("length")) || round_ == max_rounds_) return;
        for (const Json &call : calls->as_array()) {
            const Tool *tool = find(call["function"]["name"].as_string());
            if (tool && !tool->function) return;
        }
        calls_ = calls->as_array();
        next_ = 0;
        body_["messages"].push_back(readable(choice["message"]));
    }

    /// Whether calls were taken that are not answered.
    bool has_calls() const noexcept { return next_ < calls_.size(); }

    /// Answers the next call.
    const ToolRun &run() {
        const Json &call = calls_[next_++];
        const Json *id = call.find("id");
        ToolRun run;
        if (id) run.id = id->as_string();
        run.name = call["function"]["name"].as_string();
        std::string content;
        try {
            call_function(call["function"]["arguments"].as_string(), run);
            content = run.result.is_string() ? run.result.as_string() : run.result.dump();
        } catch (const std::exception &error) {
            if (errors_ == ToolErrors::raise) throw;
            run.result = Json();
            run.error = error.what();
            content = "error: " + *run.error;
        }
        body_["messages"].push_back(Json::object({{"role", "tool"}, {"tool_call_id", run.id}, {"content", content}}));
        if (!has_calls()) begin_round();
        runs_.push_back(std::move(run));
        return runs_.back();
    }

    const std::vector<ToolRun> &runs() const noexcept { return runs_; }

    /// Whether this round is the last one that `max_rounds` allows, so that the model cannot call.
    bool reached_max_rounds() const noexcept { return reached_max_rounds_; }

  private:
    const Tool *find(const std::string &name) const {
        for (const Tool &tool : tools_) {
            if (tool.name == name) return &tool;
        }
        return nullptr;
    }

    /// The message as it may be sent back: templates read the arguments, so what is no JSON is left out.
    static Json readable(Json message) {
        Json &calls = message["tool_calls"];
        for (std::size_t i = 0; i < calls.size(); ++i) {
            Json &arguments = calls[i]["function"]["arguments"];
            try {
                Json::parse(arguments.as_string());
            } catch (const ArgumentError &) {
                arguments = "{}";
            }
        }
        return message;
    }

    void call_function(const std::string &arguments, ToolRun &run) const {
        run.arguments = arguments;
        run.arguments = Json::parse(arguments);
        const Tool *tool = find(run.name);
        if (!tool) throw ArgumentError(ErrorCode::out_of_range, "there is no function " + run.name);
        run.result = tool->function(run.arguments);
    }

    void begin_round() {
        ++round_;
        // A call that is required each time would never end.
        const Json *choice = body_.find("tool_choice");
        if (choice && *choice != Json("none")) body_["tool_choice"] = "auto";
        end_calls();
    }

    /// In the last round the model has to answer.
    void end_calls() {
        const Json *choice = body_.find("tool_choice");
        if (round_ != max_rounds_ || (choice && *choice != Json("auto"))) return;
        body_["tool_choice"] = "none";
        reached_max_rounds_ = true;
    }

    const Engine *engine_;
    const char *route_;
    Json body_;
    std::vector<Tool> tools_;
    std::int64_t max_rounds_, round_ = 1;
    ToolErrors errors_;
    bool reached_max_rounds_ = false;
    Json::Array calls_;
    std::size_t next_ = 0;
    std::vector<ToolRun> runs_;
};

/// None where there are no functions among the tools.
template <class Request>
std::unique_ptr<Rounds> make_rounds(const Engine &engine, const char *route, const Json &body, const Request &request) {
    const auto has_function = [](const Tool &tool) { return tool.function != nullptr; };
    if (!request.tools || std::none_of(request.tools->begin(), request.tools->end(), has_function)) return nullptr;
    return std::make_unique<Rounds>(engine, route, body, *request.tools, request.max_rounds, request.tool_errors);
}

/// The answer that is the only event of a stream.
template <class Answer>
Answer take_answer(Stream stream) {
    const auto event = stream.next();
    if (!event) fail_cancelled();
    return read_answer<Answer>(event->data);
}

template <class Answer>
Answer ask(const Engine &engine, const char *route, const Json &body) {
    return take_answer<Answer>(engine.request(route, body.dump()));
}

template <class Answer, class Request>
Answer ask(const Engine &engine, const char *route, const Json &body, const Request &request) {
    const auto rounds = make_rounds(engine, route, body, request);
    if (!rounds) return ask<Answer>(engine, route, body);
    for (;;) {
        Answer answer = take_answer<Answer>(rounds->send());
        rounds->take(answer.raw);
        if (!rounds->has_calls()) {
            answer.tool_runs = rounds->runs();
            answer.reached_max_rounds = rounds->reached_max_rounds();
            return answer;
        }
        while (rounds->has_calls()) rounds->run();
    }
}

}  // namespace detail

/// An answer as it comes: a range of pieces, and the whole answer. What a loop has not taken, `answer()` reads. Destroying it
/// cancels the request. Where functions stand among the tools it goes on over all rounds; the engine must stay where it is then.
///
/// One call at a time, but for `cancel()`.
template <class Piece, class Answer>
class AnswerStream {
  public:
    using Item = Piece;
    using iterator = runtime::Iterator<AnswerStream, Piece>;

    explicit AnswerStream(Stream stream, std::unique_ptr<detail::Rounds> rounds = nullptr)
        : current_(std::make_unique<Current>(std::move(stream))), rounds_(std::move(rounds)) {}

    /// The rest of it, one piece after the other; a piece lives until the next one.
    iterator begin() { return iterator(*this); }
    iterator end() { return {}; }

    /// The next piece; none at the end, or when the request was cancelled.
    std::optional<Piece> next() {
        std::optional<Piece> piece(std::in_place);
        if (next(*piece) != Status::item) piece.reset();
        return piece;
    }

    /// The next piece, if it comes in time; `piece` is set when the status is `item`. A function among the tools runs in this
    /// call, and has a piece of its own.
    Status next(Piece &piece, Timeout timeout = std::nullopt) {
        if constexpr (has_tools) {
            if (rounds_ && rounds_->has_calls()) return run_tool(piece);
        }
        if (answer_) return Status::done;
        const Status status = current().stream.next(event_, timeout);
        if (status != Status::item) return status;
        if (!event_.whole) {
            piece = detail::read_answer<Piece>(event_.data);
            return status;
        }
        Answer answer = detail::read_answer<Answer>(event_.data);
        if constexpr (has_tools) {
            if (rounds_) {
                rounds_->take(answer.raw);
                if (rounds_->has_calls()) return run_tool(piece);
                answer.tool_runs = rounds_->runs();
                answer.reached_max_rounds = rounds_->reached_max_rounds();
            }
        }
        answer_ = std::move(answer);
        return Status::done;
    }

    /// The whole answer, when it is complete. Throws `CancelledError` if the request was cancelled before.
    Answer answer() {
        for (Piece piece; !answer_;) {
            if (next(piece) != Status::item && !answer_) detail::fail_cancelled();
        }
        return *answer_;
    }

    /// The functions that were called so far, in order.
    std::vector<ToolRun> tool_runs() const { return rounds_ ? rounds_->runs() : std::vector<ToolRun>(); }

    /// Whether the last round that `max_rounds` allows has begun: the model cannot call any more, and has to answer.
    bool reached_max_rounds() const noexcept { return rounds_ && rounds_->reached_max_rounds(); }

    /// Ends the request, from any thread; a loop over the pieces then ends as usual.
    void cancel() const noexcept {
        if (!current_) return;  // moved from
        const std::lock_guard<std::mutex> lock(current_->mutex);
        current_->cancelled = true;
        current_->stream.cancel();
    }

  private:
    /// The stream of this round.
    struct Current {
        explicit Current(Stream first) : stream(std::move(first)) {}

        std::mutex mutex;  // guards the change to the next stream against `cancel`
        Stream stream;
        bool cancelled = false;
    };

    Current &current() const {
        if (!current_) throw ArgumentError(ErrorCode::closed, "the stream was moved from; use the one it went to");
        return *current_;
    }

    template <class T, class = void>
    struct HasTools : std::false_type {};
    template <class T>
    struct HasTools<T, std::void_t<decltype(T::tool_run)>> : std::true_type {};
    static constexpr bool has_tools = HasTools<Piece>::value;

    Status run_tool(Piece &piece) {
        piece = Piece();
        piece.tool_run = rounds_->run();
        if (rounds_->has_calls()) return Status::item;
        Stream following = rounds_->send();
        const std::lock_guard<std::mutex> lock(current_->mutex);
        if (current_->cancelled) following.cancel();
        current_->stream = std::move(following);
        return Status::item;
    }

    std::unique_ptr<Current> current_;
    std::unique_ptr<detail::Rounds> rounds_;
    StreamEvent event_;
    std::optional<Answer> answer_;
};

namespace detail {

inline void ask_for_pieces(Json &body) {
    body["stream"] = true;
    body["stream_options"] = Json::object({{"include_answer", true}});
}

template <class AnswerStream>
AnswerStream open_stream(const Engine &engine, const char *route, Json &body) {
    ask_for_pieces(body);
    return AnswerStream(engine.request(route, body.dump()));
}

template <class AnswerStream, class Request>
AnswerStream open_stream(const Engine &engine, const char *route, Json &body, const Request &request) {
    ask_for_pieces(body);
    auto rounds = make_rounds(engine, route, body, request);
    Stream first = rounds ? rounds->send() : engine.request(route, body.dump());
    return AnswerStream(std::move(first), std::move(rounds));
}

}  // namespace detail

}  // namespace mullama

#endif
