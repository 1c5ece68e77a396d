"""Doc comments: the description's docs in PHP's spelling, with the facts that it states apart from the text."""

from __future__ import annotations

from ... import references
from ...api import Api, Function, Value
from .layout import comment
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
        """A doc with shape, unit and range behind it."""
        facts = [self.text(value.doc)] if value.doc else []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.type.kind == "json":
            facts.append("A string is JSON text; anything else is written as JSON.")
        if value.unit:
            facts.append(f"In {value.unit}.")
        lowest = None if value.unset is not None and value.min == value.unset else value.min
        if lowest is not None and value.max is not None:
            facts.append(f"From {lowest} to {value.max}.")
        elif lowest is not None:
            facts.append(f"At least {lowest}.")
        elif value.max is not None:
            facts.append(f"At most {value.max}.")
        return " ".join(facts)

    def result(self, value: Value) -> str:
        """The doc of a result or of a record's property."""
        if value.type.kind == "json":
            return f"{self.text(value.doc)} Objects come as arrays; an empty one as an `ArrayObject`, since an empty array is a list."
        return self.described(value)

    def function(
        self, function: Function, kind: str, parameters: list[Parameter], returned: str, indent: int, summary: str = ""
    ) -> str:
        """`returned` is the type as a doc comment says it; `summary` replaces the function's own doc."""
        tags = [f"@param {one.documented} ${one.name} {one.doc}" for one in parameters]
        if kind == "stream":
            tags.append(f"@return {returned} The next one; null at the end, or when it was cancelled.")
        elif kind == "run":
            tags.append(f"@return {returned} How far it is; {{@see Status::Waiting}} when the time is over.")
        elif kind == "whole":
            tags.append(f"@return {returned} The whole text.")
        elif kind == "pieces":
            tags.append(f"@return {returned} The pieces; `getReturn()` gives the figures once the text has ended.")
        elif function.returns and not function.constructor:
            tags.append(f"@return {returned} {self.result(function.returns)}")
        raised: dict[str, list[str]] = {}
        for code in function.errors:
            raised.setdefault(self.families[code], []).append(self.names.code(code))
        tags += [f"@throws {family} {', '.join(codes)}." for family, codes in raised.items()]
        if kind == "stream":
            tags.append("@throws TimeoutException The time is over.")
        if function.deprecated:
            tags.append(f"@deprecated {self.text(function.deprecated)}")
        return comment([summary or self.text(function.doc)], tags, indent)
