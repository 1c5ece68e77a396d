"""Reads which llama.cpp source a checkout is built from (abi/llama_cpp.toml)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pin:
    """A source distribution on the package index, and the folder in it that holds llama.cpp."""

    package: str
    version: str
    sha256: str
    folder: str
    size: int


def read_pin(path: Path) -> Pin:
    # Python 3.10, which the build supports, has no tomllib; the file is plain `key = value` lines.
    values = dict(re.findall(r'^(\w+) = "?([^"\n]*)"?$', path.read_text(encoding="utf-8"), re.MULTILINE))
    return Pin(values["package"], values["version"], values["sha256"], values["folder"], int(values["size"]))
