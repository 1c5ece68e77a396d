"""The tables by which the library checks the fields of requests."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, ObjectField, Shape

TYPES = {
    "bool": "boolean",
    "i64": "integer",
    "f64": "number",
    "str": "text",
    "list": "array",
    "map": "object",
    "object": "object",
    "json": "any",
}
LONGEST_WORD = 64  # bytes of a text of a closed set that a message repeats
UNIONS = {frozenset(("text", "array")): "text_or_array", frozenset(("text", "object")): "object_or_text"}


@dataclass(frozen=True)
class Table:
    """What one request may hold."""

    name: str
    doc: str
    rows: list[str]


def tables(api: Api) -> list[Table]:
    """One for each request object of a route, and for each object in one."""
    names = [route.request for route in api.routes if route.request]
    for name in names:  # grows
        names += [inner for field in api.objects[name].fields for inner in _objects(field.shape) if inner not in names]
    return [
        Table(f"{name}_fields", api.objects[name].doc, [_row(one) for one in api.objects[name].fields])
        for name in dict.fromkeys(names)
    ]


def _objects(shape: Shape) -> list[str]:
    if shape.kind == "object":
        return [shape.name]
    return [name for item in shape.items for name in _objects(item)]


def _row(field: ObjectField) -> str:
    kind = _type(field.shape)
    row = f'"{field.name}", field_type::{kind}'
    if kind in ("integer", "number"):
        low = -1.7976931348623157e308 if field.min is None else field.min
        high = 1.7976931348623157e308 if field.max is None else field.max
        row += f", {low}, {high}"
    elif field.max_size or field.values:
        row += f", 0, {field.max_size or LONGEST_WORD}"
    return f"{{{row}}}"


def _type(shape: Shape) -> str:
    if shape.kind == "union":
        return UNIONS.get(frozenset(_type(item) for item in shape.items), "any")
    return TYPES[shape.kind]
