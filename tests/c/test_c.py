"""The C ABI from C: a program that uses every part of it, also under valgrind, and every function with nothing given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
STRICT = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1")


def need(tool: str) -> str:
    """The path of a tool. Where it is absent the test is skipped, but never in CI."""
    path = shutil.which(tool)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{tool} is not installed")
    return path


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def prefix() -> Path:
    return Path(os.environ["MULLAMA_TEST_PREFIX"])


@pytest.fixture(scope="session")
def compiled(prefix, tmp_path_factory):
    """Compiles a C file against the installed library; gives the program."""
    folder = tmp_path_factory.mktemp("c")

    def compile_(source: Path) -> Path:
        program = folder / source.stem
        places = (f"-I{prefix / 'include'}", f"-L{prefix / 'lib'}", f"-Wl,-rpath,{prefix / 'lib'}")
        run(need("cc"), *STRICT, source, "-o", program, *places, "-lmullama", "-lpthread", "-lm")
        return program

    return compile_


def test_the_library_does_in_c_what_its_header_says(compiled, tiny):
    run(compiled(HERE / "test_library.c"), tiny / "llama.gguf")


def test_the_heap_stays_whole_and_no_freed_memory_is_used(compiled, tiny):
    """glibc fills memory with a pattern when it is handed out and when it is freed, and checks the heap's own records."""
    environment = {**os.environ, "MALLOC_PERTURB_": "165", "MALLOC_CHECK_": "3", "LD_PRELOAD": "libc_malloc_debug.so.0"}
    run(compiled(HERE / "test_library.c"), tiny / "llama.gguf", env=environment)


def test_valgrind_finds_no_wrong_access_and_no_leak(compiled, tiny):
    flags = ("--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite")
    command = [need("valgrind"), *flags, compiled(HERE / "test_library.c"), tiny / "llama.gguf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if "SIGILL" in done.stderr:
        pytest.skip("valgrind does not know an instruction of this native library; test_processors.py has another")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_function_survives_nothing_but_zeros(compiled, prefix, tmp_path):
    """Zero or NULL for each parameter: an error where a pointer is needed, with and without a place for the error."""
    header = (prefix / "include" / "libmullama.h").read_text()
    lines, tested = [], 0
    for name, parameters_text in re.findall(r"^MULLAMA_API [^(]*?(mullama_\w+)\(([^)]*)\);", header, re.MULTILINE):
        parameters = [part.strip() for part in parameters_text.split(",") if part.strip() != "void"]
        tested += 1
        if not parameters or not parameters[-1].endswith("**err"):
            lines.append(f"{name}({', '.join('0' for _ in parameters)});")
            continue
        zeros = "".join("0, " for _ in parameters[:-1])
        # Inputs may be left out or empty; handles and places for results may not.
        expected = int(any("*" in one and not re.match(r"const \w+ \*\w", one) for one in parameters[:-1]))
        lines.append(f'check("{name}", {name}({zeros}NULL), NULL, {expected});')
        lines.append(f'code = {name}({zeros}&err);')
        lines.append(f'check("{name}", code, err, {expected});')
    assert tested > 120
    body = "\n    ".join(lines)
    source = tmp_path / "zeros.c"
    source.write_text(
        f"""
#include <libmullama.h>
#include <stdio.h>
static int failures = 0;
static void check(const char *name, int32_t code, mullama_error *err, int must_fail) {{
    const int same = !err || mullama_error_code(err) == code;
    if (!same || (must_fail && code != MULLAMA_E_INVALID_ARGUMENT)) {{
        ++failures;
        fprintf(stderr, "%s: code %d %s\\n", name, code, err ? mullama_error_message(err, NULL) : "");
    }}
    mullama_error_free(err);
}}
int main(void) {{
    mullama_error *err = NULL;
    int32_t code = 0;
    {body}
    if (mullama_live_objects() != 0) fprintf(stderr, "%d objects are left\\n", (int)mullama_live_objects());
    return failures != 0 || mullama_live_objects() != 0;
}}
"""
    )
    run(compiled(source))
