"""Builds the fixture API and its Python binding once, and makes it importable as `fixture_binding`."""

from __future__ import annotations

import gc
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

BINDING = Path(__file__).resolve().parents[1]
ROOT = BINDING.parents[1]
FIXTURE = ROOT / "abi" / "fixture"
BUILD = ROOT / "build" / "python-fixture"


def _run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        pytest.exit(f"{shlex.join(str(word) for word in command)}\n{done.stdout}{done.stderr}", 1)


def _build_library() -> Path:
    """The fixture library; `FIXTURE_LIBRARY` names one that is built already, such as one with a sanitizer."""
    if given := os.environ.get("FIXTURE_LIBRARY"):
        return Path(given)
    _run("cmake", "-S", FIXTURE, "-B", BUILD / "library")
    _run("cmake", "--build", BUILD / "library", "--target", "fixture")
    return BUILD / "library" / "libfixture.so"


def _build_binding() -> Path:
    """A package `fixture_binding`: our runtime, the generated part of the fixture, and its native module."""
    library = _build_library()
    package = BUILD / "packages" / "fixture_binding"
    package.mkdir(parents=True, exist_ok=True)
    for source in (BINDING / "src").glob("*.py"):
        shutil.copy(source, package)
    shutil.copytree(Path(__file__).parent / "fixture_binding" / "generated", package / "generated", dirs_exist_ok=True)
    shutil.copy(library, package)

    module, c_file = package / "_native.abi3.so", BUILD / "_native.c"
    trampolines = package / "generated" / "trampolines.h"
    header, cdef = FIXTURE / "include" / "libfixture.h", FIXTURE / "include" / "libfixture.cdef.h"
    inputs = [header, cdef, Path(__file__).parent / "fixture_binding" / "generated" / "trampolines.h"]
    if module.exists() and module.stat().st_mtime > max(one.stat().st_mtime for one in inputs):
        return package.parent
    names = ("--module", "fixture_binding._native", "--header", header.name)
    files = ("--cdef", cdef, "--trampolines", trampolines)
    _run(sys.executable, BINDING / "build_native.py", c_file, *names, *files)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    folders = (f"-I{header.parent}", f"-I{sysconfig.get_path('include')}", f"-L{package}")
    _run(*compiler, "-O2", "-fPIC", "-shared", *folders, c_file, "-o", module, "-lfixture", "-Wl,-rpath,$ORIGIN")
    return package.parent


sys.path[:0] = [str(_build_binding()), str(ROOT / "codegen")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """A test that leaves an object of the library behind fails."""
    yield
    if item.path.parent != Path(__file__).parent:
        return
    import fixture_binding

    item.funcargs.clear()
    end = time.monotonic() + 2  # a worker thread of an async call lets go a moment after the call has ended
    while fixture_binding.live_objects() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.001)
    assert fixture_binding.live_objects() == 0
