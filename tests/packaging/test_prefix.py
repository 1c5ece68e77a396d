"""The installed C library: found with pkg-config and with CMake, and complete where it lies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
#include <libmullama.h>
#include <stdio.h>
int main(void) { printf("%u", (unsigned)mullama_abi_version()); return 0; }
"""
PROJECT = """
cmake_minimum_required(VERSION 3.21)
project(user LANGUAGES C)
find_package(mullama 0.1 REQUIRED CONFIG)
add_executable(user user.c)
target_link_libraries(user PRIVATE mullama::mullama)
"""


GENERATE = """
#include <libmullama.h>
#include <stdio.h>
#include <string.h>
static mullama_error *err;
static int failed(int32_t code) {
    if (code != MULLAMA_OK) fprintf(stderr, "%s\\n", mullama_error_message(err, NULL));
    return code != MULLAMA_OK;
}
int main(int argc, char **argv) {
    mullama_model *model;
    mullama_context *context;
    mullama_generation *generation;
    mullama_generate_options options;
    mullama_generation_result result;
    int32_t status;
    (void)argc;
    mullama_generate_options_init(&options, sizeof options);
    mullama_generation_result_init(&result, sizeof result);
    options.max_tokens = 7;
    options.ignore_eos = 1;
    /* an exception thrown inside, and caught there */
    if (mullama_model_load("missing", 7, NULL, NULL, NULL, &model, &err) == MULLAMA_OK) return 2;
    mullama_error_free(err);
    err = NULL;
    if (failed(mullama_model_load(argv[1], strlen(argv[1]), NULL, NULL, NULL, &model, &err))) return 1;
    if (failed(mullama_model_create_context(model, NULL, &context, &err))) return 1;
    if (failed(mullama_context_generate(context, "a", 1, NULL, 0, NULL, 0, NULL, &options, NULL, NULL, &generation,
                                        &err))) return 1;
    if (failed(mullama_generation_run(generation, -1, &status, &err))) return 1;
    if (failed(mullama_generation_get_result(generation, &result, &err))) return 1;
    printf("%d", (int)result.n_generated);
    mullama_generation_free(generation);
    mullama_context_free(context);
    mullama_model_free(model);
    return mullama_live_objects() != 0;
}
"""


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def prefix() -> Path:
    return Path(os.environ["MULLAMA_TEST_PREFIX"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "user.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    return tmp_path


def test_pkg_config_is_enough_to_compile_and_run(prefix: Path, project: Path) -> None:
    flags = call(
        "pkg-config", "--cflags", "--libs", "mullama", cwd=project, PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig")
    )
    call("cc", "user.c", "-o", "user", *flags.split(), cwd=project)
    assert int(call("./user", cwd=project, LD_LIBRARY_PATH=str(prefix / "lib"))) > 0


def test_find_package_is_enough_to_compile_and_run(prefix: Path, project: Path) -> None:
    call("cmake", "-S", ".", "-B", "build", "-G", "Ninja", f"-Dmullama_ROOT={prefix}", cwd=project)
    call("cmake", "--build", "build", cwd=project)
    assert int(call("build/user", cwd=project)) > 0


@pytest.fixture
def archive(prefix: Path) -> Path:
    if sys.platform in ("darwin", "win32"):
        pytest.skip("libmullama.a is made on ELF systems only")
    return prefix / "lib" / "libmullama.a"


def global_names(*command: str | Path, cwd: Path) -> set[str]:
    """The names that nm calls defined and global."""
    lines = (line.split() for line in call("nm", "--defined-only", *command, cwd=cwd).splitlines())
    return {line[-1] for line in lines if len(line) == 3}


def test_a_c_program_can_hold_the_whole_library(archive: Path, project: Path, tiny: Path) -> None:
    (project / "user.c").write_text(GENERATE)
    places = {"PKG_CONFIG_PATH": str(archive.parent / "pkgconfig")}
    flags = call("pkg-config", "--cflags", "--libs", "mullama-static", cwd=project, **places).split()
    call("cc", "-Wall", "-Wextra", "-Werror", "user.c", "-o", "user", *flags, cwd=project)
    assert call("./user", tiny / "llama.gguf", cwd=project) == "7"
    assert "mullama" not in call("ldd", "user", cwd=project)
    names = global_names("--extern-only", "user", cwd=project)
    assert not [name for name in names if re.search("ggml|(?<!mu)llama", name)]


def test_find_package_offers_the_archive_too(archive: Path, project: Path, tiny: Path) -> None:
    (project / "user.c").write_text(GENERATE)
    (project / "CMakeLists.txt").write_text(PROJECT.replace("mullama::mullama", "mullama::mullama-static"))
    call("cmake", "-S", ".", "-B", "build", "-G", "Ninja", f"-Dmullama_ROOT={archive.parents[1]}", cwd=project)
    call("cmake", "--build", "build", cwd=project)
    assert call("build/user", tiny / "llama.gguf", cwd=project) == "7"
    assert "mullama" not in call("ldd", "build/user", cwd=project)


def test_the_archive_defines_the_names_of_the_library_and_no_other(archive: Path, tmp_path: Path) -> None:
    exported = {name.partition("@")[0] for name in global_names("--dynamic", archive.with_suffix(".so"), cwd=tmp_path)}
    assert global_names("--extern-only", archive, cwd=tmp_path) == exported - {"MULLAMA_0"}


def test_the_archive_has_what_stands_in_front_of_functions_of_llama_cpp(archive: Path, tmp_path: Path) -> None:
    """llama.cpp's calls must reach abi/src/elf there as in the shared library."""
    relocations = call("objdump", "--reloc", archive, cwd=tmp_path)
    assert "__wrap__Z19unicode_regex_split" in relocations
    assert "__wrap__Z24llama_grammar_apply_impl" in relocations


def test_the_licences_lie_beside_the_library(prefix: Path) -> None:
    assert (prefix / "share" / "licenses" / "mullama" / "llama.cpp.txt").exists()
