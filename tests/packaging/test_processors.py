"""A library that holds its processor backend several times takes the best that can run, or what MULLAMA_CPU names."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="variants are made for Linux on x86-64"
)
PROGRAM = """
import json, mullama, sys
log = mullama.open_log()
with mullama.Model(sys.argv[1]) as model, model.create_context(n_ctx=256, n_threads=2) as context:
    generation = context.start_generation("hello", max_tokens=64, temperature=0.0, ignore_eos=True)
    generation.run()
    said = [mullama.get_build_info().flags, mullama.cpu_features(), log.next(timeout=0).text]
    print(json.dumps([*said, generation.tokens()]))
"""
RUNNABLE = re.compile(r"this library holds (.*), of which this processor can run (.*)")


@pytest.fixture(scope="module")
def run(call, environment: Path, tiny: Path):
    """Generates with a variant; gives what the library says of itself, and the tokens."""

    def run_(cpu: str) -> tuple[str, list[str], str, list[int]]:
        said = call(environment / "bin/python", "-c", PROGRAM, tiny / "llama.gguf", cwd=environment, MULLAMA_CPU=cpu)
        return tuple(json.loads(said))

    return run_


@pytest.fixture(scope="module")
def refuse(call, environment: Path, tiny: Path):
    """Gives the error of a MULLAMA_CPU that cannot be had."""

    def refuse_(cpu: str, python: Path = environment / "bin/python") -> str:
        command = (python, "-c", PROGRAM, tiny / "llama.gguf")
        return call(*command, cwd=environment, fails=True, MULLAMA_CPU=cpu).splitlines()[-1]

    return refuse_


Variants = tuple[list[str], list[str]]


@pytest.fixture(scope="module")
def variants(refuse) -> Variants:
    """What the library holds, and what of it this processor can run; both best first."""
    held, runnable = RUNNABLE.search(refuse("abacus")).groups()
    return held.split(", "), runnable.split(", ")


def test_an_unknown_variant_is_an_error_that_names_the_known(refuse, variants: Variants) -> None:
    assert refuse("abacus").startswith('mullama.ArgumentError: MULLAMA_CPU is "abacus"; this library holds ')
    assert {"sapphirerapids", "haswell", "x64"} <= set(variants[0])
    assert variants[0][-1] == variants[1][-1] == "x64"


def test_the_best_that_the_processor_can_run_is_taken(run, variants: Variants) -> None:
    flags, _, logged, _ = run("")
    assert f"CPU_VARIANT = {variants[1][0]} | " in flags
    assert logged == f"the processor backend is the variant {variants[1][0]}"


def test_what_the_processor_cannot_run_is_refused_with_what_it_lacks(refuse, variants: Variants) -> None:
    held, runnable = variants
    flags = set(re.search(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    assert ("avx2" in flags) == ("haswell" in runnable)
    assert ("amx_int8" in flags) == ("sapphirerapids" in runnable)
    for name in set(held) - set(runnable):
        assert f'MULLAMA_CPU is "{name}", which this processor cannot run: it lacks ' in refuse(name)


def test_every_variant_gives_the_same_answer(run, variants: Variants) -> None:
    answers = {name: run(name) for name in variants[1]}
    for name, (flags, _, _, tokens) in answers.items():
        assert f"CPU_VARIANT = {name} | " in flags
        assert len(tokens) == 64 and tokens == answers["x64"][3], name
    assert "SSE3" not in answers["x64"][1]
    if "haswell" in answers:
        assert {"AVX2", "FMA", "F16C"} <= set(answers["haswell"][1])


def test_a_library_for_one_processor_says_that_it_has_no_variants(refuse) -> None:
    if "MULLAMA_CPU_VARIANTS" in os.environ.get("CMAKE_ARGS", ""):
        pytest.skip("the library of this checkout was built with variants")
    assert 'MULLAMA_CPU is "haswell", but this library was built for one' in refuse("haswell", Path(sys.executable))


def test_valgrind_finds_no_wrong_access_and_no_leak(call, library: Path, tiny: Path, tmp_path: Path) -> None:
    """A native library may hold instructions that valgrind does not know; every valgrind knows those of x64."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("valgrind is not installed")
    sources = (ROOT / "tests/c/test_library.c", library, f"-I{ROOT / 'abi/include'}", f"-Wl,-rpath,{library.parent}")
    call("cc", "-g", "-O1", "-D_POSIX_C_SOURCE=200809L", *sources, "-o", "program", "-lpthread", "-lm", cwd=tmp_path)
    flags = ("--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite")
    call(valgrind, *flags, "./program", tiny / "llama.gguf", cwd=tmp_path, MULLAMA_CPU="x64")
