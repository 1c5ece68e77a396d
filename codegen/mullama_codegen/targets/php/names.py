"""Spec names in PHP's spelling."""

from __future__ import annotations

from ... import references
from ...api import Api, Function
from ...languages import camel, pascal


class Names:
    """Names for one API; `names/php.yaml` makes the exceptions."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.functions = {function.name: function for function in api.functions}
        self.codes = {code.name for code in api.codes}

    @property
    def namespace(self) -> str:
        """Also the class of the functions that belong to no object."""
        return pascal(self.api.name)

    def plain(self, name: str) -> str:
        """A method, parameter or property."""
        return camel(self.api.name_in("php", name))

    def type(self, name: str) -> str:
        """A class or an enum."""
        return pascal(self.api.name_in("php", name))

    def case(self, name: str) -> str:
        """A case of an enum."""
        return pascal(self.api.name_in("php", name))

    def flag(self, name: str) -> str:
        """A constant of a flags class."""
        return self.api.name_in("php", name).upper()

    def code(self, name: str) -> str:
        return pascal(name.lower())

    def method(self, function: Function) -> str:
        exception = self.api.names.get("php", {}).get(function.name)
        return camel(exception) if exception else self.plain(function.method)

    def family(self, name: str) -> str:
        return pascal(name) + "Exception"

    def reference(self, name: str) -> str:
        """What `[[name]]` of a doc is called in PHP."""
        head, _, rest = name.partition(".")
        structs = self.api.structs
        if name in self.functions:
            return f"{{@see {self._function(self.functions[name])}}}"
        if name in self.codes:
            return f"{{@see ErrorCode::{self.code(name)}}}"
        if name in references.STATUSES:
            return f"{{@see Status::{pascal(name.lower())}}}"
        if rest and head in structs:
            name = f"${self.plain(rest)}"
            return f"`{name}`" if structs[head].is_options else f"{{@see {self.type(head)}::{name}}}"
        if rest and head in self.api.enums:
            spell = self.flag if self.api.enums[head].is_flags else self.case
            return f"{{@see {self.type(head)}::{spell(rest)}}}"
        if rest:
            return f"`${self.plain(rest)}`"
        if head in structs and structs[head].is_options:
            return f"the options of {head.replace('_', ' ')}"
        known = {**structs, **self.api.enums, **self.api.handles}
        return f"{{@see {self.type(head)}}}" if head in known else f"`{name}`"

    def _function(self, function: Function) -> str:
        if function.constructor:
            return f"{self.type(function.on)}::__construct()"
        name = self.plain(function.text_generation.start) if function.text_generation else self.method(function)
        return f"{self.type(function.on) if function.on else self.namespace}::{name}()"
