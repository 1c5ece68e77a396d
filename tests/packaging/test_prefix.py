"""The installed C library: found with pkg-config and with CMake, and complete where it lies."""

from __future__ import annotations

import os
import subprocess
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


def test_the_licences_lie_beside_the_library(prefix: Path) -> None:
    assert (prefix / "share" / "licenses" / "mullama" / "llama.cpp.txt").exists()
