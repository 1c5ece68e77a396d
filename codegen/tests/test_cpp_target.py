"""The C++ target: what a user reads, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mullama_codegen import load, targets
from mullama_codegen.api import Api
from mullama_codegen.build import load_api
from mullama_codegen.messages import SpecError
from mullama_codegen.targets.cpp.signatures import signature

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
