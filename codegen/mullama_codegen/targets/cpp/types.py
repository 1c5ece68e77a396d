"""What a value of each type is in C++, how it enters C, and how it comes back."""

from __future__ import annotations

import json
import math
from typing import Any

from ...api import NUMBERS, Api, Value
from .names import Names, UnsupportedError

SCALARS = {
    "bool": "bool",
    "i32": "std::int32_t",
    "i64": "std::int64_t",
    "u32": "std::uint32_t",
    "u64": "std::uint64_t",
    "f32": "float",
    "f64": "double",
    "size": "std::size_t",
}
C_SCALARS = {**SCALARS, "bool": "std::int32_t", "enum": "std::int32_t", "flags": "std::uint64_t"}
ITEMS = {"i32": "std::int32_t", "f32": "float", "u8": "std::uint8_t"}


def element(value: Value) -> str:
    """What an array of numbers or bytes holds."""
    return "std::uint8_t" if value.type.kind == "bytes" else ITEMS[value.type.item]


def is_optional(value: Value) -> bool:
    """Whether the value is a `std::optional`."""
    return (value.nullable and value.type.is_sequence) or value.unset is not None


def is_timeout(value: Value) -> bool:
    """Whether the value says how long to wait, negative for no limit: a `Timeout`."""
    return value.type.kind == "i32" and value.unit == "ms" and value.default == -1


class Types:
    """The types of one API."""

    def __init__(self, api: Api, names: Names) -> None:
        self.api = api
        self.names = names

    # Types

    def parameter(self, value: Value) -> str:
        """A parameter, which borrows for the length of the call."""
        kind = value.type.kind
        if is_timeout(value):
            return "Timeout"
        if kind in ("str", "json"):
            word = "std::string_view"
        elif kind in ("bytes", "span"):
            word = f"Span<const {element(value)}>"
        elif kind in ("options", "callback"):
            return f"const {self.names.type(value.type.name)} &"
        elif kind == "handle":
            shared = "const " if self.api.handles[value.type.name].thread == "shared" else ""
            return f"{shared}{self.names.type(value.type.name)} {'*' if value.optional or value.nullable else '&'}"
        elif kind == "list" and not value.nullable:
            return "const std::vector<std::string> &"
        else:
            word = self._plain(value)
        return f"std::optional<{word}>" if is_optional(value) else word

    def field(self, value: Value) -> str:
        """A field of options or of a result, which owns what it holds."""
        kind = value.type.kind
        if kind in ("str", "json"):
            word = "std::string"
        elif kind in ("bytes", "span"):
            word = f"std::vector<{element(value)}>"
        elif kind == "list":
            word = "std::vector<std::string>"
        elif kind == "map":
            word = "std::map<std::string, std::string>"
        elif kind == "options":
            return f"std::optional<{self.names.type(value.type.name)}>"
        elif kind == "callback":
            return self.names.type(value.type.name)
        elif kind == "handle":
            return self.parameter(Value(value.name, value.type, "", optional=True))
        else:
            word = self._plain(value)
        return f"std::optional<{word}>" if is_optional(value) else word

    def result(self, value: Value | None) -> str:
        if value is None:
            return "void"
        if value.type.kind in ("handle", "struct"):
            word = self.names.type(value.type.name)
            return f"std::optional<{word}>" if value.nullable else word
        return self.field(value)

    def callback(self, value: Value) -> str:
        """A parameter of a callback."""
        return "std::string_view" if value.type.kind in ("str", "json") else self.field(value)

    def _plain(self, value: Value) -> str:
        kind = value.type.kind
        if kind in ("enum", "flags"):
            return self.names.type(value.type.name)
        if kind not in SCALARS:
            raise UnsupportedError(f"{value.name or 'a result'}: a {kind} here")
        return SCALARS[kind]

    # Defaults

    def default(self, value: Value, in_struct: bool) -> str | None:
        """The initializer; None for a parameter that must be given."""
        kind = value.type.kind
        if is_timeout(value) and not in_struct:
            return "std::nullopt"
        may_be_left_out = in_struct or value.has_default or value.optional or value.nullable or value.unset is not None
        if value.has_default and value.default is not None and value.default != []:
            return self.literal(value, value.default)
        if not may_be_left_out:
            return None
        if is_optional(value) or (kind == "options" and in_struct):
            return "std::nullopt"
        if kind == "handle":
            return "nullptr"
        if kind in ("enum", *NUMBERS, "bool"):
            raise UnsupportedError(f"{value.name}: a {kind} without a default")
        return "{}"

    def literal(self, value: Value, default: Any) -> str:
        kind = value.type.kind
        if kind == "bool":
            return "true" if default else "false"
        if kind == "enum":
            return f"{self.names.type(value.type.name)}::{self.names.plain(default)}"
        if kind == "flags":
            members = [f"{self.names.type(value.type.name)}::{self.names.plain(member)}" for member in default]
            return " | ".join(members)
        if kind in ("str", "json"):
            return json.dumps(default, ensure_ascii=False) if default else '""'
        if kind in NUMBERS:
            return number(default, kind)
        raise UnsupportedError(f"{value.name}: a default for {kind}")

    # Into C

    def into(self, value: Value, name: str) -> tuple[list[str], list[str]]:
        """Statements before the call, and what is passed. `name` is an expression of the parameter or field."""
        kind, local = value.type.kind, f"c_{self.names.plain(value.name)}"
        if is_timeout(value):
            return [], [f"runtime::milliseconds({name})"]
        if kind == "list" and not value.nullable:
            return [f"const auto {local} = runtime::texts<{self.api.prefix}_str>({name});"], [
                f"{local}.data()",
                f"{local}.size()",
            ]
        if value.type.is_sequence and value.nullable and kind != "list":
            return [], [f"runtime::data_or_null({name})", f"runtime::size_or_zero({name})"]
        if value.type.is_sequence and kind != "list":
            return [], [f"{name}.data()", f"{name}.size()"]
        if kind == "handle":
            return [], [f"{name} ? {name}->get() : nullptr" if value.optional or value.nullable else f"{name}.get()"]
        if kind == "callback":
            lines = [f"runtime::Callback<{self.names.type(value.type.name)}> {local}({name});"]
            return lines, [f"{name} ? detail::call_{value.type.name} : nullptr", f"&{local}"]
        if kind == "options":
            return [f"const detail::Given{self.names.type(value.type.name)} {local}({name});"], [f"&{local}.c"]
        return [], [self.scalar(value, name)]

    def scalar(self, value: Value, name: str) -> str:
        kind = value.type.kind
        if kind in ("enum", "flags"):
            cast = f"static_cast<{C_SCALARS[kind]}>({{}})"
            if value.unset is None:
                return cast.format(name)
            return f"{name} ? {cast.format('*' + name)} : {number(value.unset, 'i32' if kind == 'enum' else 'u64')}"
        if value.unset is not None:
            return f"{name}.value_or({number(value.unset, kind)})"
        return name

    # Out of C

    def places(self, value: Value) -> list[str]:
        """Declarations of what a fallible function writes its result to."""
        kind, prefix = value.type.kind, self.api.prefix
        if value.type.is_sequence:
            return [f"const {self.c_element(value)} *out = nullptr;", "std::size_t out_len = 0;"]
        if kind == "handle":
            return [f"{prefix}_{value.type.name} *out = nullptr;"]
        if kind == "struct":
            return [f"{prefix}_{value.type.name} out;", f"{prefix}_{value.type.name}_init(&out, sizeof out);"]
        return [f"{C_SCALARS[kind]} out = 0;"]

    def c_element(self, value: Value) -> str:
        kind = value.type.kind
        if kind in ("str", "json"):
            return "char"
        return f"{self.api.prefix}_str" if kind in ("list", "map") else element(value)

    def copy(self, value: Value, pointer: str, length: str) -> str:
        """An expression that makes a C++ value of what C holds."""
        kind = value.type.kind
        if value.type.is_sequence:
            word = {"str": "text", "json": "text", "list": "texts", "map": "pairs"}.get(kind, "array")
            return f"runtime::copy_{word}({pointer}, {length})"
        if kind == "bool":
            return f"{pointer} != 0"
        if kind in ("enum", "flags"):
            return f"static_cast<{self.names.type(value.type.name)}>({pointer})"
        if kind not in NUMBERS:
            raise UnsupportedError(f"{value.name or 'a result'}: a {kind} inside a result")
        return pointer

    def optional_copy(self, value: Value, pointer: str, length: str) -> str:
        """The same, for a value that may be none."""
        made = self.copy(value, pointer, length)
        if not is_optional(value):
            return made
        there = f"{pointer} != {number(value.unset, value.type.kind)}" if value.unset is not None else pointer
        return f"{there} ? {self.field(value)}({made}) : std::nullopt"


def number(value: float | int, kind: str) -> str:
    """A literal of just the type, so that nothing is narrowed."""
    if kind in ("f32", "f64"):
        limits = f"std::numeric_limits<{SCALARS[kind]}>"
        if math.isnan(value):
            return f"{limits}::quiet_NaN()"
        if math.isinf(value):
            return f"{'-' if value < 0 else ''}{limits}::infinity()"
        return f"{float(value)!r}" + ("f" if kind == "f32" else "")
    if kind in ("u32", "u64", "size") and value >= 2**31:
        return f"{value}u"
    if value == -(2**63):
        return "std::numeric_limits<std::int64_t>::min()"
    return str(value)
