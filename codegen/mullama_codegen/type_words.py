"""Reads type words such as `i32`, `span<f32>` and `model_options`. The table is in docs/abi/spec.md."""

from __future__ import annotations

import re
from typing import Any

from .api import NUMBERS, Type

ITEMS = {"span": ("i32", "f32", "u8"), "list": ("str",), "map": ("str",)}
INTEGER_LIMITS = {
    "i32": (-(2**31), 2**31 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "size": (0, 2**64 - 1),
}
PLAIN = ("bool", *NUMBERS, "str", "json", "bytes")


def parse(word: str, kinds: dict[str, str]) -> Type | None:
    """The type that a word means; None if there is no such type. `kinds` maps declared names to their kind."""
    if word in PLAIN:
        return Type(word)
    generic = re.fullmatch(r"(\w+)<(\w+)>", word)
    if generic:
        kind, item = generic.groups()
        if item in ITEMS.get(kind, ()):
            return Type(kind, item=item)
        return Type("callback", name=item) if kind == "callback" and kinds.get(item) == "callback" else None
    kind = kinds.get(word, "callback")
    return None if kind == "callback" else Type(kind, name=word)


def declared_kinds(areas: list[dict[str, Any]]) -> dict[str, str]:
    """Every declared type name with its kind: enum, flags, struct, options, callback or handle."""
    sections = {
        "enums": "enum",
        "flags": "flags",
        "structs": "struct",
        "options": "options",
        "callbacks": "callback",
        "handles": "handle",
    }
    return {name: kind for area in areas for section, kind in sections.items() for name in area.get(section, {})}
