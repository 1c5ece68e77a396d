"""The golden spec: its C and C++ outputs are committed beside it, so that a change of the generator shows in a diff."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mullama_codegen.__main__ import main

HERE = Path(__file__).parent
CODEGEN = HERE.parent
TARGETS = ("--target", "c", "--target", "cpp")


def run(root: Path, *more: str) -> int:
    return main(["--root", str(root), "--spec", str(root / "golden/spec"), *TARGETS, *more])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(HERE / "golden", tmp_path / "golden")
    return tmp_path


def outputs(root: Path) -> dict[str, bytes]:
    folder = root / "golden"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "spec" not in path.relative_to(folder).parts
    }


def test_golden_outputs_are_what_the_generator_writes() -> None:
    assert run(HERE) == 0
    assert len(outputs(HERE)) == 11


@pytest.mark.parametrize("name", list(outputs(HERE)))
def test_a_hand_edit_of_any_generated_file_is_found_and_undone(
    copy: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    path = copy / "golden" / name
    original = path.read_bytes()
    path.write_bytes(original.replace(b"small", b"snall", 1))
    assert run(copy) == 1
    assert f"stale: golden/{name}" in capsys.readouterr().err
    assert run(copy, "--write") == 0
    assert path.read_bytes() == original


def test_a_missing_file_is_found(copy: Path, capsys: pytest.CaptureFixture) -> None:
    (copy / "golden/libsmall.map").unlink()
    assert run(copy) == 1
    assert "missing: golden/libsmall.map" in capsys.readouterr().err


def test_a_generated_file_that_is_none_any_more_is_found_and_removed(copy: Path, capsys: pytest.CaptureFixture) -> None:
    left_over = copy / "golden/src/generated/old.cpp"
    left_over.write_bytes((copy / "golden/src/generated/errors.cpp").read_bytes())
    hand_written = copy / "golden/src/generated/README"
    hand_written.write_text("By hand.\n")
    assert run(copy) == 1
    assert "unexpected: golden/src/generated/old.cpp" in capsys.readouterr().err
    assert run(copy, "--write") == 0
    assert not left_over.exists()
    assert hand_written.exists()


def test_checking_writes_nothing(copy: Path) -> None:
    (copy / "golden/libsmall.map").write_text("")
    before = outputs(copy)
    assert run(copy) == 1
    assert outputs(copy) == before


def test_a_bad_spec_writes_nothing(copy: Path, capsys: pytest.CaptureFixture) -> None:
    things = copy / "golden/spec/things.yaml"
    things.write_text(things.read_text(encoding="utf-8").replace("type: f64", "type: f65"), encoding="utf-8")
    before = outputs(copy)
    assert run(copy, "--write") == 1
    assert capsys.readouterr().err == 'golden/spec/things.yaml: functions.thing_age.returns: unknown type "f65"\n'
    assert outputs(copy) == before


def test_outputs_do_not_depend_on_the_order_of_hashes(copy: Path) -> None:
    found = []
    for seed in ("1", "2"):
        for path in outputs(copy):
            (copy / "golden" / path).unlink()
        arguments = ["--root", str(copy), "--spec", str(copy / "golden/spec"), *TARGETS, "--write"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-m", "mullama_codegen", *arguments],
            cwd=CODEGEN,
            env=environment,
            check=True,
            capture_output=True,
        )
        found.append(outputs(copy))
    assert found[0] == found[1] == outputs(HERE)


def test_outputs_name_no_folder_of_this_machine() -> None:
    for name, content in outputs(HERE).items():
        assert str(HERE.parents[1]).encode() not in content, name


def test_the_repository_is_up_to_date() -> None:
    """The committed outputs of every target belong to the committed description."""
    assert main([]) == 0
