"""What a type of the description is in C, by the table in docs/abi/spec.md."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Type, Value

NUMBERS = {
    "bool": "int32_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "f32": "float",
    "f64": "double",
    "size": "size_t",
}
ELEMENTS = {"i32": "int32_t", "f32": "float", "u8": "uint8_t"}


@dataclass(frozen=True)
class Variable:
    """A C parameter or member."""

    type: str  # "const char *"
    name: str

    def __str__(self) -> str:
        return self.type + self.name if self.type.endswith("*") else f"{self.type} {self.name}"


def element(type_: Type, prefix: str) -> str:
    """C type of one element of a sequence."""
    if type_.kind in ("str", "json"):
        return "char"
    if type_.kind == "bytes":
        return "uint8_t"
    return ELEMENTS[type_.item] if type_.kind == "span" else f"{prefix}_str"


def scalar(type_: Type, prefix: str) -> str:
    """C type of a value that is neither a sequence nor an object."""
    return NUMBERS.get(type_.kind) or f"{prefix}_{type_.name}"


def variables(value: Value, api: Api) -> list[Variable]:
    """A parameter or a field: one variable, or two for a sequence or a callback."""
    name, type_, prefix = api.name_in("c", value.name), value.type, api.prefix
    if type_.is_sequence:
        return [Variable(f"const {element(type_, prefix)} *", name), Variable("size_t", f"{name}_len")]
    if type_.kind == "callback":
        return [Variable(f"{prefix}_{type_.name}", name), Variable("void *", f"{name}_user")]
    if type_.kind == "options":
        return [Variable(f"const {prefix}_{type_.name} *", name)]
    if type_.kind == "handle":
        return [Variable(f"{prefix}_{type_.name} *", name)]
    return [Variable(scalar(type_, prefix), name)]


def results(value: Value, api: Api) -> list[Variable]:
    """The out parameters of a fallible function's result."""
    type_, prefix = value.type, api.prefix
    if type_.is_sequence:
        return [Variable(f"const {element(type_, prefix)} **", "out"), Variable("size_t *", "out_len")]
    if type_.kind == "handle":
        return [Variable(f"{prefix}_{type_.name} **", "out")]
    return [Variable(f"{prefix}_{type_.name} *" if type_.kind == "struct" else f"{scalar(type_, prefix)} *", "out")]
