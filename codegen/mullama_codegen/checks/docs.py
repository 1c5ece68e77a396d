"""Rules for docs, references in them, and `since`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import references
from .spec import Spec

DOCUMENTED = ("enums", "flags", "structs", "options", "callbacks", "handles", "functions", "objects", "routes")


def check(spec: Spec) -> None:
    known = _known(spec)
    newest = _version(spec.raw.data["version"])
    for source, path, data in _documented(spec):
        doc = data.get("doc", "").strip()
        at = f"{path}." if path else ""
        if not doc:
            spec.messages.add(source, f"{at}doc", "is missing" if "doc" not in data else "is empty")
        for text_key in ("doc", "deprecated", "borrowed"):
            for name in references.names(data.get(text_key, "")):
                if name not in known:
                    spec.messages.add(source, f"{at}{text_key}", f"[[{name}]] does not exist")
        if "since" in data and _version(data["since"]) > newest:
            spec.messages.add(
                source, f"{at}since", f"{data['since']} is newer than the API, {spec.raw.data['version']}"
            )


def _documented(spec: Spec) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Everything public: source, path, data."""
    yield spec.raw.source, "", spec.raw.data
    for family, data in spec.raw.data["families"].items():
        yield spec.raw.source, f"families.{family}", data
        for name, code in data["codes"].items():
            yield spec.raw.source, f"families.{family}.codes.{name}", code
    for area in spec.raw.areas:
        yield area.source, "", area.data
    for section in DOCUMENTED:
        for area, _, data, path in spec.things(section):
            yield area.source, path, data
            for member, entry in data.get("values", {}).items():
                yield area.source, f"{path}.values.{member}", entry
            if section == "objects":
                for key in ("fields", "shortcuts"):
                    for member, entry in data.get(key, {}).items():
                        yield area.source, f"{path}.{key}.{member}", entry
    for place in spec.places():
        yield place.source, place.path, place.data


def _known(spec: Spec) -> set[str]:
    names = {*references.ALWAYS_THERE, *references.STATUSES, *spec.codes, *spec.kinds, *spec.functions}
    names |= {f"{name}_{ending}" for name in spec.handles for ending in ("close", "free")}
    for section, key in (
        ("enums", "values"),
        ("flags", "values"),
        ("structs", "fields"),
        ("options", "fields"),
        ("functions", "params"),
    ):
        for _, name, data, _ in spec.things(section):
            names |= {f"{name}.{member}" for member in data.get(key, {})}
    return names


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
