"""JSON objects as Python has them, and the methods that send requests: requests are TypedDicts, answers are views of what came."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Object, ObjectField, Route, Shape, Shortcut
from .docs import Docs
from .layout import docstring, fit, quoted
from .names import Names

PLAIN = {"str": "str", "bool": "bool", "i64": "int", "f64": "float", "json": "Any"}
EMPTY = {"str": '""', "bool": "False", "i64": "0", "f64": "0.0", "list": "[]", "map": "{}"}


@dataclass(frozen=True)
class Key:
    """A field of a TypedDict."""

    name: str
    annotation: str
    doc: list[str]


@dataclass(frozen=True)
class Property:
    """A field or shortcut of an answer."""

    name: str
    annotation: str
    docstring: str
    value: str


@dataclass(frozen=True)
class RequestType:
    name: str
    docstring: str
    needed: list[Key]
    optional: list[Key]


@dataclass(frozen=True)
class AnswerType:
    name: str
    docstring: str
    properties: list[Property]
    shown: str


@dataclass(frozen=True)
class Sender:
    """A method that sends a request: its overloads, where it can be streamed, and its body."""

    name: str
    signatures: list[str]
    twin_signatures: list[str]
    docstring: str
    twin_docstring: str
    call: str
    twin_call: str


class Routes:
    """The JSON objects and routes of one API."""

    def __init__(self, api: Api, names: Names, docs: Docs) -> None:
        self.api = api
        self.names = names
        self.docs = docs
        self.requests = {route.request for route in api.routes}
        self.tools = {route.request for route in api.routes if route.tools}

    # Objects

    def request_types(self) -> list[RequestType]:
        """What is inside requests, and the keyword arguments of each request."""
        return [self._request(one) for one in self.api.objects.values() if one.in_requests]

    def answer_types(self) -> list[AnswerType]:
        return [self._answer(one) for one in self.api.objects.values() if one.in_answers]

    def input_name(self, name: str) -> str:
        """An object as a caller writes it; one that answers have as well has a class for them."""
        both = self.api.objects[name].in_answers
        return f"{self.names.type(name)}Dict" if both else self.names.type(name)

    def type_names(self) -> list[str]:
        objects = self.api.objects.values()
        return [self.input_name(one.name) for one in objects if one.in_requests] + [
            self.names.type(one.name) for one in objects if one.in_answers
        ]

    def _request(self, one: Object) -> RequestType:
        fields = one.typed_fields
        if one.name in self.requests:
            given = {name for route in self.api.routes if route.request == one.name for name in route.positional}
            fields = [field for field in fields if field.name not in given]
        keys = [Key(field.name, self._input(field, one), self._comment(field)) for field in fields]
        needed = [key for key, field in zip(keys, fields, strict=True) if not field.optional]
        optional = [key for key, field in zip(keys, fields, strict=True) if field.optional]
        return RequestType(self.input_name(one.name), docstring(self.docs.text(one.doc), {}, 4), needed, optional)

    def _answer(self, one: Object) -> AnswerType:
        properties = [self._field(field) for field in one.typed_fields]
        properties += [self._shortcut(shortcut) for shortcut in one.shortcuts]
        shown = [field.name for field in one.typed_fields if field.shape.kind in ("str", "i64", "f64", "bool")]
        names = [shortcut.name for shortcut in one.shortcuts if shortcut.shape.kind == "str"] or shown[:3]
        quoted_names = ", ".join(quoted(self.names.plain(name)) for name in names)
        return AnswerType(
            self.names.type(one.name),
            docstring(self.docs.text(one.doc), {}, 4),
            properties,
            f"({quoted_names}{',' if len(names) == 1 else ''})",
        )

    def _field(self, field: ObjectField) -> Property:
        annotation = self._output(field.shape)
        raw = f"self.raw.get({quoted(field.name)})" if field.optional else f"self.raw[{quoted(field.name)}]"
        value = raw
        if self._holds_object(field.shape):
            value = self._wrapped(field.shape, "value" if field.optional else raw)
            if field.optional:
                value = f"None if (value := {raw}) is None else {value}"
        annotation += " | None" if field.optional and annotation != "Any" else ""
        return Property(self.names.plain(field.name), annotation, docstring(self._described(field), {}, 8), value)

    def _shortcut(self, shortcut: Shortcut) -> Property:
        steps = ", ".join(quoted(step) if isinstance(step, str) else str(step) for step in shortcut.path)
        value = f"self._at({steps})"
        kind = shortcut.shape.kind
        if self._holds_object(shortcut.shape):
            value = self._wrapped(shortcut.shape, f"{value} or []")
        else:
            value = f"{value} or {EMPTY[kind]}"
        doc = f"{self.docs.text(shortcut.doc)} Empty if there is none."
        return Property(self.names.plain(shortcut.name), self._output(shortcut.shape), docstring(doc, {}, 8), value)

    def _holds_object(self, shape: Shape) -> bool:
        return shape.kind == "object" or any(map(self._holds_object, shape.items))

    def _wrapped(self, shape: Shape, value: str) -> str:
        if shape.kind == "list":
            return f"[{self._wrapped(shape.item, 'one')} for one in {value}]"
        return f"{self.names.type(shape.name)}({value})"

    def _output(self, shape: Shape) -> str:
        if shape.kind == "object":
            return self.names.type(shape.name)
        if shape.kind == "list":
            return f"list[{self._output(shape.item)}]"
        if shape.kind == "map":
            return f"dict[str, {self._output(shape.item)}]"
        return " | ".join(map(self._output, shape.items)) if shape.items else PLAIN[shape.kind]

    def _input(self, field: ObjectField, owner: Object | None = None) -> str:
        if field.values:
            return f"Literal[{', '.join(map(quoted, field.values))}]"
        if field.name == "tools" and owner and owner.name in self.tools:
            return f"Iterable[{self._given(field.shape.item)} | Callable[..., Any]]"
        return self._given(field.shape)

    def _given(self, shape: Shape) -> str:
        """What a caller may write: a tuple or an array is a list, too."""
        if shape.kind == "object":
            return self.input_name(shape.name)
        if shape.kind == "list":
            return f"Iterable[{self._given(shape.item)}]"
        if shape.kind == "map":
            return f"Mapping[str, {self._given(shape.item)}]"
        return " | ".join(map(self._given, shape.items)) if shape.items else PLAIN[shape.kind]

    def _described(self, field: ObjectField) -> str:
        unit = f" In {field.unit}." if field.unit else ""
        return self.docs.text(field.doc) + unit

    def _comment(self, field: ObjectField) -> list[str]:
        facts = self._described(field)
        if field.min is not None and field.max is not None:
            facts += f" From {field.min} to {field.max}."
        return docstring(facts, {}, 4).split("\n")

    # Methods

    def senders(self, handle: str) -> list[Sender]:
        return [self._sender(route) for route in self.api.routes if route.on == handle]

    def declaration(self, route: Route) -> str:
        """The widest way to call it, on one line."""
        signature = " ".join(self._sender(route).signatures[-1].split()).removeprefix("def ").removesuffix(":")
        return signature.replace("(self, ", "(").replace("( self, ", "(").replace("(self)", "()").replace(", )", ")").replace(" )", ")")

    def _sender(self, route: Route) -> Sender:
        request = self.api.objects[route.request] if route.request else None
        fields = {field.name: field for field in request.fields} if request else {}
        given = [fields[name] for name in route.positional]
        parameters = [f"{field.name}: {self._input(field)}" for field in given]
        options = self.input_name(route.request) if request else ""
        keywords: list[str] = []
        if route.tools:
            keywords = ["max_rounds: int = MAX_ROUNDS", 'tool_errors: ToolErrors = "tell"']
        last = [f"**fields: Unpack[{options}]"] if options else []
        answer, piece = self.names.type(route.answer), self.names.type(route.piece) if route.piece else ""
        name = self.names.plain(route.name)

        def signature(head: str, stream: list[str], result: str, tail: str = " ...") -> str:
            middle = [*stream, *keywords]
            return fit(
                f"{head}(",
                ["self", *parameters, *(["*"] if middle else []), *middle, *last],
                f") -> {result}:{tail}",
                4,
            )

        def signatures(head: str) -> list[str]:
            if not piece:
                return [signature(head, [], answer, "")]
            streamed = f"AnswerStream[{piece}, {answer}]"
            return [
                signature(head, ["stream: Literal[False] = False"], answer),
                signature(head, ["stream: Literal[True]"], streamed),
                signature(head, ["stream: bool"], f"{answer} | {streamed}"),
                signature(head, ["stream: bool = False"], f"{answer} | {streamed}", ""),
            ]

        body = ", ".join([*(f'"{field.name}": {field.name}' for field in given), *(["**fields"] if options else [])])
        arguments = ["self", quoted(route.route), f"{{{body}}}", answer]
        if piece:
            arguments += [f"{piece} if stream else None"]
        if route.tools:
            arguments += ["max_rounds", "tool_errors"]
        doc = self.docs.text(route.doc)
        sections = self._sections(route, given, options)
        return Sender(
            name,
            signatures(f"def {name}"),
            signatures(f"async def {name}_async"),
            docstring(doc, sections, 8),
            docstring(
                f"Like `{name}`, without blocking the event loop; cancelling the task cancels the request.", {}, 8
            ),
            fit("return answers.send(", arguments, ")", 8),
            fit("return await answers.send_async(", arguments, ")", 8),
        )

    def _sections(self, route: Route, given: list[ObjectField], options: str) -> dict[str, list[str]]:
        entries = [f"{field.name}: {self._described(field)}" for field in given]
        if route.piece:
            entries.append("stream: Whether to give the answer in pieces, as a stream that also gives it whole.")
        if route.tools:
            entries.append(
                "max_rounds: Requests at most, where functions stand among the tools: they are called and their results "
                "sent until the model answers. The last one is sent with tool_choice none, so that it has to; "
                "`reached_max_rounds` of the answer is true then."
            )
            entries.append(
                'tool_errors: What a function raises is told to the model ("tell") or comes out here ("raise").'
            )
        if options:
            entries.append(f"**fields: The other fields of the request, see `{options}`.")
        raises = ["Error: As `Engine.request` and `Stream.next` say."]
        return {"Args": entries, "Returns": ["The answer."], "Raises": raises}
