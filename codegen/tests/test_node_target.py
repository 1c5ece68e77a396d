"""The Node target: names, defaults, documentation, the shape of calls, and what it refuses."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mullama_codegen.__main__ import main
from mullama_codegen.api import Api, Function
from mullama_codegen.build import load_api
from mullama_codegen.load import REPOSITORY
from mullama_codegen.messages import SpecError
from mullama_codegen.targets.node import files
from mullama_codegen.targets.node.names import Names
from mullama_codegen.targets.node.signatures import route, signature

MULLAMA = load_api(REPOSITORY / "abi/spec")
FIXTURE = load_api(REPOSITORY / "abi/fixture/spec")
OUTPUTS = files(MULLAMA)
FIXTURE_OUTPUTS = files(FIXTURE)


def output(name: str) -> str:
    return OUTPUTS[f"bindings/node/generated/{name}"]


def fixture_output(name: str) -> str:
    return FIXTURE_OUTPUTS[f"bindings/node/tests/fixture_binding/generated/{name}"]


def find(api: Api, name: str) -> Function:
    return next(function for function in api.functions if function.name == name)


def changed(name: str, /, **changes: Any) -> Api:
    """The fixture's API with one function changed."""
    areas = tuple(
        replace(area, functions=tuple(replace(one, **changes) if one.name == name else one for one in area.functions))
        for area in FIXTURE.areas
    )
    return replace(FIXTURE, areas=areas)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "model_tokenize",
            ["model.tokenize(text: string, options?: { addSpecial?: boolean; parseSpecial?: boolean }): Int32Array"],
        ),
        ("model_n_vocab", ["model.nVocab: number"]),
        ("context_logits", ["context.logits(index?: number): Float32Array"]),
        (
            "context_decode",
            ["context.decode(tokens: IntegerArray, options?: DecodeOptions & { signal?: AbortSignal }): Promise<void>"],
        ),
        (
            "model_load",
            [
                "new Model(path: string | URL, options?: { progress?: LoadProgress | null } & ModelOptions)",
                "Model.load(path: string | URL, options?: { progress?: LoadProgress | null } & ModelOptions"
                " & { signal?: AbortSignal }): Promise<Model>",
            ],
        ),
        (
            "model_create_context",
            [
                "model.createContext(options?: ContextOptions): Context",
                "model.createContextAsync(options?: ContextOptions): Promise<Context>",
            ],
        ),
        (
            "engine_request",
            [
                "engine.request(route: string, body?: Json | null): Stream",
                "engine.requestAsync(route: string, body?: Json | null): Promise<Stream>",
            ],
        ),
        (
            "generation_next",
            ["generation.next(options?: { timeout?: number } & { signal?: AbortSignal }): Promise<TokenEvent | null>"],
        ),
    ],
)
def test_signatures(name: str, lines: list[str]) -> None:
    assert signature(MULLAMA, find(MULLAMA, name)).split("\n") == lines


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "chat",
            [
                "engine.chat(messages: readonly Message[], options?: ChatRequest & ToolOptions & Cancellable"
                " & { stream?: false | undefined }): Promise<ChatAnswer>",
                "engine.chat(messages: readonly Message[], options: ChatRequest & ToolOptions & Cancellable"
                " & { stream: true }): AnswerStream<ChatPiece, ChatAnswer>",
            ],
        ),
        (
            "rerank",
            ["engine.rerank(query: string, documents: readonly string[], options?: RerankRequest & Cancellable): Promise<RerankAnswer>"],
        ),
        ("props", ["engine.props(options?: Cancellable): Promise<PropsAnswer>"]),
    ],
)
def test_requests_are_methods(name: str, lines: list[str]) -> None:
    found = next(one for one in MULLAMA.routes if one.name == name)
    assert route(MULLAMA, found).split("\n") == lines


def test_objects_of_requests_list_what_json_spells_otherwise_and_nothing_else() -> None:
    written = output("requests.js")
    assert "    toolCallId: { json: 'tool_call_id' },\n" in written
    assert "    toolCalls: { json: 'tool_calls' },\n" in written, "nothing inside of a call is spelled otherwise"
    assert "    messages: { object: 'message' },\n" in written
    assert "temperature:" not in written and "toolFunction:" not in written


def test_fields_for_raw_requests_are_not_declared_and_positional_ones_only_there() -> None:
    request = re.search(r"export interface ChatRequest \{.*?\n\}", output("index.d.ts"), re.S)
    assert request is not None
    assert "maxTokens?: number | null | undefined;" in request[0]
    assert "tools?: ReadonlyArray<Tool | FunctionTool> | null | undefined;" in request[0]
    assert not re.search(r"\b(messages|stream|streamOptions|store)\b\??:", request[0])


def test_streams_that_are_named_have_no_thread_of_their_own() -> None:
    assert "class Stream extends PumpedStream {" in output("stream.js")
    assert 'module.add("streamNext", call<Polled<StreamNext>>);' in output("native/engine.cpp")
    assert "class Generation extends Handle {" in output("generation.js")
    assert 'module.add("generationNext", task<GenerationNext>);' in output("native/generation.cpp")
    areas = tuple(
        replace(area, functions=tuple(one for one in area.functions if one.name != "engine_wait")) for area in MULLAMA.areas
    )
    unnamed = files(replace(MULLAMA, areas=areas))
    assert "class Stream extends Handle {" in unnamed["bindings/node/generated/stream.js"]
    assert 'module.add("streamNext", task<StreamNext>);' in unnamed["bindings/node/generated/native/engine.cpp"]


def test_a_starting_function_has_three_names() -> None:
    lines = signature(MULLAMA, find(MULLAMA, "context_generate")).split("\n")
    assert [line.partition("(")[0] for line in lines] == [
        "context.startGeneration",
        "context.generate",
        "context.stream",
    ]
    assert [line.rpartition("): ")[2] for line in lines] == [
        "Generation",
        "Completion<GenerationResult>",
        "TextStream<GenerationResult>",
    ]


def test_reserved_words_have_other_names_only_where_they_must() -> None:
    names = Names(FIXTURE)
    assert [names.plain(name) for name in ("class", "default", "import", "n_ctx")] == [
        "className",
        "fallback",
        "import",
        "nCtx",
    ]
    assert signature(FIXTURE, find(FIXTURE, "delete")) == "remove(): number"
    assert "export function remove(): number;" in fixture_output("index.d.ts")
    assert "lib.delete_()" in fixture_output("native/words.cpp")
    assert "  | 'class'\n" in fixture_output("index.d.ts"), "an enum's member is a string"


def test_a_parameter_does_not_hide_what_its_function_uses() -> None:
    names = Names(FIXTURE)
    assert [names.parameter(name) for name in ("native", "stream", "options", "key")] == [
        "native_",
        "stream_",
        "options_",
        "key",
    ]


def test_docs_are_whole_and_name_things_as_javascript_does() -> None:
    declared = output("index.d.ts")
    assert "Bytes that `context.saveState()` would give now." in declared
    assert "Threads for batches; 0: as `nThreads`. At least 0. Default: 0." in declared
    assert "@throws MullamaError with the code 'CLOSED', 'NO_VOCABULARY', 'INVALID_UTF8'." in declared
    assert "@deprecated Use `store.count`." in fixture_output("index.d.ts")
    assert "/** All bits. Default: 18446744073709551615n. */" in fixture_output("index.d.ts")
    assert "Default: ['read', 'share']." in fixture_output("index.d.ts")


def test_defaults_are_those_of_the_description() -> None:
    choices = fixture_output("native/choices.cpp")
    assert "fixture_color color = FIXTURE_COLOR_GREEN;" in choices
    assert "fixture_access access = FIXTURE_ACCESS_READ | FIXTURE_ACCESS_SHARE;" in choices
    assert 'Text separator{", ", 2};' in fixture_output("native/texts.cpp")
    assert "uint32_t seed = 4294967295u;" in output("native/sampler.cpp")


def test_every_function_is_exported_in_both_module_systems() -> None:
    exported = re.findall(r"^  (\w+),$", output("index.mjs"), re.MULTILINE)
    assert len(exported) == len(set(exported))
    assert {"Model", "Context", "Generation", "Handle", "MullamaError", "openLog", "liveObjects"} <= set(exported)


@pytest.mark.parametrize("name", [*OUTPUTS, *FIXTURE_OUTPUTS])
def test_outputs_carry_the_mark_and_fit(name: str) -> None:
    content = (OUTPUTS | FIXTURE_OUTPUTS)[name]
    assert "Generated by mullama_codegen" in content[:400]
    if not name.endswith((".cpp", ".h")):
        assert max(map(len, content.split("\n"))) <= 120
    assert not re.search(r"\n\n\n|[ \t]\n", content)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("store_open_cursor", {"on": "", "static": False}, "nothing here is the store that the cursor keeps alive"),
        ("store_visit", {"fallible": False}, "a callback on a function that cannot fail"),
        ("store_visit", {"blocking": "cpu"}, "a callback on a blocking method"),
        ("countdown_next", {"cancel": ""}, "has no cancel"),
        ("countdown_get_result", {"property": False}, "countdown lacks one of next"),
        ("store_count", {"blocking": "io"}, "a property that blocks"),
        ("store_find", {"name": "store_close"}, "close twice"),
        ("cursor_step", {"blocking": "io"}, "a blocking function that lends its result"),
    ],
)
def test_what_the_target_cannot_express_is_an_error(name: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        files(changed(name, **changes))


def test_a_hand_edit_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("abi/spec", "bindings/node/generated"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    check = ["--root", str(tmp_path), "--spec", str(tmp_path / "abi/spec"), "--target", "node"]
    assert main(check) == 0
    edited = tmp_path / "bindings/node/generated/model.js"
    edited.write_text(edited.read_text(encoding="utf-8").replace("tokenize", "tokenise", 1), encoding="utf-8")
    assert main(check) == 1
    assert "stale: bindings/node/generated/model.js" in capsys.readouterr().err
