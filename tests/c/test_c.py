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


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
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


def test_valgrind_finds_no_wrong_access_and_no_leak(compiled, tiny):
    valgrind = need("valgrind")
    program = compiled(HERE / "test_library.c")
    suppressions = f"--suppressions={HERE / 'valgrind.supp'}"
    flags = ("--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite")
    run(valgrind, *flags, suppressions, program, tiny / "llama.gguf")


def test_every_function_survives_nothing_but_zeros(compiled, prefix, tmp_path):
    """Zero or NULL for each parameter: an error where a pointer is needed, with and without a place for the error."""
    header = re.sub(r"/\*.*?\*/|^\s*#.*?$", "", (prefix / "include" / "libmullama.h").read_text(), flags=re.S | re.M)
    header = re.sub(r"\s+", " ", header.replace("MULLAMA_API", "\n")).replace(" mullama_abi", "\n mullama_abi")
    lines, tested = [], 0
    for declaration in re.sub(r"; ", ";\n", header).split("\n"):
        match = re.match(r"\s*([\w ]+[ *]+)(mullama_\w+)\(([^)]*)\);", declaration)
        if not match:
            continue
        name, parameters = match[2], [part.strip() for part in match[3].split(",") if part.strip() != "void"]
        tested += 1
        if not parameters or "mullama_error **err" not in parameters[-1]:
            lines.append(f"    {name}({', '.join('0' for _ in parameters)});")
            continue
        zeros = ", ".join("0" for _ in parameters[:-1])
        separator = ", " if zeros else ""
        needs_pointer = any("*" in parameter for parameter in parameters[:-1])
        lines.append(f'    check("{name}", {name}({zeros}{separator}NULL), NULL, {int(needs_pointer)});')
        lines.append(f'    code = {name}({zeros}{separator}&err);')
        lines.append(f'    check("{name}", code, err, {int(needs_pointer)});')
    assert tested > 120
    body = "\n".join(lines)
    source = tmp_path / "zeros.c"
    source.write_text(
        f"""
#include <libmullama.h>
#include <stdio.h>
static int failures = 0;
static void check(const char *name, int32_t code, mullama_error *err, int needs_pointer) {{
    const int same = !err || mullama_error_code(err) == code;
    if (!same || (needs_pointer && code != MULLAMA_E_INVALID_ARGUMENT)) {{
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
