"""The table of the PHP binding."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Value
from ..php.names import Names
from .calls import Call, Calls


@dataclass(frozen=True)
class PhpCall:
    name: str
    callee: str  # a closure that is given the object and the named arguments
    parameters: list[str]  # lines of an array: parameter of the description → how it is given
    result: str  # how the result is written as in a case


def files(calls: Calls) -> dict[str, str]:
    names = Names(calls.api)
    lowering = _Lowering(calls, names)
    return {
        "php/dispatch.php": calls.render(
            "dispatch.php.j2",
            names=names,
            enums=[enum for enum in calls.api.enums.values() if not enum.is_flags],
            flags=[enum for enum in calls.api.enums.values() if enum.is_flags],
            records=calls.results(),
            options={struct.name: lowering.parameters(struct.fields) for struct in calls.options()},
            calls=[lowering.call(call) for call in calls.all()],
        )
    }


class _Lowering:
    def __init__(self, calls: Calls, names: Names) -> None:
        self.calls = calls
        self.names = names

    def parameters(self, values: tuple[Value, ...]) -> list[str]:
        return [f"'{value.name}' => {self._given(value)}," for value in values]

    def call(self, call: Call) -> PhpCall:
        function, names = call.function, self.names
        method = names.method(function)
        if function.text_generation:
            kind = {"whole": "whole", "pieces": "pieces"}.get(call.kind, "start")
            method = names.plain(getattr(function.text_generation, kind))
        owner = names.type(function.on) if function.on else names.namespace
        callee = {
            "function": f"{owner}::{method}(...$given)",
            "static": f"{owner}::{method}(...$given)",
            "constructor": f"new {owner}(...$given)",
            "pieces": f"\\iterator_to_array($on->{method}(...$given), false)",
        }.get(call.kind, f"$on->{method}(...$given)")
        returns = function.returns
        result = f"'{returns.type.name}'" if returns and returns.type.kind == "flags" else "null"
        return PhpCall(call.name, callee, self.parameters(function.params), result)

    def _given(self, value: Value) -> str:
        kind = value.type.kind
        if kind == "options":
            return f"'{value.type.name}'"
        name = self.names.plain(value.name)
        if kind == "enum":
            return f"['{name}', {self.names.type(value.type.name)}::class]"
        return f"['{name}', '{value.type.name if kind == 'flags' else kind}']"
