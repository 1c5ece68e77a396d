"""`[[name]]` in docs: finds what is meant, and lets a target spell it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

PATTERN = re.compile(r"\[\[([^\[\]]*)\]\]")
ALWAYS_THERE = ("abi_version", "free", "live_objects", "error_code", "error_message", "error_free", "error_name")
STATUSES = ("WAITING", "ITEM", "DONE", "CANCELLED")


def names(doc: str) -> Iterator[str]:
    """Every name in double brackets, in order."""
    yield from PATTERN.findall(doc)


def spell(doc: str, spelling: Callable[[str], str]) -> str:
    """The doc with every `[[name]]` replaced by its spelling."""
    return PATTERN.sub(lambda match: spelling(match[1]), doc)
