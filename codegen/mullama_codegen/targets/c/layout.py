"""Size and offset of every struct on 64-bit systems: each member at the next multiple of its own size."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Struct
from .types import Variable, variables

_SIZES = {"int32_t": 4, "uint32_t": 4, "float": 4, "int64_t": 8, "uint64_t": 8, "double": 8, "size_t": 8}


@dataclass(frozen=True)
class Layout:
    size: int
    offsets: dict[str, int]  # member → offset


def members(struct: Struct, api: Api) -> list[Variable]:
    """All C members, `struct_size` first."""
    return [
        Variable("uint32_t", "struct_size"),
        *(variable for field in struct.fields for variable in variables(field, api)),
    ]


def layout(struct: Struct, api: Api) -> Layout:
    offsets, end, largest = {}, 0, 1
    for member in members(struct, api):
        size = _size(member, api)
        largest = max(largest, size)
        end = -(-end // size) * size
        offsets[member.name] = end
        end += size
    return Layout(-(-end // largest) * largest, offsets)


def _size(member: Variable, api: Api) -> int:
    if member.type.endswith("*"):
        return 8
    if member.type in _SIZES:
        return _SIZES[member.type]
    return 8 if api.enums[member.type.removeprefix(f"{api.prefix}_")].is_flags else 4
