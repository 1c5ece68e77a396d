"""Changes of the ABI, seen in two builds by abidiff, and in two descriptions by released.json: together they miss no planted break.

abidiff needs debug information and the folders of both headers: without them it is silent, as it is about anonymous enums.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import ROOT, need, run
from mullama_codegen import released
from mullama_codegen.__main__ import main
from mullama_codegen.build import load_api

CHANGED, INCOMPATIBLE = 4, 8  # bits of abidiff's exit status


Edit = tuple[str, str, str]  # file, old, new


@dataclass(frozen=True)
class Break:
    """An edit of the description, one of the sources that follows from it, and what abidiff says ("": it is silent)."""

    spec: Edit
    source: Edit | None
    said: str


NOTHING = "  nothing:\n    doc: Takes nothing and gives nothing.\n"
BREAKS = {
    "a removed function": Break(
        ("scalars.yaml", NOTHING, ""),
        ("values.cpp", "void fixture_nothing(void) {}\n", ""),
        "function void fixture_nothing()",
    ),
    "a changed type of a parameter": Break(
        (
            "scalars.yaml",
            "params: {value: {type: i32, doc: The number.}}",
            "params: {value: {type: i64, doc: The number.}}",
        ),
        ("values.cpp", "fixture_echo_i32(int32_t value)", "fixture_echo_i32(int64_t value)"),
        "parameter 1 of type 'typedef int32_t' changed",
    ),
    "a changed type of a result": Break(
        ("scalars.yaml", "returns: {type: u32, doc: The same.}", "returns: {type: u64, doc: The same.}"),
        ("values.cpp", "uint32_t fixture_echo_u32", "uint64_t fixture_echo_u32"),
        "return type changed",
    ),
    "fields that changed places": Break(
        (
            "scalars.yaml",
            "      yes: {type: bool, doc: True.}\n      lowest_i64: {type: i64, doc: The lowest number.}\n",
            "      lowest_i64: {type: i64, doc: The lowest number.}\n      yes: {type: bool, doc: True.}\n",
        ),
        None,
        "'int32_t yes' offset changed",
    ),
    "a field with another type": Break(
        ("streams.yaml", "n_ticks: {type: i32, doc", "n_ticks: {type: i64, doc"),
        None,
        "type of 'int32_t n_ticks' changed",
    ),
    "another value of an enum": Break(("choices.yaml", "blue: {value: 5", "blue: {value: 6"), None, ""),
    "another number of an error code": Break(
        ("api.yaml", "INVALID_IMAGE: {value: 7001", "INVALID_IMAGE: {value: 7002"), None, ""
    ),
    "another bit of a flag": Break(
        ("choices.yaml", "share: {value: 1099511627776", "share: {value: 2199023255552"), None, ""
    ),
    "another default": Break(
        ("settings.yaml", "little: {type: i32, default: -3", "little: {type: i32, default: -4"), None, ""
    ),
}


SILENT = {name: one for name, one in BREAKS.items() if not one.said}
SEEN = {name: one for name, one in BREAKS.items() if one.said}


def copy(folder: Path) -> Path:
    """The fixture and the sources that it shares with the library."""
    for name in ("abi/src", "abi/fixture"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def edit(folder: Path, change: Edit) -> None:
    path = folder / change[0]
    text = path.read_text(encoding="utf-8")
    assert change[1] in text, f"{path.name} has no {change[1]}"
    path.write_text(text.replace(change[1], change[2], 1), encoding="utf-8")


def build(folder: Path, breaks: list[Break]) -> Path:
    """The folder of a copy that was broken by somebody who released nothing, with libfixture.so built from it."""
    copy(folder)
    for one in breaks:
        edit(folder / "abi/fixture/spec", one.spec)
        if one.source:
            edit(folder / "abi/fixture/src", one.source)
    assert main(["--root", str(folder), "--spec", str(folder / "abi/fixture/spec"), "--target", "c", "--write"]) == 0
    sources = [*(folder / "abi/fixture/src").rglob("*.cpp"), folder / "abi/src/guard.cpp", folder / "abi/src/text.cpp"]
    places = [f"-I{folder / place}" for place in ("abi/fixture/include", "abi/fixture/src", "abi/src")]
    # The same relative names in both builds, so that nothing but the ABI differs.
    flags = ["-std=c++17", "-g", "-fPIC", "-fvisibility=hidden", "-DFIXTURE_BUILD", f"-ffile-prefix-map={folder}=."]
    exports = f"-Wl,--version-script={folder / 'abi/fixture/libfixture.map'}"
    library = ["-shared", exports, "-pthread", *sorted(map(str, sources)), "-o", str(folder / "libfixture.so")]
    run(need("g++"), *flags, *places, *library)
    return folder


def abidiff(old: Path, new: Path) -> tuple[int, str]:
    folders = ["--headers-dir1", str(old / "abi/fixture/include"), "--headers-dir2", str(new / "abi/fixture/include")]
    command = [need("abidiff"), *folders, str(old / "libfixture.so"), str(new / "libfixture.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode & 3 == 0, done.stdout + done.stderr  # its own errors
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("old"), [])


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With every break that abidiff sees."""
    return build(tmp_path_factory.mktemp("new"), list(SEEN.values()))


@pytest.fixture(scope="module")
def comparison(old: Path, new: Path) -> tuple[int, str]:
    return abidiff(old, new)


def test_two_builds_of_the_same_sources_do_not_differ(old: Path, tmp_path: Path) -> None:
    assert abidiff(old, build(tmp_path, [])) == (0, "")


@pytest.mark.parametrize("name", SEEN)
def test_abidiff_sees_the_break(name: str, comparison: tuple[int, str]) -> None:
    code, said = comparison
    assert code & CHANGED and code & INCOMPATIBLE  # a function is gone
    assert SEEN[name].said in said, said


def test_abidiff_is_silent_about_values(old: Path, tmp_path: Path) -> None:
    """So only released.json holds them; should abidiff learn to see them, this test says so."""
    assert abidiff(old, build(tmp_path, list(SILENT.values()))) == (0, "")


@pytest.mark.parametrize("name", BREAKS)
def test_released_json_refuses_the_break(name: str, tmp_path: Path) -> None:
    spec = tmp_path / "abi/fixture/spec"
    shutil.copytree(ROOT / "abi/fixture/spec", spec)
    version = load_api(spec, tmp_path).version
    assert main(["--root", str(tmp_path), "--spec", str(spec), "--release", version]) == 0
    assert released.check(load_api(spec, tmp_path), spec) == []
    edit(spec, BREAKS[name].spec)
    assert released.check(load_api(spec, tmp_path), spec) != []


def test_without_debug_information_abidiff_sees_only_what_is_gone(old: Path, new: Path, tmp_path: Path) -> None:
    """The reason for -g."""
    for folder in (old, new):
        bare = tmp_path / folder.name
        shutil.copytree(folder / "abi/fixture/include", bare / "abi/fixture/include")
        run(need("strip"), "-g", "-o", bare / "libfixture.so", folder / "libfixture.so")
    said = abidiff(tmp_path / old.name, tmp_path / new.name)[1]
    assert "fixture_nothing" in said and "n_ticks" not in said and "echo_i32" not in said
