"""Doc comments: the description's docs in JavaScript's spelling, with the facts that it states apart from the text."""

from __future__ import annotations

import textwrap
from math import isinf
from typing import Any

from ... import references
from ...api import Api, Function, Value
from .names import Names

WIDTH = 120


class Docs:
    """Docs for one API."""

    def __init__(self, api: Api, names: Names) -> None:
        self.api = api
        self.names = names

    def text(self, doc: str) -> str:
        text = " ".join(references.spell(doc, self.names.reference).split()).replace("*/", "*\\/")
        return text if text.endswith((".", "!", "?", ":")) else f"{text}."

    def described(self, value: Value, with_default: bool = False) -> str:
        """A doc with unit, shape, range and default behind it."""
        facts = [self.text(value.doc)] if value.doc else []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.type.kind == "json" and value.name:
            facts.append("A string is JSON text; anything else is written as JSON.")
        if value.unit:
            facts.append(f"In {value.unit}.")
        limits = None if value.unset is not None and value.min == value.unset else value.min
        if limits is not None and value.max is not None:
            facts.append(f"From {limits} to {value.max}.")
        elif limits is not None:
            facts.append(f"At least {limits}.")
        elif value.max is not None:
            facts.append(f"At most {value.max}.")
        if with_default and value.has_default and value.default is not None:
            facts.append(f"Default: {literal(value.default)}.")
        return " ".join(facts)

    def errors(self, function: Function) -> str:
        codes = ", ".join(f"'{code}'" for code in function.errors)
        return f"{self.names.base_error} with the code {codes}." if codes else ""


def literal(value: Any) -> str:
    """A default as JavaScript writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, float) and isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and abs(value) >= 2**53:
        return f"{value}n"
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def quoted(text: str) -> str:
    """A string literal in single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def comment(indent: int, *paragraphs: str) -> list[str]:
    """A doc comment, unindented; `indent` is where it will stand. Paragraphs that begin with @ follow each other."""
    given = [paragraph for paragraph in paragraphs if paragraph]
    if len(given) == 1 and len(given[0]) + indent + 7 <= WIDTH:
        return [f"/** {given[0]} */"]
    lines = ["/**"]
    for number, paragraph in enumerate(given):
        if number and not (paragraph.startswith("@") and given[number - 1].startswith("@")):
            lines.append(" *")
        hanging = "  " if paragraph.startswith("@") else ""
        room = WIDTH - indent - 3
        wrapped = textwrap.wrap(paragraph, room, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
        lines += [f" * {line}" for line in wrapped]
    return [*lines, " */"]
