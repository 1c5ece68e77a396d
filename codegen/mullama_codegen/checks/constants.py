"""Rules for error codes, enums and flags: numbers that may never change."""

from __future__ import annotations

from .spec import Spec

IMPLIED = ("INVALID_ARGUMENT", "INTERNAL")


def check(spec: Spec) -> None:
    _codes(spec)
    for section in ("enums", "flags"):
        for area, _, data, path in spec.things(section):
            seen: dict[int, str] = {}
            for member, entry in data["values"].items():
                at, value = f"{path}.values.{member}", entry["value"]
                if value in seen:
                    spec.messages.add(area.source, at, f"{value} is already {seen[value]}")
                seen.setdefault(value, member)
                if section == "enums":
                    if not -(2**31) <= value < 2**31:
                        spec.messages.add(area.source, at, f"{value} does not fit into 32 bits")
                    if "combined" in entry:
                        spec.messages.add(area.source, at, "combined is for flags")
                elif not 0 < value < 2**63:
                    spec.messages.add(area.source, at, f"{value} is not within the 63 bits that flags may use")
                elif value & (value - 1) and not entry.get("combined"):
                    spec.messages.add(
                        area.source, at, f"{value} is not a single bit; mark a combination with combined: true"
                    )


def _codes(spec: Spec) -> None:
    source = spec.raw.source
    seen: dict[int, str] = {}
    names: set[str] = set()
    last_first = 0
    for family, data in spec.raw.data["families"].items():
        first = data["first"]
        if first <= last_first:
            spec.messages.add(
                source,
                f"families.{family}.first",
                f"{first} does not follow {last_first}; families stand in ascending order",
            )
        last_first, last = first, first
        for name, code in data["codes"].items():
            at, value = f"families.{family}.codes.{name}", code["value"]
            if name in names:
                spec.messages.add(source, at, "is declared twice")
            names.add(name)
            if value in seen:
                spec.messages.add(source, at, f"{value} is already {seen[value]}")
            elif not first <= value < first + 1000:
                spec.messages.add(source, at, f"{value} is outside its family, {first} to {first + 999}")
            elif value < last:
                spec.messages.add(source, at, f"{value} follows {last}; codes stand in ascending order")
            seen.setdefault(value, name)
            last = value
    for name in IMPLIED:
        if name not in names:
            spec.messages.add(source, "families", f"lacks {name}, which every fallible function may give")
