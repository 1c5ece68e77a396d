"""The C and the C++ package in empty folders: found with pkg-config and with CMake; every block of both READMEs runs there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from printed import answer_in

ROOT = Path(__file__).resolve().parents[2]
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


@dataclass(frozen=True)
class Package:
    """One language: where its README lies, and how its programs are compiled."""

    name: str
    suffix: str
    compilers: tuple[str, ...]
    standard: str

    def blocks(self, language: str) -> list[str]:
        text = (ROOT / "bindings" / self.name / "README.md").read_text(encoding="utf-8")
        return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


C = Package("c", "c", ("gcc", "clang"), "-std=gnu11")
CPP = Package("cpp", "cpp", ("g++", "clang++"), "-std=c++20")
EXAMPLES = [
    pytest.param(package, number, id=f"{package.name}-{number + 1}")
    for package in (C, CPP)
    for number in range(len(package.blocks(package.name)))
]


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    return done.stdout


def need(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{tool} is not installed")
    return path


@pytest.fixture
def prefix() -> Path:
    return Path(os.environ["MULLAMA_TEST_PREFIX"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder but for the file that the examples load."""
    model = os.environ.get("MULLAMA_TEST_MODEL")
    if model is None:
        from mullama.models import resolve

        model = str(resolve("smollm2:135m"))
    (tmp_path / "model.gguf").symlink_to(model)
    return tmp_path


def compile_(package: Package, compiler: str, source: str, folder: Path, prefix: Path, standard: str = "") -> Path:
    """As the README says, with pkg-config and warnings that are errors."""
    (folder / f"answer.{package.suffix}").write_text(source, encoding="utf-8")
    found = call(
        "pkg-config", "--cflags", "--libs", "mullama", cwd=folder, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig")
    )
    flags = [standard or package.standard, *WARNINGS, "-pthread", f"-Wl,-rpath,{prefix / 'lib'}"]
    call(need(compiler), *flags, f"answer.{package.suffix}", "-o", "answer", *found.split(), cwd=folder)
    return folder / "answer"


@pytest.mark.parametrize(("package", "number"), EXAMPLES)
def test_every_example_of_the_readme_runs(package: Package, number: int, folder: Path, prefix: Path) -> None:
    source = package.blocks(package.name)[number]
    said = call(compile_(package, package.compilers[0], source, folder, prefix), cwd=folder)
    assert len(said) > 10
    if ".tools = " in source:  # the model has called one, and keeps to the schema
        assert isinstance(answer_in(said, "sunny")["sunny"], bool) and "weather{" in said


@pytest.mark.parametrize("package", [C, CPP], ids=["c", "cpp"])
def test_the_first_example_compiles_with_the_other_compiler(package: Package, folder: Path, prefix: Path) -> None:
    compile_(package, package.compilers[1], package.blocks(package.name)[0], folder, prefix)


def test_the_cpp17_example_needs_no_more_than_cpp17(folder: Path, prefix: Path) -> None:
    compile_(CPP, "g++", CPP.blocks("cpp")[1], folder, prefix, "-std=c++17")


@pytest.mark.parametrize("package", [C, CPP], ids=["c", "cpp"])
def test_the_readmes_cmake_project_builds_and_runs(package: Package, folder: Path, prefix: Path) -> None:
    (project,) = package.blocks("cmake")
    (folder / "CMakeLists.txt").write_text(project)
    (folder / f"answer.{package.suffix}").write_text(package.blocks(package.name)[0], encoding="utf-8")
    call("cmake", "-S", ".", "-B", "build", "-G", "Ninja", f"-Dmullama_ROOT={prefix}", cwd=folder)
    call("cmake", "--build", "build", cwd=folder)
    assert len(call(folder / "build/answer", cwd=folder)) > 20


def test_both_languages_say_what_was_wrong(folder: Path, prefix: Path) -> None:
    for package in (C, CPP):
        (source,) = [block for block in package.blocks(package.name) if "missing.gguf" in block]
        said = call(compile_(package, package.compilers[0], source, folder, prefix), cwd=folder)
        assert said.startswith('FILE_NOT_FOUND: there is no file "missing.gguf"')
