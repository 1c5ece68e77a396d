"""Runs try_models.py on many files and gathers what became of each, also where one of them ends the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("try_models.py")
CRASHED = "CRASHED"

Outcomes = dict[str, str]
TryModels = Callable[[Iterable[tuple[str, bytes]]], Outcomes]


def run_program(folder: Path, names: list[str]) -> Outcomes:
    """Outcome by file name. After a crash the rest is tried by a new process."""
    outcomes: Outcomes = {}
    left = names
    while left:
        done = subprocess.run(
            [sys.executable, PROGRAM, folder, *left], capture_output=True, text=True, errors="replace"
        )
        begun = None
        for line in done.stdout.splitlines():
            event, name, *rest = line.split(" ", 2)
            begun = name if event == "begin" else None
            if event == "end":
                outcomes[name] = rest[0]
        if begun is None:
            assert done.returncode == 0, done.stderr
            break
        outcomes[begun] = f"{CRASHED} with {done.returncode}: {done.stderr[-500:]}"
        left = left[left.index(begun) + 1 :]
    return outcomes


@pytest.fixture
def try_models(tmp_path: Path) -> TryModels:
    """Takes titles and contents of files; gives the outcomes by title."""

    def try_all(files: Iterable[tuple[str, bytes]]) -> Outcomes:
        titles = {}
        for number, (title, content) in enumerate(files):
            name = f"{number:04d}.gguf"
            (tmp_path / name).write_bytes(content)
            titles[name] = title
        outcomes = run_program(tmp_path, list(titles))
        assert outcomes.keys() == titles.keys()
        return {titles[name]: outcome for name, outcome in outcomes.items()}

    return try_all
