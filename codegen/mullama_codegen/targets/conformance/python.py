"""The table of the Python binding."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Struct, Value
from ..python.names import Names
from .calls import Call, Calls


@dataclass(frozen=True)
class PyCall:
    name: str
    callee: str  # what to call with the keyword arguments, as an expression of `on`
    parameters: list[str]  # lines of a dict: parameter of the description → how it is given


def files(calls: Calls) -> dict[str, str]:
    lowering = _Lowering(calls)
    options = {_table(struct): lowering.parameters(struct.fields) for struct in lowering.sorted_options()}
    entries = [lowering.call(call) for call in calls.all()]
    return {"python/dispatch.py": calls.render("dispatch.py.j2", options=options, calls=entries)}


def _table(struct: Struct) -> str:
    return struct.name.upper()


class _Lowering:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.names = Names(calls.api)

    def sorted_options(self) -> list[Struct]:
        """Options that are fields of others stand before those."""
        found: dict[str, Struct] = {}

        def add(struct: Struct) -> None:
            for field in struct.fields:
                if field.type.kind == "options":
                    add(self.calls.api.structs[field.type.name])
            found[struct.name] = struct

        for struct in self.calls.options():
            add(struct)
        return list(found.values())

    def parameters(self, values: tuple[Value, ...]) -> list[str]:
        return [f'"{value.name}": {self._given(value)},' for value in values]

    def call(self, call: Call) -> PyCall:
        function, names = call.function, self.names
        method = names.method(function)
        if function.text_generation:
            kinds = {
                "start": function.text_generation.start,
                "whole": function.text_generation.whole,
                "pieces": function.text_generation.pieces,
            }
            method = names.plain(kinds[call.kind])
        owner = f"{self.calls.api.name}.{names.type(function.on)}" if function.on else self.calls.api.name
        callee = {
            "function": f"{owner}.{method}",
            "constructor": owner,
            "static": f"{owner}.{method}",
            "property": f"lambda: on.{method}",
            "stream": f"in_seconds(on.{method})",
            "run": f"in_seconds(on.{method})",
            "pieces": f"listed(on.{method})",
        }.get(call.kind, f"on.{method}")
        return PyCall(call.name, callee, self.parameters(function.params))

    def _given(self, value: Value) -> str:
        kind = value.type.kind
        if kind == "options":
            return _table(self.calls.api.structs[value.type.name])
        name = self.names.parameter(value.name)
        if kind in ("flags", "str", "list", "json", "callback"):
            of_flags = f"flags({self.calls.api.name}.{self.names.type(value.type.name)})"
            converter = {"flags": of_flags, "callback": "callback"}.get(kind, "text")
            return f'("{name}", {converter})'
        return f'("{name}", as_is)'
