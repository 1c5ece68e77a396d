"""How a value of each type enters C from PHP, and how it comes back."""

from __future__ import annotations

from math import isinf, isnan
from typing import Any

from ...api import NUMBERS, Api, Value
from .layout import quoted
from .names import Names

FLOATS = ("f32", "f64")
# kind or element of a span -> PHP type in, PHP doc type in, PHP type out, PHP doc type out, converter out
SEQUENCES = {
    "str": ("string", "string", "string", "string", "text"),
    "json": ("mixed", "mixed", "mixed", "mixed", "json"),
    "bytes": ("string", "string", "string", "string", "text"),
    "list": ("array", "list<string>", "array", "list<string>", "texts"),
    "map": ("", "", "array", "array<string, string>", "pairs"),
    "i32": ("array", "list<int>", "array", "list<int>", "ints"),
    "f32": ("array|Floats", "list<float>|Floats", "Floats", "Floats", "floats"),
    "u8": ("array|string", "list<int>|string", "string", "string", "text"),
}
CONVERTERS = {"i32": "fromInts", "f32": "fromFloats", "u8": "fromOctets", "list": "fromTexts", "json": "fromJson"}
PROTOTYPES = {"bool": "i32", "enum": "i32", "flags": "u64", "handle": "size"}
WIDE = 2**63  # PHP's integers end before it


class UnsupportedError(ValueError):
    """The description asks for something that this target does not have."""


def sequence_kind(value: Value) -> str:
    return value.type.item if value.type.kind == "span" else value.type.kind


class Types:
    def __init__(self, api: Api, names: Names) -> None:
        self.api = api
        self.names = names

    # Parameters

    def given(self, value: Value, documented: bool = False) -> str:
        """The type of a parameter, as PHP declares it or as a doc comment says it."""
        kind = value.type.kind
        if kind == "bool":
            word = "bool"
        elif kind in FLOATS:
            word = "float"
        elif kind == "u64":
            word = "int|numeric-string" if documented else "int|string"
        elif kind in (*NUMBERS, "flags"):
            word = "int"
        elif kind == "enum":
            word = f"{self.names.type(value.type.name)}|int"
        elif kind == "handle":
            word = self.names.type(value.type.name)
        elif kind == "callback":
            word = self._callable(value) if documented else "callable"
        elif value.type.is_sequence and SEQUENCES[sequence_kind(value)][0]:
            word = SEQUENCES[sequence_kind(value)][int(documented)]
        else:
            raise UnsupportedError(f"{value.name}: a parameter of type {kind}")
        return self._or_null(word, self.may_be_null(value))

    @staticmethod
    def may_be_null(value: Value) -> bool:
        return value.nullable or value.unset is not None or (value.optional and value.type.kind == "handle")

    def default(self, value: Value, in_options: bool) -> str | None:
        """The default as PHP writes it; None where the caller must give the value."""
        kind = value.type.kind
        if value.has_default and value.default is not None:
            return self._literal(value)
        if self.may_be_null(value):
            return "null"
        if not in_options and not value.has_default:
            return None
        if kind in ("list", "span"):
            return "''" if value.type.item == "u8" else "[]"
        if kind in ("str", "bytes"):
            return "''"
        raise UnsupportedError(f"{value.name}: a {kind} without a default")

    def into(self, value: Value, name: str) -> str:
        """An expression of one C argument: a number, or the bytes of a sequence as a PHP string or C array."""
        kind, variable, shown = value.type.kind, f"${name}", quoted(name)
        if kind == "bool":
            return f"(int) {variable}"
        if kind in ("i32", "u32", "u64", "size"):
            expression = f"Native::{kind}({variable}, {shown})"
        elif kind == "enum":
            given = variable if value.unset is None else f"{variable} ?? {value.unset}"
            return f"Native::enum({variable}, {shown})" if given == variable else f"Native::enum({given}, {shown})"
        elif kind == "handle":
            return f"{variable}?->handle ?? 0" if self.may_be_null(value) else f"{variable}->handle"
        elif value.type.is_sequence:
            convert = CONVERTERS.get(sequence_kind(value))
            expression = f"Native::{convert}({variable}, {shown})" if convert else variable
        else:
            expression = variable
        if value.unset is not None:
            if expression == variable:
                return f"{variable} ?? {self._number(value, value.unset)}"
            return f"{variable} === null ? {self._number(value, value.unset)} : {expression}"
        if self.may_be_null(value) and expression != variable:
            return f"{variable} === null ? null : {expression}"
        return expression

    def sequence(self, value: Value, name: str) -> tuple[list[str], str, str]:
        """Statements before the call, and the two C arguments of a sequence: what is counted in items is counted as given."""
        expression = self.into(value, name)
        if sequence_kind(value) in ("i32", "f32", "list"):
            return [], expression, f"\\count(${name} ?? [])" if self.may_be_null(value) else f"\\count(${name})"
        length = f"\\strlen(${name} ?? '')" if self.may_be_null(value) else f"\\strlen(${name})"
        return [] if expression == f"${name}" else [f"${name} = {expression};"], f"${name}", length

    # Results

    def found(self, value: Value | None, documented: bool = False, in_record: bool = False) -> str:
        """The type of a result, of a record's property or of a callback's argument."""
        if value is None:
            return "void"
        kind = value.type.kind
        if kind == "bool":
            word = "bool"
        elif kind in FLOATS:
            word = "float"
        elif kind == "u64" or (kind == "size" and in_record):
            word = "int|numeric-string" if documented else "int|string"
        elif kind in (*NUMBERS, "flags"):
            word = "int"
        elif kind == "enum":
            word = f"{self.names.type(value.type.name)}|int"
        elif in_record and sequence_kind(value) == "f32":
            word = "list<float>" if documented else "array"
        elif value.type.is_sequence:
            word = SEQUENCES[sequence_kind(value)][3 if documented else 2]
        else:
            word = self.names.type(value.type.name)
        return self._or_null(word, self.may_be_null(value))

    def out(self, value: Value, c: str, length: str, in_record: bool = False) -> str:
        """An expression that makes the PHP value of a result, a struct's field or a callback's argument."""
        kind = value.type.kind
        if value.type.is_sequence:
            word = sequence_kind(value)
            converter = "numbers" if in_record and word == "f32" else SEQUENCES[word][4]
            expression = f"Native::{converter}({c}, {length})"
            return f"{c} === null ? null : {expression}" if value.nullable else expression
        if kind == "bool":
            return f"{c} !== 0"
        if kind == "enum":
            expression = f"{self.names.type(value.type.name)}::tryFrom({c}) ?? {c}"
        elif kind == "u64" or (kind == "size" and in_record):
            expression = f"Native::unsigned({c})"
        elif kind == "size":
            expression = f"Native::count({c})"
        elif kind in (*NUMBERS, "flags"):
            expression = c
        else:
            raise UnsupportedError(f"{value.name or 'a result'}: a {kind} inside a result")
        if value.unset is None:
            return expression
        return f"{c} === {self._number(value, value.unset)} ? null : {expression}"

    @staticmethod
    def prototype(value: Value) -> str:
        """Which of Native's objects is copied for the place of a result that is no struct."""
        if value.type.is_sequence:
            return "ints" if sequence_kind(value) == "i32" else "pointer"
        return PROTOTYPES.get(value.type.kind, value.type.kind)

    def callback_arguments(self, value: Value) -> list[str]:
        callback = self.api.callbacks[value.type.name]
        return [f"{self.found(parameter)} ${self.names.plain(parameter.name)}" for parameter in callback.params]

    def _callable(self, value: Value) -> str:
        callback = self.api.callbacks[value.type.name]
        returns = "mixed" if callback.returns is None else self.found(callback.returns)
        result = "?bool" if returns == "bool" else returns
        word = f"callable({', '.join(self.callback_arguments(value))}): {result}"
        return f"({word})" if self.may_be_null(value) else word

    @staticmethod
    def _or_null(word: str, nullable: bool) -> str:
        if not nullable or word == "mixed":
            return word
        return f"{word}|null" if "|" in word or word.startswith("(") else f"?{word}"

    @staticmethod
    def _number(value: Value, number: Any, in_c: bool = True) -> str:
        """A number as PHP reads it; integers beyond its own are texts, and bits where they go to C."""
        if value.type.kind in FLOATS:
            if isinf(number) or isnan(number):
                return "\\NAN" if isnan(number) else "\\INF" if number > 0 else "-\\INF"
            return repr(float(number))
        if number >= WIDE:
            return repr(number - 2 * WIDE) if in_c else quoted(str(number))
        return "\\PHP_INT_MIN" if number == -WIDE else repr(number)

    def _literal(self, value: Value) -> str:
        kind = value.type.kind
        default: Any = value.default
        if kind == "enum":
            return f"{self.names.type(value.type.name)}::{self.names.case(default)}"
        if kind == "flags":
            if isinstance(default, int):
                return str(default)
            bits = [f"{self.names.type(value.type.name)}::{self.names.flag(name)}" for name in default]
            return " | ".join(bits) or "0"
        if kind == "bool":
            return "true" if default else "false"
        if kind in NUMBERS:
            return self._number(value, default, in_c=False)
        if kind == "str":
            return quoted(str(default))
        if kind == "list":
            return f"[{', '.join(quoted(item) for item in default)}]"
        if kind == "span":
            return "''" if value.type.item == "u8" and not default else repr(list(default))
        raise UnsupportedError(f"{value.name}: a default for {kind}")
