"""Docs as comments: references in C++'s spelling, and the facts that the description states apart from the text."""

from __future__ import annotations

import textwrap

from ... import references
from ...api import Api, Function, Handle, Route, Struct, Value
from .names import Names

WIDTH = 112
THREADS = {
    "shared": "Any number of threads may use it at once.",
    "exclusive": "One call at a time: a call during another one throws `ErrorCode::busy` at once.",
}


class Docs:
    """Docs for one API."""

    def __init__(self, api: Api, names: Names) -> None:
        self.names = names
        self.families = {code.name: names.family(code.family) for code in api.codes}

    def text(self, doc: str) -> str:
        text = " ".join(references.spell(doc, self.names.reference).split())
        return text if text.endswith((".", "!", "?", ":")) else f"{text}."

    def lines(self, doc: str, indent: int = 0) -> list[str]:
        return _wrap(self.text(doc), indent)

    def value(self, value: Value, indent: int) -> list[str]:
        """A field's doc with shape, unit and range behind it."""
        return _wrap(self.described(value), indent)

    def struct(self, struct: Struct) -> list[str]:
        return _wrap(_join(self.text(struct.doc), _since(struct.since)))

    def handle(self, handle: Handle) -> list[str]:
        keeps = (
            f"It keeps what it needs of its {handle.keeps_alive.replace('_', ' ')} alive." if handle.keeps_alive else ""
        )
        return _wrap(self.text(handle.doc)) + ["", *_wrap(_join(THREADS[handle.thread], keeps, _since(handle.since)))]

    def function(self, function: Function, params: list[tuple[str, str]], indent: int, returns: str = "") -> list[str]:
        """All of a function: `params` are names and texts; `returns` replaces the description's own text."""
        notes = [self.text(function.doc), _since(function.since)]
        if function.any_thread:
            notes.append("May be called from any thread at any time.")
        elif function.cancel and function.on:
            cancel = self.names.reference(function.cancel)
            notes.append(f"{cancel} ends it early.")
        lines = _wrap(_join(*notes), indent)
        tags = [f"@param {name} {text}" for name, text in params if text]
        given = returns or (self.described(function.returns) if function.returns and not function.constructor else "")
        if given:
            tags.append(f"@return {given}")
        thrown: dict[str, list[str]] = {}
        for code in function.errors:
            thrown.setdefault(self.families[code], []).append(self.names.code(code))
        tags += [f"@throws {family} {', '.join(codes)}." for family, codes in thrown.items()]
        return lines + ([""] + [line for tag in tags for line in _wrap(tag, indent, "    ")] if tags else [])

    def route(self, route: Route, params: list[tuple[str, str]], returns: str) -> list[str]:
        """A method that sends a request and gives the answer as an object."""
        tags = [f"@param {name} {text}" for name, text in params]
        sends = [self.names.reference(name) for name in (f"{route.on}_request", "stream_next")]
        tags += [f"@return {self.text(returns)}", f"@throws Error As {' and '.join(sends)} say."]
        return [*_wrap(self.text(route.doc), 4), "", *(line for tag in tags for line in _wrap(tag, 4, "    "))]

    def described(self, value: Value) -> str:
        facts = [self.text(value.doc)] if value.doc else []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.type.kind == "json":
            facts.append("JSON.")
        if value.unit:
            facts.append(f"In {value.unit}.")
        lowest = None if value.unset is not None and value.min == value.unset else value.min
        if lowest is not None and value.max is not None:
            facts.append(f"From {lowest} to {value.max}.")
        elif lowest is not None:
            facts.append(f"At least {lowest}.")
        elif value.max is not None:
            facts.append(f"At most {value.max}.")
        return _join(*facts, _since(value.since))


def comment(lines: list[str], indent: int = 0) -> str:
    """The lines as a comment, ready to stand in front of a declaration."""
    lead = " " * indent
    return "".join(f"{lead}/// {line}".rstrip() + "\n" for line in lines)


def _since(since: str) -> str:
    return f"Since {since}." if since != "0.1" else ""


def _join(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _wrap(text: str, indent: int = 0, hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH - indent, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
