"""The models on this machine: finds the file that a name or a path means, and fetches it when it is not there yet."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from ..cache import Note, Progress, folder, locked
from ..problem import Problem
from .aliases import Alias, aliases


def resolve(name_or_path: str | os.PathLike[str], note: Note = lambda line: None, progress: Progress = lambda done, total: None) -> Path:
    """The file of a model: the path itself, or the file of an alias, fetched when it is not in the cache."""
    alias = aliases().get(os.fspath(name_or_path))
    if alias:
        return pull(alias, note, progress)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    if path.suffix == ".gguf" or len(path.parts) > 1:
        raise Problem(f"no such model file: {path}")
    raise Problem(_unknown(str(name_or_path)))


def alias_named(name: str) -> Alias:
    if name not in aliases():
        raise Problem(_unknown(name))
    return aliases()[name]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, aliases(), n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f'unknown model "{name}": {guess}known are {", ".join(aliases())}; a path to a GGUF file works too'


def location(alias: Alias) -> Path:
    """Where the file of an alias is kept. A file under this name is complete and has been checked."""
    return folder() / "models" / alias.sha256[:16] / alias.file


def pull(alias: Alias, note: Note, progress: Progress) -> Path:
    """Fetches the file of an alias from the first of its sources that has it."""
    target = location(alias)
    if target.exists():
        return target
    from .fetch import fetch  # HTTP and archives: more than a quarter of a command's start

    with locked(target, note):
        if not target.exists():
            fetch(alias, target, note, progress)
    return target
