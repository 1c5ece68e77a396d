"""The API as C sees it: the typed view that the templates of this folder loop over."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from ...api import Api, Area, Callback, Enum, Function, Struct
from ...references import ALWAYS_THERE
from .comments import WIDTH, Comments
from .layout import layout
from .types import Variable, results, scalar, variables


@dataclass(frozen=True)
class CConstant:
    name: str
    value: int
    comment: list[str]


@dataclass(frozen=True)
class CEnum:
    name: str
    type: str
    is_flags: bool
    constants: list[CConstant]
    comment: list[str]


@dataclass(frozen=True)
class CMember:
    declarations: list[str]
    comment: list[str]


@dataclass(frozen=True)
class CStruct:
    name: str
    members: list[CMember]
    size: int
    offsets: dict[str, int]
    comment: list[str]
    is_options: bool


@dataclass(frozen=True)
class CHandle:
    name: str
    comment: list[str]


@dataclass(frozen=True)
class CFunction:
    name: str
    returns: str
    params: list[Variable]
    comment: list[str]
    deprecated: bool = False

    @property
    def signature(self) -> str:
        """On one line, for the flat declarations."""
        returns = self.returns if self.returns.endswith("*") else f"{self.returns} "
        return f"{returns}{self.name}({', '.join(map(str, self.params)) or 'void'});"

    def declaration(self, lead: str) -> str:
        """With what stands before it, wrapped between parameters."""
        unbreakable = f"{lead}{self.signature}".replace(" ", "\0").replace(",\0", ", ")
        lines = textwrap.wrap(
            unbreakable, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        return "\n".join(lines).replace("\0", " ")


@dataclass(frozen=True)
class CArea:
    name: str
    source: str
    comment: list[str]
    enums: list[CEnum]
    handles: list[CHandle]
    callbacks: list[CFunction]
    structs: list[CStruct]
    functions: list[CFunction]


class Lowering:
    """Lowers one API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.prefix = api.prefix
        self.upper = api.prefix.upper()
        self.comments = Comments(api)

    def areas(self) -> list[CArea]:
        """The areas that declare something for C."""
        return [self._area(area) for area in self.api.areas if area.functions or area.enums or area.structs]

    def exports(self) -> list[str]:
        """Every symbol of the library, sorted."""
        names = {f"{self.prefix}_{name}" for name in ALWAYS_THERE}
        return sorted(names | {function.name for area in self.areas() for function in area.functions})

    def struct(self, struct: Struct) -> CStruct:
        fields = [
            CMember([f"{variable};" for variable in variables(field, self.api)], self.comments.member(field))
            for field in struct.fields
        ]
        where = layout(struct, self.api)
        name = f"{self.prefix}_{struct.name}"
        return CStruct(name, fields, where.size, where.offsets, self.comments.struct(struct), struct.is_options)

    def _area(self, area: Area) -> CArea:
        handles = [CHandle(f"{self.prefix}_{handle.name}", self.comments.handle(handle)) for handle in area.handles]
        functions = [self._init(struct) for struct in area.structs]
        functions += [self.function(function) for function in area.functions]
        functions += [ending for handle in area.handles for ending in self._endings(handle.name)]
        return CArea(
            area.name,
            area.source,
            self.comments.area(area.doc),
            [self._enum(enum) for enum in area.enums],
            handles,
            [self._callback(callback) for callback in area.callbacks],
            [self.struct(struct) for struct in area.structs],
            functions,
        )

    def _enum(self, enum: Enum) -> CEnum:
        constants = [
            CConstant(
                f"{self.upper}_{enum.name.upper()}_{member.name.upper()}",
                member.value,
                self.comments.short(member.doc, 4),
            )
            for member in enum.members
        ]
        return CEnum(
            f"{self.prefix}_{enum.name}",
            "uint64_t" if enum.is_flags else "int32_t",
            enum.is_flags,
            constants,
            self.comments.enum(enum),
        )

    def _callback(self, callback: Callback) -> CFunction:
        params = [variable for value in callback.params for variable in variables(value, self.api)]
        returns = scalar(callback.returns.type, self.prefix) if callback.returns else "void"
        name = f"(*{self.prefix}_{callback.name})"
        return CFunction(name, returns, [*params, Variable("void *", "user")], self.comments.callback(callback))

    def function(self, function: Function) -> CFunction:
        params = []
        if function.on and not function.static:
            params.append(Variable(f"{self.prefix}_{function.on} *", self.api.name_in("c", function.on)))
        params += [variable for value in function.params for variable in variables(value, self.api)]
        returns = "void"
        if function.stream_of or function.run_of:
            params.append(Variable("int32_t", "timeout_ms"))
            if function.stream_of:
                params.append(Variable(f"{self.prefix}_{function.stream_of} *", "out"))
            params.append(Variable("int32_t *", "out_status"))
        elif function.fallible and function.returns:
            params += results(function.returns, self.api)
        elif function.returns and function.returns.type.kind == "str":
            returns = "const char *"
            params.append(Variable("size_t *", "out_len"))
        elif function.returns:
            returns = scalar(function.returns.type, self.prefix)
        if function.fallible:
            returns = "int32_t"
            params.append(Variable(f"{self.prefix}_error **", "err"))
        name = f"{self.prefix}_{function.name}"
        return CFunction(name, returns, params, self.comments.function(function), bool(function.deprecated))

    def _init(self, struct: Struct) -> CFunction:
        name = f"{self.prefix}_{struct.name}"
        what = "Sets every default" if struct.is_options else "Makes it ready to be filled"
        params = [Variable(f"{name} *", "out"), Variable("size_t", "struct_size")]
        return CFunction(f"{name}_init", "void", params, [f"{what}. `struct_size` is sizeof({name})."])

    def _endings(self, handle: str) -> list[CFunction]:
        name = f"{self.prefix}_{handle}"
        params = [Variable(f"{name} *", self.api.name_in("c", handle))]
        close = self.comments.area(
            "Cancels and waits for what runs on it, and releases what it holds; later calls on it fail with "
            f"{self.upper}_E_CLOSED. May be called twice, from any thread, and with NULL."
        )
        free = self.comments.area(
            "Closes it and releases the handle itself; nobody may use the pointer afterwards. Accepts NULL."
        )
        return [CFunction(f"{name}_close", "void", params, close), CFunction(f"{name}_free", "void", params, free)]
