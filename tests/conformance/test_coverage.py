"""The cases as a whole: every function of the ABI is called, by a case that can fail, and no gap is stale."""

from __future__ import annotations

from collections import Counter

import expand
import pytest
from mullama_codegen.build import load_api
from outcome import LANGUAGES, gaps

CASES = expand.load()
API = load_api(expand.ROOT / "abi" / "spec")
CHECKS = ("expect", "error", "status", "check")


def uncovered() -> list[str]:
    called = {name for case in CASES for name in case.calls()}
    functions = [function.name for function in API.functions] + [f"{handle}_close" for handle in API.handles]
    return [name for name in functions if name not in called]


def test_every_function_is_called_by_a_case() -> None:
    excused = {gap["function"] for gap in gaps() if "function" in gap}
    assert [name for name in uncovered() if name not in excused] == []


def test_no_gap_is_stale() -> None:
    cases = {case.id for case in CASES}
    for gap in gaps():
        assert gap["reason"].strip() and gap["language"] in (*LANGUAGES, "*"), gap
        assert "case" in gap or "function" in gap, gap
        assert gap.get("case") is None or gap["case"] in cases, f"there is no case {gap['case']}"
        assert gap.get("function") is None or gap["function"] in uncovered(), f"{gap['function']} has a case by now"


def test_every_area_has_its_file() -> None:
    assert {case.area for case in CASES} == {area.name for area in API.areas if area.functions}


def test_there_are_at_least_150_cases() -> None:
    assert len(CASES) >= 150, Counter(case.area for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_checks_something(case: expand.Case) -> None:
    assert any(word in step for step in case.steps for word in CHECKS)
