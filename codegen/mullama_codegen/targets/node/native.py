"""The API as the addon sees it: an operation for each function, readers of options, makers of results."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isinf, isnan
from typing import Any

from ...api import NUMBERS, Api, Function, Handle, Struct, Type, Value
from ..c import layout as c_layout
from ..c.types import element, scalar, variables
from .names import Names, UnsupportedError

READERS = {"bool": "boolean", "str": "text", "enum": "enumeration", "list": "texts"}  # of Given; others are called like their type
SPANS = {"i32": "i32s", "f32": "f32s", "u8": "u8s"}
MAKERS = {"bool": "boolean", "str": "text", "enum": "enumeration", "list": "texts", "map": "pairs"}  # of Results


@dataclass(frozen=True)
class Operation:
    """One function as a struct of the addon; see bindings/node/src/call.h."""

    name: str
    doc: str
    self_type: str
    n_arguments: int
    members: list[str]
    read: list[str]
    returns: str  # type of run()
    run: list[str]
    result: list[str]
    parent: str = ""  # an expression of `box`; "" where no handle is made
    zero: str = ""
    stop: str = ""
    keep: str = ""  # copies what the library only lends
    computes: bool = False  # on a shared handle: its workers are not taken by any number of calls


@dataclass(frozen=True)
class TextTraits:
    """What the conveniences of a starting function do with its handle."""

    name: str
    doc: str
    start: str
    functions: list[str]


@dataclass(frozen=True)
class Area:
    name: str
    operations: list[Operation]
    texts: list[TextTraits]
    entries: list[tuple[str, str]]  # name for JavaScript, entry point


@dataclass(frozen=True)
class Shape:
    """A struct: lines that read options from JavaScript, or members that make an object of a result."""

    name: str
    type: str
    lines: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trampoline:
    name: str
    returns: str
    parameters: str
    arguments: list[str]


class Native:
    """Lowers one API."""

    def __init__(self, api: Api, names: Names) -> None:
        self.api, self.names, self.prefix = api, names, api.prefix

    # The table of functions

    def symbols(self) -> list[tuple[str, str]]:
        """C name and member of `lib`, for everything that the addon calls."""
        always = ("abi_version", "free", "live_objects", "error_code", "error_message", "error_free", "error_name")
        found = [*always, *(f"{struct}_init" for struct in self.api.structs)]
        found += [f"{handle}_{end}" for handle in self.api.handles for end in ("close", "free")]
        found += [function.name for function in self.api.functions]
        return [(f"{self.prefix}_{name}", self.names.symbol(name)) for name in found]

    def layouts(self) -> list[tuple[str, str]]:
        """What the layout tables list, and how C++ says it."""
        found = []
        for struct in self.api.structs.values():
            c_name = f"{self.prefix}_{struct.name}"
            found.append((c_name, f"sizeof({c_name})"))
            for member in c_layout.members(struct, self.api):
                found.append((f"{c_name}.{member.name}", f"offsetof({c_name}, {member.name})"))
        return found

    def working(self) -> set[str]:
        """The handles for which the library works on threads of its own: whoever ends has to close them."""
        return {waiter.on for handle in self.api.handles.values() if (waiter := waiter_of(handle, self.api))}

    # Structs and callbacks

    def options(self, struct: Struct) -> Shape:
        lines = []
        for value in struct.fields:
            name = self.api.name_in("c", value.name)
            given = f'in.optional("{self.names.plain(value.name)}")'
            if value.type.kind == "options":
                inner = value.type.name
                call = f"options(to.{name}, lib.{inner}_init, read_{inner})"
            elif value.type.kind in ("handle", "callback", "map"):
                raise UnsupportedError(f"{struct.name}.{value.name}: a {value.type.kind} among options")
            else:
                targets = [f"to.{one.name}" for one in variables(value, self.api)]
                call = self._reader(value, targets)
            lines.append(f"{given}{self._nullable(value)}.{call};")
        return Shape(struct.name, f"{self.prefix}_{struct.name}", lines)

    def record(self, struct: Struct) -> Shape:
        members, kept = [], []
        for value in struct.fields:
            name = self.api.name_in("c", value.name)
            members.append(f'{{"{self.names.plain(value.name)}", {self._made(value, f"from.{name}", f"from.{name}_len")}}}')
            if value.type.is_sequence and value.borrowed != "forever":
                if value.type.kind in ("list", "map"):
                    raise UnsupportedError(f"{struct.name}.{value.name}: a borrowed {value.type.kind} inside a result")
                kept.append(f"keep(arena, from.{name}, from.{name}_len);")
        return Shape(struct.name, f"{self.prefix}_{struct.name}", members=members, kept=kept)

    def trampolines(self) -> Iterator[Trampoline]:
        for callback in self.api.callbacks.values():
            returns = callback.returns
            if returns and returns.type.kind not in ("bool", *NUMBERS):
                raise UnsupportedError(f"{callback.name}: a callback that gives a {returns.type.kind}")
            parameters = [str(one) for value in callback.params for one in variables(value, self.api)]
            arguments = [
                self._made(value, name, f"{name}_len")
                for value in callback.params
                for name in [self.api.name_in("c", value.name)]
            ]
            c_returns = scalar(returns.type, self.prefix) if returns else "void"
            yield Trampoline(callback.name, c_returns, ", ".join([*parameters, "void *user"]), arguments)

    # Functions

    def areas(self) -> Iterator[Area]:
        for area in self.api.areas:
            if not area.functions:
                continue
            texts = [self.text(function) for function in area.functions if function.text_generation]
            entries = [entry for function in area.functions for entry in self._entries(function)]
            yield Area(area.name, [self.operation(function) for function in area.functions], texts, entries)

    def _entries(self, function: Function) -> Iterator[tuple[str, str]]:
        operation = self.names.operation(function)
        if not function.blocking:
            yield self.names.native(function), f"call<{operation}>"
        elif is_named(function, self.api):
            yield self.names.native(function), f"call<Polled<{operation}>>"
        elif makes_handle(function):
            yield self.names.native(function), f"call<{operation}>"
            yield self.names.native(function, "_async"), f"task<{operation}>"
        else:
            yield self.names.native(function), f"task<{operation}>"
        if function.text_generation:
            yield self.names.native(function, "_whole"), f"whole_text<{operation}Text>"
            yield self.names.native(function, "_pieces"), f"open_pieces<{operation}Text>"

    def text(self, function: Function) -> TextTraits:
        """The conveniences use `next`, `run`, `text`, `result` and `cancel` of the stream."""
        handle = function.returns.type.name if function.returns else ""
        has = {one.method: one for one in self.api.functions if one.on == handle}
        items = self.api.structs[has["next"].stream_of].fields if "next" in has and has["next"].stream_of else ()
        fits = {"next", "run", "text", "result", "cancel"} <= has.keys() and has["run"].run_of
        if not fits or not any(one.name == "text" for one in items) or not has["result"].property:
            raise UnsupportedError(
                f"{function.name}: {handle} lacks one of next (with texts), run, text, result (a property), cancel"
            )
        event, result = has["next"].stream_of, has["result"].returns
        assert result is not None  # a property
        symbol = {name: f"lib.{self.names.symbol(one.name)}" for name, one in has.items()}
        given = "Handle *handle, int32_t timeout_ms"
        return TextTraits(
            f"{self.names.operation(function)}Text",
            f"A text of {self.names.creator(function)}, whole or in pieces.",
            self.names.operation(function),
            [
                f"using Handle = {self.prefix}_{handle};",
                f"using Event = {self.prefix}_{event};",
                f"using Result = {self.prefix}_{result.type.name};",
                f"static Event empty_event() {{ return initialised(lib.{event}_init); }}",
                f"static Result empty_result() {{ return initialised(lib.{result.type.name}_init); }}",
                f"static int32_t run({given}, int32_t *status, Error **err) {{",
                f"    return {symbol['run']}(handle, timeout_ms, status, err);",
                "}",
                f"static int32_t next({given}, Event *out, int32_t *status, Error **err) {{",
                f"    return {symbol['next']}(handle, timeout_ms, out, status, err);",
                "}",
                "static int32_t text(Handle *handle, const char **out, size_t *len, Error **err) {",
                f"    return {symbol['text']}(handle, out, len, err);",
                "}",
                "static int32_t result(Handle *handle, Result *out, Error **err) {",
                f"    return {symbol['result']}(handle, out, err);",
                "}",
                f"static void cancel(Handle *handle) {{ {symbol['cancel']}(handle); }}",
                "static napi_value make_result(Results &make, const Result &from) {",
                f"    return make_{result.type.name}(make, from);",
                "}",
            ],
        )

    def operation(self, function: Function) -> Operation:
        has_self = bool(function.on) and not function.static
        members, read, arguments = self._arguments(function)
        shape = shape_of(function)
        if any(value.type.kind == "callback" for value in function.params):
            if not function.fallible:
                raise UnsupportedError(f"{function.name}: a callback on a function that cannot fail")
            if function.blocking and has_self:
                raise UnsupportedError(f"{function.name}: a callback on a blocking method")
        view: dict[str, Any] = {}
        result: list[str] = []
        returns = function.returns
        if function.stream_of or function.run_of:
            if not function.cancel or function.params or not function.blocking:
                raise UnsupportedError(f"{function.name}: a stream that takes parameters, has no cancel or does not block")
            members += ["int32_t timeout = -1;", "int32_t status = 0;"]
            read.append("timeout = in.timeout();")
            if function.stream_of:
                members.append(f"{self.prefix}_{function.stream_of} out = initialised(lib.{function.stream_of}_init);")
                result = [
                    "if (status == waiting_status) return make.undefined();",
                    f"return status == item_status ? make_{function.stream_of}(make, out) : make.null();",
                ]
                if not is_named(function, self.api):
                    view["keep"] = f"keep_{function.stream_of}(arena, out);"
                arguments += ["timeout", "&out", "&status"]
            else:
                result = ["return make.enumeration(status, status_names);"]
                arguments += ["timeout", "&status"]
        elif returns and function.fallible:
            members.append(self._place(returns))
            arguments += ["&out.data", "&out.len"] if returns.type.is_sequence else ["&out"]
            if returns.type.kind == "handle":
                arguments[-1] = "&out.pointer"
                view["parent"] = self._parent(function, returns)
                result = ["return make.handle(out, parent);"]
            elif returns.type.is_sequence:
                result = [f"return {self._made(returns, 'out.data', 'out.len', 'lent_')};"]
            else:
                result = [f"return {self._made(returns, 'out', '')};"]
            self._check_lent(function, returns)
        elif returns:
            members.append(self._place(returns))
            if returns.type.kind == "str":
                arguments.append("&out.len")
            out = "out.data" if returns.type.kind == "str" else "out"
            result = [f"return {self._made(returns, out, 'out.len')};"]
            if has_self:
                view["zero"] = f"return !{out};"
        if function.blocking == "cpu" and has_self and self.api.handles[function.on].thread == "shared":
            view["computes"] = True
        if function.cancel and not is_named(function, self.api):
            view["stop"] = f"lib.{self.names.symbol(function.cancel)}(self);"
        passed = [*(["self"] if has_self else []), *arguments, *(["err"] if function.fallible else [])]
        target = "return " if function.fallible else ""
        if returns and not function.fallible:
            target = "out.data = " if returns.type.kind == "str" else "out = "
        run = _wrapped(f"{target}lib.{self.names.symbol(function.name)}({', '.join(passed)});")
        return Operation(
            self.names.operation(function),
            self.names.creator(function).removesuffix("()") if function.property else self.names.creator(function),
            f"{self.prefix}_{function.on}" if has_self else "void",
            has_self + shape.n_positional + shape.has_options,
            members,
            read,
            "int32_t" if function.fallible else "void",
            run,
            result,
            **view,
        )

    def _check_lent(self, function: Function, value: Value) -> None:
        lends = value.type.is_sequence and value.borrowed not in ("", "forever")
        if function.blocking and (lends or value.type.kind == "struct"):
            raise UnsupportedError(f"{function.name}: a blocking function that lends its result")

    def _arguments(self, function: Function) -> tuple[list[str], list[str], list[str]]:
        """Members, statements that read them, and what is passed to the library."""
        shape = shape_of(function)
        members: list[str] = []
        read: list[str] = []
        arguments: list[str] = []
        for value in function.params:
            kind, name = value.type.kind, self.names.member(value)
            c_type = f"{self.prefix}_{value.type.name}"
            if kind == "options":
                members.append(f"{c_type} {name} = initialised(lib.{value.type.name}_init);")
                read.append(f"read_{value.type.name}(in, {name});")
                arguments.append(f"&{name}")
                continue
            call = self._reader(value, [name])
            if kind == "handle":
                members.append(f"Ref<{c_type}> {name};")
                arguments.append(name)
            elif kind == "callback":
                members.append("Callback call_back;")
                call = "callback(call_back)"
                arguments += [f"call_back.user() ? on_{value.type.name} : nullptr", "call_back.user()"]
            elif value.type.is_sequence:
                members.append(f"{self._sequence(value.type)} {name}{self._text_default(value)};")
                arguments += [f"{name}.data", f"{name}.len"]
            else:
                members.append(f"{scalar(value.type, self.prefix)} {name} = {self._default(value)};")
                arguments.append(name)
            how = "required" if value in shape.required else "optional"
            if value is shape.first:
                how = "maybe" if kind == "json" else "first"
            read.append(f'in.{how}("{self.names.plain(value.name)}"){self._nullable(value)}.{call};')
        # Positional arguments come first, wherever the description has them.
        read.sort(key=lambda line: not line.startswith(("in.required", "in.first", "in.maybe")))
        return members, read, arguments

    def _parent(self, function: Function, value: Value) -> str:
        """The handle that a new one works on, as a Box; its turns are those of the new one too."""
        handle = self.api.handles[value.type.name]
        if not handle.keeps_alive:
            return "nullptr"
        exclusive = self.api.handles[handle.keeps_alive].thread == "exclusive"
        if function.on in (handle.keeps_alive, handle.name) and not function.static:
            return "box" if function.on == handle.keeps_alive or exclusive else "nullptr"
        for param in function.params:
            if param.type.kind == "handle" and param.type.name == handle.keeps_alive:
                return f"{self.names.member(param)}.box.get()"
        raise UnsupportedError(f"{function.name}: nothing here is the {handle.keeps_alive} that the {handle.name} keeps alive")

    # Values

    def _nullable(self, value: Value) -> str:
        return ".nullable()" if may_be_null(value) else ""

    def _reader(self, value: Value, targets: list[str]) -> str:
        kind = value.type.kind
        name = SPANS[value.type.item] if kind == "span" else READERS.get(kind, kind)
        more = [f"{value.type.name}_names"] if kind in ("enum", "flags") else []
        if value.unset is not None:
            if kind in ("enum", "flags", "bool"):
                raise UnsupportedError(f"{value.name}: {kind} that may be unset")
            more.append(self._number(value.type, value.unset))
        return f"{name}({', '.join([*targets, *more])})"

    def _made(self, value: Value, pointer: str, length: str, how: str = "") -> str:
        """An expression that makes JavaScript's value of a result, of a field or of a callback's argument."""
        kind = value.type.kind
        if kind == "struct":
            return f"make_{value.type.name}(make, {pointer})"
        if kind not in ("bool", "enum", "flags", *NUMBERS) and not value.type.is_sequence:
            raise UnsupportedError(f"{value.name or 'a result'}: a {kind} inside a result")
        name = SPANS[value.type.item] if kind == "span" else MAKERS.get(kind, kind)
        arguments = [pointer, length] if value.type.is_sequence else [pointer]
        if kind in ("enum", "flags"):
            arguments.append(f"{value.type.name}_names")
        made = f"make.{how if kind in ('span', 'bytes') else ''}{name}({', '.join(arguments)})"
        if value.nullable:
            return f"{pointer} ? {made} : make.null()"
        return f"{pointer} == {self._number(value.type, value.unset)} ? make.null() : {made}" if value.unset is not None else made

    def _sequence(self, type_: Type) -> str:
        kind = element(type_, self.prefix)
        return "Text" if kind == "char" else f"Span<{'Str' if type_.kind in ('list', 'map') else kind}>"

    def _place(self, value: Value) -> str:
        """The member that a result goes to."""
        kind = value.type.kind
        if kind == "handle":
            return f"Made<{self.prefix}_{value.type.name}> out;"
        if kind == "struct":
            if value.nullable:
                raise UnsupportedError("a struct that may be absent")
            return f"{self.prefix}_{value.type.name} out = initialised(lib.{value.type.name}_init);"
        if not value.type.is_sequence:
            return f"{scalar(value.type, self.prefix)} out = 0;"
        inner = "Str" if kind in ("list", "map") else element(value.type, self.prefix)
        return f"Owned<{inner}> out;" if not value.borrowed else f"{self._sequence(value.type)} out;"

    def _text_default(self, value: Value) -> str:
        if not value.default:
            if value.type.kind in ("str", "json") and value.default == "":
                return '{"", 0}'
            return ""
        if value.type.kind != "str":
            raise UnsupportedError(f"{value.name}: a default for {value.type.kind}")
        data = str(value.default).encode()
        escaped = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03o}" for byte in data)
        return f'{{"{escaped}", {len(data)}}}'

    def _default(self, value: Value) -> str:
        type_, default = value.type, value.default
        upper = f"{self.prefix}_{type_.name}_".upper()
        if type_.kind == "enum":
            return upper + str(default).upper() if default is not None else "0"
        if type_.kind == "flags":
            return " | ".join(upper + name.upper() for name in default or ()) or "0"
        if value.unset is not None and default is None:
            default = value.unset
        return self._number(type_, default or 0)

    @staticmethod
    def _number(type_: Type, number: float) -> str:
        if type_.kind in ("f32", "f64"):
            if isinf(number) or isnan(number):
                return "NAN" if isnan(number) else f"{'-' if number < 0 else ''}INFINITY"
            return repr(float(number)) + ("f" if type_.kind == "f32" else "")
        if type_.kind in ("u64", "size") and number >= 2**63:
            return f"UINT64_C({int(number)})"
        return f"{int(number)}" + ("u" if type_.kind == "u32" and number >= 2**31 else "")


def _wrapped(call: str) -> list[str]:
    """A statement inside a method of an operation, broken to fit."""
    return textwrap.wrap(call, 112, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class CallShape:
    """How JavaScript passes the parameters of a function."""

    required: tuple[Value, ...]
    first: Value | None  # a positional parameter that may be left out
    named: tuple[Value, ...]  # in the object at the end
    options: tuple[Value, ...]  # whose fields stand in that object too
    timed: bool
    cancellable: bool

    @property
    def n_positional(self) -> int:
        return len(self.required) + (self.first is not None)

    @property
    def has_options(self) -> bool:
        return bool(self.named or self.options) or self.timed or self.cancellable


def shape_of(function: Function) -> CallShape:
    required, named, options = [], [], []
    for value in function.params:
        if value.type.kind == "options":
            options.append(value)
        elif value.has_default or value.optional or may_be_null(value):
            named.append(value)
        else:
            required.append(value)
    first = None
    is_lone_json = not options and [value.type.kind for value in named] == ["json"]
    if is_lone_json or (not required and named and named[0].type.kind not in ("bool", "callback", "handle")):
        first = named.pop(0)
    timed = bool(function.stream_of) or function.run_of
    return CallShape(tuple(required), first, tuple(named), tuple(options), timed, is_cancellable(function))


def may_be_null(value: Value) -> bool:
    return value.nullable or value.unset is not None or (value.optional and value.type.kind == "handle")


def is_cancellable(function: Function) -> bool:
    """Whether a signal can end its promise: through a cancel function, or a callback that can stop the call."""
    return bool(function.blocking) and (bool(function.cancel) or any(value.type.kind == "callback" for value in function.params))


def waiter_of(handle: Handle, api: Api) -> Function | None:
    """What names the streams of a kind that have something: `wait` of the handle that they keep alive, with their `id`."""
    methods = {one.method: one for one in api.functions if one.on == handle.name}
    if "id" not in methods or not any(one.stream_of for one in methods.values()):
        return None
    waits = (one for one in api.functions if one.on == handle.keeps_alive and one.method == "wait" and one.cancel)
    return next((one for one in waits if one.returns and one.returns.type.item == "i32"), None)


def is_named(function: Function, api: Api) -> bool:
    """Whether a stream's next item is polled once its waiter has named the stream, so that no thread waits in it."""
    return bool(function.stream_of) and waiter_of(api.handles[function.on], api) is not None


def makes_handle(function: Function) -> bool:
    """Creating an object is synchronous, as `new` is, and has a twin that is not."""
    return bool(function.returns) and function.returns.type.kind == "handle"  # type: ignore[union-attr]
