"""One function more in the description: every target takes it in, and its example becomes a case for every language."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mullama_codegen import targets
from mullama_codegen.build import load_api
from mullama_codegen.languages import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = """
  model_weigh_words:
    on: model
    doc: Says how heavy a text is.
    params: {text: {type: str, doc: The text.}}
    returns: {type: i32, doc: The weight.}
    errors: [CLOSED, INVALID_UTF8]
    examples: [{args: {text: heavy}, expect: 5}]
"""
SPELLINGS = {
    "c": "mullama_model_weigh_words(",
    "cpp": LANGUAGES["cpp"].spell("method", "weigh_words") + "(",
    "python": LANGUAGES["python"].spell("method", "weigh_words") + "(",
    "node": LANGUAGES["javascript"].spell("method", "weigh_words") + "(",
    "go": LANGUAGES["go"].spell("method", "weigh_words") + "(",
    "php": LANGUAGES["php"].spell("method", "weigh_words") + "(",
    "conformance": '"model_weigh_words"',
    "reference": "### model_weigh_words",
}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    folder = tmp_path / "abi" / "spec"
    shutil.copytree(ROOT / "abi" / "spec", folder)
    with (folder / "vocabulary.yaml").open("a", encoding="utf-8") as file:
        file.write(FUNCTION)
    return folder


@pytest.mark.parametrize("target", targets.names())
def test_every_target_has_it_after_one_edit(target: str, spec: Path, tmp_path: Path) -> None:
    outputs = targets.outputs(load_api(spec, tmp_path), [target])
    before = targets.outputs(load_api(ROOT / "abi" / "spec"), [target])
    changed = {path for path in outputs if outputs[path] != before.get(path)}
    assert outputs.keys() == before.keys()
    assert any(SPELLINGS[target] in outputs[path] for path in changed)
    assert not any(SPELLINGS[target] in content for content in before.values())


def test_every_language_has_a_table_that_calls_it(spec: Path, tmp_path: Path) -> None:
    outputs = targets.outputs(load_api(spec, tmp_path), ["conformance"])
    tables = {Path(path).parent.name for path, content in outputs.items() if "model_weigh_words" in content}
    assert tables == {"c", "cpp", "go", "node", "php", "python"}


def test_its_example_is_a_function_of_the_api(spec: Path, tmp_path: Path) -> None:
    (function,) = [one for one in load_api(spec, tmp_path).functions if one.name == "model_weigh_words"]
    assert function.examples == ({"args": {"text": "heavy"}, "expect": 5},)
