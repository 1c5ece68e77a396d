"""Stamps: equal for equal content, whatever the times and places."""

from __future__ import annotations

import os
from pathlib import Path

from mullama.build.stamp import digest


def tree(folder: Path, text: str = "int x;") -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.cpp").write_text(text)
    return folder / "src"


def test_a_touched_file_and_another_place_give_the_same_stamp(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "one"), tree(tmp_path / "two")
    os.utime(second / "a.cpp", (0, 0))
    assert digest([first]) == digest([second])


def test_content_names_and_facts_change_the_stamp(tmp_path: Path) -> None:
    source = tree(tmp_path)
    stamps = [digest([source]), digest([source], "-O0")]
    (source / "a.cpp").rename(source / "b.cpp")
    stamps.append(digest([source]))
    (source / "b.cpp").write_text("int y;")
    stamps.append(digest([source]))
    assert len(set(stamps)) == 4


def test_what_python_leaves_behind_does_not_count(tmp_path: Path) -> None:
    source = tree(tmp_path)
    before = digest([source])
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "a.pyc").write_text("")
    assert digest([source]) == before
