"""The table of the Go binding: a function for each call, which reads its arguments from a case."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Function, Value
from ..go.lower import Lowering
from .calls import Call, Calls

PLAIN = {"bool": "boolean", "str": "text", "list": "texts", "bytes": "octets", "json": "document"}
NUMBERS = {"i32": "int32", "i64": "int64", "u32": "uint32", "u64": "uint64", "f32": "float32", "f64": "float64", "size": "uint"}
ITEMS = {"i32": "int32", "f32": "float32", "u8": "byte"}
SHORT = 80  # gofmt leaves a function with a body up to this length on its line


@dataclass(frozen=True)
class GoCall:
    name: str
    lines: list[str]


@dataclass(frozen=True)
class GoNames:
    """Names in cases: the fields of a struct, or the members of an enum, in order."""

    go: str
    names: list[str]


def files(calls: Calls) -> dict[str, str]:
    tables = _Tables(calls)
    return {"go/dispatch.go": calls.render("dispatch.go.j2", **tables.view())}


class _Tables:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.api: Api = calls.api
        self.lowering = Lowering(calls.api)
        self.names = self.lowering.names
        self.package = calls.api.name
        self.options = {
            (use.function.name, use.struct, use.value.name): name
            for name, uses in self.lowering.options.uses.items()
            for use in uses
        }

    def view(self) -> dict[str, object]:
        enums = [
            GoNames(self.names.public(enum.name), [self.names.constant(enum.name, one.name) for one in enum.members])
            for enum in self.api.enums.values()
        ]
        structs = [
            GoNames(self.names.public(struct.name), [value.name for value in struct.fields]) for struct in self.calls.results()
        ]
        handles = [self.names.public(handle) for handle in self.api.handles]
        return {
            "enums": enums,
            "structs": structs,
            "handles": handles,
            "calls": [GoCall(call.name, self._lines(call)) for call in self.calls.all()],
        }

    def _lines(self, call: Call) -> list[str]:
        function = call.function
        if call.kind == "close":
            return [f"return done({self._receiver(function)}.Close())"]
        if call.name == "live_objects":
            return ["return value(mullama.LiveObjects()), nil"]
        lines, arguments = self._arguments(function)
        method = self.names.method(function)
        if function.text_generation and call.kind in ("whole", "pieces"):
            names = {"whole": function.text_generation.whole, "pieces": function.text_generation.pieces}
            method = self.names.public(names[call.kind])
            arguments.insert(0, "ctx")
        elif function.blocking:
            arguments.insert(0, "ctx")
        if call.kind in ("stream", "run"):
            arguments.append("timeout(given)...")
        owner = self._receiver(function) if call.on else self.package
        expression = f"{owner}.{method}({', '.join(arguments)})"
        return [*lines, *self._returned(call, expression)]

    def _returned(self, call: Call, expression: str) -> list[str]:
        function = call.function
        if call.kind == "stream":
            return [f"return item({expression})"]
        if call.kind == "run":
            return [f"return checked({expression})"]
        if call.kind == "pieces":
            return [f"return pieces({expression})"]
        if call.kind in ("whole", "start"):
            return [f"return checked({expression})"]
        results = self.lowering.results(function)
        if not results:
            return [expression, "return nil, nil"]
        if results == ["error"]:
            return [f"return done({expression})"]
        if results[-1] != "error":
            return [f"return value({expression}), nil"]
        return [f"return {'maybe' if len(results) == 3 else 'checked'}({expression})"]

    def _receiver(self, function: Function) -> str:
        return f"on.(*{self.package}.{self.names.public(function.on)})"

    def _arguments(self, function: Function) -> tuple[list[str], list[str]]:
        """Lines that gather the options, and the arguments."""
        group = self.lowering.options.groups.get(function.name)
        lines = [f"var options []{self.package}.{group.interface}"] if group else []
        arguments = []
        options = self.lowering.options
        for value in function.params:
            if value is options.positional(function):
                stand_in = self.names.option(options.stand_ins(function)[0].name)
                lines += [
                    f'if _, ok := given["{value.name}"]; !ok {{',
                    f"\toptions = append(options, {self.package}.{stand_in}(nil)) // neither it nor the prompt",
                    "}",
                ]
                arguments.append(self._converted(value, f'given["{value.name}"]'))
            elif value.type.kind == "options" and value.type.name in options.plain:
                lines += self._plain(value)
                arguments.append(self.names.parameter(value.name))
            elif value.type.kind == "options":
                name = self.names.private(value.name)
                inner = name if name != "options" else "inner"
                lines.append(f'{inner} := given.inner("{value.name}")')
                for one in self.api.structs[value.type.name].fields:
                    lines += self._option(function, value.type.name, one, inner)
            elif options.is_option(value):
                lines += self._option(function, "", value, "given")
            else:
                arguments.append(self._converted(value, f'given["{value.name}"]'))
        return lines, [*arguments, *(["options..."] if group else [])]

    def _option(self, function: Function, struct: str, value: Value, place: str) -> list[str]:
        option = f"{self.package}.{self.options[function.name, struct, value.name]}"
        spread = "..." if value.type.kind == "list" else ""
        added = f"options = append(options, {option}({self._converted(value, 'v')}{spread}))"
        if len(added) <= SHORT:
            return [f'{place}.with("{value.name}", func(v any) {{ {added} }})']
        return [f'{place}.with("{value.name}", func(v any) {{', f"\t{added}", "})"]

    def _plain(self, value: Value) -> list[str]:
        name, struct = self.names.parameter(value.name), self.api.structs[value.type.name]
        fields = [
            f"{name}.{self.names.public(one.name)} = {self._converted(one, f'inner[{chr(34)}{one.name}{chr(34)}]')}"
            for one in struct.fields
        ]
        return [
            f'inner := given.inner("{value.name}")',
            f"var {name} {self.package}.{self.names.public(struct.name)}",
            *fields,
        ]

    def _converted(self, value: Value, given: str) -> str:
        kind = value.type.kind
        if kind in NUMBERS:
            return f"number[{NUMBERS[kind]}]({given})"
        if kind == "span":
            return f"numbers[{ITEMS[value.type.item]}]({given})"
        if kind in ("enum", "flags"):
            name = self.names.public(value.type.name)
            return f"{'choice' if kind == 'enum' else 'flags'}({given}, all{name})"
        if kind == "handle":
            return f"{given}.(*{self.package}.{self.names.public(value.type.name)})"
        if kind == "callback":
            callback = self.api.callbacks[value.type.name]
            names = [self.names.parameter(one.name) for one in callback.params]
            shown = self.lowering.trampoline(callback).type
            seen = ", ".join(f'"{one.name}": plain({name})' for one, name in zip(callback.params, names, strict=True))
            return f"{shown} {{ return answer({given}, map[string]any{{{seen}}}) }}"
        return f"{PLAIN[kind]}({given})"
