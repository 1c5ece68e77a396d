"""Turns a checked description into the dataclasses of api.py, and is the one front door: `load_api`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import check, json_words, load, type_words
from .api import (
    Api,
    Area,
    Callback,
    Constant,
    Enum,
    ErrorCode,
    ErrorFamily,
    Function,
    Handle,
    Object,
    ObjectField,
    Route,
    Shape,
    Shortcut,
    Struct,
    TextGeneration,
    Value,
)

FIRST_VERSION = "0.1"


def load_api(spec: Path, root: Path = load.REPOSITORY) -> Api:
    """The API that a folder of description files defines. Raises SpecError with every mistake in it."""
    raw = load.load(spec, root)
    check.check(raw)
    return _Builder(raw).api()


class _Builder:
    def __init__(self, raw: load.RawSpec) -> None:
        self.raw = raw
        self.kinds = type_words.declared_kinds([area.data for area in raw.areas])
        areas = [area.data for area in raw.areas]
        self.objects = {name: data for area in areas for name, data in area.get("objects", {}).items()}
        self.fields = {name: self._object_fields(name) for name in self.objects}
        routes = [route for area in areas for route in area.get("routes", {}).values()]
        self.in_requests = self._reached({route["request"] for route in routes if "request" in route})
        self.in_answers = self._reached({route[key] for route in routes for key in ("answer", "piece") if key in route})

    def api(self) -> Api:
        data = self.raw.data
        families = data["families"].items()
        return Api(
            name=data["name"],
            prefix=data["prefix"],
            version=data["version"],
            doc=data["doc"],
            families=tuple(ErrorFamily(name, family["first"], family["doc"]) for name, family in families),
            codes=tuple(
                ErrorCode(name, code["value"], family_name, code["doc"], _since(code))
                for family_name, family in families
                for name, code in family["codes"].items()
            ),
            areas=tuple(self._area(area) for area in self.raw.areas),
            names={
                language: {name: exception["name"] for name, exception in exceptions.items()}
                for language, (_, exceptions) in self.raw.names.items()
            },
            folder=self.raw.folder,
        )

    def _area(self, area: load.RawArea) -> Area:
        data = area.data
        return Area(
            name=data["area"],
            doc=data["doc"],
            source=area.source,
            enums=(*self._constants(data.get("enums"), False), *self._constants(data.get("flags"), True)),
            structs=(*self._structs(data.get("structs"), False), *self._structs(data.get("options"), True)),
            callbacks=tuple(self._callback(name, callback) for name, callback in data.get("callbacks", {}).items()),
            handles=tuple(
                Handle(name, handle["doc"], handle["thread"], handle.get("keeps_alive", ""), _since(handle))
                for name, handle in data.get("handles", {}).items()
            ),
            functions=tuple(
                self._function(name, function, data["area"]) for name, function in data.get("functions", {}).items()
            ),
            objects=tuple(self._object(name, one) for name, one in data.get("objects", {}).items()),
            routes=tuple(self._route(name, route, data["area"]) for name, route in data.get("routes", {}).items()),
        )

    def _object(self, name: str, data: dict[str, Any]) -> Object:
        shortcuts = []
        for shortcut, one in data.get("shortcuts", {}).items():
            path, shape = json_words.follow(one["path"], name, self.fields)
            shortcuts.append(Shortcut(shortcut, path, shape, one["doc"]))
        return Object(
            name=name,
            doc=data["doc"],
            fields=self.fields[name],
            shortcuts=tuple(shortcuts),
            in_requests=name in self.in_requests,
            in_answers=name in self.in_answers,
            since=_since(data),
        )

    def _object_fields(self, name: str) -> tuple[ObjectField, ...]:
        """Its own fields, then those that it includes."""
        data = self.objects[name]
        own = tuple(self._object_field(field, one) for field, one in data.get("fields", {}).items())
        return own + tuple(field for other in data.get("includes", ()) for field in self._object_fields(other))

    def _object_field(self, name: str, data: dict[str, Any]) -> ObjectField:
        shape = json_words.parse(data["type"], self.objects)
        if shape is None:
            raise ValueError(f"{name}: unknown type {data['type']}, which the checks let through")
        return ObjectField(
            name=name,
            shape=shape,
            doc=data["doc"],
            optional=data.get("optional", False),
            values=tuple(data.get("values", ())),
            min=data.get("min"),
            max=data.get("max"),
            max_size=data.get("max_size"),
            raw=data.get("raw", False),
            unit=data.get("unit", ""),
            since=_since(data),
        )

    def _reached(self, names: set[str]) -> set[str]:
        """The objects that can stand inside the named ones, and these."""
        found: set[str] = set()
        while names:
            name = names.pop()
            found.add(name)
            names |= {inner for field in self.fields[name] for inner in _object_names(field.shape)} - found
        return found

    def _route(self, name: str, data: dict[str, Any], area: str) -> Route:
        return Route(
            name=name,
            doc=data["doc"],
            area=area,
            on=data["on"],
            route=data["route"],
            answer=data["answer"],
            request=data.get("request", ""),
            piece=data.get("piece", ""),
            positional=tuple(data.get("positional", ())),
            tools=data.get("tools", False),
            since=_since(data),
        )

    def _constants(self, sets: dict[str, Any] | None, is_flags: bool) -> tuple[Enum, ...]:
        return tuple(
            Enum(
                name,
                one["doc"],
                tuple(
                    Constant(member, value["value"], value["doc"], _since(value), value.get("combined", False))
                    for member, value in one["values"].items()
                ),
                is_flags,
                _since(one),
            )
            for name, one in (sets or {}).items()
        )

    def _structs(self, structs: dict[str, Any] | None, is_options: bool) -> tuple[Struct, ...]:
        return tuple(
            Struct(name, struct["doc"], self._values(struct["fields"]), is_options, _since(struct))
            for name, struct in (structs or {}).items()
        )

    def _callback(self, name: str, data: dict[str, Any]) -> Callback:
        returns = self._value("", data["returns"]) if "returns" in data else None
        return Callback(name, data["doc"], self._values(data.get("params", {})), returns, _since(data))

    def _function(self, name: str, data: dict[str, Any], area: str) -> Function:
        whole_text = data.get("text_generation")
        return Function(
            name=name,
            doc=data["doc"],
            area=area,
            on=data.get("on", ""),
            static=data.get("static", False),
            constructor=data.get("constructor", False),
            property=data.get("property", False),
            params=self._values(data.get("params", {})),
            returns=self._value("", data["returns"]) if "returns" in data else None,
            fallible="errors" in data,
            errors=tuple(data.get("errors", ())),
            blocking=data.get("blocking", ""),
            any_thread=data.get("any_thread", False),
            stream_of=data.get("stream_of", ""),
            run_of="run_of" in data,
            cancel=data.get("cancel", ""),
            text_generation=TextGeneration(**whole_text) if whole_text else None,
            examples=tuple(data.get("examples", ())),
            since=_since(data),
            deprecated=data.get("deprecated", ""),
        )

    def _values(self, values: dict[str, Any]) -> tuple[Value, ...]:
        return tuple(self._value(name, value) for name, value in values.items())

    def _value(self, name: str, data: dict[str, Any]) -> Value:
        type_ = type_words.parse(data["type"], self.kinds)
        if type_ is None:
            raise ValueError(f"{name}: unknown type {data['type']}, which the checks let through")
        default = data.get("default")
        if type_.kind == "flags" and default == 0:
            default = []
        return Value(
            name=name,
            type=type_,
            doc=data["doc"],
            default=default,
            has_default="default" in data,
            nullable=data.get("nullable", False),
            optional=data.get("optional", False),
            unset=data.get("unset"),
            min=data.get("min"),
            max=data.get("max"),
            finite=data.get("finite", True),
            unit=data.get("unit", ""),
            shape=data.get("shape", ""),
            borrowed=data.get("borrowed", ""),
            is_file=data.get("file", False),
            since=_since(data),
        )


def _object_names(shape: Shape) -> set[str]:
    return {shape.name} if shape.kind == "object" else {name for item in shape.items for name in _object_names(item)}


def _since(data: dict[str, Any]) -> str:
    return str(data.get("since", FIRST_VERSION))
