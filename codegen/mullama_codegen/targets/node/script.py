"""The API as JavaScript and TypeScript see it: classes, functions, and their declarations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...api import NUMBERS, Api, Enum, Function, Handle, Struct, Value
from .docs import WIDTH, Docs, comment, quoted
from .names import Names, UnsupportedError
from .native import CallShape, is_named, makes_handle, may_be_null, shape_of, waiter_of

SPANS = {"i32": ("IntegerArray", "Int32Array"), "f32": ("NumberArray", "Float32Array"), "u8": ("IntegerArray", "Uint8Array")}
PLAIN = {  # kind -> type as a parameter, type as a result
    "bool": ("boolean", "boolean"),
    "i32": ("number", "number"),
    "u32": ("number", "number"),
    "f32": ("number", "number"),
    "f64": ("number", "number"),
    "size": ("number | bigint", "number"),
    "i64": ("number | bigint", "number | bigint"),
    "u64": ("number | bigint", "number | bigint"),
    "str": ("string", "string"),
    "json": ("Json", "any"),
    "bytes": ("ArrayBuffer | ArrayBufferView", "Uint8Array"),
    "list": ("string | readonly string[]", "string[]"),
    "map": ("", "Record<string, string>"),
}
RUNTIME = (
    *("ADOPT", "HANDLE", "PARENT", "abortable", "complete", "copiedFloat32Array", "copiedInt32Array", "copiedUint8Array"),
    *("READ", "ask", "deprecated", "named", "optionsOf", "pathOf", "pathsIn", "stream", "within"),
)


@dataclass(frozen=True)
class Member:
    """One method, property or function: its lines in JavaScript, and its declarations."""

    name: str
    code: list[str]
    declared: list[str]
    signatures: list[str]  # as a user reads it, without docs


@dataclass(frozen=True)
class Class:
    name: str
    module: str
    doc: list[str]
    members: list[Member]
    parent: str  # property that gives what it was made from; "" for none
    parent_type: str
    shown: list[str]
    is_stream: bool
    event: str
    refusal: str
    modules: list[str]  # of other classes that it makes
    waiter: list[tuple[str, str]]  # what the runtime calls to read a stream without a thread of its own; see waiter_of
    has_routes: bool

    @property
    def base(self) -> str:
        return "PumpedStream" if self.waiter else "Handle"


@dataclass(frozen=True)
class Interface:
    """A struct, options, or the named parameters of one function."""

    head: str
    doc: list[str]
    lines: list[str] = field(default_factory=list)


class Script:
    """Lowers one API."""

    def __init__(self, api: Api, names: Names, docs: Docs) -> None:
        self.api, self.names, self.docs = api, names, docs

    # Types

    def given(self, value: Value) -> str:
        """The type of a parameter or an option."""
        kind = value.type.kind
        if kind == "str" and value.is_file:
            word = "string | URL"
        elif kind == "list" and value.is_file:
            word = "string | URL | ReadonlyArray<string | URL>"
        elif kind == "span":
            word = SPANS[value.type.item][0]
        elif kind == "enum":
            word = f"{self.names.type(value.type.name)} | number"
        elif kind == "flags":
            word = f"FlagsOf<{self.names.type(value.type.name)}>"
        elif kind in ("callback", "handle", "options"):
            word = self.names.type(value.type.name)
        elif PLAIN.get(kind, ("",))[0]:
            word = PLAIN[kind][0]
        else:
            raise UnsupportedError(f"{value.name}: a parameter of type {kind}")
        return f"{word} | null" if may_be_null(value) else word

    def result(self, value: Value | None) -> str:
        """The type of a result, of a field or of a callback's argument."""
        if value is None:
            return "void"
        kind = value.type.kind
        if kind == "span":
            word = SPANS[value.type.item][1]
        elif kind == "enum":
            word = f"{self.names.type(value.type.name)} | number"
        elif kind == "flags":
            word = f"Array<{self.names.type(value.type.name)} | number | bigint>"
        elif kind in PLAIN:
            word = PLAIN[kind][1]
        else:
            word = self.names.type(value.type.name)
        return f"{word} | null" if (value.nullable or value.unset is not None) and word != "any" else word

    def union(self, enum: Enum) -> list[str]:
        """The members of an enum or a flags set, each with its doc."""
        lines = []
        for member in enum.members:
            lines += [f"  {line}" for line in comment(2, self.docs.text(member.doc))]
            lines.append(f"  {'| ' if len(enum.members) > 1 else ''}{quoted(member.name)}")
        lines[-1] += ";"
        return lines

    def record(self, struct: Struct) -> Interface:
        lines: list[str] = []
        for value in struct.fields:
            lines += comment(2, self.docs.described(value))
            lines.append(f"{self.names.plain(value.name)}: {self.result(value)};")
        return Interface(self.names.type(struct.name), comment(0, self.docs.text(struct.doc)), lines)

    def options(self, struct: Struct) -> Interface:
        return Interface(self.names.type(struct.name), comment(0, self.docs.text(struct.doc)), self._options(struct.fields))

    def _options(self, values: tuple[Value, ...]) -> list[str]:
        lines: list[str] = []
        for value in values:
            lines += comment(2, self.docs.described(value, True))
            lines.append(f"{self.names.plain(value.name)}?: {self.given(value)} | undefined;")
        return lines

    def callbacks(self) -> list[tuple[list[str], str]]:
        found = []
        for callback in self.api.callbacks.values():
            parameters = ", ".join(f"{self.names.plain(one.name)}: {self.result(one)}" for one in callback.params)
            answer = "boolean | number | void" if callback.returns else "void"
            docs = [f"@param {self.names.plain(one.name)} {self.docs.described(one)}" for one in callback.params]
            if callback.returns:
                docs.append(f"@returns {self.docs.described(callback.returns)} Nothing counts as true.")
            doc = comment(0, self.docs.text(callback.doc), *docs)
            found.append((doc, f"export type {self.names.type(callback.name)} = ({parameters}) => {answer};"))
        return found

    def named_interfaces(self) -> list[Interface]:
        """An interface for each function that has named parameters of its own."""
        found = []
        for function in self.api.functions:
            shape = shape_of(function)
            if not shape.named:
                continue
            extends = [self.names.type(value.type.name) for value in shape.options]
            name = self._interface(function)
            if name in {self.names.type(struct) for struct in self.api.structs}:
                raise UnsupportedError(f"{function.name}: {name} is the name of a struct too")
            head = f"{name} extends {', '.join(extends)}" if extends else name
            doc = comment(0, f"What {self.names.reference(function.name)} takes by name.")
            found.append(Interface(head, doc, self._options(shape.named)))
        return found

    def _interface(self, function: Function) -> str:
        return self.names.type(function.name) + "Options"

    def _option_type(self, function: Function, shape: CallShape, cancellable: bool) -> str:
        parts = [self._interface(function)] if shape.named else [self.names.type(one.type.name) for one in shape.options]
        parts += ["Timed"] if shape.timed else []
        parts += ["Cancellable"] if cancellable else []
        return " & ".join(parts)

    def _option_text(self, function: Function, shape: CallShape, cancellable: bool) -> str:
        """The same for readers: named parameters written out."""
        own = "; ".join(f"{self.names.plain(value.name)}?: {self.given(value)}" for value in shape.named)
        parts = [f"{{ {own} }}"] if own else []
        parts += [self.names.type(value.type.name) for value in shape.options]
        parts += ["{ timeout?: number }"] if shape.timed else []
        parts += ["{ signal?: AbortSignal }"] if cancellable else []
        return " & ".join(parts)

    # Functions

    def functions(self) -> list[Member]:
        return [member for function in self.api.functions if not function.on for member in self.members(function)]

    def handle(self, handle: Handle, asking: list[Member]) -> Class:
        own = [function for function in self.api.functions if function.on == handle.name]
        members = [*(member for function in own for member in self.members(function)), *asking]
        parent = self.names.plain(handle.keeps_alive) if handle.keeps_alive else ""
        taken = Counter([one.name for one in members] + ["close", "closed"] + ([parent] if parent else []))
        for name, count in taken.items():
            if count > 1:
                raise UnsupportedError(f"the class of {handle.name} would have {name} twice")
        made = [f for f in self.api.functions if f.returns and f.returns.type.name == handle.name]
        numbers = [f for f in own if f.property and not f.fallible and f.returns and f.returns.type.kind in NUMBERS]
        events = [function for function in own if function.stream_of]
        has_constructor = any(function.constructor for function in own)
        return Class(
            self.names.type(handle.name),
            handle.name,
            comment(0, self.docs.text(handle.doc)),
            members,
            parent,
            self.names.type(handle.keeps_alive) if parent else "",
            [self.names.method(function) for function in numbers][:2],
            bool(events),
            self.names.type(events[0].stream_of) if events else "",
            "" if has_constructor else f"a {self.names.type(handle.name)} comes from {' or '.join(map(self.names.creator, made))}",
            [name for name in self.modules(own) if name != handle.name],
            self._waiter(handle, own),
            bool(asking),
        )

    def _waiter(self, handle: Handle, own: list[Function]) -> list[tuple[str, str]]:
        waiter = waiter_of(handle, self.api)
        if not waiter:
            return []
        symbols = {one.name: one for one in self.api.functions}
        found = [("id", next(one for one in own if one.method == "id"))]
        stream = next(one for one in own if one.stream_of)
        found += [("next", stream), ("wait", waiter), ("wake", symbols[waiter.cancel])]
        return [(name, self.names.native(one)) for name, one in found]

    @staticmethod
    def modules(functions: Iterable[Function]) -> list[str]:
        """The handles that functions make: their classes are in modules of their own."""
        return sorted({one.returns.type.name for one in functions if one.returns and makes_handle(one)})

    def members(self, function: Function) -> list[Member]:
        if function.property and function.blocking:
            raise UnsupportedError(f"{function.name}: a property that blocks")
        if function.property:
            return [self._property(function)]
        if function.text_generation:
            text = function.text_generation
            return [self._plain(function, self.names.plain(text.start)), self._whole(function), self._pieces(function)]
        if function.constructor:
            twin = [self._promised(function, self.names.method(function))] if function.blocking else []
            return [self._constructor(function), *twin]
        name = self.names.method(function)
        if not function.blocking:
            return [self._plain(function, name)]
        if makes_handle(function):
            return [self._plain(function, name), self._promised(function, f"{name}Async")]
        return [self._promised(function, name)]

    def _property(self, function: Function) -> Member:
        name, type_ = self.names.method(function), self.result(function.returns)
        returns = function.returns
        assert returns is not None  # the checks refuse a property without a result
        fact = self.docs.described(Value("", returns.type, "", shape=returns.shape, unit=returns.unit))
        doc = self._doc(function, fact)
        code = [f"get {name}() {{", f"  return {self._copied(function, self._call(function, []))};", "}"]
        signature = f"{self._owner(function)}.{name}: {type_}"
        return Member(name, [*self._brief(function), *code], [*doc, f"readonly {name}: {type_};"], [signature])

    def _constructor(self, function: Function) -> Member:
        shape = shape_of(function)
        parameters = self._names(shape)
        body = [*self._files(shape), f"super({self._call(function, self._passed(shape))});"]
        code = [f"constructor({', '.join(parameters)}) {{", *(f"  {line}" for line in body), "}"]
        head, tail = "constructor(", ");"
        shown = f"new {self.names.type(function.on)}("
        return self._member(function, "constructor", code, shape, False, head, tail, shown, ")", "")

    def _plain(self, function: Function, name: str) -> Member:
        shape = shape_of(function)
        call = self._copied(function, self._adopted(function, self._call(function, self._passed(shape))))
        returned = f"return {call};" if function.returns else f"{call};"
        warning = []
        if function.deprecated:
            warning = [f"  deprecated({quoted(self._dotted(function, name))}, {quoted(self.docs.text(function.deprecated))});"]
        code = [f"{self._head(function, name)}({', '.join(self._names(shape))}) {{", *warning, f"  {returned}", "}"]
        result = self.result(function.returns)
        return self._member(function, name, code, shape, False, f"{self._declared(function, name)}(", f"): {result};",
                            f"{self._owner(function)}.{name}(" if function.on else f"{name}(", f"): {result}", "")  # fmt: skip

    def _promised(self, function: Function, name: str) -> Member:
        """A promise: of what takes long, or the twin of a constructor."""
        shape = shape_of(function)
        ending = "_async" if makes_handle(function) else ""
        control = "control" if shape.cancellable else "undefined"
        call = self._call(function, [*self._passed(shape), control], ending)
        if is_named(function, self.api):
            call = "this[READ](options)"
        elif shape.cancellable:
            given = f"optionsOf({self._names(shape)[0]}, options)" if shape.first else "options"
            call = f"abortable({given}, (control) => {call})"
        if function.stream_of:
            call = f"within(await {call})"
        elif makes_handle(function):
            call = self._adopted(function, f"await {call}")
        body = [*self._files(shape), f"return {call};"]
        if any(waiter_of(one, self.api) is function for one in self.api.handles.values()):
            start, _, end = f"const ids = await {call[:-1]}".partition(" => ")
            body = [f"{start} =>", f"  {end},", ");", "return named(this, ids);"]
        code = [f"{self._head(function, name, 'async ')}({', '.join(self._names(shape))}) {{", *(f"  {line}" for line in body), "}"]
        result = "Promise<" + self._promise_of(function) + ">"
        notes = "As the constructor, without blocking the event loop." if function.constructor else (
            f"As `{name.removesuffix('Async')}()`, without blocking the event loop." if makes_handle(function) else "")  # fmt: skip
        return self._member(function, name, code, shape, shape.cancellable, f"{self._declared(function, name)}(", f"): {result};",
                            f"{self._owner(function, name)}.{name}(" if function.on else f"{name}(", f"): {result}", notes)  # fmt: skip

    def _promise_of(self, function: Function) -> str:
        if function.run_of:
            return "Status"
        return f"{self.names.type(function.stream_of)} | null" if function.stream_of else self.result(function.returns)

    def _whole(self, function: Function) -> Member:
        shape, text = shape_of(function), function.text_generation
        assert text is not None  # the caller has looked
        name, figures = self.names.plain(text.whole), self._figures(function)
        given = f"optionsOf({self._names(shape)[0]}, options)" if shape.first else "options"
        call = self._call(function, [*self._passed(shape), "control"], "_whole")
        returned = [f"  return complete({given}, (control) => {call});"]
        if len(returned[0]) + 2 > WIDTH:
            returned = [f"  return complete({given}, (control) =>", f"    {call},", "  );"]
        code = [f"{name}({', '.join(self._names(shape))}) {{", *returned, "}"]
        note = "Generates a text and gives it whole; the promise has the figures in `result`, a promise as well."
        return self._member(function, name, code, shape, True, f"{name}(", f"): Completion<{figures}>;",
                            f"{self._owner(function)}.{name}(", f"): Completion<{figures}>", note)  # fmt: skip

    def _pieces(self, function: Function) -> Member:
        shape, text = shape_of(function), function.text_generation
        assert text is not None  # the caller has looked
        name, figures = self.names.plain(text.pieces), self._figures(function)
        given = f"optionsOf({self._names(shape)[0]}, options)" if shape.first else "options"
        call = self._call(function, self._passed(shape), "_pieces")
        code = [f"{name}({', '.join(self._names(shape))}) {{", f"  return stream({given}, () => {call});", "}"]
        note = "Generates a text and gives it piece by piece, to `for await`."
        return self._member(function, name, code, shape, True, f"{name}(", f"): TextStream<{figures}>;",
                            f"{self._owner(function)}.{name}(", f"): TextStream<{figures}>", note)  # fmt: skip

    def _figures(self, function: Function) -> str:
        assert function.returns is not None  # a starting function gives its handle
        handle = function.returns.type.name
        found = next(one for one in self.api.functions if one.on == handle and one.property and one.method == "result")
        return self.result(found.returns)

    # Pieces

    def _member(self, function: Function, name: str, code: list[str], shape: CallShape, cancellable: bool,
                head: str, tail: str, shown: str, shown_tail: str, note: str) -> Member:  # fmt: skip
        is_named = shape.has_options and (shape.named or shape.options or shape.timed or cancellable)
        positional = [f"{self.names.plain(one.name)}: {self.given(one)}" for one in shape.required]
        text = list(positional)
        if shape.first:
            one = shape.first
            positional.append(f"{self.names.plain(one.name)}?: {self.given(one)}")
            text.append(positional[-1])
        overloads = []
        option_type = self._option_type(function, shape, cancellable)
        if shape.first and shape.first.type.kind != "json":
            by_name = f"{{ {positional[0]} }}"
            overloads.append(f"{head}options: {option_type + ' & ' if option_type else ''}{by_name}{tail}")
        if is_named:
            positional.append(f"options?: {option_type}")
            text.append(f"options?: {self._option_text(function, shape, cancellable)}")
        doc = self._doc(function, note, shape, cancellable)
        declared = [*doc, f"{head}{', '.join(positional)}{tail}", *overloads]
        brief = comment(2 if function.on else 0, note) if note else self._brief(function)
        return Member(name, [*brief, *code], declared, [f"{shown}{', '.join(text)}{shown_tail}"])

    def _brief(self, function: Function) -> list[str]:
        return comment(2 if function.on else 0, self.docs.text(function.doc))

    def _doc(self, function: Function, note: str = "", shape: CallShape | None = None, cancellable: bool = False) -> list[str]:
        tags = []
        positional = (*shape.required, *([shape.first] if shape.first else [])) if shape else ()
        tags += [f"@param {self.names.plain(one.name)} {self.docs.described(one, True)}" for one in positional]
        if function.returns and function.returns.doc and not function.property and not function.constructor and not note:
            tags.append(f"@returns {self.docs.described(function.returns)}")
        if function.stream_of:
            tags.append("@returns The next one; null at the end, or when it was cancelled.")
        if function.run_of:
            tags.append("@returns How far it is; `'waiting'` when the time is over.")
        if errors := self.docs.errors(function):
            tags.append(f"@throws {errors}")
        if function.deprecated:
            tags.append(f"@deprecated {self.docs.text(function.deprecated)}")
        first = f"{note} {self.docs.text(function.doc)}" if note and not function.property else self.docs.text(function.doc)
        if function.property and note:
            first = f"{first} {note}"
        return comment(2 if function.on else 0, first, *tags)

    def _names(self, shape: CallShape) -> list[str]:
        """Parameters in JavaScript."""
        found = [self.names.parameter(one.name) for one in (*shape.required, *([shape.first] if shape.first else []))]
        return [*found, *(["options"] if shape.has_options and self._takes_options(shape) else [])]

    @staticmethod
    def _takes_options(shape: CallShape) -> bool:
        return bool(shape.named or shape.options or shape.timed or shape.cancellable)

    def _passed(self, shape: CallShape) -> list[str]:
        """The same as they are passed to the addon."""
        values = (*shape.required, *([shape.first] if shape.first else []))
        names = [f"pathOf({name})" if one.is_file else name for one in values for name in [self.names.parameter(one.name)]]
        return [*names, *(["options"] if self._takes_options(shape) else [])]

    def _files(self, shape: CallShape) -> list[str]:
        """The statement for options that name files."""
        structs = [self.api.structs[one.type.name] for one in shape.options]
        return ["options = pathsIn(options);"] if any(field.is_file for struct in structs for field in struct.fields) else []

    def _call(self, function: Function, arguments: list[str], ending: str = "") -> str:
        receiver = ["this[HANDLE]"] if function.on and not function.static else []
        return f"native.{self.names.native(function, ending)}({', '.join([*receiver, *arguments])})"

    def _copied(self, function: Function, call: str) -> str:
        """A small array waits in the addon's scratch buffer."""
        type_ = function.returns.type if function.returns else None
        if type_ is None or type_.kind not in ("span", "bytes"):
            return call
        return f"copied{SPANS[type_.item][1] if type_.kind == 'span' else 'Uint8Array'}({call})"

    def _adopted(self, function: Function, call: str) -> str:
        if not makes_handle(function):
            return call
        assert function.returns is not None  # a handle
        made = function.returns.type.name
        keeps = self.api.handles[made].keeps_alive
        if function.static and function.on == made and not keeps:
            return f"this[ADOPT]({call})"
        owner = self.names.type(made) if made == function.on else f"{self.names.plain(made)}Module.{self.names.type(made)}"
        parent = ""
        if keeps:
            given = [one for one in function.params if one.type.kind == "handle" and one.type.name == keeps]
            if function.on == keeps and not function.static:
                parent = ", this"
            elif function.on == made and not function.static:
                parent = ", this[PARENT]"
            else:
                parent = f", {self.names.parameter(given[0].name)}"
        return f"{owner}[ADOPT]({call}{parent})"

    def _head(self, function: Function, name: str, what: str = "") -> str:
        static = "static " if function.static else ""
        return f"{static}{what}{name}" if function.on else f"{what}function {name}"

    def _declared(self, function: Function, name: str) -> str:
        static = "static " if function.static else ""
        return f"{static}{name}" if function.on else f"export function {name}"

    def _owner(self, function: Function, name: str = "") -> str:
        return self.names.type(function.on) if function.static else self.names.plain(function.on)

    def _dotted(self, function: Function, name: str) -> str:
        return f"{self._owner(function)}.{name}()" if function.on else f"{name}()"


def imports(members: list[Member], given: list[str]) -> list[str]:
    """The statement that takes what a module's code uses of the runtime."""
    code = "\n".join(line for member in members for line in member.code)
    names = sorted({*given, *(name for name in RUNTIME if re.search(rf"(?<=[ \[(]){name}[(\]]", code))})
    line = f"const {{ {', '.join(names)} }} = require('./binding');"
    return [line] if len(line) <= WIDTH else ["const {", *(f"  {name}," for name in names), "} = require('./binding');"]
