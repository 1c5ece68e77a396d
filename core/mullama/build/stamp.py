"""Tells whether something built is still what its inputs would give: a hash of their content, kept beside the result.

Content, not times: a fresh clone, a touched file or a branch switched there and back rebuild nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

SKIPPED = {"__pycache__", "node_modules"}


def digest(inputs: Iterable[Path], *facts: str) -> str:
    """A hash of every file in `inputs` (folders with all below them) and of the facts that matter beside them."""
    total = hashlib.sha256("\0".join(facts).encode())
    for top in inputs:
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not SKIPPED.intersection(path.parts):
                total.update(f"\0{path.relative_to(top.parent).as_posix()}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def is_fresh(stamp: Path, value: str) -> bool:
    return stamp.exists() and stamp.read_text() == value
