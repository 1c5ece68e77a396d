// Lets a model "say" given texts and shows what the engine makes of them, whole and streamed: run by test_chat_templates.py.
//
// It links the library's objects, not the library: no door for this ships. Usage: engine-parse MODEL, with one JSON object
// a line on stdin: {"template": Jinja source, "route", "body", "text"}. For each, a line on stdout: {"whole", "streamed",
// "unfinished", "differences"}, or {"error"}. All answers are chat messages {content, reasoning_content, tool_calls}.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend.h"
#include "engine_answers.h"
#include "engine_routes.h"
#include "failure.h"
#include "libmullama.h"

using namespace mullama;

namespace {

std::string taken(const common_json &object, const char *name) {
    return object.contains(name) && object.at(name).is_string() ? object.at(name).get<std::string>() : std::string();
}

// A message, as an answer holds it or as a reader puts it together from its deltas.
struct message {
    struct call {
        std::string id, name, arguments;
    };
    std::string content, reasoning;
    std::vector<call> calls;

    void add(const common_json &delta) {
        content += taken(delta, "content");
        reasoning += taken(delta, "reasoning_content");
        if (!delta.contains("tool_calls")) return;
        size_t place = 0;
        for (const common_json &part : delta.at("tool_calls")) {
            const size_t index = part.contains("index") ? part.at("index").get<size_t>() : place++;
            if (index >= calls.size()) calls.resize(index + 1);
            if (!taken(part, "id").empty()) calls[index].id = taken(part, "id");
            // A name comes once; a reader of the API adds up arguments only.
            if (!taken(part.at("function"), "name").empty()) calls[index].name = taken(part.at("function"), "name");
            calls[index].arguments += taken(part.at("function"), "arguments");
        }
    }

    common_json shown() const {
        common_json list = common_json::array();
        for (const call &one : calls) list.push_back(common_json::object({{"id", one.id}, {"name", one.name}, {"arguments", one.arguments}}));
        return common_json::object({{"content", content}, {"reasoning_content", reasoning}, {"tool_calls", list}});
    }

    // Ids are drawn anew for each answer, unless the model gives them.
    bool equals(const message &other) const {
        const auto same = [](const call &a, const call &b) { return a.name == b.name && a.arguments == b.arguments && a.id.empty() == b.id.empty(); };
        return content == other.content && reasoning == other.reasoning && calls.size() == other.calls.size() && std::equal(calls.begin(), calls.end(), other.calls.begin(), same);
    }
};

class speaker {
  public:
    speaker(const task_params &params, const llama_vocab *vocab) : params_(params), vocab_(vocab) {}

    message whole(const std::string &text) {
        begin(false);
        message answer;
        for (const common_json &event : finish(text)) answer.add(event.at("choices").at(0).at("message"));
        return answer;
    }

    // The pieces in turn; without an end, what a reader has by then.
    message streamed(const std::vector<std::string> &pieces, bool ends = true) {
        begin(true);
        message answer;
        const auto read = [&](const std::vector<common_json> &events) {
            for (const common_json &event : events) {
                if (!event.at("choices").empty()) answer.add(event.at("choices").at(0).at("delta"));
            }
        };
        for (const std::string &piece : pieces) read(say(piece));
        if (ends) read(finish(""));
        return answer;
    }

  private:
    void begin(bool streams) {
        work_ = std::make_unique<generation_work>(TASK_RESPONSE_TYPE_OAI_CHAT, "model", 0, vocab_);
        work_->streamed = streams;
        server_task task(SERVER_TASK_TYPE_COMPLETION);
        task.params = params_;
        task.params.stream = streams;
        work_->tasks.push_back(std::move(task));
        work_->number_tasks("chatcmpl-1");
        n_said_ = 0;
    }

    std::vector<common_json> say(const std::string &piece) {
        server_task_result_cmpl_partial result;
        result.index = 0;
        result.content = piece;
        result.n_decoded = ++n_said_;
        result.n_prompt_tokens = 1;
        result.n_prompt_tokens_cache = 0;
        result.post_sampling_probs = false;
        result.res_type = TASK_RESPONSE_TYPE_OAI_CHAT;
        return parsed(work_->take(result));
    }

    std::vector<common_json> finish(const std::string &text) {
        server_task_result_cmpl_final result;
        result.index = 0;
        result.content = text;
        result.stream = work_->streamed;
        result.include_usage = false;
        result.truncated = false;
        result.n_decoded = n_said_;
        result.n_prompt_tokens = 1;
        result.n_prompt_tokens_cache = 0;
        result.n_tokens_cached = 1;
        result.has_new_line = false;
        result.stop = STOP_TYPE_EOS;
        result.post_sampling_probs = false;
        result.res_type = TASK_RESPONSE_TYPE_OAI_CHAT;
        return parsed(work_->take(result));
    }

    static std::vector<common_json> parsed(const std::vector<std::string> &texts) {
        std::vector<common_json> events;
        for (const std::string &text : texts) events.push_back(common_json::parse(text));
        return events;
    }

    const task_params &params_;
    const llama_vocab *const vocab_;
    std::unique_ptr<generation_work> work_;
    int32_t n_said_ = 0;
};

// The engine hands over whole characters only.
std::vector<std::string> characters(const std::string &text) {
    std::vector<std::string> pieces;
    for (char byte : text) {
        if (pieces.empty() || (byte & 0xC0) != 0x80) pieces.emplace_back();
        pieces.back() += byte;
    }
    return pieces;
}

std::string joined(const std::vector<std::string> &pieces, size_t start, size_t end) {
    std::string text;
    for (size_t i = start; i < end; ++i) text += pieces[i];
    return text;
}

// Where a stream that ends after `cut` characters, or one in two pieces with the cut between them, is not the whole answer.
common_json differences(speaker &model, const std::string &text) {
    const std::vector<std::string> all = characters(text);
    const message complete = model.whole(text);
    common_json found = common_json::array();
    const auto compare = [&](const char *kind, size_t cut, const message &expected, const message &streamed) {
        if (streamed.equals(expected)) return;
        found.push_back(common_json::object({{"kind", kind}, {"cut", cut}, {"whole", expected.shown()}, {"streamed", streamed.shown()}}));
    };
    for (size_t cut = 1; cut < all.size(); ++cut) {
        compare("in two pieces", cut, complete, model.streamed({joined(all, 0, cut), joined(all, cut, all.size())}));
        // A few characters at a time, so that the number of pieces does not grow with the text.
        std::vector<std::string> pieces;
        const size_t length = cut / 3 + 1;
        for (size_t start = 0; start < cut; start += length) pieces.push_back(joined(all, start, std::min(cut, start + length)));
        compare("broken off", cut, model.whole(joined(all, 0, cut)), model.streamed(pieces));
    }
    compare("character by character", all.size(), complete, model.streamed(all));
    return found;
}

class engines {
  public:
    explicit engines(std::string path) : path_(std::move(path)) {}

    // The engine with this template; texts of one template come one after the other.
    engine_llama &with(const std::string &chat_template) {
        if (engine_ && settings_.chat_template == chat_template) return *engine_;
        engine_.reset();
        settings_ = {};
        mullama_engine_options_init(&settings_.options, sizeof(settings_.options));
        settings_.options.n_ctx = 0;
        settings_.options.n_slots = 1;
        settings_.options.n_threads = 1;
        settings_.load.path = path_;
        settings_.chat_template = chat_template;
        engine_ = std::make_unique<engine_llama>(settings_);
        return *engine_;
    }

  private:
    const std::string path_;
    engine_settings settings_;
    std::unique_ptr<engine_llama> engine_;
};

common_json answer(engines &opened, const common_json &asked) {
    engine_llama &llama = opened.with(asked.at("template").get<std::string>());
    const auto work = prepare_request(llama, "chat/completions", asked.at("body").dump());
    speaker model(work->tasks.at(0).params, llama.vocab());
    const std::string text = asked.at("text").get<std::string>();
    return common_json::object({{"whole", model.whole(text).shown()},
                                {"streamed", model.streamed(characters(text)).shown()},
                                {"unfinished", model.streamed(characters(text), false).shown()},
                                {"differences", differences(model, text)}});
}

}  // namespace

int main(int, char **arguments) {
    use_backend();
    engines opened(arguments[1]);
    for (std::string line; std::getline(std::cin, line);) {
        common_json shown;
        try {
            shown = answer(opened, common_json::parse(line));
        } catch (const std::exception &e) {
            shown = common_json::object({{"error", e.what()}});
        }
        std::cout << shown.dump_safe() << std::endl;
    }
    return 0;
}
