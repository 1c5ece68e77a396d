"""The description as the rules look at it: what is declared, and every value with its path and its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import type_words
from ..api import Type
from ..load import RawArea, RawSpec
from ..messages import Messages

# Sections of an area in the order in which the header declares them.
DECLARATION_ORDER = ("enums", "flags", "handles", "callbacks", "structs", "options")


@dataclass(frozen=True)
class Place:
    """A parameter, field or result as written."""

    source: str
    path: str
    where: str  # parameter | option | field | result | callback parameter | callback result
    owner: str  # name of the function, struct or callback
    data: dict[str, Any]


class Spec:
    """Indexes of a raw description, and the messages about it."""

    def __init__(self, raw: RawSpec, messages: Messages) -> None:
        self.raw = raw
        self.messages = messages
        self.areas = [area.data for area in raw.areas]
        self.kinds = type_words.declared_kinds(self.areas)
        self.functions = {name: data for area in self.areas for name, data in area.get("functions", {}).items()}
        self.handles = {name: data for area in self.areas for name, data in area.get("handles", {}).items()}
        self.codes = [name for family in raw.data["families"].values() for name in family["codes"]]
        order = [name for area in self.areas for section in DECLARATION_ORDER for name in area.get(section, {})]
        self.declared_at = {name: position for position, name in enumerate(order)}
        self.area_of = {
            name: i
            for i, area in enumerate(self.areas)
            for section in DECLARATION_ORDER
            for name in area.get(section, {})
        }
        self.area_of_function = {name: i for i, area in enumerate(self.areas) for name in area.get("functions", {})}

    def type(self, word: str) -> Type | None:
        return type_words.parse(word, self.kinds)

    def things(self, section: str) -> Iterator[tuple[RawArea, str, dict[str, Any], str]]:
        """Every entry of a section of all areas: area, name, data, path."""
        for area in self.raw.areas:
            for name, data in area.data.get(section, {}).items():
                yield area, name, data, f"{section}.{name}"

    def members(self, type_name: str) -> list[str]:
        """The members of an enum or flags set."""
        for section in ("enums", "flags"):
            for _, name, data, _ in self.things(section):
                if name == type_name:
                    return list(data["values"])
        return []

    def fields(self, type_name: str) -> dict[str, Any]:
        """The fields of a struct or options struct."""
        for section in ("structs", "options"):
            for _, name, data, _ in self.things(section):
                if name == type_name:
                    fields: dict[str, Any] = data["fields"]
                    return fields
        return {}

    def places(self) -> Iterator[Place]:
        """Every parameter, field and result."""
        for section, where in (("structs", "field"), ("options", "option")):
            for area, owner, data, path in self.things(section):
                for name, value in data["fields"].items():
                    yield Place(area.source, f"{path}.fields.{name}", where, owner, value)
        for section, prefix in (("callbacks", "callback "), ("functions", "")):
            for area, owner, data, path in self.things(section):
                for name, value in data.get("params", {}).items():
                    yield Place(area.source, f"{path}.params.{name}", f"{prefix}parameter", owner, value)
                if "returns" in data:
                    yield Place(area.source, f"{path}.returns", f"{prefix}result", owner, data["returns"])
