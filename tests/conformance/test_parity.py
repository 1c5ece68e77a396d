"""The parity table says what the runs said: a failing, missing or forgotten case shows and fails."""

from __future__ import annotations

import json
from pathlib import Path

import expand
import parity
import pytest
from mullama_codegen.build import load_api
from outcome import LANGUAGES

CASES = expand.load()
API = load_api(expand.ROOT / "abi" / "spec")
TOKENIZING = next(case.id for case in CASES if "model_tokenize" in case.calls())


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results in which every case passed everywhere."""
    for language in LANGUAGES:
        lines = [json.dumps({"case": case.id, "language": language, "result": "pass"}) for case in CASES]
        (tmp_path / f"{language}.jsonl").write_text("\n".join(lines))
    return tmp_path


def altered(results: Path, language: str, case: str, changes: dict[str, str]) -> None:
    path = results / f"{language}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(line | changes if line["case"] == case else line) for line in lines))


def cells(results: Path, function: str) -> dict[str, str]:
    found, _ = parity.read(results, CASES)
    rows = [row for section in parity.sections(API, CASES, found) for row in section.functions]
    return next(row.cells for row in rows if row.name == function)


def test_a_function_passes_where_all_its_cases_do(results: Path) -> None:
    altered(results, "go", TOKENIZING, {"result": "fail", "message": "1 is not 2"})
    assert cells(results, "model_tokenize") == {**dict.fromkeys(LANGUAGES, "pass"), "go": "fail"}
    assert parity.read(results, CASES)[1] == [f"go: {TOKENIZING}: 1 is not 2"]


def test_every_function_and_every_case_has_a_row(results: Path) -> None:
    found = parity.sections(API, CASES, parity.read(results, CASES)[0])
    text = parity.markdown(found, len(CASES))
    assert all(f"| `{function.name}` |" in text for function in API.functions)
    assert text.count("\n| ") >= len(API.functions) + len(CASES)
    assert "**" not in text


def test_a_language_that_did_not_run_is_told_how_to(results: Path) -> None:
    (results / "php.jsonl").unlink()
    assert parity.read(results, CASES)[1] == ["php: there are no results; run ./x php"]


def test_cases_that_were_not_run_and_cases_that_are_gone_are_named(results: Path) -> None:
    altered(results, "node", TOKENIZING, {"case": "model/of yesterday"})
    assert parity.read(results, CASES)[1] == [
        f"node: {TOKENIZING}: was not run",
        "node: model/of yesterday: is no case any more",
    ]
