"""The Python package: what its source distribution and its wheel hold, and that the wheel works without a checkout."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIMES = {"linux-vdso", "libstdc++", "libm", "libgcc_s", "libc", "ld-linux-x86-64", "ld-linux-aarch64"}


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


def test_one_wheel_serves_every_python_from_3_10(wheel: Path) -> None:
    assert wheel.name.startswith("mullama-0.1.0-cp310-abi3-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "mullama/binding/licenses/llama.cpp.txt" in names
    assert "mullama/py.typed" in names
    assert len([name for name in names if "libmullama" in name]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the tags of other systems name no C library")
def test_the_wheels_tag_is_what_its_symbols_need(call, wheel: Path, tmp_path: Path) -> None:
    shown = call(sys.executable, "-m", "auditwheel", "show", wheel, cwd=tmp_path)
    said = re.search(r'consistent with\s+the following platform tag: "(\w+)"', " ".join(shown.split()))
    assert said and said[1] in wheel.stem.split("-")[-1].split(".")
    assert said[1].startswith("manylinux_2_")


def test_the_package_works_on_its_own(call, environment: Path, tiny: Path) -> None:
    code = """
import mullama, sys
model = mullama.Model(sys.argv[1])
with model.create_context(n_ctx=64, n_threads=1) as context:
    answer = context.generate("a", max_tokens=7, temperature=0.0, ignore_eos=True)
    print(model.info.architecture, answer.result.n_generated)
"""
    assert call(environment / "bin/python", "-c", code, tiny / "llama.gguf", cwd=environment) == "llama 7\n"
    assert call(environment / "bin/mullama", "--version", cwd=environment).startswith("mullama 0.1.0")


def test_the_library_needs_only_the_c_and_cpp_runtimes(call, library: Path) -> None:
    needed = {line.split()[0].partition(".so")[0] for line in call("ldd", library, cwd=library.parent).splitlines()}
    assert {Path(name).name for name in needed} <= RUNTIMES


def test_no_path_of_the_building_machine_is_in_the_library(library: Path) -> None:
    content = library.read_bytes()
    assert str(Path.home()).encode() + b"/" not in content
    assert str(ROOT).encode() + b"/" not in content
