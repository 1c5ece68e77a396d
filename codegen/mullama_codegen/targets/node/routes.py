"""JSON objects as JavaScript has them, and the methods that send requests."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Object, ObjectField, Route, Shape, Shortcut
from .docs import WIDTH, Docs, comment, quoted
from .names import Names, UnsupportedError
from .script import Interface, Member

PLAIN = {"str": "string", "bool": "boolean", "i64": "number", "f64": "number", "json": "any"}
EMPTY = {"str": "''", "bool": "false", "i64": "0", "f64": "0", "list": "[]", "map": "{}"}
# Of the runtime, which exports them under these names; see runtime/answers.js.
OPTIONS = ("ToolOptions", "Cancellable")
TOLD = ("toolRuns", "reachedMaxRounds")  # what the answers of routes with tools tell besides


@dataclass(frozen=True)
class Renamed:
    """A field of a request whose value is not passed on as it is."""

    name: str
    facts: str  # its name in JSON where that differs, and the object that it holds


@dataclass(frozen=True)
class AnswerClass:
    name: str
    doc: list[str]
    parameters: str
    fields: list[str]  # statements of the constructor
    shortcuts: list[tuple[list[str], str, str]]  # doc, name, value


@dataclass(frozen=True)
class Kind:
    """What the runtime has to know of a route."""

    name: str
    doc: list[str]
    members: list[str]


class Routes:
    """The objects and routes of one API."""

    def __init__(self, api: Api, names: Names, docs: Docs) -> None:
        self.api, self.names, self.docs = api, names, docs
        self.objects = list(api.objects.values())
        self.with_tools = {route.request for route in api.routes if route.tools}
        self.told_of_tools = {route.answer for route in api.routes if route.tools}

    # Requests

    def renamed(self) -> list[tuple[str, list[Renamed]]]:
        """The objects of requests of which something is spelled otherwise in JSON, or inside of which something is."""
        found = {one.name: self._renamed(one) for one in self.objects if one.in_requests}
        return [(self.names.plain(name), fields) for name, fields in found.items() if fields]

    def _renamed(self, one: Object) -> list[Renamed]:
        fields = []
        for field in one.typed_fields:
            name, inner = self.names.plain(field.name), self._inner(field.shape)
            facts = [f"json: {quoted(field.name)}"] if name != field.name else []
            if inner and self._renamed(self.api.objects[inner]):
                facts.append(f"object: {quoted(self.names.plain(inner))}")
            if facts:
                fields.append(Renamed(name, ", ".join(facts)))
        return fields

    def _inner(self, shape: Shape) -> str:
        """The object that a value is, or holds in lists."""
        if shape.kind == "map" and self._inner(shape.item):
            raise UnsupportedError(f"a map of {shape.item} in a request")
        return shape.name if shape.kind == "object" else next(filter(None, map(self._inner, shape.items)), "")

    def request_interfaces(self) -> list[Interface]:
        requests = {route.request: route.positional for route in self.api.routes}
        found = []
        for one in self.objects:
            if not one.in_requests:
                continue
            positional = requests.get(one.name, ())
            lines: list[str] = []
            for field in one.typed_fields:
                if field.name in positional:
                    continue
                given = self._given(field, one)
                given = f"?: {given} | null | undefined" if field.optional else f": {given}"
                lines += [*comment(2, self._described(field)), f"{self.names.plain(field.name)}{given};"]
            found.append(Interface(self._given_name(one.name), comment(0, self.docs.text(one.doc)), lines))
        return found

    def _given_name(self, name: str) -> str:
        """An object as a caller writes it; one that answers have as well has another name there."""
        return self.names.type(name) + ("Input" if self.api.objects[name].in_answers else "")

    def _given(self, field: ObjectField, owner: Object | None = None) -> str:
        if field.values:
            return " | ".join(map(quoted, field.values))
        if field.name == "tools" and owner and owner.name in self.with_tools:
            return f"ReadonlyArray<{self._given_shape(field.shape.item)} | FunctionTool>"
        return self._given_shape(field.shape)

    def _given_shape(self, shape: Shape) -> str:
        if shape.kind == "object":
            return self._given_name(shape.name)
        if shape.kind == "list":
            item = self._given_shape(shape.item)
            if item == "number":
                return "readonly number[] | Int32Array | Float32Array | Float64Array"
            return f"ReadonlyArray<{item}>" if " " in item else f"readonly {item}[]"
        if shape.kind == "map":
            return f"Readonly<Record<string, {self._given_shape(shape.item)}>>"
        if shape.kind == "json":
            return "Json"
        return " | ".join(map(self._given_shape, shape.items)) if shape.items else PLAIN[shape.kind]

    # Answers

    def answer_classes(self) -> list[AnswerClass]:
        return [self._answer(one) for one in self.objects if one.in_answers]

    def _answer(self, one: Object) -> AnswerClass:
        fields = [f"this.{self.names.plain(field.name)} = {self._taken(field)};" for field in one.typed_fields]
        told = one.name in self.told_of_tools
        shortcuts = [
            (comment(2, self._shortcut_doc(short)), self.names.plain(short.name), self._found(short)) for short in one.shortcuts
        ]
        return AnswerClass(
            self.names.type(one.name),
            comment(0, self.docs.text(one.doc)),
            ", ".join(["raw", *(TOLD if told else ())]),
            [*fields, *(f"this.{name} = {name};" for name in (TOLD if told else ()))],
            shortcuts,
        )

    def _taken(self, field: ObjectField) -> str:
        value = f"raw.{field.name}"
        shape = field.shape.item if field.shape.kind == "list" else field.shape
        if shape.kind == "object":
            return f"made({self.names.type(shape.name)}, {value})"
        if self._inner(field.shape):
            raise UnsupportedError(f"{field.name}: {field.shape} in an answer")
        return f"{value} ?? null" if field.optional else value

    def _found(self, shortcut: Shortcut) -> str:
        steps = [f"[{step}]" if isinstance(step, int) else self.names.plain(step) for step in shortcut.path]
        return f"this.{'?.'.join(steps)} ?? {EMPTY[shortcut.shape.kind]}"

    def _shortcut_doc(self, shortcut: Shortcut) -> str:
        return f"{self.docs.text(shortcut.doc)} Empty if there is none."

    def answer_interfaces(self) -> list[Interface]:
        found = []
        for one in self.objects:
            if not one.in_answers:
                continue
            lines: list[str] = []
            for field in one.typed_fields:
                none = " | null" if field.optional and field.shape.kind != "json" else ""
                lines += [*comment(2, self._described(field)), f"{self.names.plain(field.name)}: {self._result(field.shape)}{none};"]
            for short in one.shortcuts:
                lines += comment(2, self._shortcut_doc(short))
                lines.append(f"readonly {self.names.plain(short.name)}: {self._result(short.shape)};")
            if one.name in self.told_of_tools:
                lines += comment(2, "The functions that were called for it, in order.")
                lines.append("readonly toolRuns: readonly ToolRun[];")
                lines += comment(
                    2,
                    "Whether it is of the last round that `maxRounds` allows: the model could not call any more, and had to "
                    "answer.",
                )
                lines.append("readonly reachedMaxRounds: boolean;")
            found.append(Interface(f"{self.names.type(one.name)} extends Answer", comment(0, self.docs.text(one.doc)), lines))
        return found

    def _result(self, shape: Shape) -> str:
        if shape.kind == "object":
            return self.names.type(shape.name)
        if shape.kind == "list":
            item = self._result(shape.item)
            return f"Array<{item}>" if " " in item else f"{item}[]"
        if shape.kind == "map":
            return f"Record<string, {self._result(shape.item)}>"
        return " | ".join(map(self._result, shape.items)) if shape.items else PLAIN[shape.kind]

    def _described(self, field: ObjectField) -> str:
        facts = [self.docs.text(field.doc), *([f"In {field.unit}."] if field.unit else [])]
        if field.min is not None and field.max is not None:
            facts.append(f"From {field.min} to {field.max}.")
        return " ".join(facts)

    # Routes

    def kinds(self) -> list[Kind]:
        found = []
        for route in self.api.routes:
            members = [f"route: {quoted(route.route)},", "objects,"]
            if route.request and self._renamed(self.api.objects[route.request]):
                members.append(f"request: {quoted(self.names.plain(route.request))},")
            members.append(f"answer: answers.{self.names.type(route.answer)},")
            if route.piece:
                members.append(f"piece: answers.{self.names.type(route.piece)},")
            if route.tools:
                members.append("tools: true,")
            found.append(Kind(self.names.plain(route.name), comment(0, self.docs.text(route.doc)), members))
        return found

    def members(self, handle: str) -> list[Member]:
        return [self.member(route) for route in self.api.routes if route.on == handle]

    def member(self, route: Route) -> Member:
        name, answer = self.names.plain(route.name), self.names.type(route.answer)
        fields = {field.name: field for field in self.api.objects[route.request].fields} if route.request else {}
        positional = [(self.names.parameter(one), self._given(fields[one])) for one in route.positional]
        passed = ", ".join(parameter for parameter, _ in positional)
        given = f"{{ {passed} }}" if passed else "{}"
        head = ", ".join([*(parameter for parameter, _ in positional), "options"])
        code = [f"{name}({head}) {{", f"  return ask(this, routes.{name}, {given}, options);", "}"]

        parts = [self._given_name(route.request)] if route.request else []
        parts += [one for one in OPTIONS if one != "ToolOptions" or route.tools]
        options = " & ".join(parts)
        typed = [f"{parameter}: {type_}" for parameter, type_ in positional]

        def way(extra: str, result: str, needed: bool = False) -> tuple[list[str], str]:
            given = f"options{'' if needed else '?'}: {options}{f' & {extra}' if extra else ''}"
            return [*typed, given], result

        whole = f"Promise<{answer}>"
        if route.piece:
            pieces = f"AnswerStream<{self.names.type(route.piece)}, {answer}>"
            ways = [
                way("{ stream: true }", pieces, True),
                way("{ stream?: false | undefined }", whole),
                way("{ stream?: boolean | undefined }", f"{whole} | {pieces}"),
            ]
        else:
            ways = [way("", whole)]
        tags = [f"@param {parameter} {self._described(fields[one])}" for (parameter, _), one in zip(positional, route.positional, strict=True)]
        tags.append(f"@param options {self._options_doc(route)}")
        tags.append("@returns The answer.")
        tags.append("@throws As `request()` and `stream.next()` do, by rejecting.")
        doc = comment(2, self.docs.text(route.doc), *tags)
        lines = [line for parameters, result in ways for line in _fit(name, parameters, result)]
        shown = ways[1::-1] if route.piece else ways
        signatures = [f"{self.names.plain(route.on)}.{name}({', '.join(parameters)}): {result}" for parameters, result in shown]
        return Member(name, [*comment(2, self.docs.text(route.doc)), *code], [*doc, *lines], signatures)

    def _options_doc(self, route: Route) -> str:
        text = "The other fields of the request, and a signal." if route.request else "A signal."
        if route.piece:
            text += " `stream: true` gives the answer in pieces, as an object that also is a promise of the whole."
        if route.tools:
            text += " Functions among `tools` are called, and their results sent, until the model answers."
        return text


def _fit(name: str, parameters: list[str], result: str) -> list[str]:
    """A declaration, as Prettier breaks it inside a class."""
    line = f"{name}({', '.join(parameters)}): {result};"
    if len(line) + 2 <= WIDTH:
        return [line]
    return [f"{name}(", *(f"  {parameter}," for parameter in parameters), f"): {result};"]
