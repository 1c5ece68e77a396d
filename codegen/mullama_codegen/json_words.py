"""Reads the type words of JSON fields, such as `list<str>` and `str | list<content_part>`. The table is in docs/abi/spec.md."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from .api import ObjectField, Shape

PLAIN = ("str", "bool", "i64", "f64", "json")


def parse(word: str, objects: Collection[str]) -> Shape | None:
    """The shape that a word means; None if there is no such shape. `objects` are the declared names."""
    parts = [part.strip() for part in word.split("|")]
    shapes = [_one(part, objects) for part in parts]
    known = tuple(shape for shape in shapes if shape)
    if len(known) != len(parts):
        return None
    return known[0] if len(known) == 1 else Shape("union", items=known)


def _one(word: str, objects: Collection[str]) -> Shape | None:
    generic = re.fullmatch(r"(list|map)<(.+)>", word)
    if generic:
        item = _one(generic[2], objects)
        return Shape(generic[1], items=(item,)) if item else None
    if word in PLAIN:
        return Shape(word)
    return Shape("object", word) if word in objects else None


def follow(path: str, name: str, fields: Mapping[str, Sequence[ObjectField]]) -> tuple[tuple[str | int, ...], Shape]:
    """The steps of a shortcut's path, `choices.0.text`, in an object, and what lies at its end. Raises ValueError."""
    shape = Shape("object", name)
    steps: list[str | int] = []
    for word in path.split("."):
        if shape.kind == "list" and word.isdecimal():
            steps.append(int(word))
            shape = shape.item
            continue
        found = next((one for one in fields.get(shape.name, ()) if one.name == word), None)
        if found is None:
            raise ValueError(f'"{word}" does not exist in {shape}')
        steps.append(word)
        shape = found.shape
    return tuple(steps), shape
