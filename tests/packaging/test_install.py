"""The package as a user installs it: from the source distribution, in a clean environment, without a checkout beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import cmake
import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from scikit_build_core.build import {hook}; print({hook}(sys.argv[1]))"


def call(*command: str | Path, cwd: Path) -> str:
    # What the session sets up for tests must not help the package to find its parts.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # The same CMake and compiler names as in the checkout give the same commands, which ccache knows.
    environment = {"CC": "cc", "CXX": "c++", **inherited, "CMAKE_EXECUTABLE": str(Path(cmake.CMAKE_BIN_DIR, "cmake"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    name = call(sys.executable, "-c", BUILD.format(hook="build_sdist"), folder, cwd=ROOT).splitlines()[-1]
    return folder / name


def test_the_source_distribution_holds_what_a_build_needs_and_no_more(sdist: Path) -> None:
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {
        "abi/CMakeLists.txt",
        "abi/llama_cpp.toml",
        "abi/include/libmullama.cdef.h",
        "bindings/python/CMakeLists.txt",
        "bindings/python/build_native.py",
        "bindings/python/src/generated/model.py",
        "core/mullama/build/source.py",
        "core/mullama/models/aliases.json",
        "core/mullama/py.typed",
        "LICENSE",
    } <= names
    tops = {name.partition("/")[0] for name in names if name}
    assert tops == {"abi", "bindings", "core", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name or name.endswith((".so", ".gguf"))]


@pytest.fixture(scope="session")
def environment(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the package built from the source distribution; some minutes where ccache is missing."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    call(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sdist, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    call(python, "-m", "pip", "install", wheel, cwd=folder)
    return folder


def test_one_wheel_serves_every_python_from_3_10(environment: Path) -> None:
    (wheel,) = environment.glob("*.whl")
    assert wheel.name.startswith("mullama-0.1.0-cp310-abi3-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "mullama/binding/licenses/llama.cpp.txt" in names
    assert "mullama/py.typed" in names
    assert len([name for name in names if "libmullama" in name]) == 1


def test_the_package_works_on_its_own(environment: Path, tiny: Path) -> None:
    code = "import mullama, sys; print(mullama.Model(sys.argv[1]).info.architecture)"
    assert call(environment / "env/bin/python", "-c", code, tiny / "llama.gguf", cwd=environment) == "llama\n"
    assert call(environment / "env/bin/mullama", "--version", cwd=environment).startswith("mullama 0.1.0")


def test_the_library_needs_only_the_c_and_cpp_runtimes(environment: Path) -> None:
    (library,) = environment.glob("env/lib/python3*/site-packages/mullama/binding/libmullama*")
    needed = {line.split()[0].partition(".so")[0] for line in call("ldd", library, cwd=environment).splitlines()}
    assert {Path(name).name for name in needed} <= {
        "linux-vdso",
        "libstdc++",
        "libm",
        "libgcc_s",
        "libc",
        "ld-linux-x86-64",
    }


def test_no_path_of_the_building_machine_is_in_the_library(environment: Path) -> None:
    (library,) = environment.glob("env/lib/python3*/site-packages/mullama/binding/libmullama*")
    content = library.read_bytes()
    assert str(Path.home()).encode() + b"/" not in content
    assert str(ROOT).encode() + b"/" not in content
