"""The table of the Node binding."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Struct, Value
from ..node.names import Names
from ..node.native import shape_of
from .calls import Call, Calls


@dataclass(frozen=True)
class NodeCall:
    name: str
    call: str  # an expression of `on` and `args`
    result: str  # what makes of the result what cases write


def files(calls: Calls) -> dict[str, str]:
    lowering = _Lowering(calls)
    return {
        "node/dispatch.js": calls.render(
            "dispatch.js.j2",
            options={struct.name: lowering.options(struct) for struct in calls.options()},
            results={struct.name: lowering.result_fields(struct) for struct in calls.results()},
            calls=[lowering.call(call) for call in calls.all()],
        )
    }


class _Lowering:
    def __init__(self, calls: Calls) -> None:
        self.api = calls.api
        self.names = Names(calls.api)

    def options(self, struct: Struct) -> list[str]:
        return [f"{self.names.plain(value.name)}: {self._given(value, 'from')}," for value in struct.fields]

    def result_fields(self, struct: Struct) -> list[str]:
        return [f"{value.name}: plain(from.{self.names.plain(value.name)})," for value in struct.fields]

    def call(self, call: Call) -> NodeCall:
        function, names = call.function, self.names
        method = names.method(function)
        if function.text_generation:
            kind = call.kind if call.kind in ("whole", "pieces") else "start"
            method = names.plain(getattr(function.text_generation, kind))
        owner = f"binding.{names.type(function.on)}" if function.on else "binding"
        callee = {
            "function": f"{owner}.{method}",
            "static": f"{owner}.{method}",
            "constructor": f"new {owner}",
        }.get(call.kind, f"on.{method}")
        made = callee if call.kind == "property" else f"{callee}({self._arguments(call)})"
        struct = function.stream_of or (function.returns.type.name if function.returns and function.returns.type.kind == "struct" else "")
        return NodeCall(call.name, f"listed({made})" if call.kind == "pieces" else made, struct or "plain")

    def _arguments(self, call: Call) -> str:
        shape = shape_of(call.function)
        values = [*shape.required, *([shape.first] if shape.first else [])]
        arguments = [self._given(value, "args") for value in values]
        named = [f"{self.names.plain(value.name)}: {self._given(value, 'args')}" for value in shape.named]
        named += [f"...{value.type.name}(args.{value.name})" for value in shape.options]
        if shape.timed:
            named.append("timeout: args.timeout_ms")
        return ", ".join([*arguments, *([f"{{ {', '.join(named)} }}"] if named else [])])

    def _given(self, value: Value, place: str) -> str:
        kind, given = value.type.kind, f"{place}.{value.name}"
        if kind == "options":
            return f"{value.type.name}({given})"
        if kind == "callback":
            parameters = ", ".join(f"'{one.name}'" for one in self.api.callbacks[value.type.name].params)
            return f"callback({given}, [{parameters}])"
        if kind in ("str", "list", "json"):
            return f"text({given})"
        return f"number({given})" if kind in ("f32", "f64", "span") else given
