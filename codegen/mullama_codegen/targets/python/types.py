"""How a value of each type enters C from Python, and how it comes back."""

from __future__ import annotations

from math import isfinite
from typing import Any

from ...api import NUMBERS, Api, Value
from .layout import quoted
from .names import Names

SPANS = {
    "i32": ("Ints", "list[int]", "i32_span", "ints"),
    "f32": ("Floats", "FloatArray", "f32_span", "floats"),
    "u8": ("Bytes", "bytes", "u8_span", "raw"),
}
SEQUENCES = {  # kind -> annotation in, annotation out, converter in, converter out
    "str": ("str", "str", "utf8", "text"),
    "json": ("Json", "Json", "json", "parsed"),
    "bytes": ("Buffer", "bytes", "data", "raw"),
    "list": ("str | Iterable[str]", "list[str]", "texts", "strings"),
    "map": ("", "dict[str, str]", "", "pairs"),
}
FILES = {"str": "path", "list": "paths"}  # converters in, of what names files
C_SCALARS = {
    "bool": "int32_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "f32": "float",
    "f64": "double",
    "size": "size_t",
    "enum": "int32_t",
    "flags": "uint64_t",
}
C_ELEMENTS = {"i32": "int32_t", "f32": "float", "u8": "uint8_t"}


class UnsupportedError(ValueError):
    """The description asks for something that this target does not have."""


def number_word(value: Value) -> str:
    return "float" if value.type.kind in ("f32", "f64") else "int"


class Types:
    def __init__(self, api: Api, names: Names) -> None:
        self.api = api
        self.names = names

    # Parameters

    def annotation(self, value: Value) -> str:
        kind = value.type.kind
        if kind == "bool":
            word = "bool"
        elif kind in NUMBERS:
            word = number_word(value)
        elif kind == "span":
            word = SPANS[value.type.item][0]
        elif kind in SEQUENCES and SEQUENCES[kind][0]:
            word = SEQUENCES[kind][0].replace("str", "StrPath") if value.is_file else SEQUENCES[kind][0]
        elif kind in ("enum", "flags"):
            word = f"{self.names.type(value.type.name)} | int | str"
        elif kind == "handle":
            word = self.names.type(value.type.name)
        elif kind == "callback":
            word = self._callable(value)
        else:
            raise UnsupportedError(f"{value.name}: a parameter of type {kind}")
        return f"{word} | None" if self.may_be_none(value) else word

    @staticmethod
    def may_be_none(value: Value) -> bool:
        return value.nullable or value.unset is not None or (value.optional and value.type.kind == "handle")

    def default(self, value: Value, in_options: bool) -> str | None:
        """The default as Python writes it; None where the caller must give the value."""
        kind = value.type.kind
        if value.has_default and value.default is not None:
            return self._literal(value)
        if self.may_be_none(value):
            return "None"
        if not in_options and not value.has_default:
            return None
        if kind == "span" and value.type.item == "u8":
            return 'b""'
        empty = {"list": "()", "span": "()", "str": '""', "bytes": 'b""', "bool": "False"}
        if kind in empty:
            return empty[kind]
        if kind in NUMBERS:
            return "0.0" if number_word(value) == "float" else "0"
        if kind in ("enum", "flags"):
            return f"{self.names.type(value.type.name)}(0)"
        raise UnsupportedError(f"{value.name}: a {kind} without a default")

    def into(self, value: Value, name: str) -> str:
        """An expression that checks and converts: two results (pointer, length) for a sequence, one otherwise."""
        kind, shown = value.type.kind, f'"{name}"'
        if kind in ("enum", "flags"):
            expression = f"convert.enum({self.names.type(value.type.name)}, {name}, {shown})"
        elif kind == "handle":
            expression = f'convert.handle({name}, "{self.names.type(value.type.name)}", {shown})'
        elif value.type.is_sequence:
            converter = SPANS[value.type.item][2] if kind == "span" else SEQUENCES[kind][2]
            expression = f"convert.{FILES[kind] if value.is_file else converter}({name}, {shown})"
        elif kind == "bool":
            expression = f"convert.boolean({name}, {shown})"
        else:
            argument = f"{value.unset!r} if {name} is None else {name}" if value.unset is not None else name
            return f"convert.{kind}({argument}, {shown})"
        if value.unset is not None:
            return f"{value.unset!r} if {name} is None else {expression}"
        if not self.may_be_none(value):
            return expression
        return f"{'convert.NOTHING' if value.type.is_sequence else 'ffi.NULL'} if {name} is None else {expression}"

    # Results

    def result_annotation(self, value: Value | None, in_struct: bool = False) -> str:
        if value is None:
            return "None"
        kind = value.type.kind
        if in_struct and kind == "span" and value.type.item == "f32":
            return "list[float]"
        if kind == "bool":
            word = "bool"
        elif kind in NUMBERS:
            word = number_word(value)
        elif kind == "span":
            word = SPANS[value.type.item][1]
        elif kind in SEQUENCES:
            word = SEQUENCES[kind][1]
        else:
            word = self.names.type(value.type.name)
        return f"{word} | None" if self.may_be_none(value) and word != "Json" else word

    def out(self, value: Value, pointer: str, length: str, in_struct: bool = False) -> str:
        """An expression that makes the Python value of a result or of a struct's field."""
        kind = value.type.kind
        if in_struct and kind == "span" and value.type.item == "f32":
            # A list: reading a stream's events must not need NumPy.
            return f"convert.{'' if value.borrowed else 'take_'}numbers({pointer}, {length})"
        if kind in SEQUENCES or kind == "span":
            converter = SPANS[value.type.item][3] if kind == "span" else SEQUENCES[kind][3]
            expression = f"convert.{'' if value.borrowed else 'take_'}{converter}({pointer}, {length})"
            return f"{expression} if {pointer} else None" if value.nullable else expression
        if kind == "bool":
            return f"bool({pointer})"
        if kind in ("enum", "flags"):
            expression = f"{self.names.type(value.type.name)}({pointer})"
        elif kind in NUMBERS:
            expression = pointer
        else:
            raise UnsupportedError(f"{value.name or 'a result'}: a {kind} inside a result")
        return f"None if {pointer} == {value.unset!r} else {expression}" if value.unset is not None else expression

    def out_type(self, value: Value) -> str:
        """C type of the place for a result, without the final star."""
        kind, prefix = value.type.kind, self.api.prefix
        if kind == "span":
            return f"const {C_ELEMENTS[value.type.item]} *"
        if kind in ("str", "json"):
            return "const char *"
        if kind == "bytes":
            return "const uint8_t *"
        if kind in ("list", "map"):
            return f"const {prefix}_str *"
        if kind == "handle":
            return f"{prefix}_{value.type.name} *"
        return f"{prefix}_{value.type.name} " if kind == "struct" else f"{C_SCALARS[kind]} "

    def _callable(self, value: Value) -> str:
        callback = self.api.callbacks[value.type.name]
        arguments = ", ".join(self.result_annotation(parameter) for parameter in callback.params)
        if callback.returns is None:
            return f"Callable[[{arguments}], object]"
        result = self.result_annotation(callback.returns)
        return f"Callable[[{arguments}], {'bool | None' if result == 'bool' else result}]"

    def _literal(self, value: Value) -> str:
        kind = value.type.kind
        default: Any = value.default
        if kind == "enum":
            return f"{self.names.type(value.type.name)}.{self.names.constant(default)}"
        if kind == "flags" and isinstance(default, int):
            return f"{self.names.type(value.type.name)}({default})"
        if kind == "flags":
            words = [f"{self.names.type(value.type.name)}.{self.names.constant(name)}" for name in default]
            return " | ".join(words) or f"{self.names.type(value.type.name)}(0)"
        if kind in ("list", "span"):
            return 'b""' if value.type.item == "u8" and not default else repr(tuple(default))
        if kind == "str":
            return quoted(str(default))
        if kind in ("f32", "f64"):
            return repr(float(default)) if isfinite(default) else f'float("{float(default)}")'
        if kind in ("json", "bytes", "handle", "callback"):
            raise UnsupportedError(f"{value.name}: a default for {kind}")
        return repr(default)
