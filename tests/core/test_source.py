"""The llama.cpp source: fetched once, checked before it is used, unpacked whole and only inside its folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from mullama.build.pin import Pin, read_pin
from mullama.build.source import llama_cpp, unpack
from mullama.problem import Problem

METADATA = "Metadata-Version: 2.1\nName: tiny-source\nVersion: 1.0\n"
BACKEND = """
import os
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(folder + "/tiny_source-1.0.dist-info")
    open(folder + "/tiny_source-1.0.dist-info/METADATA", "w").write("Metadata-Version: 2.1\\nName: tiny-source\\nVersion: 1.0\\n")
    return "tiny_source-1.0.dist-info"
"""
FILES = {
    "PKG-INFO": METADATA,
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": BACKEND,
    "vendor/llama.cpp/include/llama.h": "#pragma once\n",
    "vendor/llama.cpp/src/llama.cpp": "int llama;\n",
    "vendor/other/file": "not wanted\n",
}


def silent(*_: Any) -> None:
    pass


def archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def pin(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Pin:
    """A source distribution on an index that is a folder."""
    index = tmp_path / "index"
    index.mkdir()
    path = archive(index / "tiny_source-1.0.tar.gz", {f"tiny_source-1.0/{name}": text for name, text in FILES.items()})
    monkeypatch.delenv("MULLAMA_LLAMA_CPP", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    content = path.read_bytes()
    return Pin("tiny-source", "1.0", hashlib.sha256(content).hexdigest(), "vendor/llama.cpp", len(content))


def test_the_pin_of_this_checkout_is_read() -> None:
    pin = read_pin(Path(__file__).parents[2] / "abi" / "llama_cpp.toml")
    assert pin.package == "llama-cpp-python"
    assert len(bytes.fromhex(pin.sha256)) == 32
    assert pin.size > 1_000_000


def test_the_source_is_fetched_unpacked_and_kept(pin: Pin, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = llama_cpp(pin, silent, silent)
    assert source == cache / "llama.cpp" / pin.sha256[:16]
    assert sorted(path.relative_to(source).as_posix() for path in source.rglob("*.*")) == [
        "include/llama.h",
        "src/llama.cpp",
    ]
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert llama_cpp(pin, silent, silent) == source


def test_another_content_is_refused_with_both_checksums(pin: Pin, cache: Path) -> None:
    wrong = Pin(pin.package, pin.version, "0" * 64, pin.folder, pin.size)
    with pytest.raises(Problem, match=f"{'0' * 64} expected, {pin.sha256} received"):
        llama_cpp(wrong, silent, silent)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_offline_is_one_sentence_that_says_what_to_do(pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(Problem) as caught:
        llama_cpp(pin, silent, silent)
    assert "set MULLAMA_LLAMA_CPP to a llama.cpp source folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unpacking_that_was_killed_is_done_again_without_a_fetch(
    pin: Pin, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mullama.build.source.unpack", killed)
        llama_cpp(pin, silent, silent)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert (llama_cpp(pin, silent, silent) / "include" / "llama.h").exists()


def test_a_chosen_folder_wins_and_must_be_llama_cpp(pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tmp_path / "checkout"
    monkeypatch.setenv("MULLAMA_LLAMA_CPP", str(chosen))
    with pytest.raises(Problem, match=r"holds no include/llama\.h"):
        llama_cpp(pin, silent, silent)
    (chosen / "include").mkdir(parents=True)
    (chosen / "include" / "llama.h").touch()
    assert llama_cpp(pin, silent, silent) == chosen


@pytest.mark.parametrize("name", ["top/inner/../../../outside", "top/inner/x/../../../../outside"])
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "evil.tar.gz", {"top/inner/good": "", name: "evil"})
    with pytest.raises(Problem, match="outside its folder"):
        unpack(path, "inner", tmp_path / "target")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["evil.tar.gz"]
