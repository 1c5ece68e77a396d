"""The Python package as a user gets it: a source distribution, its wheel, and a clean environment with that."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import cmake
import pytest

ROOT = Path(__file__).parents[2]
SDIST = "import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))"
PORTABLE = sys.platform == "linux" and platform.machine() == "x86_64"
# The least that shows a choice: one that few processors can run, one that most can, one that all can.
VARIANTS = "sapphirerapids;haswell;x64"

Call = Callable[..., str]


@pytest.fixture(scope="session")
def call() -> Call:
    """Runs a command in a folder, without what the session sets up for tests; gives its output."""

    def call_(*command: str | Path, cwd: Path, fails: bool = False, **environment: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        # The same CMake and compiler names as in the checkout give the same commands, which ccache knows.
        tools = {"CC": "cc", "CXX": "c++", "CMAKE_EXECUTABLE": str(Path(cmake.CMAKE_BIN_DIR, "cmake"))}
        everything = {**tools, **inherited, **environment}
        done = subprocess.run(command, cwd=cwd, env=everything, capture_output=True, text=True, timeout=3600)
        assert (done.returncode != 0) == fails, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stderr if fails else done.stdout

    return call_


@pytest.fixture(scope="session")
def sdist(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    return folder / call(sys.executable, "-c", SDIST, folder, cwd=ROOT).splitlines()[-1]


@pytest.fixture(scope="session")
def wheel(call: Call, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `./x wheel` made, or one built from the source distribution; minutes where ccache is missing."""
    if made := os.environ.get("MULLAMA_TEST_WHEEL"):
        return Path(made)
    folder = tmp_path_factory.mktemp("wheel")
    sdist = request.getfixturevalue("sdist")
    arguments = f"{os.environ.get('CMAKE_ARGS', '')} {f'-DMULLAMA_CPU_VARIANTS={VARIANTS}' if PORTABLE else ''}"
    # pip keeps what it built under the path of its source, which a later run may have again.
    pip = (sys.executable, "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", folder)
    call(*pip, sdist, cwd=folder, CMAKE_ARGS=arguments)
    (built,) = folder.glob("*.whl")
    if sys.platform != "linux":
        return built
    call(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder / "repaired", built, cwd=folder)
    (repaired,) = (folder / "repaired").glob("*.whl")
    return repaired


@pytest.fixture(scope="session")
def environment(call: Call, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment outside the checkout, in which nothing but the wheel was asked for."""
    folder = tmp_path_factory.mktemp("clean") / "env"
    venv.create(folder, with_pip=True)
    call(folder / "bin" / "python", "-m", "pip", "install", wheel, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def library(environment: Path) -> Path:
    """The libmullama of the installed wheel."""
    (library,) = environment.glob("lib/python3*/site-packages/mullama/binding/libmullama*")
    return library
