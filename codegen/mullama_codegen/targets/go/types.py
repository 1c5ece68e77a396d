"""How a value of each type enters C from Go, and how it comes back."""

from __future__ import annotations

from math import isinf
from typing import Any

from ...api import NUMBERS, Api, Value
from ...type_words import INTEGER_LIMITS
from .layout import quoted
from .names import Names

GO = {
    "bool": "bool",
    "i32": "int32",
    "i64": "int64",
    "u32": "uint32",
    "u64": "uint64",
    "f32": "float32",
    "f64": "float64",
    "size": "uint",
    "str": "string",
    "bytes": "[]byte",
    "list": "[]string",
    "map": "map[string]string",
}
C = {
    "bool": "C.int32_t",
    "i32": "C.int32_t",
    "i64": "C.int64_t",
    "u32": "C.uint32_t",
    "u64": "C.uint64_t",
    "f32": "C.float",
    "f64": "C.double",
    "size": "C.size_t",
}
C_TEXT = {"C.int32_t": "int32_t", "C.float": "float", "C.double": "double", "C.size_t": "size_t"}
ITEMS = {"i32": ("int32", "C.int32_t", "Ints"), "f32": ("float32", "C.float", "Floats"), "u8": ("byte", "C.uint8_t", "Octets")}
READERS = {"str": "Text", "json": "JSON", "bytes": "Octets", "list": "Texts", "map": "Pairs"}


class UnsupportedError(ValueError):
    """The description asks for something that this target does not have."""


class Types:
    def __init__(self, api: Api, names: Names) -> None:
        self.api = api
        self.names = names

    def go(self, value: Value) -> str:
        """The type of a parameter."""
        kind = value.type.kind
        if kind == "json":
            return "any"
        if kind == "span":
            return f"[]{ITEMS[value.type.item][0]}"
        if kind == "handle":
            return f"*{self.names.public(value.type.name)}"
        if kind in ("enum", "flags", "callback", "struct", "options"):
            return self.names.public(value.type.name)
        if kind == "map":
            raise UnsupportedError(f"{value.name}: a parameter of type {kind}")
        return GO[kind]

    def go_result(self, value: Value) -> str:
        """The type of a result, without what says whether it is there."""
        kind = value.type.kind
        if kind == "json":
            return "json.RawMessage"
        return GO["map"] if kind == "map" else self.go(value)

    def go_results(self, value: Value | None) -> list[str]:
        """The types of a result; the second one says whether it is there, where its own type cannot."""
        if value is None:
            return []
        return [self.go_result(value), "bool"] if self.says_ok(value) else [self.go_result(value)]

    @staticmethod
    def says_ok(value: Value) -> bool:
        """Whether a result needs a bool beside it: a nil slice, map or pointer says "none" itself."""
        return value.unset is not None or (value.nullable and value.type.kind == "str")

    def go_field(self, value: Value) -> str:
        """The type of a field of a result."""
        return f"*{self.go_result(value)}" if self.says_ok(value) else self.go_result(value)

    def c(self, value: Value) -> str:
        """The C type of one value, or of what a sequence's pointer points to."""
        kind, prefix = value.type.kind, self.api.prefix
        if kind == "span":
            return ITEMS[value.type.item][1]
        if kind in ("str", "json"):
            return "C.char"
        if kind == "bytes":
            return "C.uint8_t"
        if kind in ("list", "map"):
            return f"C.{prefix}_str"
        return C.get(kind) or f"C.{prefix}_{value.type.name}"

    def scalar_in(self, value: Value, name: str) -> str:
        """An expression that makes the C value of a bool, a number, an enum or flags."""
        return f"cBool({name})" if value.type.kind == "bool" else f"{self.c(value)}({name})"

    def keeper(self, value: Value, name: str) -> str:
        """An expression that gives pointer and length of a sequence that C sees through a struct: a method of `keep`."""
        kind = value.type.kind
        if kind == "span":
            return f"hold{ITEMS[value.type.item][2]}({name})"
        if kind == "json":
            return f"holdJSON({quoted(value.name)}, {name})"
        return {"str": f"holdText({name})", "bytes": f"holdOctets({name})", "list": f"holdTexts({name})"}[kind]

    def sequence_in(self, value: Value, name: str) -> list[str]:
        """Pointer and length of a sequence that is passed as it is, for the time of the call."""
        if value.type.kind == "str":
            return [f"chars({name})", f"C.size_t(len({name}))"]
        return [f"(*{self.c(value)})(unsafe.SliceData({name}))", f"C.size_t(len({name}))"]

    def out(self, value: Value, data: str, length: str) -> str:
        """An expression that makes the Go value of a result or of a field."""
        kind = value.type.kind
        if value.type.is_sequence:
            what = ITEMS[value.type.item][2] if kind == "span" else READERS[kind]
            return f"{'copy' if value.borrowed else 'take'}{what}({data}, {length})"
        if kind == "bool":
            return f"{data} != 0"
        if kind in NUMBERS or kind in ("enum", "flags"):
            return f"{self.go_result(value)}({data})"
        raise UnsupportedError(f"{value.name or 'a result'}: a {kind} inside a result")

    def presence(self, value: Value, data: str) -> str:
        """An expression that says whether a result is there."""
        return f"{data} != {self.number(value, value.unset)}" if value.unset is not None else f"{data} != nil"

    def default(self, value: Value) -> str:
        """The default of an optional parameter as C's value; "" for zero."""
        kind, default = value.type.kind, value.default
        if default is None and value.unset is not None:
            default = value.unset
        if kind == "enum" and default is not None:
            return f"C.{self.api.prefix}_{value.type.name}({self.names.constant(value.type.name, default)})"
        if kind == "flags" and default:
            if isinstance(default, int):
                return str(default)
            members = " | ".join(self.names.constant(value.type.name, name) for name in default)
            return f"C.{self.api.prefix}_{value.type.name}({members})"
        if default is None or default in ("", [], 0, False):
            return ""
        if kind in ("bool", *NUMBERS):
            return str(int(default)) if kind == "bool" else self.number(value, default)
        if kind == "str":
            return quoted(default)
        raise UnsupportedError(f"{value.name}: a default for {kind}")

    @staticmethod
    def number(value: Value, number: Any) -> str:
        """A number as Go code writes it."""
        if isinstance(number, float) and isinf(number):
            raise UnsupportedError(f"{value.name}: an infinite default of a parameter")
        return repr(number)

    def shown_default(self, value: Value) -> str:
        """The default for a reader; "" where there is none to tell."""
        kind, default = value.type.kind, value.default
        if default is None:
            return "not set" if value.unset is not None or value.nullable else ""
        if kind == "enum":
            return f"[{self.names.constant(value.type.name, default)}]"
        if kind == "flags" and not isinstance(default, int):
            return " | ".join(f"[{self.names.constant(value.type.name, name)}]" for name in default) or "none"
        if kind == "bool":
            return "true" if default else "false"
        if kind in ("list", "span", "bytes"):
            return "none"
        if kind == "str":
            return quoted(default)
        if value.type.kind in INTEGER_LIMITS and abs(default) > 2**53:
            return hex(default)
        return {"-inf": "-Inf", "inf": "+Inf"}.get(repr(default), repr(default))
