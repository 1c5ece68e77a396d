"""Every conformance case through the C ABI: builds c/runner.c against the installed library and runs it once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import expand
import pytest
from outcome import settle

SOURCES = Path(__file__).resolve().parent / "c"
CASES = expand.load()
FLAGS = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror"]


def compile_runner(folder: Path) -> Path:
    prefix = Path(os.environ.get("MULLAMA_TEST_PREFIX", expand.ROOT / "build" / "prefix"))
    library = prefix / "lib"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler is needed"
    program = folder / "runner"
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    linked = [f"-I{prefix / 'include'}", f"-L{library}", f"-Wl,-rpath,{library}", "-lmullama", "-lm"]
    command = [compiler, *FLAGS, *sources, "-o", str(program), *linked]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


def run_cases(program: Path, cases: list[dict[str, object]], path: Path) -> dict[str, str | None]:
    """What each case says; None where it passed. A case that ends the program is followed by a new run of the rest."""
    expand.write(cases, path)
    found: dict[str, str | None] = {}
    while len(found) < len(cases):
        done = subprocess.run([str(program), str(path), str(len(found))], capture_output=True, timeout=600, check=False)
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            said = json.loads(line)
            found[said["case"]] = said["message"] if said["result"] == "fail" else None
        if len(found) < len(cases):
            words = done.stderr.decode("utf-8", "replace").strip()[-1000:]
            found[str(cases[len(found)]["case"])] = f"the program ended with {done.returncode}: {words}"
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="module")
def c_places(places: Callable[[str], expand.Places]) -> expand.Places:
    return places("c")


@pytest.fixture(scope="module")
def failures(program: Path, c_places: expand.Places) -> dict[str, str | None]:
    cases = [expand.expand(case, c_places) for case in CASES]
    return run_cases(program, cases, program.with_name("cases.jsonl"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: expand.Case, failures: dict[str, str | None], report: Callable[[dict[str, str]], None]) -> None:
    line = settle(case.id, "c", failures[case.id])
    report(line)
    if line["result"] == "gap":
        pytest.skip(line["reason"])
    if line["result"] == "fail":
        pytest.fail(line["message"], pytrace=False)


def test_no_case_passes_with_its_last_expectation_turned_around(program: Path, c_places: expand.Places) -> None:
    cases = [expand.negated(expand.expand(case, c_places)) for case in CASES]
    failed = run_cases(program, cases, program.with_name("negated.jsonl"))
    assert [case for case, reason in failed.items() if reason is None] == []
