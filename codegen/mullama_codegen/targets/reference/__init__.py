"""The reference: a page for each area, where a function stands once with its declaration in every language beside it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ... import references
from ...api import Api, Area, Function, Object, ObjectField, Route, Struct, Value
from ...render import MARK, environment, render
from ..c import signatures as c
from ..c import supports as supports
from ..cpp import signatures as cpp
from ..go import signatures as go
from ..node import signatures as node
from ..php import signatures as php
from ..python import signatures as python

NAME = "reference"
FOLDER = "docs/reference"
LANGUAGES: dict[str, ModuleType] = {"Python": python, "Node": node, "Go": go, "PHP": php, "C++": cpp, "C": c}
DEFAULTS = {True: "on", False: "off", None: "none", "": "empty"}


@dataclass(frozen=True)
class Entry:
    """A parameter, a field or a result, as a table row."""

    name: str
    type: str
    default: str
    doc: str


@dataclass(frozen=True)
class Page:
    area: Area
    declarations: dict[str, list[tuple[str, str]]]  # function or route → language and its declaration, escaped


def files(api: Api) -> dict[str, str]:
    """The pages of the library's own API; the fixture is no public one."""
    if api.folder != "abi":
        return {}
    templates = environment(Path(__file__).parent / "templates")
    words = _Words(api)
    mark = f"<!-- {MARK} from {api.folder}/spec; edit the description instead. -->"
    view: dict[str, Any] = {"api": api, "mark": mark, "words": words}
    outputs = {f"{FOLDER}/README.md": render(templates, "index.md.j2", **view)}
    for area in api.areas:
        declarations = {function.name: _declarations(api, function) for function in area.functions}
        declarations |= {route.name: _routes(api, route) for route in area.routes}
        outputs[f"{FOLDER}/{area.name}.md"] = render(templates, "area.md.j2", page=Page(area, declarations), **view)
    return outputs


def _declarations(api: Api, function: Function) -> list[tuple[str, str]]:
    return [(name, html.escape(module.signature(api, function))) for name, module in LANGUAGES.items()]


def _routes(api: Api, route: Route) -> list[tuple[str, str]]:
    return [
        (name, html.escape(module.route(api, route))) for name, module in LANGUAGES.items() if hasattr(module, "route")
    ]


class _Words:
    """Docs as Markdown: every `[[name]]` is a link to where the name stands."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.places = {
            thing.name: area.name
            for area in api.areas
            for things in (area.enums, area.structs, area.callbacks, area.handles, area.functions, area.objects)
            for thing in things
        }

    def text(self, doc: str) -> str:
        """One line; what Markdown or HTML would read as its own is escaped."""
        line = " ".join(html.escape(doc, quote=False).split())
        return references.spell(line, self._link).replace("|", "&#124;")

    def entry(self, value: Value) -> Entry:
        return Entry(
            value.name, self.type(value), self._default(value), self.text(" ".join([value.doc, *self._facts(value)]))
        )

    def type(self, value: Value) -> str:
        """The description's word, with what it may be besides."""
        type_ = value.type
        if type_.kind == "callback":
            word = self._link(type_.name)
        else:
            word = self._link(type_.name) if type_.name else f"`{type_.kind}{f'<{type_.item}>' if type_.item else ''}`"
        return f"{word} or none" if value.nullable or value.unset is not None else word

    def given(self, function: Function) -> list[Entry]:
        return [self.entry(value) for value in function.params]

    def fields(self, struct: Struct) -> list[Entry]:
        return [self.entry(value) for value in struct.fields]

    def members(self, one: Object) -> list[Entry]:
        """The fields of a JSON object, then its shortcuts."""
        fields = [
            Entry(field.name, self._shape(field), "may be left out" if field.optional else "", self._member(field))
            for field in one.fields
        ]
        shortcuts = [
            Entry(short.name, f"`{'.'.join(map(str, short.path))}`", "", self.text(short.doc))
            for short in one.shortcuts
        ]
        return fields + shortcuts

    def _member(self, field: ObjectField) -> str:
        facts = [field.doc, *([f"In {field.unit}."] if field.unit else [])]
        if field.values:
            facts.append(f"One of {', '.join(field.values)}.")
        if field.min is not None and field.max is not None:
            facts.append(f"{field.min} to {field.max}.")
        if field.max_size:
            facts.append(f"At most {field.max_size} {'bytes' if field.shape.kind == 'str' else 'entries'}.")
        return self.text(" ".join(facts))

    def _shape(self, field: ObjectField) -> str:
        """The description's word, with a link where an object is named."""
        word = html.escape(str(field.shape), quote=False).replace("|", "&#124;")
        names = [name for name in re.findall(r"\w+", str(field.shape)) if name in self.places]
        return f"[`{word}`]({self.places[names[0]]}.md#{names[0]})" if names else f"`{word}`"

    def _link(self, name: str) -> str:
        head = name.partition(".")[0]
        if head not in self.places:
            return f"`{name}`"
        anchor = name if name in self.places else head
        return f"[`{name}`]({self.places[head]}.md#{anchor})"

    def _default(self, value: Value) -> str:
        if not value.has_default:
            return "may be left out" if value.optional else ""
        default = value.default
        if isinstance(default, list):
            return " + ".join(f"`{name}`" for name in default) or "none"
        word = DEFAULTS.get(default) if isinstance(default, (bool, str, type(None))) else None
        return word or f"`{default}`"

    @staticmethod
    def _facts(value: Value) -> list[str]:
        facts = []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.unit:
            facts.append(f"In {value.unit}.")
        low, high = (None if value.min == value.unset else value.min), value.max
        if low is not None and high is not None:
            facts.append(f"{low} to {high}.")
        elif low is not None:
            facts.append(f"At least {low}.")
        elif high is not None:
            facts.append(f"At most {high}.")
        if value.borrowed:
            facts.append(f"In C the library's own, {value.borrowed}.")
        return facts
