"""Spec names in JavaScript's spelling, and those of C++ where the addon is written."""

from __future__ import annotations

from ... import references
from ...api import Api, Function, Struct, Value
from ...languages import LANGUAGES

JAVASCRIPT, CPP = LANGUAGES["javascript"], LANGUAGES["cpp"]
# What an operation of the addon has besides its arguments.
MEMBERS = frozenset({"read", "run", "result", "stop", "keep", "parent", "call_back", "is_zero", "status", "timeout"})
# What generated JavaScript uses inside a function; a parameter of this name gets an underscore.
LOCALS = frozenset(
    "native abortable ask complete control deprecated ids named options optionsOf pathOf pathsIn routes stream within".split()  # noqa: SIM905
)


class UnsupportedError(ValueError):
    """The description asks for something that this target does not have."""


class Names:
    """Names for one API; `names/javascript.yaml` makes the exceptions."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def plain(self, name: str) -> str:
        """A function, method, parameter or field."""
        return JAVASCRIPT.spell("method", self.api.name_in("javascript", name))

    def parameter(self, name: str) -> str:
        """A positional parameter."""
        name = self.plain(name)
        return f"{name}_" if name in LOCALS else name

    def type(self, name: str) -> str:
        """A class, an interface or a union."""
        return JAVASCRIPT.spell("type", self.api.name_in("javascript", name))

    def method(self, function: Function) -> str:
        exception = self.api.names.get("javascript", {}).get(function.name)
        return self.plain(exception or function.method)

    def family(self, name: str) -> str:
        return self.type(name) + "Error"

    @property
    def base_error(self) -> str:
        return self.type(self.api.name) + "Error"

    def native(self, function: Function, ending: str = "") -> str:
        """The operation's name among those of the addon."""
        return JAVASCRIPT.spell("function", function.name + ending)

    def operation(self, function: Function) -> str:
        """The operation's struct in the addon."""
        return CPP.spell("type", function.name)

    def symbol(self, name: str) -> str:
        """A function of the library as a member of the table `lib`."""
        return f"{name}_" if CPP.is_keyword("function", name) else name

    def member(self, value: Value) -> str:
        """An argument as a member of its operation."""
        name = self.api.name_in("c", value.name)
        return f"{name}_" if name in MEMBERS or CPP.is_keyword("field", name) else name

    def creator(self, function: Function) -> str:
        """How one gets what a function gives, for messages."""
        if function.constructor:
            return f"new {self.type(function.on)}()"
        name = function.text_generation.start if function.text_generation else ""
        method = self.plain(name) if name else self.method(function)
        if function.static:
            return f"{self.type(function.on)}.{method}()"
        return f"{self.plain(function.on)}.{method}()" if function.on else f"{method}()"

    def reference(self, name: str) -> str:
        """What `[[name]]` of a doc is called in JavaScript."""
        head, _, rest = name.partition(".")
        functions = {function.name: function for function in self.api.functions}
        structs: dict[str, Struct] = self.api.structs
        if name in functions:
            function = functions[name]
            shown = self.creator(function)
            return f"`{shown.removesuffix('()') if function.property else shown}`"
        if name in {code.name for code in self.api.codes}:
            return f"`'{name}'`"
        if name in references.STATUSES:
            return f"`'{name.lower()}'`"
        if rest and head in structs:
            return f"`{self.plain(rest)}`" if structs[head].is_options else f"`{self.type(head)}.{self.plain(rest)}`"
        if rest and head in self.api.enums:
            return f"`'{rest}'`"
        if rest:
            return f"`{self.plain(rest)}`"
        known = {**structs, **self.api.enums, **self.api.handles, **self.api.callbacks}
        return f"`{self.type(head)}`" if head in known else f"`{self.plain(name)}`"
