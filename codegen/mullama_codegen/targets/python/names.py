"""Spec names in Python's spelling."""

from __future__ import annotations

import keyword

from ... import references
from ...api import Api, Function, Struct

# What generated code uses inside a function; a parameter of this name gets an underscore.
LOCALS = frozenset("self cls convert ffi lib keep out out_len err status timeout milliseconds".split())  # noqa: SIM905


class Names:
    """Names for one API; `names/python.yaml` makes the exceptions."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def plain(self, name: str) -> str:
        """A function, method, parameter or field."""
        name = self.api.name_in("python", name)
        return f"{name}_" if keyword.iskeyword(name) else name

    def parameter(self, name: str) -> str:
        name = self.plain(name)
        return f"{name}_" if name in LOCALS else name

    def constant(self, name: str) -> str:
        return name.upper()

    def type(self, name: str) -> str:
        """A class."""
        return "".join(word[:1].upper() + word[1:] for word in self.api.name_in("python", name).split("_"))

    def method(self, function: Function) -> str:
        exception = self.api.names.get("python", {}).get(function.name)
        return exception or self.plain(function.method)

    def family(self, name: str) -> str:
        return self.type(name) + "Error"

    def reference(self, name: str) -> str:
        """What `[[name]]` of a doc is called in Python."""
        head, _, rest = name.partition(".")
        functions = {function.name: function for function in self.api.functions}
        structs: dict[str, Struct] = self.api.structs
        if name in functions:
            function = functions[name]
            if function.text_generation:
                return f"`{self.type(function.on)}.{function.text_generation.start}`"
            if function.constructor:
                return f"`{self.type(function.on)}`"
            return (
                f"`{self.type(function.on)}.{self.method(function)}`" if function.on else f"`{self.method(function)}`"
            )
        if name in {code.name for code in self.api.codes}:
            return f"`ErrorCode.{name}`"
        if name in references.STATUSES:
            return f"`Status.{name}`"
        if rest and head in structs:
            return f"`{self.plain(rest)}`" if structs[head].is_options else f"`{self.type(head)}.{self.plain(rest)}`"
        if rest and head in self.api.enums:
            return f"`{self.type(head)}.{self.constant(rest)}`"
        if rest:
            return f"`{self.plain(rest)}`"
        if head in structs and structs[head].is_options:
            return f"the options of {head.replace('_', ' ')}"
        known = {**structs, **self.api.enums, **self.api.handles, **self.api.callbacks}
        return f"`{self.type(head)}`" if head in known else f"`{name}`"
