"""The PHP target: names and types as PHP has them, what it cannot express is an error, and a hand edit is found."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest
from mullama_codegen import load
from mullama_codegen.__main__ import main
from mullama_codegen.api import Api
from mullama_codegen.build import load_api
from mullama_codegen.messages import SpecError
from mullama_codegen.targets import php
from mullama_codegen.targets.php.signatures import route, signature

ROOT = load.REPOSITORY
GENERATED = "bindings/php/tests/generated"


@pytest.fixture(scope="module")
def api() -> Api:
    return load_api(ROOT / "abi" / "fixture" / "spec")


@pytest.fixture(scope="module")
def library() -> Api:
    """The library's own description, which alone has routes."""
    return load_api(ROOT / "abi" / "spec")


@pytest.fixture(scope="module")
def files(api: Api) -> dict[str, str]:
    return php.files(api)


def changed(api: Api, name: str, /, **changes: object) -> Api:
    """The API with one function changed."""
    areas = tuple(
        replace(
            area,
            functions=tuple(
                replace(function, **changes) if function.name == name else function for function in area.functions
            ),
        )
        for area in api.areas
    )
    return replace(api, areas=areas)


def signature_of(api: Api, name: str) -> str:
    return signature(api, next(function for function in api.functions if function.name == name))


@pytest.mark.parametrize(
    ("name", "declaration"),
    [
        ("echo_u64", "Fixture::echoU64(int|numeric-string $value): int|numeric-string"),
        ("echo_unset", "Fixture::echoUnset(?int $value = null): ?int"),
        ("echo_floats", "Fixture::echoFloats(list<float>|Floats $numbers): Floats"),
        ("join", "Fixture::join(list<string> $texts = [], string $separator = ', '): string"),
        (
            "describe_choice",
            "Fixture::describeChoice(Color|int $color = Color::Green, int $access = Access::READ | Access::SHARE): string",
        ),
        (
            "store_open",
            "new Store(string $name, ?string $note = null, (callable(float $part): mixed)|null $listener = null)",
        ),
        ("store_get_info", "$store->info(): StoreInfo"),
        ("store_from_keys", "Store::fromKeys(list<string> $keys): Store"),
        ("countdown_next", "$countdown->next(?float $timeout = null): ?Tick"),
        (
            "say_words",
            "Fixture::sayWords(\n    string $className,\n    int $default = 3,\n    Keyword|int $type = Keyword::Default,\n"
            "    int $func = 1,\n    int $lambda = 2,\n    string $template = 'tea',\n): string",
        ),
        (
            "store_count_down",
            "$store->startCount(int $start, int $delayMs = 0, ?int $failAt = null): Countdown\n"
            "$store->countText(...): string\n"
            "$store->countPieces(...): \\Generator<int, string, void, CountResult>",
        ),
    ],
)
def test_a_signature_is_what_a_php_programmer_reads(api: Api, name: str, declaration: str) -> None:
    assert signature_of(api, name) == declaration


@pytest.mark.parametrize("folder", ["abi/spec", "abi/fixture/spec"])
def test_every_function_has_a_signature_that_its_class_declares(folder: str) -> None:
    api = load_api(ROOT / folder)
    code = "\n".join(php.files(api).values())
    for function in api.functions:
        name = re.match(r"(?:new (\w+)|\$?\w+(?:->|::)(\w+))\(", signature(api, function))
        assert name, function.name
        assert f"function {name[2] or '__construct'}(" in code


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("Fixture", "     * @param float $percent The percentage. In percent. From 0 to 100."),
        ("Fixture", "     * @throws ArgumentException InvalidUtf8."),
        ("Fixture", "        int|string $mask = '18446744073709551615',"),
        ("Fixture", "        float $bias = -\\INF,"),
        ("Fixture", "        string $title = 'naïve 🦙',"),
        ("Store", "     * Starts a countdown; see {@see Countdown::next()} and `$delayMs`."),
        ("Store", "     * @deprecated Use {@see Store::count()}."),
        ("Store", "     * Shows each entry to a callback, in the order of the keys."),
        ("Numbers", "        public readonly int|string $highestU64,"),
        ("Access", "    public const READ_WRITE = 3;"),
        ("ErrorCode", "    case FileNotFound = 1001;"),
    ],
)
def test_docs_defaults_and_names(files: dict[str, str], file: str, line: str) -> None:
    assert line in files[f"{GENERATED}/{file}.php"].split("\n")


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("store_open_cursor", {"on": "", "static": False}, "nothing here is the store that the cursor keeps alive"),
        ("store_visit", {"fallible": False}, "a callback on a function that cannot fail"),
        ("countdown_get_result", {"name": "countdown_figures"}, "countdown lacks one of next"),
        ("store_find", {"name": "store_CLOSE"}, "close twice"),
    ],
)
def test_what_the_target_cannot_express_is_an_error(
    api: Api, name: str, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        php.files(changed(api, name, **changes))


def test_arguments_must_leave_the_variables_of_bodies_alone(api: Api) -> None:
    put = next(function for function in api.functions if function.name == "store_put")
    keep = replace(put.params[0], name="keep")
    with pytest.raises(SpecError, match=r"store_put: an argument \$keep; name it otherwise in names/php.yaml"):
        php.files(changed(api, "store_put", params=(keep, *put.params[1:])))
    multiply = next(function for function in api.functions if function.name == "multiply")
    twice = (*multiply.params, replace(multiply.params[-1], name="again"))
    with pytest.raises(SpecError, match="two named arguments of one name"):
        php.files(changed(api, "multiply", params=twice))
    factor = (multiply.params[0], replace(multiply.params[1], name="factor"), multiply.params[2])
    with pytest.raises(SpecError, match=r"an argument \$factor"):
        php.files(changed(api, "multiply", params=factor))
    visit = next(function for function in api.functions if function.name == "store_visit")
    with pytest.raises(SpecError, match="two callbacks"):
        php.files(changed(api, "store_visit", params=(visit.params[0], replace(visit.params[0], name="again"))))


def test_a_class_of_the_runtime_cannot_be_declared_again(api: Api) -> None:
    area = api.areas[0]
    named = replace(area, structs=(replace(area.structs[0], name="options"), *area.structs[1:]))
    with pytest.raises(SpecError, match="two classes named Options"):
        php.files(replace(api, areas=(named, *api.areas[1:])))


def changed_route(api: Api, name: str, /, **changes: object) -> Api:
    """The API with one route changed."""
    areas = tuple(
        replace(area, routes=tuple(replace(one, **changes) if one.name == name else one for one in area.routes))
        for area in api.areas
    )
    return replace(api, areas=areas)


@pytest.mark.parametrize(
    ("name", "declaration"),
    [
        ("rerank", "$engine->rerank(string $query, list<string> $documents, ...): RerankAnswer"),
        ("props", "$engine->props(): PropsAnswer"),
        (
            "chat",
            "$engine->chat(list<MessageArray|JsonObject> $messages, ...): ChatAnswer\n"
            "$engine->streamChat(list<MessageArray|JsonObject> $messages, ...): ChatStream",
        ),
        (
            "respond",
            "$engine->respond(string|list<mixed> $input, ...): ResponseAnswer\n"
            "$engine->streamRespond(string|list<mixed> $input, ...): AnswerStream<ResponseEvent, ResponseAnswer>",
        ),
    ],
)
def test_a_route_is_what_a_php_programmer_reads(library: Api, name: str, declaration: str) -> None:
    assert route(library, next(one for one in library.routes if one.name == name)) == declaration


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("EngineRoutes", "        string $query,"),
        ("EngineRoutes", "        string|array|null $stop = null,"),
        ("EngineRoutes", "        array|JsonObject|null $responseFormat = null,"),
        (
            "EngineRoutes",
            "     * @param 'none'|'auto'|'deepseek'|null $reasoningFormat none: thinking stays in the text. Default: the engine's.",
        ),
        (
            "EngineRoutes",
            "     * @param ?float $temperature 0 takes the most likely token. Default: 0.8. From 0 to 1000.",
        ),
        (
            "EngineRoutes",
            " * @phpstan-type ToolCallArray array{id?: string, type?: string, function: CalledFunctionArray|JsonObject}",
        ),
        ("ChatAnswer", "        $this->text = $choices[0]->message->content ?? '';"),
        ("ChatAnswer", "            choices: \\array_map(ChatChoice::read(...), $json['choices']),"),
        ("PieceChoice", "            finishReason: $json['finish_reason'] ?? null,"),
        ("Logprob", "        public readonly ?array $topLogprobs,"),
        ("Engine", "    use EngineRoutes;"),
    ],
)
def test_objects_and_routes_in_php(library: Api, file: str, line: str) -> None:
    assert line in php.files(library)[f"bindings/php/src/generated/{file}.php"].split("\n")


def test_fields_for_raw_requests_are_no_arguments(library: Api) -> None:
    outputs = php.files(library)
    for name in ("EngineRoutes", "Requests"):
        content = outputs[f"bindings/php/src/generated/{name}.php"]
        assert not re.search(r"\$streamOptions|\$store\b|'store'|StreamOptionsArray", content)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("message", {"tools": True}, "message: functions as tools, which only chat calls"),
        ("rerank", {"positional": ("query",)}, "rerank: the field documents must be given, but is not positional"),
    ],
)
def test_routes_that_the_target_cannot_express(
    library: Api, name: str, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        php.files(changed_route(library, name, **changes))


def test_output_is_deterministic_marked_and_fits(api: Api, files: dict[str, str]) -> None:
    assert php.files(api) == files
    for name, content in files.items():
        assert "Generated by mullama_codegen from abi/fixture/spec/*.yaml" in content[:400], name
        assert max(map(len, content.split("\n"))) <= 120, name
        imports = re.findall(r"^use [\w\\]+\\(\w+);$", content, re.MULTILINE)
        for imported in imports:
            assert len(re.findall(rf"\b{imported}\b", content)) > 1, f"{name} does not use {imported}"


def test_what_ffi_reads_has_no_typed_array_and_no_handle(files: dict[str, str]) -> None:
    text = files[f"{GENERATED}/Native.php"].partition("<<<'C'")[2].partition("        C;")[0]
    assert "size_t fixture_store_count(size_t store);" in text
    assert "const void *text, size_t text_len" in text
    assert "const int32_t **out, size_t *out_len" in text
    assert "const int32_t *sizes;" in text
    assert not re.search(r"const (char|uint8_t|fixture_str) \*|const float \*[a-z]|fixture_store \*|#", text)


def test_a_hand_edit_is_found_and_undone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "abi" / "fixture" / "spec", tmp_path / "abi" / "fixture" / "spec")
    arguments = ["--root", str(tmp_path), "--target", "php"]
    assert main([*arguments, "--write"]) == 0
    path = tmp_path / GENERATED / "Store.php"
    original = path.read_text()
    path.write_text(original.replace("countText", "countTexts"))
    assert main(arguments) == 1
    assert f"stale: {GENERATED}/Store.php" in capsys.readouterr().err
    assert main([*arguments, "--write"]) == 0
    assert path.read_text() == original


@pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed here; the session `php` checks it too")
def test_php_can_read_every_file(files: dict[str, str], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / Path(name).name).write_text(content, encoding="utf-8")
    paths = sorted(map(str, tmp_path.glob("*.php")))
    code = "foreach (array_slice($argv, 1) as $file) token_get_all(file_get_contents($file), TOKEN_PARSE);"
    done = subprocess.run(["php", "-r", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generating_takes_little_time() -> None:
    api = load_api(ROOT / "abi" / "spec")
    times = []
    for _ in range(3):
        start = process_time()
        php.files(api)
        times.append(process_time() - start)
    assert min(times) < 0.25
