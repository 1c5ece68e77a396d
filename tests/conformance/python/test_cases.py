"""Every conformance case through the Python binding."""

from __future__ import annotations

from collections.abc import Callable

import expand
import pytest
from outcome import settle
from runner import CaseFailed, run_case

CASES = expand.load()


@pytest.fixture(scope="module")
def python_places(places: Callable[[str], expand.Places]) -> expand.Places:
    return places("python")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: expand.Case, python_places: expand.Places, report: Callable[[dict[str, str]], None]) -> None:
    failure = None
    try:
        run_case(expand.expand(case, python_places))
    except CaseFailed as error:
        failure = str(error)
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    line = settle(case.id, "python", failure)
    report(line)
    if line["result"] == "gap":
        pytest.skip(line["reason"])
    if line["result"] == "fail":
        pytest.fail(line["message"], pytrace=False)


def test_no_case_passes_with_its_last_expectation_turned_around(python_places: expand.Places) -> None:
    passed = []
    for case in CASES:
        try:
            run_case(expand.negated(expand.expand(case, python_places)))
        except CaseFailed:
            continue
        passed.append(case.id)
    assert passed == []
