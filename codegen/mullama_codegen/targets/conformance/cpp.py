"""The table of the C++ header: a caller for each function. Names and types come from the header's own lowering."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Function, Struct, Value
from ..cpp.lower import Lowering
from ..cpp.types import SCALARS, is_timeout
from .c import SPANS
from .calls import Call, Calls


@dataclass(frozen=True)
class Filled:
    """How a struct of options is filled from what a case gives."""

    name: str
    fields: list[tuple[str, str]]  # name in a case, statement that stores `field`


@dataclass(frozen=True)
class CppCaller:
    name: str
    on: str
    type: str  # the class that it is called on
    lines: list[str]

    @property
    def identifier(self) -> str:
        return self.name.replace(".", "_")


def files(calls: Calls) -> dict[str, str]:
    lowering = _Lowering(calls)
    view = {
        "enums": {name: lowering.cpp.enum(enum) for name, enum in calls.api.enums.items()},
        "namespace": calls.api.name,
        "filled": [lowering.filled(struct) for struct in calls.options()],
        "records": [lowering.record(struct) for struct in calls.results()],
        "classes": {name: lowering.names.type(name) for name in calls.api.handles},
        "calls": [lowering.call(call) for call in calls.all()],
    }
    return {"cpp/dispatch.cpp": calls.render("dispatch.cpp.j2", **view)}


class _Lowering:
    def __init__(self, calls: Calls) -> None:
        self.api = calls.api
        self.cpp = Lowering(calls.api)
        self.names = self.cpp.names

    def filled(self, struct: Struct) -> Filled:
        fields = []
        for value in struct.fields:
            name = self.names.plain(value.name)
            if value.type.kind == "options":
                fields.append((value.name, f"fill_{value.type.name}(field, to.{name}.emplace());"))
            else:
                fields.append((value.name, f"to.{name} = {self._own(value, 'field')};"))
        return Filled(struct.name, fields)

    def record(self, struct: Struct) -> tuple[str, list[tuple[str, str]]]:
        fields = [
            (value.name, f"{'of_json_text' if value.type.kind == 'json' else 'of'}(from.{self.names.plain(value.name)})")
            for value in struct.fields
        ]
        return self.names.type(struct.name), fields

    def call(self, call: Call) -> CppCaller:
        function, namespace = call.function, self.api.name
        class_ = f"{namespace}::{self.names.type(function.on)}" if function.on else namespace
        method = "close" if call.kind == "close" else self.names.method(function)
        if function.text_generation:
            method = self.names.plain(getattr(function.text_generation, call.kind))
        callee = class_ if call.kind == "constructor" else f"object.{method}" if call.on else f"{class_}::{method}"
        lines, needed, optional, last = self._arguments(function)
        if call.kind == "stream":
            item = f"{namespace}::{self.names.type(function.stream_of)}"
            lines = [
                f"{item} item;",
                "outcome.status = next(object, item, args);",
                'if (outcome.status == "item") outcome.result = of(item);',
            ]
        elif call.kind == "run":
            lines = [f"outcome.result = of({callee}(timeout(args)));"]
        else:
            form = {"whole": "outcome.give(of({}))", "pieces": "outcome.give(pieces({}))"}.get(call.kind, "{}")
            if form == "{}" and function.returns:
                form = (
                    "outcome.give(of_json_text({}))" if function.returns.type.kind == "json" else "outcome.give(of({}))"
                )
            lines += _ways(callee, form, needed, optional, last)
        return CppCaller(call.name, call.on, class_ if call.on else "", lines)

    def _arguments(self, function: Function) -> tuple[list[str], list[str], list[tuple[str, str]], list[str]]:
        """Statements before the call; arguments that are always passed, that may be left out (with their names), and behind."""
        lines, needed, optional = [], [], []
        together = self.cpp.joined_params(function)
        for value in function.params:
            if value in together:
                continue
            before, argument = self._argument(value, f'given(args, "{value.name}")')
            lines += before
            if self.cpp.types.default(value, False) is None:
                needed.append(argument)
            elif argument == f"{value.name}_":
                optional.append((value.name, argument))
            else:
                optional.append((value.name, f"{value.name}_"))
                lines.append(f"const auto {value.name}_ = {self._or_default(value, argument)};")
        if together:
            lines.append(f"{self.api.name}::{self.names.joined(function)} options;")
            lines += self._join(together)
        return lines, needed, optional, ["options"] if together else []

    def _or_default(self, value: Value, argument: str) -> str:
        """What is passed for an argument that a case leaves out while it gives a later one."""
        type_, default = self.cpp.types.parameter(value), self.cpp.types.default(value, False) or ""
        if value.type.kind in ("options", "callback", "handle") or type_ in ("Timeout", "std::optional<std::string_view>"):
            return argument
        for name in filter(None, [value.type.name and self.names.type(value.type.name), "Span<"]):
            type_ = type_.replace(name, f"{self.api.name}::{name}")
            default = default.replace(f"{name}::", f"{self.api.name}::{name}::")
        type_ = type_.removeprefix("const ").removesuffix(" &")
        return f'given(args, "{value.name}") ? {type_}({argument}) : {type_}({default.replace("{}", "")})'

    def _join(self, together: list[Value]) -> list[str]:
        lines = []
        for value in together:
            given = f'given(args, "{value.name}")'
            if value.type.kind == "options":
                lines.append(f"fill_{value.type.name}({given}, options);")
            elif value.type.kind == "callback":
                before, argument = self._argument(value, given)
                lines += [*before, f"if ({given}) options.{self.names.plain(value.name)} = {argument};"]
            else:
                lines.append(
                    f"if (const value *field = {given}) options.{self.names.plain(value.name)} = {self._own(value, 'field')};"
                )
        return lines

    def _argument(self, value: Value, given: str) -> tuple[list[str], str]:
        """Statements before the call, and the argument."""
        kind, local, namespace = value.type.kind, f"{value.name}_", self.api.name
        if kind == "options":
            type_ = f"{namespace}::{self.names.type(value.type.name)}"
            return [f"{type_} {local};", f"fill_{value.type.name}({given}, {local});"], local
        if kind == "callback":
            callback = self.api.callbacks[value.type.name]
            types = [f"{self.cpp.types.callback(one)} {one.name}" for one in callback.params]
            puts = " ".join(f'put(call, "{one.name}", of({one.name}));' for one in callback.params)
            answer = "return note_call(&log, call) != 0;" if callback.returns else "note_call(&log, call);"
            lines = [
                f"call_log log{{{given}, 0}};",
                f"const {namespace}::{self.names.type(callback.name)} {local} = [&]({', '.join(types)}) {{",
                "    value *const call = of_map();",
                f"    {puts}",
                f"    {answer}",
                "};",
            ]
            return lines, local
        if is_timeout(value):
            return [], f'timeout(args, "{value.name}")'
        if kind in ("str", "json"):
            return [], f"text({given})" if kind == "str" else f"json_text({given})"
        if kind in ("span", "bytes"):
            return [], f"{self._array(value)}({given})"
        return [], self._own(value, given)

    def _own(self, value: Value, given: str) -> str:
        """What a field of options holds, or a parameter that is no array."""
        kind = value.type.kind
        if kind in ("str", "json"):
            return f"std::string({'text' if kind == 'str' else 'json_text'}({given}))"
        if kind in ("span", "bytes"):
            return f"vector({self._array(value)}({given}))"
        if kind == "list":
            return f"texts({given})"
        if kind == "enum":
            return f"static_cast<{self.api.name}::{self.names.type(value.type.name)}>(as_enum({given}, {value.type.name}_names, 0))"
        if kind == "flags":
            return f"static_cast<{self.api.name}::{self.names.type(value.type.name)}>(as_flags({given}, {value.type.name}_names, 0))"
        if kind == "handle":
            type_ = f"{self.api.name}::{self.names.type(value.type.name)}"
            pointer = f"static_cast<{type_} *>(as_handle({given}))"
            return pointer if value.optional or value.nullable else f"*{pointer}"
        assert kind in SCALARS  # the header's lowering has refused anything else
        return f"as_i32({given}, 0) != 0" if kind == "bool" else f"as_{kind}({given}, 0)"

    @staticmethod
    def _array(value: Value) -> str:
        return "octets" if value.type.kind == "bytes" else SPANS[value.type.item][0]


def _ways(callee: str, form: str, needed: list[str], optional: list[tuple[str, str]], last: list[str]) -> list[str]:
    """A call for each number of arguments: what a case leaves out at the end is left to the header's own defaults."""

    def call(count: int) -> str:
        arguments = ", ".join([*needed, *(argument for _, argument in optional[:count]), *last])
        return form.format(f"{callee}({arguments})")

    ways = [
        f'if (given(args, "{optional[count - 1][0]}")) return {call(count)};' for count in range(len(optional), 0, -1)
    ]
    return [*ways, f"{call(0)};"]
