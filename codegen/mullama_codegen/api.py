"""The checked description as frozen dataclasses: the only thing that targets see. Words as in docs/abi/spec.md."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from typing import Any

NUMBERS = ("i32", "i64", "u32", "u64", "f32", "f64", "size")
SEQUENCES = ("str", "json", "bytes", "span", "list", "map")


@dataclass(frozen=True)
class Type:
    """A type word: `kind` is bool, a number, str, json, bytes, span, list, map, enum, flags, struct, options, handle, callback, status."""

    kind: str
    name: str = ""  # of the enum, flags, struct, options, handle or callback
    item: str = ""  # element of a span (i32, f32, u8), list or map (str)

    @property
    def is_sequence(self) -> bool:
        """Whether C shows it as pointer and length."""
        return self.kind in SEQUENCES


@dataclass(frozen=True)
class Value:
    """A parameter, a struct field or a result."""

    name: str
    type: Type
    doc: str
    default: Any = None  # as in YAML: an enum's member by name, flags as a list of members
    has_default: bool = False
    nullable: bool = False
    optional: bool = False
    unset: Any = None  # the C value that stands for "not given"
    min: float | int | None = None
    max: float | int | None = None
    finite: bool = True
    unit: str = ""
    shape: str = ""
    borrowed: str = ""  # until when; "" means owned
    is_file: bool = False  # a text, or texts, that name files
    since: str = "0.1"


@dataclass(frozen=True)
class Constant:
    """One enum or flags member."""

    name: str  # snake_case
    value: int
    doc: str
    since: str = "0.1"
    combined: bool = False  # a flags member of several bits


@dataclass(frozen=True)
class Enum:
    name: str
    doc: str
    members: tuple[Constant, ...]
    is_flags: bool = False
    since: str = "0.1"


@dataclass(frozen=True)
class Struct:
    name: str
    doc: str
    fields: tuple[Value, ...]
    is_options: bool = False
    since: str = "0.1"


@dataclass(frozen=True)
class Callback:
    name: str
    doc: str
    params: tuple[Value, ...]
    returns: Value | None
    since: str = "0.1"


@dataclass(frozen=True)
class Handle:
    name: str
    doc: str
    thread: str  # shared | exclusive
    keeps_alive: str = ""
    since: str = "0.1"


@dataclass(frozen=True)
class TextGeneration:
    """Method names that a starting function gives: the handle itself, the whole text, the pieces."""

    start: str
    whole: str
    pieces: str


@dataclass(frozen=True)
class Function:
    name: str  # without the API's prefix: model_tokenize
    doc: str
    area: str
    on: str = ""
    static: bool = False
    constructor: bool = False
    property: bool = False
    params: tuple[Value, ...] = ()
    returns: Value | None = None
    fallible: bool = False
    errors: tuple[str, ...] = ()
    blocking: str = ""  # "" | cpu | io
    any_thread: bool = False
    stream_of: str = ""
    run_of: bool = False
    cancel: str = ""
    text_generation: TextGeneration | None = None
    examples: tuple[dict[str, Any], ...] = ()  # steps of conformance cases, without what they are called on
    since: str = "0.1"
    deprecated: str = ""

    @builtins.property  # the field above hides the plain name
    def method(self) -> str:
        """The name in a language with classes, before case conversion; properties lose their `get_`."""
        name = self.name.removeprefix(self.on + "_") if self.on else self.name
        return name.removeprefix("get_") if self.property else name


@dataclass(frozen=True)
class Shape:
    """What a JSON value is: `kind` is str, bool, i64, f64, json (anything), list, map, object or union."""

    kind: str
    name: str = ""  # of the object
    items: tuple[Shape, ...] = ()  # what a list or map holds; what a union may be

    @builtins.property
    def item(self) -> Shape:
        """What a list or map holds."""
        return self.items[0]

    def __str__(self) -> str:
        """The word of the description."""
        if self.kind == "union":
            return " | ".join(map(str, self.items))
        return f"{self.kind}<{self.item}>" if self.items else self.name or self.kind


@dataclass(frozen=True)
class ObjectField:
    """A field of a JSON object."""

    name: str
    shape: Shape
    doc: str
    optional: bool = False  # may be left out, or null
    values: tuple[str, ...] = ()  # what a text may be, where the set is closed
    min: float | int | None = None
    max: float | int | None = None
    max_size: int | None = None  # bytes of a text, items of a list
    raw: bool = False  # for callers of the raw request; no language's types have it
    unit: str = ""
    since: str = "0.1"


@dataclass(frozen=True)
class Shortcut:
    """A value inside an object that many ask for; none where the path is not there."""

    name: str
    path: tuple[str | int, ...]  # names of fields, places in lists
    shape: Shape
    doc: str


@dataclass(frozen=True)
class Object:
    """A JSON object of requests or answers, with the fields that it includes from others."""

    name: str
    doc: str
    fields: tuple[ObjectField, ...]
    shortcuts: tuple[Shortcut, ...] = ()
    in_requests: bool = False
    in_answers: bool = False
    since: str = "0.1"

    @builtins.property
    def typed_fields(self) -> list[ObjectField]:
        """Those of the languages' types: all but the fields for callers of the raw request."""
        return [field for field in self.fields if not field.raw]


@dataclass(frozen=True)
class Route:
    """A method that sends a request to a handle's `request` function, and gives the answer as an object."""

    name: str  # of the method
    doc: str
    area: str
    on: str
    route: str
    answer: str  # object
    request: str = ""  # object; "": there is nothing to say
    piece: str = ""  # object of a streamed answer; "": it is not streamed
    positional: tuple[str, ...] = ()  # fields of the request that must be given, in order
    tools: bool = False  # whether functions of the language may stand among the field `tools`
    since: str = "0.1"


@dataclass(frozen=True)
class ErrorFamily:
    name: str  # file, argument, ...
    first: int
    doc: str


@dataclass(frozen=True)
class ErrorCode:
    name: str  # UPPER_CASE
    value: int
    family: str
    doc: str
    since: str = "0.1"


@dataclass(frozen=True)
class Area:
    name: str
    doc: str
    source: str  # the spec file's path, relative to the repository
    enums: tuple[Enum, ...] = ()
    structs: tuple[Struct, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    handles: tuple[Handle, ...] = ()
    functions: tuple[Function, ...] = ()
    objects: tuple[Object, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True)
class Api:
    name: str
    prefix: str
    version: str  # "major.minor"
    doc: str
    families: tuple[ErrorFamily, ...]
    codes: tuple[ErrorCode, ...]
    areas: tuple[Area, ...]
    names: dict[str, dict[str, str]] = field(default_factory=dict)  # language -> spec name -> name there
    folder: str = "abi"  # where its spec/, include/ and src/ lie, relative to the repository

    def name_in(self, language: str, name: str) -> str:
        """The spelling of a spec name in a language, where names/<language>.yaml makes an exception.

        Parameters and fields have their C spelling in every binding's C code: `name_in("c", "template")`.
        """
        return self.names.get(language, {}).get(name, name)

    @property
    def functions(self) -> tuple[Function, ...]:
        return tuple(function for area in self.areas for function in area.functions)

    @property
    def structs(self) -> dict[str, Struct]:
        return {struct.name: struct for area in self.areas for struct in area.structs}

    @property
    def enums(self) -> dict[str, Enum]:
        return {enum.name: enum for area in self.areas for enum in area.enums}

    @property
    def handles(self) -> dict[str, Handle]:
        return {handle.name: handle for area in self.areas for handle in area.handles}

    @property
    def callbacks(self) -> dict[str, Callback]:
        return {callback.name: callback for area in self.areas for callback in area.callbacks}

    @property
    def objects(self) -> dict[str, Object]:
        return {one.name: one for area in self.areas for one in area.objects}

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(route for area in self.areas for route in area.routes)

    @property
    def packed_version(self) -> int:
        """What `abi_version` returns: major << 16 | minor."""
        major, minor = self.version.split(".")
        return int(major) << 16 | int(minor)
