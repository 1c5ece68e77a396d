"""JSON objects as PHP has them, and the methods that send requests: named arguments in, objects with readonly properties out."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Object, ObjectField, Route, Shape, Shortcut
from .docs import Docs
from .layout import broken, comment, declaration, fit, quoted
from .names import Names
from .types import UnsupportedError
from .views import Parameter, PhpProperty

BODY = 8  # where a method's statements stand
LOCALS = ("body", "stream")
PLAIN = {
    "str": "string",
    "bool": "bool",
    "i64": "int",
    "f64": "float",
    "json": "mixed",
    "list": "array",
    "map": "array",
}
EMPTY = {"str": "''", "bool": "false", "i64": "0", "f64": "0.0", "list": "[]", "map": "[]"}
CALLING = "chat"  # the route whose runtime calls functions: src/ChatStream.php
UNLIMITED = 2**31 - 1  # as good as no upper bound


@dataclass(frozen=True)
class PhpObject:
    """An object of answers."""

    name: str
    comment: str
    shortcuts: list[PhpProperty]
    properties: list[PhpProperty]
    is_called_for: bool  # whether functions may have been called for it


@dataclass(frozen=True)
class PhpRequest:
    """What a body is made of: names of fields, in the order of a method's parameters."""

    constant: str
    fields: list[str]


@dataclass(frozen=True)
class PhpSender:
    """A method that sends a request."""

    comment: str
    declaration: str
    body: list[str]


class Routes:
    """The JSON objects and routes of one API."""

    def __init__(self, api: Api, names: Names, docs: Docs) -> None:
        self.api = api
        self.names = names
        self.docs = docs
        for route in api.routes:
            if route.tools and route.name != CALLING:
                raise UnsupportedError(f"{route.name}: functions as tools, which only {CALLING} calls")

    # Answers

    def objects(self) -> list[PhpObject]:
        called_for = {route.answer for route in self.api.routes if route.tools}
        return [
            PhpObject(
                self.names.type(one.name),
                comment([self.docs.text(one.doc)], [], 0),
                [self._shortcut(shortcut) for shortcut in one.shortcuts],
                [self._property(field) for field in one.typed_fields],
                one.name in called_for,
            )
            for one in self.api.objects.values()
            if one.in_answers
        ]

    def _property(self, field: ObjectField) -> PhpProperty:
        declared, documented = self._found(field.shape), self._found(field.shape, True)
        if field.optional:
            declared, documented = self._or_null(declared), self._or_null(documented)
        name = self.names.plain(field.name)
        return PhpProperty(
            self._described(self._facts(field), declared, documented, BODY),
            f"public readonly {declared} ${name},",
            self._read(field, f"{name}: "),
        )

    def _shortcut(self, shortcut: Shortcut) -> PhpProperty:
        declared, documented = self._found(shortcut.shape), self._found(shortcut.shape, True)
        steps = [f"[{step}]" if isinstance(step, int) else f"->{self.names.plain(step)}" for step in shortcut.path]
        name = self.names.plain(shortcut.name)
        return PhpProperty(
            self._described(f"{self.docs.text(shortcut.doc)} Empty if there is none.", declared, documented, 4),
            f"public readonly {declared} ${name};",
            f"$this->{name} = ${''.join(steps)[2:]} ?? {EMPTY[shortcut.shape.kind]};",
        )

    @staticmethod
    def _described(doc: str, declared: str, documented: str, indent: int) -> str:
        return (
            comment([], [f"@var {documented} {doc}"], indent) if documented != declared else comment([doc], [], indent)
        )

    def _read(self, field: ObjectField, head: str) -> str:
        """The argument that makes the property of the array `$json`."""
        value = f"$json[{quoted(field.name)}]"
        if field.shape.kind == "map":  # see Outputs::json()
            return f"{head}isset({value}) ? (array) {value} : null," if field.optional else f"{head}(array) {value},"
        if not _objects(field.shape):
            return f"{head}{value} ?? null," if field.optional else f"{head}{value},"
        if field.shape.kind == "object":
            made = f"{self.names.type(field.shape.name)}::read({value})"
        elif field.shape.kind == "list" and field.shape.item.kind == "object":
            made = f"\\array_map({self.names.type(field.shape.item.name)}::read(...), {value})"
        else:
            raise UnsupportedError(f"{field.name}: {field.shape} in an answer")
        return broken(f"{head}isset({value}) ? {made} : null,", 12) if field.optional else f"{head}{made},"

    def _found(self, shape: Shape, documented: bool = False) -> str:
        """The type of what an answer holds, as PHP declares it or as a doc comment says it."""
        if shape.kind == "union":
            return "|".join(dict.fromkeys(self._found(item, documented) for item in shape.items))
        if shape.kind == "object":
            return self.names.type(shape.name)
        if documented and shape.items:
            item = self._found(shape.item, True)
            return f"list<{item}>" if shape.kind == "list" else f"array<string, {item}>"
        return PLAIN[shape.kind]

    # Requests

    def requests(self) -> list[PhpRequest]:
        """One for each order of parameters: routes with one request object may have different positional fields."""
        routes = {self._constant(route): route for route in self.api.routes if route.request}
        return [PhpRequest(name, [field.name for field in self._fields(route)]) for name, route in routes.items()]

    def shapes(self) -> list[str]:
        """Lines of a doc comment: aliases for the arrays that stand inside requests."""
        found: dict[str, Object] = {}
        names = [name for route in self.api.routes for field in self._fields(route) for name in _objects(field.shape)]
        while names:
            name = names.pop(0)
            found[name] = self.api.objects[name]
            names += [inner for field in found[name].typed_fields for inner in _objects(field.shape) if inner not in found]
        return [f"@phpstan-type {self.names.type(name)}Array array{{{self._keys(one)}}}" for name, one in found.items()]

    def _keys(self, one: Object) -> str:
        return ", ".join(
            f"{field.name}{'?' if field.optional else ''}: {self._given(field.shape, True, field.values)}"
            for field in one.typed_fields
        )

    def _constant(self, route: Route) -> str:
        twins = {one.positional for one in self.api.routes if one.request == route.request}
        return (route.request if len(twins) == 1 else route.name).upper()

    def _fields(self, route: Route) -> list[ObjectField]:
        """The fields that a method takes, those that must be given first."""
        fields = self.api.objects[route.request].typed_fields if route.request else []
        first = [next(field for field in fields if field.name == name) for name in route.positional]
        others = [field for field in fields if field.name not in route.positional]
        for field in others:
            if not field.optional:
                raise UnsupportedError(f"{route.name}: the field {field.name} must be given, but is not positional")
        return first + others

    def parameters(self, route: Route) -> list[Parameter]:
        found = []
        for field in self._fields(route):
            declared, documented = self._given(field.shape), self._given(field.shape, True, field.values)
            if field.name == "tools" and route.tools:
                documented = "list<\\Closure|ToolArray|array<string, mixed>>"
            if field.optional:
                declared, documented = self._or_null(declared), self._or_null(documented)
            default = "null" if field.optional else None
            found.append(Parameter(self.names.plain(field.name), declared, documented, default, self._facts(field)))
        if route.tools:
            doc = (
                "Requests at most, where functions stand among the tools: they are called and the model is told what they "
                "gave, until it answers. The last one is sent with toolChoice none, so that it has to; $reachedMaxRounds "
                "of the answer is true then. At least 1."
            )
            found += [
                Parameter("maxRounds", "int", "int", "8", doc),
                Parameter(
                    "toolErrors", "ToolErrors", "ToolErrors", "ToolErrors::Tell", "What happens when such a call fails."
                ),
            ]
        names = [one.name for one in found]
        for name in names:
            if names.count(name) > 1 or name in LOCALS:
                raise UnsupportedError(f"{route.name}: an argument ${name}; name it otherwise in names/php.yaml")
        return found

    def _given(self, shape: Shape, documented: bool = False, values: tuple[str, ...] = ()) -> str:
        """The type of what a caller gives. An empty JSON object is an object of PHP, since an empty array is a list."""
        if shape.kind == "union":
            return "|".join(dict.fromkeys(self._given(item, documented) for item in shape.items))
        if shape.kind == "map":
            return f"array<string, {self._given(shape.item, True)}>|\\stdClass" if documented else "array|\\stdClass"
        if shape.kind == "object":
            return f"{self.names.type(shape.name)}Array|JsonObject" if documented else "array|JsonObject"
        if documented and shape.kind == "list":
            return f"list<{self._given(shape.item, True)}>"
        return "|".join(map(quoted, values)) if documented and values else PLAIN[shape.kind]

    @staticmethod
    def _or_null(word: str) -> str:
        if word == "mixed":
            return word
        return f"{word}|null" if "|" in word else f"?{word}"

    def _facts(self, field: ObjectField) -> str:
        """A doc with unit and range behind it."""
        facts = [self.docs.text(field.doc)]
        if field.unit:
            facts.append(f"In {field.unit}.")
        highest = None if field.max is None or field.max >= UNLIMITED else field.max
        if field.min is not None:
            facts.append(f"At least {field.min}." if highest is None else f"From {field.min} to {highest}.")
        return " ".join(facts)

    # Methods

    def senders(self, handle: str) -> list[PhpSender]:
        return [sender for route in self.api.routes if route.on == handle for sender in self._senders(route)]

    def signature(self, route: Route) -> str:
        """The declarations as a user reads them; `...` stands for the other fields, as named arguments."""
        given = [f"{one.documented} ${one.name}" for one in self.parameters(route) if one.default is None]
        given += ["..."] * bool(route.request)
        lines = []
        for streamed in [False, True] if route.piece else [False]:
            returned = self._stream(route, True) if streamed else self.names.type(route.answer)
            lines.append(
                fit(f"${self.names.plain(route.on)}->{self._name(route, streamed)}(", given, f"): {returned}", 0)
            )
        return "\n".join(lines)

    def _name(self, route: Route, streamed: bool) -> str:
        return self.names.plain(f"stream_{route.name}" if streamed else route.name)

    def _stream(self, route: Route, documented: bool = False) -> str:
        if route.tools:
            return "ChatStream"
        generic = f"<{self.names.type(route.piece)}, {self.names.type(route.answer)}>"
        return f"AnswerStream{generic if documented else ''}"

    def _senders(self, route: Route) -> list[PhpSender]:
        whole = self._sender(route, False)
        return [whole, self._sender(route, True)] if route.piece else [whole]

    def _sender(self, route: Route, streamed: bool) -> PhpSender:
        parameters = self.parameters(route)
        answer = self.names.type(route.answer)
        returned, documented = (self._stream(route), self._stream(route, True)) if streamed else (answer, answer)
        doc = self.docs.text(route.doc)
        if streamed:
            doc += " Gives the answer as it is made, in pieces and whole; leaving a loop over it early ends it."
        tags = [f"@param {one.documented} ${one.name} {one.doc}" for one in parameters]
        tags += [f"@return {documented}"]
        tags += ["@throws MullamaException What {@see Engine::request()} and {@see Stream::next()} throw."]
        head = declaration(
            f"public function {self._name(route, streamed)}(", list(map(str, parameters)), f"): {returned}", 4
        )
        return PhpSender(comment([doc], tags, 4), head, self._body(route, streamed))

    def _body(self, route: Route, streamed: bool) -> list[str]:
        lines, arguments = [], [quoted(route.route)]
        if route.request:
            make = "streamed" if streamed else "body"
            lines = [f"$body = Requests::{make}(Requests::{self._constant(route)}, \\func_get_args());"]
            arguments.append("$body")
        if route.tools:
            made = f"new ChatStream({', '.join(['$this', *arguments, '$maxRounds', '$toolErrors'])})"
        else:
            lines.append(f"$stream = $this->request({', '.join(arguments)});")
            classes = [f"{self.names.type(name)}::class" for name in (route.piece or route.answer, route.answer)]
            made = f"new AnswerStream($stream, {', '.join(classes)})"
        return [*lines, "", f"return {made};" if streamed else f"return ({made})->answer();"]


def _objects(shape: Shape) -> list[str]:
    """Names of the objects that a value can hold."""
    return [shape.name] if shape.kind == "object" else [name for item in shape.items for name in _objects(item)]
