"""The C++ target: what a user reads, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mullama_codegen import load, targets
from mullama_codegen.api import Api
from mullama_codegen.build import load_api
from mullama_codegen.messages import SpecError
from mullama_codegen.targets.cpp.signatures import route, signature

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def mullama() -> Api:
    return load_api(load.REPOSITORY / "abi/spec")


@pytest.fixture(scope="module")
def fixture_api() -> Api:
    return load_api(load.REPOSITORY / "abi/fixture/spec")


def header(api: Api) -> str:
    return targets.outputs(api, ["cpp"])[f"{api.folder}/include/lib{api.name}.hpp"]


def declared(api: Api, name: str) -> str:
    (function,) = [one for one in api.functions if one.name == name]
    return " ".join(signature(api, function).split())


def test_declarations_are_those_of_a_cpp_programmer(mullama: Api) -> None:
    assert declared(mullama, "model_tokenize") == (
        "std::vector<std::int32_t> Model::tokenize(std::string_view text, bool add_special = true, bool parse_special = false) const"
    )
    assert declared(mullama, "model_load").startswith(
        "explicit Model::Model(std::string_view path, const ModelOptions &options = {}"
    )
    assert declared(mullama, "context_n_ctx") == "std::uint32_t Context::n_ctx() const"
    assert declared(mullama, "context_cancel") == "void Context::cancel() const noexcept"
    assert declared(mullama, "version") == "std::string version()"
    assert declared(mullama, "context_logits").endswith(
        "Span<const float> Context::logits_view(std::int32_t index = -1)"
    )


def test_several_sets_of_options_become_one_struct(mullama: Api) -> None:
    text = header(mullama)
    struct = text[text.index("struct GenerateOptions {") : text.index("\n};", text.index("struct GenerateOptions {"))]
    order = ["tokens", "messages", "sampler", "max_tokens", "stop", "temperature", "seed", "chat_template"]
    places = [struct.index(f" {name} =") if name != "sampler" else struct.index("*sampler =") for name in order]
    assert places[:5] == sorted(places[:5]) and max(places[:5]) < min(places[5:])
    assert "std::int32_t max_tokens = 256;" in struct and "std::optional<std::uint32_t> seed = std::nullopt;" in struct
    assert "struct SamplerOptions {" in text, "which a chain takes alone"


def test_docs_name_things_as_cpp_does(mullama: Api, fixture_api: Api) -> None:
    text = header(mullama)
    assert "[[" not in text.replace("[[noreturn]]", "").replace("[[deprecated", "")
    assert "`GenerateOptions::n_keep`" in text and "`Context::logits()`" in text
    assert "/// @throws ArgumentError closed, no_vocabulary" not in text, "families do not mix"
    assert '[[deprecated("Use Store::count().")]] std::size_t size() const;' in header(fixture_api)


def objects(api: Api) -> str:
    return targets.outputs(api, ["cpp"])["abi/include/libmullama_engine.hpp"]


def struct(text: str, name: str) -> str:
    start = text.index(f"struct {name} {{")
    return text[start : text.index("\n};", start)]


def test_routes_become_methods_whose_positional_fields_are_parameters(mullama: Api) -> None:
    (chat,) = [one for one in mullama.routes if one.name == "chat"]
    assert route(mullama, chat).replace("\n", " ") == (
        "ChatAnswer Engine::chat(const std::vector<Message> &messages, const ChatRequest &request = {}) const "
        "ChatStream Engine::chat_stream(const std::vector<Message> &messages, const ChatRequest &request = {}) const"
    )
    (props,) = [one for one in mullama.routes if one.name == "props"]
    assert route(mullama, props) == "PropsAnswer Engine::props() const"
    assert "ChatAnswer chat(const std::vector<Message> &messages, const ChatRequest &request) const;" in header(mullama)


def test_requests_hold_what_is_neither_positional_nor_for_callers_of_the_raw_request(mullama: Api) -> None:
    request = struct(objects(mullama), "ChatRequest")
    assert "std::optional<std::int64_t> max_tokens = std::nullopt;" in request
    assert "std::optional<std::vector<Tool>> tools = std::nullopt;" in request
    assert "std::optional<std::variant<std::string, std::vector<std::string>>> stop = std::nullopt;" in request
    assert "std::optional<Json> tool_choice = std::nullopt;" in request, "what may be anything is JSON"
    assert "std::int64_t max_rounds = 8;" in request
    assert not any(f" {name} =" in request for name in ("messages", "stream", "stream_options", "store"))


def test_answers_hold_their_json_and_shortcuts_follow_a_path_as_far_as_it_goes(mullama: Api) -> None:
    text = objects(mullama)
    answer = struct(text, "ChatAnswer")
    assert "Usage usage = {};" in answer and "Json raw = {};" in answer and "std::vector<ToolRun> tool_runs = {};" in answer
    assert (
        "const std::string &text() const & {\n"
        "        if (choices.empty() || !choices[0].message.content) return detail::none<std::string>();\n"
        "        return *choices[0].message.content;\n" in answer
    )
    assert "Json raw" not in struct(text, "ChatChoice")
    assert text.index("struct ChatChoice {") < text.index("struct ChatAnswer {"), "what is held comes first"
    assert "to_json(const ChatAnswer" not in text and "from_json(const Json &from, ChatRequest" not in text


def test_keywords_have_other_names(fixture_api: Api) -> None:
    assert declared(fixture_api, "delete") == "std::int32_t remove()"
    assert "Keyword type = Keyword::fallback" in declared(fixture_api, "say_words")


def test_two_types_of_one_name_are_refused(tmp_path: Path) -> None:
    shutil.copytree(HERE / "golden/spec", tmp_path / "small/spec")
    things = tmp_path / "small/spec/things.yaml"
    text = (
        things.read_text(encoding="utf-8")
        .replace("  drop:\n", "  argument_error:\n")
        .replace("stream_of: drop", "stream_of: argument_error")
    )
    things.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="two types of the name ArgumentError"):
        targets.outputs(load_api(tmp_path / "small/spec", tmp_path), ["cpp"])


def test_an_api_without_a_code_for_closed_objects_is_refused(tmp_path: Path) -> None:
    shutil.copytree(HERE / "golden/spec", tmp_path / "small/spec")
    for path in (tmp_path / "small/spec").glob("*.yaml"):
        path.write_text(path.read_text(encoding="utf-8").replace("CLOSED", "SHUT"), encoding="utf-8")
    with pytest.raises(SpecError, match="small: the target cpp does not support handles without an error code CLOSED"):
        targets.outputs(load_api(tmp_path / "small/spec", tmp_path), ["cpp"])
