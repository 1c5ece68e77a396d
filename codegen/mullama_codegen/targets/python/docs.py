"""Docstrings: the description's docs in Python's spelling, with the facts that it states apart from the text."""

from __future__ import annotations

from ... import references
from ...api import Api, Function, Value
from .layout import docstring
from .names import Names
from .views import Parameter


class Docs:
    """Docs for one API."""

    def __init__(self, api: Api, names: Names) -> None:
        self.names = names
        self.families = {code.name: names.family(code.family) for code in api.codes}

    def text(self, doc: str) -> str:
        text = " ".join(references.spell(doc, self.names.reference).split())
        return text if text.endswith((".", "!", "?", ":")) else f"{text}."

    def described(self, value: Value) -> str:
        """A doc with unit, shape and range behind it."""
        facts = [self.text(value.doc)] if value.doc else []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.type.kind == "json":
            facts.append("A str is JSON text; anything else is written as JSON.")
        if value.unit:
            facts.append(f"In {value.unit}.")
        limits = "" if value.unset is not None and value.min == value.unset else value.min
        if limits not in ("", None) and value.max is not None:
            facts.append(f"From {limits} to {value.max}.")
        elif limits not in ("", None):
            facts.append(f"At least {limits}.")
        elif value.max is not None:
            facts.append(f"At most {value.max}.")
        return " ".join(facts)

    def function(self, function: Function, kind: str, parameters: list[Parameter], indent: int) -> str:
        sections = {"Args": [f"{one.name}: {one.doc}" for one in parameters]}
        if kind == "stream":
            sections["Returns"] = ["The next one; None at the end, or when it was cancelled."]
            sections["Raises"] = ["TimeoutError: The time is over."]
        elif kind == "run":
            sections["Returns"] = ["How far it is; `Status.WAITING` when the time is over."]
        elif function.returns and not function.property and not function.constructor:
            view = (
                f" With `copy=False` a read-only view, valid {_until(function.returns)}."
                if can_be_view(function)
                else ""
            )
            sections["Returns"] = [self.described(function.returns) + view]
        if not function.property:
            raised: dict[str, list[str]] = {}
            for code in function.errors:
                raised.setdefault(self.families[code], []).append(code)
            sections.setdefault("Raises", []).extend(
                f"{family}: {', '.join(codes)}." for family, codes in raised.items()
            )
        notes = [self.text(function.doc)]
        if function.property and function.returns:
            notes += [
                self.described(
                    Value("", function.returns.type, "", shape=function.returns.shape, unit=function.returns.unit)
                )
            ]
        if function.deprecated:
            notes.append(f"Deprecated: {self.text(function.deprecated)}")
        return docstring(" ".join(note for note in notes if note), sections, indent)


def can_be_view(function: Function) -> bool:
    """Whether a method may give the library's own floats instead of a copy."""
    value = function.returns
    if value is None or value.type.kind != "span" or value.type.item != "f32" or not value.borrowed:
        return False
    return not value.nullable and not function.property and bool(function.on) and not function.static


def _until(value: Value) -> str:
    return value.borrowed if value.borrowed != "forever" else "as long as the library"
