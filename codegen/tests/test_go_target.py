"""The Go target: names, defaults, documentation, what cgo is told, and what it refuses."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mullama_codegen.__main__ import main
from mullama_codegen.api import Api, Callback, Handle, ObjectField, Shape, Type, Value
from mullama_codegen.build import load_api
from mullama_codegen.load import REPOSITORY
from mullama_codegen.messages import SpecError
from mullama_codegen.targets.go import files
from mullama_codegen.targets.go.names import Names
from mullama_codegen.targets.go.signatures import route, signature

MULLAMA = load_api(REPOSITORY / "abi/spec")
FIXTURE = load_api(REPOSITORY / "abi/fixture/spec")
OUTPUTS = files(MULLAMA) | files(FIXTURE)


def output(name: str) -> str:
    return OUTPUTS[f"bindings/go/{name}"]


@pytest.mark.parametrize(
    ("name", "public", "private"),
    [
        ("n_ctx", "NCtx", "nCtx"),
        ("json_schema", "JSONSchema", "jsonSchema"),
        ("add_eos", "AddEOS", "addEOS"),
        ("ids", "IDs", "ids"),
        ("q4_0", "Q4_0", "q4_0"),
        ("bf16", "BF16", "bf16"),
        ("invalid_utf8", "InvalidUTF8", "invalidUTF8"),
    ],
)
def test_names_are_those_of_go(name: str, public: str, private: str) -> None:
    names = Names(MULLAMA)
    assert names.public(name) == public
    if name != "q4_0":
        assert names.private(name) == private


def test_a_parameter_does_not_hide_a_package_or_the_receiver() -> None:
    names = Names(MULLAMA)
    assert [names.parameter(name, "s") for name in ("context", "s", "path")] == ["c", "sValue", "path"]
    assert names.parameter("options", "o") == "op"


def signatures(name: str) -> list[str]:
    api = MULLAMA if any(function.name == name for function in MULLAMA.functions) else FIXTURE
    (function,) = (one for one in api.functions if one.name == name)
    return signature(api, function).split("\n")


def test_signatures() -> None:
    assert signatures("model_load") == [
        "func LoadModel(ctx context.Context, path string, options ...LoadModelOption) (*Model, error)",
        "// WithProgress(LoadProgress), the options of model",
    ]
    assert signatures("model_n_vocab") == ["func (m *Model) NVocab() (int32, error)"]
    assert signatures("store_find") == ["func (s *Store) Find(key string) (string, bool, error)"]
    assert signatures("store_from_keys") == ["func StoreFromKeys(keys []string) (*Store, error)"]
    assert signatures("echo_unset") == [
        "func EchoUnset(options ...EchoUnsetOption) (int32, bool)",
        "// WithValue(int32)",
    ]
    assert signatures("context_generate")[1] == (
        "func (c *Context) Generate(ctx context.Context, prompt string, options ...GenerateOption) (string, error)"
    )
    assert signatures("context_decode_batch") == [
        "func (c *Context) DecodeBatch(ctx context.Context, batch Batch) error"
    ]


def test_options_of_one_name_and_type_are_one_and_others_get_their_owner_in_between() -> None:
    options = output("options.go")
    assert "func WithSequence(sequence int32) SequenceOption {" in options
    assert "func WithMinKeep(minKeep int32) SamplerOption {" in options
    assert "func WithSamplerMinKeep(minKeep uint) SamplerMinKeepOption {" in options
    assert "func WithStop(stop ...string) GenerateOption {" in options
    assert "type SamplerOption interface {\n\tCreateSamplerOption\n\tGenerateOption\n}" in options


def test_defaults_come_from_the_library_or_from_the_description() -> None:
    assert "args := &tokenizeArguments{addSpecial: 1}" in output("model.go")
    assert "C.mullama_generate_options_init(&args.options, C.sizeof_mullama_generate_options)" in output("options.go")
    assert "{color: C.fixture_color(ColorGreen), access: C.fixture_access(AccessRead | AccessShare)}" in output(
        "tests/fixture/functions.go"
    )
    assert 'chars(", "), C.size_t(len(", "))' in output("tests/fixture/functions.go")


def test_docs_are_sentences_that_start_with_the_name() -> None:
    for text in OUTPUTS.values():
        for comment, name in re.findall(r"((?:^//.*\n)+)func (?:\(\w+ \*?\w+\) )?([A-Z]\w+)\(", text, re.MULTILINE):
            assert re.match(rf"// {name}[ :]", comment), comment
    model = output("model.go")
    assert "// Tokenize gives the tokens of a text.\n" in model
    assert "// CreateContext creates a context." in model
    assert "// TokenIsEnd says whether a token ends a generation" in model
    assert "//   - text: The text.\n//   - It gives: The token ids. Shape [n_tokens].\n" in model
    assert "// Deprecated: Use [Store.Count].\n" in output("tests/fixture/store.go")
    assert "In tokens. At least -1. Default: 256." in output("options.go").replace("\n// ", " ")


def test_cgo_is_told_that_only_functions_with_callbacks_call_back() -> None:
    told = set(re.findall(r"#cgo nocallback (\w+)", "\n".join(OUTPUTS.values())))
    assert told == set(re.findall(r"#cgo noescape (\w+)", "\n".join(OUTPUTS.values())))
    called = {f"{api.prefix}_{function.name}": function for api in (MULLAMA, FIXTURE) for function in api.functions}
    for name, function in called.items():
        assert (name in told) == all(value.type.kind != "callback" for value in function.params), name


def test_generated_files_say_so_to_go_and_to_the_generator() -> None:
    for path, text in OUTPUTS.items():
        first = text.partition("\n")[0]
        assert re.fullmatch(r"// Code generated .* DO NOT EDIT\.", first), path
        assert "Generated by mullama_codegen" in first and str(REPOSITORY) not in text


def test_a_hand_edit_is_found_and_undone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copytree(REPOSITORY / "abi" / "spec", tmp_path / "abi" / "spec")
    arguments = ["--root", str(tmp_path), "--target", "go"]
    assert main([*arguments, "--write"]) == 0
    path = tmp_path / "bindings/go/model.go"
    original = path.read_bytes()
    path.write_bytes(original.replace(b"Tokenize", b"Tokenise", 1))
    assert main(arguments) == 1
    assert "stale: bindings/go/model.go" in capsys.readouterr().err
    assert main([*arguments, "--write"]) == 0 and path.read_bytes() == original


def test_objects_are_structs_in_which_nil_stands_for_what_is_left_out() -> None:
    objects = output("objects.go")
    for line in (
        'Messages []Message `json:"messages"`',
        'MaxTokens *int `json:"max_tokens,omitempty"`',
        'Grammar string `json:"grammar,omitempty"`',
        'ResponseFormat *ResponseFormat `json:"response_format,omitempty"`',
        'Stop any `json:"stop,omitempty"`',
        'CompletionTokens int `json:"completion_tokens,omitempty"`',  # in an answer: 0 says the same
        'ImageURL any `json:"image_url,omitempty"`',
        "run toolFunction",
        'Raw json.RawMessage `json:"-"`',
    ):
        assert f"\t{line}\n" in objects
    assert "A string or a []ContentPart." in objects
    assert "StreamOptions" not in objects and 'json:"stream' not in objects  # the methods say that


def test_a_shortcut_ends_where_its_path_does() -> None:
    objects = output("objects.go")
    assert "\tif len(c.Choices) == 0 {\n\t\treturn nil\n\t}\n\treturn c.Choices[0].Message.ToolCalls\n" in objects
    assert "\tif u.PromptTokensDetails == nil {\n\t\treturn 0\n\t}\n\treturn u.PromptTokensDetails.CachedTokens\n" in objects


def test_routes_are_methods_for_the_whole_answer_and_for_its_pieces() -> None:
    chat, count = (next(one for one in MULLAMA.routes if one.name == name) for name in ("chat", "count_tokens"))
    start = "func (e *Engine) Chat"
    rest = "(ctx context.Context, request ChatRequest, options ...ToolOption) (*Chat"
    assert route(MULLAMA, chat).split("\n") == [f"{start}{rest}Answer, error)", f"{start}Stream{rest}Stream, error)"]
    assert route(MULLAMA, count) == (
        "func (e *Engine) CountTokens(ctx context.Context, request AnthropicRequest) (*TokenCount, error)"
    )


def test_streams_that_are_named_are_waited_for_together() -> None:
    assert "s.engine.lookout.Await(&s.place, int32(timeout)," in output("stream.go")
    assert "C.mullama_stream_next(s.c, 0, &out, &status, &failed)" in output("stream.go")
    assert "end, err := turn(ctx)" in output("engine.go")
    assert "internal/threads" not in output("generation.go") + output("tests/fixture/countdown.go") + output("model.go")


def with_object(name: str, **changes: object) -> Api:
    """The API with one of its objects changed."""
    areas = [
        replace(area, objects=tuple(replace(one, **changes) if one.name == name else one for one in area.objects))
        for area in MULLAMA.areas
    ]
    return replace(MULLAMA, areas=tuple(areas))


@pytest.mark.parametrize(
    ("api", "message"),
    [
        (
            with_object("document", fields=(ObjectField("text", Shape("union", items=(Shape("str"), Shape("i64"))), "A text."),)),
            "an answer that is str | i64",
        ),
        (
            with_object("chat_request", fields=(ObjectField("tools", Shape("list", items=(Shape("str"),)), "Tools."),)),
            "chat_request.tools: tools that are no objects",
        ),
    ],
)
def test_objects_that_are_not_supported(api: Api, message: str) -> None:
    with pytest.raises(SpecError) as error:
        files(api)
    assert error.value.messages == [f"abi: the target go does not support {message}"]


def changed(api: Api, **kinds: object) -> Api:
    return replace(api, areas=(replace(api.areas[0], **kinds), *api.areas[1:]))


@pytest.mark.parametrize(
    ("api", "message"),
    [
        (
            changed(FIXTURE, callbacks=(Callback("teller", "Called.", (), Value("", Type("str"), "")),)),
            "teller: a callback that gives a str",
        ),
        (
            changed(FIXTURE, handles=(Handle("status", "A status.", "shared"),)),
            "status: the name Status, which is that of the runtime",
        ),
    ],
)
def test_what_is_not_supported_is_said(api: Api, message: str) -> None:
    with pytest.raises(SpecError) as error:
        files(api)
    assert error.value.messages == [f"abi/fixture: the target go does not support {message}"]
