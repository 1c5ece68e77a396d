"""The table of the C ABI itself: a caller for each function, which reads arguments from a value and writes the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...api import Callback, Enum, Struct, Value
from ..c.types import scalar
from .calls import Call, Calls

SPANS = {"i32": ("ints", "int32_t"), "f32": ("floats", "float"), "u8": ("octets", "uint8_t")}

NUMBER_MAKERS = {
    "bool": "bool",
    "f32": "double",
    "f64": "double",
    "u32": "unsigned",
    "u64": "unsigned",
    "size": "unsigned",
}


@dataclass(frozen=True)
class CEnum:
    name: str
    is_flags: bool
    members: list[tuple[str, str]]  # name in a case, C constant


@dataclass(frozen=True)
class COptions:
    name: str
    type: str
    fields: list[tuple[str, list[str]]]  # name in a case, statements that store `field`


@dataclass(frozen=True)
class CStruct:
    name: str
    type: str
    fields: list[tuple[str, str]]  # name in a case, expression that makes its value


@dataclass(frozen=True)
class CCallback:
    name: str
    signature: str
    arguments: list[tuple[str, str]]  # name in a case, expression that makes its value
    answer: str  # C type; "" without a result


@dataclass(frozen=True)
class CCaller:
    name: str
    on: str
    kind: str
    c_name: str
    started: str  # C type of the handle that it gives
    event: str  # C type of the items of that handle's stream
    locals: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)  # declarations of what the result goes to
    result: str = ""  # expression that makes the result's value; "" without one
    fallible: bool = True
    returned: str = ""  # what a function that cannot fail returns
    free: bool = False

    @property
    def identifier(self) -> str:
        return self.name.replace(".", "_")


def files(calls: Calls) -> dict[str, str]:
    lowering = _Lowering(calls)
    view = {
        "upper": calls.api.prefix.upper(),
        "codes": calls.api.codes,
        "enums": [lowering.enum(enum) for enum in calls.api.enums.values()],
        "options": [lowering.options(struct) for struct in calls.options()],
        "structs": [lowering.struct(struct) for struct in calls.results()],
        "callbacks": [lowering.callback(callback) for callback in calls.api.callbacks.values()],
        "calls": [lowering.call(call) for call in calls.all()],
    }
    return {
        "c/dispatch.h": calls.render("dispatch.h.j2", **view),
        "c/dispatch.c": calls.render("dispatch.c.j2", **view),
    }


class _Lowering:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.api = calls.api
        self.prefix = calls.api.prefix
        self.upper = calls.api.prefix.upper()

    def enum(self, enum: Enum) -> CEnum:
        constants = [
            (member.name, f"{self.upper}_{enum.name.upper()}_{member.name.upper()}") for member in enum.members
        ]
        return CEnum(enum.name, enum.is_flags, constants)

    def options(self, struct: Struct) -> COptions:
        return COptions(
            struct.name, f"{self.prefix}_{struct.name}", [(value.name, self._store(value)) for value in struct.fields]
        )

    def struct(self, struct: Struct) -> CStruct:
        fields = [
            (value.name, self._value(value, f"from->{name}", f"from->{name}_len"))
            for value in struct.fields
            for name in [self.api.name_in("c", value.name)]
        ]
        return CStruct(struct.name, f"{self.prefix}_{struct.name}", fields)

    def callback(self, callback: Callback) -> CCallback:
        declarations, arguments = [], []
        for value in callback.params:
            if value.type.is_sequence:
                declarations += [f"{self._element(value)}{value.name}", f"size_t {value.name}_len"]
            else:
                declarations.append(f"{scalar(value.type, self.prefix)} {value.name}")
            arguments.append((value.name, self._value(value, value.name, f"{value.name}_len")))
        answer = scalar(callback.returns.type, self.prefix) if callback.returns else ""
        return CCallback(callback.name, ", ".join([*declarations, "void *user"]), arguments, answer)

    def call(self, call: Call) -> CCaller:
        function, api = call.function, self.api
        arguments = [f"({self.prefix}_{call.on} *)on->pointer"] if call.on else []
        locals_: list[str] = []
        for value in function.params:
            lines, names = self._given(value)
            locals_ += lines
            arguments += names
        view: dict[str, Any] = {"fallible": function.fallible}
        returns = function.returns
        if call.kind == "stream":
            c_type = f"{self.prefix}_{function.stream_of}"
            view["places"] = [f"{c_type} item;", f"{c_type}_init(&item, sizeof item);"]
            view["result"] = f"write_{function.stream_of}(&item)"
            arguments += ['given_i32(args, "timeout_ms", -1)', "&item", "&status"]
        elif call.kind == "run":
            arguments += ['given_i32(args, "timeout_ms", -1)', "&status"]
        elif returns and function.fallible:
            kind = returns.type.kind
            if returns.type.is_sequence:
                view["places"] = [f"{self._element(returns)}out = NULL;", "size_t out_len = 0;"]
                arguments += ["&out", "&out_len"]
                view["free"] = not returns.borrowed
            elif kind == "handle":
                view["places"] = [f"{self.prefix}_{returns.type.name} *out = NULL;"]
                arguments.append("&out")
            elif kind == "struct":
                c_type = f"{self.prefix}_{returns.type.name}"
                view["places"] = [f"{c_type} out;", f"{c_type}_init(&out, sizeof out);"]
                arguments.append("&out")
            else:
                view["places"] = [f"{scalar(returns.type, self.prefix)} out = 0;"]
                arguments.append("&out")
            view["result"] = self._value(returns, "out", "out_len")
        elif returns:
            view["returned"] = "const char *" if returns.type.kind == "str" else f"{scalar(returns.type, self.prefix)} "
            if returns.type.kind == "str":
                view["places"] = ["size_t out_len = 0;"]
                arguments.append("&out_len")
            view["result"] = self._value(returns, "out", "out_len")
        if function.fallible:
            arguments.append("&outcome->error")
        started = returns.type.name if returns and returns.type.kind == "handle" else ""
        event = next((one.stream_of for one in api.functions if one.on == started and one.stream_of), "")
        return CCaller(
            name=call.name,
            on=call.on,
            kind=call.kind,
            c_name=f"{self.prefix}_{function.name}",
            started=f"{self.prefix}_{started}",
            event=f"{self.prefix}_{event}",
            locals=locals_,
            arguments=arguments,
            **view,
        )

    # Arguments

    def _given(self, value: Value) -> tuple[list[str], list[str]]:
        """Lines that read an argument, and what is passed for it."""
        name, kind = value.name, value.type.kind
        local = f"{name}_"
        if kind == "options":
            return [], [f'read_{value.type.name}(given(args, "{name}"))']
        if kind == "handle":
            return [], [f'({self.prefix}_{value.type.name} *)given_handle(args, "{name}")']
        if kind == "callback":
            return [f'call_log {local};', f'{local}.given = given(args, "{name}");', f"{local}.count = 0;"], [
                f"{local}.given ? on_{value.type.name} : NULL",
                f"&{local}",
            ]
        if value.type.is_sequence:
            return self._sequence(value, f'given(args, "{name}")', local)
        return [], [self._scalar(value, f'given(args, "{name}")')]

    def _sequence(self, value: Value, given: str, local: str) -> tuple[list[str], list[str]]:
        kind = value.type.kind
        if kind in ("str", "json"):
            default = f"text_or({given}, {_quoted(value.default)})" if isinstance(value.default, str) else given
            function = "as_text" if kind == "str" else "as_json_text"
            return [f"const {self.prefix}_str {local} = {function}({default});"], [f"{local}.data", f"{local}.len"]
        if kind == "list":
            return [
                f"size_t {local}len = 0;",
                f"const {self.prefix}_str *const {local} = as_texts({given}, &{local}len);",
            ], [local, f"{local}len"]
        reader, element = ("octets", "uint8_t") if kind == "bytes" else SPANS[value.type.item]
        return [
            f"size_t {local}len = 0;",
            f"const {element} *const {local} = as_{reader}({given}, &{local}len);",
        ], [local, f"{local}len"]

    def _scalar(self, value: Value, given: str) -> str:
        kind = value.type.kind
        if kind in ("enum", "flags"):
            members = {
                member.name: f"{self.upper}_{value.type.name.upper()}_{member.name.upper()}"
                for member in self.api.enums[value.type.name].members
            }
            if kind == "flags":
                default = " | ".join(members[name] for name in value.default or ()) or "0"
                return f"as_flags({given}, {value.type.name}_names, {default})"
            default = members[value.default] if value.default else "0"
            return f"as_enum({given}, {value.type.name}_names, {default})"
        fallback = value.unset if value.unset is not None else value.default
        if kind == "bool":
            return f"as_i32({given}, {int(bool(fallback))})"
        return f"as_{kind}({given}, {fallback or 0}{'u' if kind in ('u32', 'u64', 'size') else ''})"

    def _store(self, value: Value) -> list[str]:
        """Statements that put `field` into the options struct `to`."""
        name, kind = self.api.name_in("c", value.name), value.type.kind
        if kind == "options":
            return [f"to->{name} = read_{value.type.name}(field);"]
        if kind == "handle":
            return [f"to->{name} = as_handle(field);"]
        if not value.type.is_sequence:
            return [f"to->{name} = {self._scalar(value, 'field')};"]
        lines, (pointer, length) = self._sequence(value, "field", "given_")
        return [*lines, f"to->{name} = {pointer};", f"to->{name}_len = {length};"]

    # Results

    def _value(self, value: Value, pointer: str, length: str) -> str:
        """An expression that makes the value of a result or field."""
        kind = value.type.kind
        if kind == "span":
            made = f"of_{SPANS[value.type.item][0]}({pointer}, {length})"
        elif value.type.is_sequence:
            of = {"str": "text", "json": "json", "bytes": "bytes", "list": "texts", "map": "pairs"}[kind]
            made = f"of_{of}({pointer}, {length})"
        elif kind in ("enum", "flags"):
            made = f"of_{kind}({pointer}, {value.type.name}_names)"
        elif kind == "handle":
            made = f'of_handle({pointer}, "{value.type.name}", free_{value.type.name})'
        elif kind == "struct":
            made = f"write_{value.type.name}(&{pointer})"
        else:
            made = f"of_{NUMBER_MAKERS.get(kind, 'signed')}({pointer})"
        if value.nullable and value.type.is_sequence:
            return f"{pointer} ? {made} : of_none()"
        if value.unset is not None:
            return f"{pointer} == {value.unset} ? of_none() : {made}"
        return made

    def _element(self, value: Value) -> str:
        kind = value.type.kind
        if kind == "span":
            return f"const {SPANS[value.type.item][1]} *"
        if kind in ("list", "map"):
            return f"const {self.prefix}_str *"
        return "const uint8_t *" if kind == "bytes" else "const char *"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
