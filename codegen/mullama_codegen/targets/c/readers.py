"""The option readers in C++: defaults, and the checks of what a caller gave."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from ...api import Api, Enum, Struct, Value
from ...type_words import INTEGER_LIMITS
from .types import variables


@dataclass(frozen=True)
class Check:
    """One statement of a reader: `kind` selects its form in the template."""

    kind: str  # limit | enum | flags | bool | sequence | options
    member: str
    label: str  # what messages call it: generate_options.max_tokens
    condition: str = ""  # limit: when the value is refused; enum, flags: when it is checked at all
    rule: str = ""  # limit: "at least -1"
    type: str = ""  # enum, flags, options: name of the type


@dataclass(frozen=True)
class Reader:
    name: str  # generate_options
    defaults: list[tuple[str, str]]  # member, C++ expression
    checks: list[Check]


@dataclass(frozen=True)
class EnumCheck:
    """The function that refuses values outside an enum or flags set."""

    name: str
    is_flags: bool
    constants: list[str]
    choices: str


def readers(api: Api) -> list[Reader]:
    return [_reader(struct, api) for struct in api.structs.values() if struct.is_options]


def enum_checks(api: Api) -> list[EnumCheck]:
    """For every enum and flags set that callers give: in options or as a parameter."""
    values = [field for struct in api.structs.values() if struct.is_options for field in struct.fields]
    values += [param for function in api.functions for param in function.params]
    given = {value.type.name for value in values if value.type.kind in ("enum", "flags")}
    return [_enum_check(enum, api) for enum in api.enums.values() if enum.name in given]


def _enum_check(enum: Enum, api: Api) -> EnumCheck:
    constants = [f"{api.prefix}_{enum.name}_{member.name}".upper() for member in enum.members]
    choices = [f"{member.value} ({member.name})" for member in enum.members]
    text = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    return EnumCheck(
        enum.name, enum.is_flags, constants, f"a combination of {', '.join(choices)}" if enum.is_flags else text
    )


def _reader(struct: Struct, api: Api) -> Reader:
    defaults, checks = [], []
    for field in struct.fields:
        defaults += _defaults(field, api)
        checks += _checks(field, f"{struct.name}.{field.name}", api)
    return Reader(struct.name, defaults, checks)


def _defaults(field: Value, api: Api) -> list[tuple[str, str]]:
    """Members whose default is not zero."""
    names = [variable.name for variable in variables(field, api)]
    default = field.unset if field.default is None else field.default
    if not default:
        return []
    if field.type.is_sequence:
        return [(names[0], json.dumps(default, ensure_ascii=False)), (names[1], str(len(default.encode())))]
    if field.type.kind == "enum" and isinstance(default, str):
        return [(names[0], f"{api.prefix}_{field.type.name}_{default}".upper())]
    if field.type.kind == "flags":
        return [(names[0], " | ".join(f"{api.prefix}_{field.type.name}_{member}".upper() for member in default))]
    if field.type.kind == "bool":
        return [(names[0], "1")]
    return [(names[0], _number(default, field.type.kind))]


def _checks(field: Value, label: str, api: Api) -> list[Check]:
    kind, member = field.type.kind, variables(field, api)[0].name
    if kind in ("enum", "flags"):
        return [
            Check(
                kind,
                member,
                label,
                f"value.{member} != {field.unset}" if field.unset is not None else "",
                type=field.type.name,
            )
        ]
    if kind == "bool":
        return [Check(kind, member, label)]
    if kind == "options":
        return [Check(kind, member, label, type=field.type.name)]
    if field.type.is_sequence:
        return [Check("sequence", member, label)]
    condition = _refused(field, f"value.{member}")
    return [Check("limit", member, label, condition, _rule(field))] if condition else []


def _refused(field: Value, value: str) -> str:
    """The C++ condition under which a number is refused; "" if every number is fine."""
    kind, parts = field.type.kind, []
    if kind not in ("f32", "f64") and kind not in INTEGER_LIMITS:
        return ""
    if kind in ("f32", "f64") and field.finite:
        parts.append(f"!std::isfinite({value})")
    lowest, highest = INTEGER_LIMITS.get(kind, (None, None))
    if field.min is not None and (lowest is None or field.min > lowest):
        parts.append(f"{value} < {_number(field.min, kind)}")
    if field.max is not None and (highest is None or field.max < highest):
        parts.append(f"{value} > {_number(field.max, kind)}")
    condition = " || ".join(parts)
    if condition and field.unset is not None and not _within(field):
        condition = f"{value} != {_number(field.unset, kind)} && " + (f"({condition})" if len(parts) > 1 else condition)
    return condition


def _within(field: Value) -> bool:
    """Whether the value for "unset" is among those that are allowed anyway."""
    return (field.min is None or field.min <= field.unset) and (field.max is None or field.unset <= field.max)


def _rule(field: Value) -> str:
    """The end of the sentence "it must be ..."."""
    if field.min is not None and field.max is not None:
        rule = f"from {field.min} to {field.max}"
    else:
        parts = ["finite"] if field.type.kind in ("f32", "f64") and field.finite else []
        parts += [f"at least {field.min}"] if field.min is not None else []
        parts += [f"at most {field.max}"] if field.max is not None else []
        rule = " and ".join(parts)
    return rule + (f", or {field.unset} for unset" if field.unset is not None else "")


def _number(number: float | int, kind: str) -> str:
    if kind in ("f32", "f64"):
        if not math.isfinite(number):
            return "NAN" if math.isnan(number) else ("INFINITY" if number > 0 else "-INFINITY")
        return f"{float(number)!r}" + ("f" if kind == "f32" else "")
    if kind in ("u32", "u64", "size") and number >= 0:
        return f"{number}u" if number < 2**32 else f"UINT64_C({number})"
    return str(number) if -(2**31) < number < 2**31 else f"INT64_C({number})"
