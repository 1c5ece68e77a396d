"""Rules for parameters, fields and results: which types and keys may stand where, and what a default may be."""

from __future__ import annotations

import math
from typing import Any

from ..api import NUMBERS, Type
from ..type_words import INTEGER_LIMITS
from .spec import Place, Spec

FLOATS = ("f32", "f64")
SCALARS = ("bool", *NUMBERS, "enum", "flags")
ALLOWED = {
    "parameter": (*SCALARS, "str", "json", "bytes", "span", "list", "options", "handle", "callback"),
    "option": (*SCALARS, "str", "json", "bytes", "span", "list", "options", "handle"),
    "field": (*SCALARS, "str", "json", "bytes", "span", "list", "map"),
    "result": (*SCALARS, "str", "json", "bytes", "span", "list", "map", "struct", "handle"),
    "callback parameter": (*SCALARS, "str"),
    "callback result": SCALARS,
}
INPUTS = ("parameter", "option")


def check(spec: Spec) -> None:
    for place in spec.places():
        type_ = spec.type(place.data["type"])
        if type_ is None:
            spec.messages.add(place.source, place.path, f'unknown type "{place.data["type"]}"')
        elif type_.kind not in ALLOWED[place.where]:
            spec.messages.add(
                place.source, place.path, f'a {place.where} cannot be a {type_.kind} ("{place.data["type"]}")'
            )
        else:
            _Value(spec, place, type_).check()


class _Value:
    """One value and everything that can be wrong with it."""

    def __init__(self, spec: Spec, place: Place, type_: Type) -> None:
        self.spec, self.place, self.type, self.data = spec, place, type_, place.data
        self.kind = type_.kind

    def wrong(self, text: str, key: str = "") -> None:
        self.spec.messages.add(self.place.source, self.place.path + (f".{key}" if key else ""), text)

    def check(self) -> None:
        self._declared_before()
        self._keys()
        self._limits()
        if "default" in self.data:
            self._default(self.data["default"])
        elif self.place.where == "option" and not self._may_be_left_out():
            self.wrong("needs a default: options can be left out")

    def _declared_before(self) -> None:
        """C declares things before they are used."""
        if not self.type.name:
            return
        if self.place.where in ("parameter", "result"):
            late = self.spec.area_of[self.type.name] > self.spec.area_of_function[self.place.owner]
        else:
            late = self.spec.declared_at[self.type.name] >= self.spec.declared_at[self.place.owner]
        if late:
            self.wrong(f"{self.type.name} is declared later; C needs it first")

    def _keys(self) -> None:
        data, where = self.data, self.place.where
        if self.kind == "span" and "shape" not in data:
            self.wrong("needs a shape")
        if self.kind != "span" and "shape" in data:
            self.wrong("is for spans", "shape")
        if "default" in data and where not in INPUTS:
            self.wrong("is for parameters and options", "default")
        if data.get("optional") and (where != "parameter" or self.kind not in ("options", "handle")):
            self.wrong("is for parameters that are options or handles", "optional")
        if data.get("nullable") and not (self.type.is_sequence or self.kind in ("handle", "callback")):
            self.wrong(f"a {self.kind} cannot be NULL; numbers have unset, options have optional", "nullable")
        if "borrowed" in data and (where not in ("field", "result") or not self.type.is_sequence):
            self.wrong("is for texts and arrays that the library gives", "borrowed")
        if where == "field" and self.type.is_sequence and "borrowed" not in data:
            self.wrong("needs borrowed: nobody frees the fields of a struct")
        if where == "option" and self.kind == "handle" and not data.get("nullable"):
            self.wrong("needs nullable: options can be left out")

    def _limits(self) -> None:
        data = self.data
        if "file" in data and self.kind not in ("str", "list"):
            self.wrong("is for str and list<str>", "file")
        if "finite" in data and self.kind not in FLOATS:
            self.wrong("is for f32 and f64", "finite")
        if "unset" in data and self.kind not in (*NUMBERS, "enum"):
            self.wrong("is for numbers and enums", "unset")
        for key in ("min", "max"):
            if key in data and self.kind not in NUMBERS:
                self.wrong("is for numbers", key)
        for key in ("min", "max", "unset"):
            if key in data and self.kind in INTEGER_LIMITS:
                self._integer(data[key], key)
            elif key in data and self.kind in FLOATS and not math.isfinite(data[key]):
                self.wrong("must be finite", key)
        if data.get("min", -math.inf) > data.get("max", math.inf):
            self.wrong(f"{data['min']} is above max, {data['max']}", "min")
        if self.kind == "enum" and "unset" in data and data["unset"] in self._enum_values():
            self.wrong(f"{data['unset']} is a member of {self.type.name}", "unset")

    def _may_be_left_out(self) -> bool:
        return self.type.is_sequence or self.kind in ("options", "handle") or "unset" in self.data

    def _default(self, default: Any) -> None:
        if default is None:
            if not self.data.get("nullable") and "unset" not in self.data:
                self.wrong("null needs nullable or unset", "default")
        elif self.kind == "bool":
            self._is(isinstance(default, bool), default, "true or false")
        elif self.kind in INTEGER_LIMITS:
            if self._integer(default, "default"):
                self._within(default)
        elif self.kind in FLOATS:
            if self._is(_is_number(default), default, "a number"):
                if not math.isfinite(default) and self.data.get("finite", True):
                    self.wrong(f"{default} is not finite", "default")
                self._within(default)
        elif self.kind == "str":
            self._is(isinstance(default, str), default, "a text")
        elif self.kind in ("list", "span", "bytes"):
            self._is(default == [], default, "[]")
        elif self.kind == "enum":
            self._is(default in self.spec.members(self.type.name), default, f"a member of {self.type.name}")
        elif self.kind == "flags":
            members = self.spec.members(self.type.name)
            fits = (default == 0 and default is not False) or (
                isinstance(default, list) and all(member in members for member in default)
            )
            self._is(fits, default, f"0 or a list of members of {self.type.name}")
        else:
            self.wrong(f"a {self.kind} can only default to null", "default")

    def _is(self, fits: bool, default: Any, what: str) -> bool:
        if not fits:
            self.wrong(f"{default!r} is not {what}".replace("'", '"'), "default")
        return fits

    def _integer(self, number: Any, key: str) -> bool:
        lowest, highest = INTEGER_LIMITS[self.kind]
        if not isinstance(number, int) or isinstance(number, bool):
            self.wrong(f"{number!r} is not a whole number".replace("'", '"'), key)
            return False
        if not lowest <= number <= highest:
            self.wrong(f"{number} does not fit into {self.kind}", key)
            return False
        return True

    def _within(self, default: float) -> None:
        """A default must be a value that callers may give. (`unset` may lie outside: it is no value.)"""
        if default != self.data.get("unset"):
            if default < self.data.get("min", -math.inf):
                self.wrong(f"{default} is below min, {self.data['min']}", "default")
            if default > self.data.get("max", math.inf):
                self.wrong(f"{default} is above max, {self.data['max']}", "default")

    def _enum_values(self) -> list[int]:
        for _, name, data, _ in self.spec.things("enums"):
            if name == self.type.name:
                return [entry["value"] for entry in data["values"].values()]
        return []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
