"""The C test program of the fixture, plain, under sanitizers and under valgrind: every shape, and no live object at the end."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from commands import need

OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def works(sanitizer: str) -> bool:
    """Whether the compiler can link a program with this sanitizer and run it."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "empty.c", Path(folder) / "empty"
        source.write_text("int main(void) { return 0; }\n")
        built = subprocess.run(
            [need("cc"), f"-fsanitize={sanitizer}", str(source), "-o", str(program)], capture_output=True, check=False
        )
        return (
            built.returncode == 0 and subprocess.run([str(program)], capture_output=True, check=False).returncode == 0
        )


@pytest.mark.parametrize("sanitizer", ["", "address,undefined", "thread"], ids=["plain", "address", "thread"])
def test_fixture_program(build_fixture, sanitizer: str) -> None:
    if sanitizer and not works(sanitizer):
        message = f"-fsanitize={sanitizer} does not work here"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    program = build_fixture(sanitizer) / "fixture_test"
    result = subprocess.run(
        [str(program)], capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **OPTIONS}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == "0 failures\n"


def test_valgrind_finds_no_wrong_access_and_no_leak(build_fixture) -> None:
    """Of any kind: what is still reachable at the end counts as well."""
    flags = ("--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all", "--errors-for-leak-kinds=all")
    command = [need("valgrind"), *flags, str(build_fixture() / "fixture_test")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == "0 failures\n"
    assert "ERROR SUMMARY: 0 errors" in result.stderr and "All heap blocks were freed" in result.stderr
