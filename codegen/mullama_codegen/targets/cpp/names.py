"""Spec names in C++'s spelling."""

from __future__ import annotations

from ... import references
from ...api import Api, Function
from ...languages import LANGUAGES, pascal

CPP = LANGUAGES["cpp"]
# What generated code calls its own variables; a parameter of this name gets an underscore.
LOCALS = frozenset(("out", "out_len", "err", "code", "status", "result", "owner"))


class UnsupportedError(ValueError):
    """The description asks for something that this target does not have."""


class Names:
    """Names for one API; `names/cpp.yaml` makes the exceptions."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def plain(self, name: str) -> str:
        """A function, method, field or member."""
        return self.api.name_in("cpp", name)

    def parameter(self, name: str) -> str:
        name = self.plain(name)
        return f"{name}_" if name in LOCALS else name

    def type(self, name: str) -> str:
        return CPP.spell("type", self.plain(name))

    def method(self, function: Function) -> str:
        """Its name in the class or the namespace; for a starting function that of the method that only starts."""
        if function.text_generation:
            return self.plain(function.text_generation.start)
        exception = self.api.names.get("cpp", {}).get(function.name)
        return exception or self.plain(function.method)

    def family(self, name: str) -> str:
        return self.type(name) + "Error"

    def code(self, name: str) -> str:
        return name.lower()

    def joined(self, function: Function) -> str:
        """The struct that joins all that may be left out of a function with several sets of options."""
        if function.constructor:
            return f"{self.type(function.on)}Options"
        whole = function.text_generation.whole if function.text_generation else self.method(function)
        return f"{pascal(whole)}Options"

    def options(self, name: str) -> str:
        """The struct that a user of an options struct of the description meets."""
        alone, together = uses(self.api, name)
        return self.type(name) if alone or not together else self.joined(together[0])

    def reference(self, name: str) -> str:
        """What `[[name]]` of a doc is called in C++."""
        head, _, rest = name.partition(".")
        functions = {function.name: function for function in self.api.functions}
        if name in functions:
            function = functions[name]
            if function.constructor:
                return f"`{self.type(function.on)}`"
            return (
                f"`{self.type(function.on)}::{self.method(function)}()`"
                if function.on
                else f"`{self.method(function)}()`"
            )
        if name in {code.name for code in self.api.codes}:
            return f"`ErrorCode::{self.code(name)}`"
        if name in references.STATUSES:
            return f"`Status::{name.lower()}`"
        if head in functions:
            return f"`{self.parameter(rest)}`"
        if head in self.api.structs and self.api.structs[head].is_options:
            head_spelled = self.options(head)
        elif head in {**self.api.structs, **self.api.enums, **self.api.handles, **self.api.callbacks}:
            head_spelled = self.type(head)
        else:
            head_spelled = self.plain(head)
        return f"`{head_spelled}::{self.plain(rest)}`" if rest else f"`{head_spelled}`"


def joins(function: Function) -> bool:
    """Whether all that may be left out goes into one struct: positional arguments would have to be counted."""
    return sum(value.type.kind == "options" and value.optional for value in function.params) > 1


def uses(api: Api, options: str) -> tuple[bool, list[Function]]:
    """Whether a set of options is a struct of its own somewhere, and the functions that join it with others."""
    takers = [function for function in api.functions if any(value.type.name == options for value in function.params)]
    fields = [value for struct in api.structs.values() for value in struct.fields]
    alone = any(not joins(function) for function in takers) or any(value.type.name == options for value in fields)
    return alone, [function for function in takers if joins(function)]
