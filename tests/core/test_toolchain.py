"""What a build needs: installed where that is possible, named in one sentence where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mullama.build import toolchain
from mullama.build.toolchain import Need, require
from mullama.problem import Problem


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that writes down what it is told, and makes the file that the need looks for."""
    log = tmp_path / "log"
    script = tmp_path / "bin" / "apt-get"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" >>{log}\n[ "$1" = update ] || touch {tmp_path}/installed\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.fixture
def need(tmp_path: Path) -> Need:
    return Need("a compiler", (tmp_path / "installed").exists, ("g++",))


def test_root_gets_what_is_missing_from_apt(apt: Path, need: Need, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    require((need,), notes.append)
    assert notes == ["installing g++ with apt-get"]
    assert apt.read_text().splitlines()[-1].endswith(" g++")
    require((need,), notes.append)
    assert len(notes) == 1


def test_others_are_told_what_to_install(apt: Path, need: Need, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match=r"missing: a compiler\. .*apt install g\+\+"):
        require((need,), notes.append)
    assert not apt.exists()


def test_an_apt_that_fails_is_reported_and_the_need_named(need: Need, tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "apt-get"
    script.write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Problem, match="missing: a compiler"):
        require((need,), notes.append)
    assert "E: no network" in notes[-1]


def test_this_machine_has_what_the_tests_need(notes: list[str]) -> None:
    require(toolchain.FOR_TESTS, notes.append)
    assert notes == []
