"""Rules for JSON objects and the routes that carry them."""

from __future__ import annotations

from typing import Any

from .. import json_words
from ..api import ObjectField, Shape
from .spec import Spec


def check(spec: Spec) -> None:
    objects = {name: data for _, name, data, _ in spec.things("objects")}
    fields: dict[str, list[ObjectField]] = {}
    for area, name, data, path in spec.things("objects"):
        fields[name] = _fields(spec, area.source, f"{path}.fields", data.get("fields", {}), objects)
    for area, name, data, path in spec.things("objects"):
        for other in data.get("includes", ()):
            if other not in objects:
                spec.messages.add(area.source, f"{path}.includes", f"there is no object {other}")
            elif "includes" in objects[other]:
                spec.messages.add(area.source, f"{path}.includes", f"{other} includes others itself; name those here")
            else:
                twins = {field.name for field in fields[name]} & {field.name for field in fields[other]}
                for twin in sorted(twins):
                    spec.messages.add(
                        area.source, f"{path}.fields.{twin}", f"is also a field of {other}, which it includes"
                    )
                fields[name] = fields[name] + [field for field in fields[other] if field.name not in twins]
        if not data.get("fields") and not data.get("includes"):
            spec.messages.add(area.source, path, "has no fields")
    for area, name, data, path in spec.things("objects"):
        for shortcut, one in data.get("shortcuts", {}).items():
            at = f"{path}.shortcuts.{shortcut}"
            if shortcut in {field.name for field in fields[name]}:
                spec.messages.add(area.source, at, "is also a field")
            try:
                shape = json_words.follow(one["path"], name, fields)[1]
                if shape.kind == "object":
                    text = f"is the object {shape}; a shortcut gives a value, so that nothing can be empty"
                    spec.messages.add(area.source, at, text)
            except ValueError as error:
                spec.messages.add(area.source, f"{at}.path", str(error))
    for area, name, data, path in spec.things("routes"):
        _route(spec, area.source, path, name, data, fields)


def _fields(spec: Spec, source: str, path: str, data: dict[str, Any], objects: dict[str, Any]) -> list[ObjectField]:
    """The fields that are right; messages about the others."""
    found = []
    for name, field in data.items():
        at = f"{path}.{name}"
        shape = json_words.parse(field["type"], objects)
        if shape is None:
            spec.messages.add(source, f"{at}.type", f'unknown type "{field["type"]}"')
            continue
        if ("min" in field or "max" in field) and shape.kind not in ("i64", "f64"):
            spec.messages.add(
                source, at, f"has min or max, but {shape} is no number; the size of texts and lists is max_size"
            )
        if "min" in field and "max" in field and field["min"] > field["max"]:
            spec.messages.add(source, at, f"min {field['min']} is above max {field['max']}")
        if "max_size" in field and not _has_size(shape):
            spec.messages.add(source, at, f"has max_size, but {shape} has no size")
        if "values" in field and shape.kind != "str":
            spec.messages.add(source, at, f"has values, but {shape} is no text")
        found.append(ObjectField(name, shape, field.get("doc", "")))
    return found


def _has_size(shape: Shape) -> bool:
    return shape.kind in ("str", "list") or (shape.kind == "union" and any(map(_has_size, shape.items)))


def _route(
    spec: Spec, source: str, path: str, name: str, data: dict[str, Any], fields: dict[str, list[ObjectField]]
) -> None:
    if data["on"] not in spec.handles:
        spec.messages.add(source, f"{path}.on", f"there is no handle {data['on']}")
    elif f"{data['on']}_request" not in spec.functions:
        spec.messages.add(source, f"{path}.on", f"{data['on']} has no function {data['on']}_request that would send it")
    for key in ("request", "answer", "piece"):
        if key in data and data[key] not in fields:
            spec.messages.add(source, f"{path}.{key}", f"there is no object {data[key]}")
    request = data.get("request", "")
    if request and request not in fields:
        return
    known = {field.name for field in fields.get(request, ())}
    for field in data.get("positional", ()):
        if field not in known:
            spec.messages.add(
                source, f"{path}.positional", f"{field} is no field of {request or 'the request, which has none'}"
            )
    if data.get("tools") and "tools" not in known:
        spec.messages.add(source, f"{path}.tools", f"{request or 'the request'} has no field tools")
