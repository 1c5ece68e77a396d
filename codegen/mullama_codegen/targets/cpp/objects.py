"""JSON objects as structs, and the methods of routes that take and give them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...api import Api, Object, ObjectField, Route, Shape, Shortcut
from .docs import Docs
from .names import Names, UnsupportedError
from .views import CppStruct, Field, Method, Parameter, block

PLAIN = {"str": "std::string", "bool": "bool", "i64": "std::int64_t", "f64": "double", "json": "Json"}
NUMBERS = {"bool": "false", "i64": "0", "f64": "0"}
# What a request has besides its fields where functions may stand among its tools, and what its answers tell of them.
ROUNDS = (
    Field(
        "std::int64_t",
        "max_rounds",
        "8",
        [
            "Requests at most, where functions stand among the tools: they are called and their results sent until the model",
            "answers. The last one is sent with tool_choice none, so that it has to; `reached_max_rounds` of the answer is true",
            "then. At least 1.",
        ],
    ),
    Field("ToolErrors", "tool_errors", "ToolErrors::tell", ["What happens when one of them fails."]),
)
RUNS = (
    Field("std::vector<ToolRun>", "tool_runs", "{}", ["The functions that were called for it, in order."]),
    Field(
        "bool",
        "reached_max_rounds",
        "false",
        [
            "Whether it is of the last round that `max_rounds` allows: the model could not call any more, and had to answer.",
        ],
    ),
)
RUN = Field("std::optional<ToolRun>", "tool_run", "std::nullopt", ["A function that was called, in a piece of its own."])
RAW = Field("Json", "raw", "{}", ["All of it, with what this header does not know."])


@dataclass(frozen=True)
class CppObject(CppStruct):
    shortcuts: list[Method]
    to_json: str  # the function; "" for what only comes in answers
    from_json: str  # the function; "" for what only goes into requests


class Objects:
    """Lowers the objects and routes of one API."""

    def __init__(self, api: Api, names: Names, docs: Docs) -> None:
        self.api = api
        self.names = names
        self.docs = docs
        handles = {route.on for route in api.routes}
        if len(handles) > 1:
            raise UnsupportedError(f"routes on {' and '.join(sorted(handles))}: one header has them all")
        self.on = "".join(handles)
        self.takes_tools = {route.request for route in api.routes if route.tools}
        self.tells_of_tools = {route.answer for route in api.routes if route.tools}
        self.tool_pieces = {route.piece for route in api.routes if route.tools}
        # The runtime's own `Tool` stands for what is among the tools.
        self.runtime = {self._field(name, "tools").shape.item.name for name in self.takes_tools}
        self.positional = {route.request: set(route.positional) for route in api.routes}
        for route in api.routes:
            if self.positional[route.request] != set(route.positional):
                raise UnsupportedError(f"{route.name}: two routes with the same request and other positional fields")

    # Structs

    def all(self) -> list[CppObject]:
        """All that routes need, each behind what it holds."""
        found: dict[str, CppObject] = {}
        for route in self.api.routes:
            for name in (route.request, route.answer, route.piece):
                if name:
                    self._collect(name, found, ())
        return list(found.values())

    def _collect(self, name: str, found: dict[str, CppObject], above: tuple[str, ...]) -> None:
        if name in found or name in above or name in self.runtime:
            return
        one = self.api.objects[name]
        for field in one.typed_fields:
            for needed in _objects(field.shape):
                self._collect(needed, found, (*above, name))
        if self._fields(one):
            found[name] = self._object(one)

    def streams(self) -> dict[str, str]:
        """Names of streamed answers, and their types."""
        streamed = [route for route in self.api.routes if route.piece]
        return {
            self._stream(route): f"AnswerStream<{self.names.type(route.piece)}, {self.names.type(route.answer)}>"
            for route in streamed
        }

    def named(self) -> set[str]:
        """The structs that declarations of methods name."""
        found = {self.names.type(name) for route in self.api.routes for name in (route.request, route.answer, route.piece)}
        for route in self.api.routes:
            for name in route.positional:
                found |= {self.names.type(one) for one in _objects(self._field(route.request, name).shape)}
        return found

    def _stream(self, route: Route) -> str:
        return self.names.type(route.answer.removesuffix("_answer") + "_stream")

    def _fields(self, one: Object) -> list[ObjectField]:
        """All but those of a request that are positional."""
        return [field for field in one.typed_fields if field.name not in self.positional.get(one.name, set())]

    def _object(self, one: Object) -> CppObject:
        fields = self._fields(one)
        members = [
            Field(
                self.type(field, one),
                self.names.plain(field.name),
                self._default(field, one),
                self.docs.lines(self._described(field), 8),
            )
            for field in fields
        ]
        if one.name in self.takes_tools:
            members += ROUNDS
        if one.name in self.tells_of_tools:
            members += RUNS
        if one.name in self.tool_pieces:
            members.append(RUN)
        answers = {name for route in self.api.routes for name in (route.answer, route.piece)}
        if one.name in answers:
            members.append(RAW)
        comment = self.docs.lines(one.doc)
        if beside := self.positional.get(one.name):
            text = " and ".join(sorted(self.names.plain(name) for name in beside))
            comment = self.docs.lines(f"{one.doc} What may be said of it besides its {text}.")
        return CppObject(
            name=self.names.type(one.name),
            fields=members,
            comment=comment,
            shortcuts=[method for shortcut in one.shortcuts for method in self._shortcut(one, shortcut)],
            to_json=self._to_json(one, fields) if one.in_requests else "",
            from_json=self._from_json(one, fields) if one.in_answers else "",
        )

    def _to_json(self, one: Object, fields: list[ObjectField]) -> str:
        puts = [f'detail::put(to, "{field.name}", from.{self.names.plain(field.name)});' for field in fields]
        head = f"inline Json to_json(const {self.names.type(one.name)} &from) {{"
        return block(head, ["Json::Object to;", *puts, "return to;"])

    def _from_json(self, one: Object, fields: list[ObjectField]) -> str:
        gets = []
        for field in fields:
            way = "get_optional" if field.optional else "get"
            gets.append(f'detail::{way}(from, "{field.name}", to.{self.names.plain(field.name)});')
        return block(f"inline void from_json(const Json &from, {self.names.type(one.name)} &to) {{", gets)

    def type(self, field: ObjectField, one: Object) -> str:
        return f"std::optional<{self.shape(field.shape)}>" if self._is_optional(field, one) else self.shape(field.shape)

    def _is_optional(self, field: ObjectField, one: Object) -> bool:
        """An answer's list that is not there is empty; a request's may be left to the library."""
        return field.optional and (one.in_requests or field.shape.kind != "list")

    def shape(self, shape: Shape) -> str:
        if shape.kind == "list":
            return f"std::vector<{self.shape(shape.item)}>"
        if shape.kind == "map":
            return "Json" if shape.item.kind == "json" else f"std::map<std::string, {self.shape(shape.item)}>"
        if shape.kind == "object":
            return self.names.type(shape.name)
        if shape.kind == "union":
            parts = [self.shape(item) for item in shape.items]
            return "Json" if any("Json" in part for part in parts) else f"std::variant<{', '.join(parts)}>"
        return PLAIN[shape.kind]

    def _default(self, field: ObjectField, one: Object) -> str:
        return "std::nullopt" if self._is_optional(field, one) else NUMBERS.get(field.shape.kind, "{}")

    def _described(self, field: ObjectField) -> str:
        facts = [field.doc]
        if len(field.values) > 1:
            facts.append(f"One of {', '.join(field.values)}.")
        if field.unit:
            facts.append(f"In {field.unit}.")
        if field.min is not None and field.max is not None:
            facts.append(f"From {field.min} to {field.max}.")
        return self.docs.text(" ".join(facts))

    def _shortcut(self, one: Object, shortcut: Shortcut) -> list[Method]:
        """Follows the path as far as it is there."""
        owner, missing, place, arrow = one, [], "", "."
        shape, optional = Shape("object", one.name), False
        for step in shortcut.path:
            if isinstance(step, int):
                missing.append(f"{place}.empty()" if step == 0 else f"{place}.size() <= {step}")
                place, arrow, shape, optional = f"{place}[{step}]", ".", shape.item, False
                continue
            owner = self.api.objects[shape.name] if place else one
            field = self._field(owner.name, step)
            name = self.names.plain(step)
            place = f"{place}{arrow}{name}" if place else name
            shape, optional = field.shape, self._is_optional(field, owner)
            if optional:
                missing.append(f"!{place}")
            arrow = "->" if optional else "."
        word, name = self.shape(shape), self.names.plain(shortcut.name)
        value = f"{'*' if optional else ''}{place}"
        comment = self.docs.lines(
            f"{shortcut.doc} {'None' if shape.kind in NUMBERS else 'Empty'} where it is not there.", 8
        )
        if shape.kind in NUMBERS:
            body = [*([f"if ({' || '.join(missing)}) return std::nullopt;"] if missing else []), f"return {value};"]
            return [Method(name, f"std::optional<{word}>", [], comment, body, after="const")]
        body = [*([f"if ({' || '.join(missing)}) return detail::none<{word}>();"] if missing else []), f"return {value};"]
        return [
            Method(name, f"const {word} &", [], comment, body, after="const &"),
            Method(name, word, [], [], [f"return std::as_const(*this).{name}();"], after="&&"),  # of an answer that goes
        ]

    # Methods

    def methods(self, handle: str) -> list[Method]:
        return [method for route in self.api.routes if route.on == handle for method in self.route_methods(route)]

    def route_methods(self, route: Route) -> Iterator[Method]:
        """One for the whole answer, and one for its pieces where there are some."""
        parameters, puts = self._parameters(route)
        arguments = ["*this", f'"{route.route}"', "body", *(["request"] if route.tools else [])]
        answer = self.names.type(route.answer)
        docs = [(one.name, one.doc) for one in parameters]
        doc = self.docs.route(route, docs, self.api.objects[route.answer].doc)
        name, owner = self.names.plain(route.name), self.names.type(route.on)
        yield Method(
            name=name,
            result=answer,
            parameters=parameters,
            comment=doc,
            body=[*puts, f"return detail::ask<{answer}>({', '.join(arguments)});"],
            owner=owner,
            after="const",
        )
        if route.piece:
            stream = self._stream(route)
            yield Method(
                name=f"{name}_stream",
                result=stream,
                parameters=parameters,
                comment=[f"The same in pieces: a range of `{self.names.type(route.piece)}` that also gives the whole answer."],
                body=[*puts, f"return detail::open_stream<{stream}>({', '.join(arguments)});"],
                owner=owner,
                after="const",
            )

    def _parameters(self, route: Route) -> tuple[list[Parameter], list[str]]:
        """Parameters, and statements that make the body."""
        parameters, puts = [], []
        given = self._has_request(route)
        if route.request:
            puts.append(f"Json body = {'to_json(request)' if given else 'Json::object()'};")
        else:
            puts.append("Json body = Json::object();")
        for name in route.positional:
            field = self._field(route.request, name)
            word = "std::string_view" if field.shape.kind == "str" else f"const {self.shape(field.shape)} &"
            parameter = self.names.parameter(name)
            parameters.append(Parameter(word, parameter, None, self._described(field)))
            value = parameter if word == "std::string_view" else f"detail::to_json({parameter})"
            puts.append(f'body["{name}"] = {value};')
        if given:
            request = self.names.type(route.request)
            parameters.append(Parameter(f"const {request} &", "request", "{}", "All that may be left out."))
        return parameters, puts

    def _has_request(self, route: Route) -> bool:
        return bool(route.request) and bool(self._fields(self.api.objects[route.request]))

    def _field(self, name: str, field: str) -> ObjectField:
        return next(one for one in self.api.objects[name].fields if one.name == field)


def _objects(shape: Shape) -> Iterator[str]:
    """The objects that a shape holds."""
    if shape.kind == "object":
        yield shape.name
    for item in shape.items:
        yield from _objects(item)
