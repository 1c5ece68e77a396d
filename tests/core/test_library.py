"""The build of a checkout, shown on a library of one line."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from mullama.build.library import SETTINGS, Library
from mullama.problem import Problem

ABI = Path(__file__).parents[2] / "abi"
SHA256 = "0123456789abcdef" * 4
PROJECT = """
cmake_minimum_required(VERSION 3.21)
project(mullama LANGUAGES C)
add_library(mullama SHARED src/one.c)
add_executable(tool src/tool.c)
set_target_properties(tool PROPERTIES EXCLUDE_FROM_ALL ON RUNTIME_OUTPUT_DIRECTORY bin)
install(TARGETS mullama COMPONENT mullama LIBRARY DESTINATION lib)
"""


@pytest.fixture
def checkout(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    (cache / "llama.cpp" / SHA256[:16]).mkdir(parents=True)
    abi = tmp_path / "checkout" / "abi"
    (abi / "src").mkdir(parents=True)
    (abi / "CMakeLists.txt").write_text(PROJECT)
    (abi / "src" / "one.c").write_text("int one(void) { return 1; }\n")
    (abi / "src" / "tool.c").write_text("int main(void) { return 0; }\n")
    (abi / "llama_cpp.toml").write_text(f'package = "p"\nversion = "1"\nsha256 = "{SHA256}"\nfolder = "f"\nsize = 1\n')
    return abi.parent


def test_a_second_build_does_nothing_and_a_change_is_seen(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(checkout)
    built = library.build() / "lib" / "libmullama.so"
    assert b"two" not in built.read_bytes()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")  # nothing can run
        start = time.monotonic()
        library.build()
        assert time.monotonic() - start < 1
    (checkout / "abi" / "src" / "one.c").write_text("int two(void) { return 1; }\n")
    library.build()
    assert b"two" in built.read_bytes()


def test_a_setting_that_the_compiler_sees_is_another_build(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(checkout)
    library.build()
    monkeypatch.setenv("CMAKE_ARGS", '-DCMAKE_C_FLAGS="-DOTHER"')
    library.build()
    assert "-DOTHER" in (checkout / "build" / "library" / "build.ninja").read_text()


def test_a_compiler_error_is_shown_and_the_next_build_tries_again(checkout: Path) -> None:
    source = checkout / "abi" / "src" / "one.c"
    good = source.read_text()
    source.write_text("int one(void) { return missing; }\n")
    for _ in range(2):
        with pytest.raises(Problem, match=r"compilation of libmullama failed(.|\n)*missing"):
            Library(checkout).build()
    source.write_text(good)
    assert (Library(checkout).build() / "lib" / "libmullama.so").exists()


def test_tools_come_from_the_same_build(checkout: Path) -> None:
    (tool,) = Library(checkout).tools(["tool"])
    assert subprocess.run([tool], check=False).returncode == 0


def test_progress_counts_the_steps(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Library(checkout).build()
    assert "build 2/2" in capsys.readouterr().err


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no checkout of mullama"):
        Library(tmp_path).build()


@pytest.mark.parametrize(("backend", "option"), [("cuda", "GGML_CUDA"), ("rocm", "GGML_HIP"), ("opencl", "GGML_OPENCL")])
def test_a_backend_is_known_by_its_short_name(backend: str, option: str, tmp_path: Path) -> None:
    script = tmp_path / "show.cmake"
    script.write_text(f'include("{ABI}/cmake/backend.cmake")\nmessage("{option} is ${{{option}}}")\n')
    done = subprocess.run(["cmake", f"-DMULLAMA_BACKEND={backend}", "-P", script], check=True, capture_output=True, text=True)
    assert f"{option} is ON" in done.stderr


def test_an_unknown_backend_is_refused_with_the_choices() -> None:
    command = ["cmake", "-DMULLAMA_BACKEND=quda", "-P", f"{ABI}/cmake/backend.cmake"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert '"quda"; it can be cuda, metal, rocm, vulkan or opencl' in " ".join(done.stderr.split())


def test_it_installs_under_another_prefix(checkout: Path, tmp_path: Path) -> None:
    Library(checkout).install(tmp_path / "there")
    assert (tmp_path / "there" / "lib" / "libmullama.so").exists()
