"""JSON objects as Go structs, and the methods that send them to routes. The runtime is bindings/go/answers.go and tools.go."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Object, ObjectField, Route, Shape, Shortcut
from .docs import Docs
from .layout import call, comment, paragraphs
from .names import Names
from .types import UnsupportedError
from .views import GoField, GoMember, GoMethod, GoObject

PLAIN = {"str": "string", "bool": "bool", "i64": "int", "f64": "float64"}
ZEROS = {"str": '""', "bool": "false", "i64": "0", "f64": "0"}
SHOWN = {'""': "Empty", "nil": "Nil", "0": "0", "false": "False"}
LARGEST = 2**31 - 1  # a bound that tells a reader nothing
REACHED = "Whether it is of the last round that [WithMaxRounds] allows: the model could not call any more, and had to answer."
RAW = "What came, with all that a newer library adds."


@dataclass(frozen=True)
class Used:
    """An object of the API as Go sees it: without the fields that only raw requests have."""

    spec: Object
    fields: tuple[ObjectField, ...]
    is_root: bool  # it comes as a whole answer, or as a piece of one
    calls_tools: bool  # a function of the caller may stand in it
    has_runs: bool  # it tells which functions were called


class Objects:
    """The objects and routes of one API."""

    def __init__(self, api: Api, names: Names, docs: Docs) -> None:
        self.api = api
        self.names = names
        self.docs = docs
        self.used = self._used()

    def types(self) -> list[str]:
        return [self.names.public(name) for name in self.used] + [one.name for one in self.streams()]

    def objects(self) -> list[GoObject]:
        return [self._object(one) for one in self.used.values()]

    def methods(self) -> list[GoMethod]:
        return [method for route in self.api.routes for method in self.route(route)]

    # Objects

    def _used(self) -> dict[str, Used]:
        """What can be reached from a route, in the order of the description."""
        routes = self.api.routes
        roots = {name for route in routes for name in (route.answer, route.piece) if name}
        with_tools = [route for route in routes if route.tools]
        tools = {self._tool(route) for route in with_tools}
        answers = {route.answer for route in with_tools}
        wanted, found = [*roots, *(route.request for route in routes if route.request)], set()
        while wanted:
            name = wanted.pop()
            if name in found:
                continue
            found.add(name)
            wanted += [inner for field in self.api.objects[name].typed_fields for inner in _named(field.shape)]
        return {
            name: Used(one, tuple(one.typed_fields), name in roots, name in tools, name in answers)
            for name, one in self.api.objects.items()
            if name in found
        }

    def _tool(self, route: Route) -> str:
        """The object that stands among the tools of a request."""
        field = next(one for one in self.api.objects[route.request].fields if one.name == "tools")
        if field.shape.kind != "list" or field.shape.item.kind != "object":
            raise UnsupportedError(f"{route.request}.tools: tools that are no objects")
        return field.shape.item.name

    def _object(self, one: Used) -> GoObject:
        spec, name = one.spec, self.names.public(one.spec.name)
        members = [self._member(spec, field) for field in one.fields]
        if one.calls_tools:
            members.append(GoMember("run", "toolFunction", "", comment("Set by [NewTool].", 1)))
        if one.has_runs:
            members.append(GoMember("ToolRuns", "[]ToolRun", "-", comment("The functions that were called for it, in order.", 1)))
            members.append(GoMember("ReachedMaxRounds", "bool", "-", comment(REACHED, 1)))
        if one.is_root:
            members.append(GoMember("Raw", "json.RawMessage", "-", comment(RAW, 1)))
        receiver = name[0].lower()
        methods = [self._shortcut(spec, shortcut, receiver) for shortcut in spec.shortcuts]
        if one.is_root:
            methods.append(
                GoMethod("keepRaw", [], f"func ({receiver} *{name}) keepRaw(raw json.RawMessage)", [f"{receiver}.Raw = raw"])
            )
        first = spec.doc.split()[0]
        verb = "is" if first in ("A", "An", "The", "One") else "holds"
        return GoObject(name, comment(self.docs.sentence(name, spec.doc, verb, True)), members, methods)

    def _member(self, one: Object, field: ObjectField) -> GoMember:
        tag = f"{field.name},omitempty" if field.optional else field.name
        return GoMember(self.names.public(field.name), self._type(one, field), tag, comment(self._described(one, field), 1))

    def _type(self, one: Object, field: ObjectField) -> str:
        """Nil stands for what was left out; in answers the zero value does, where it says the same."""
        plain = self._shape(field.shape, one.in_requests)
        is_number = field.shape.kind in ("bool", "i64", "f64")
        if field.optional and (field.shape.kind == "object" or (is_number and one.in_requests)):
            return f"*{plain}"
        return plain

    def _shape(self, shape: Shape, in_requests: bool) -> str:
        if shape.kind in PLAIN:
            return PLAIN[shape.kind]
        if shape.kind == "object":
            return self.names.public(shape.name)
        if shape.kind == "list":
            return f"[]{self._shape(shape.item, in_requests)}"
        if shape.kind == "map":
            return f"map[string]{self._shape(shape.item, True)}"
        if shape.kind == "union" and not in_requests:
            raise UnsupportedError(f"an answer that is {shape}")
        return "any" if in_requests else "json.RawMessage"

    def _described(self, one: Object, field: ObjectField) -> str:
        facts = [self.docs.text(field.doc)]
        if field.values and not all(value in field.doc for value in field.values):
            facts.append(f"One of {', '.join(field.values)}.")
        if field.shape.kind == "union":
            kinds = [self._shape(item, True) for item in field.shape.items]
            facts.append(f"A {' or a '.join(kinds)}.")
        if field.unit and field.unit not in field.doc.lower():
            facts.append(f"In {field.unit}.")
        if field.min is not None and field.max is not None and field.max < LARGEST:
            facts.append(f"From {field.min} to {field.max}.")
        elif field.min is not None:
            facts.append(f"At least {field.min}.")
        return " ".join(facts)

    def _shortcut(self, one: Object, shortcut: Shortcut, receiver: str) -> GoMethod:
        """A method that follows the path as far as it is there."""
        name, place = self.names.public(shortcut.name), receiver
        zero = ZEROS.get(shortcut.shape.kind, "nil")
        body: list[str] = []
        fields: tuple[ObjectField, ...] = one.fields
        owner = one
        for step in shortcut.path:
            if isinstance(step, int):
                body += [f"if len({place}) {f'<= {step}' if step else '== 0'} {{", f"\treturn {zero}", "}"]
                place += f"[{step}]"
                continue
            field = next(field for field in fields if field.name == step)
            place += f".{self.names.public(step)}"
            if self._type(owner, field).startswith("*"):
                body += [f"if {place} == nil {{", f"\treturn {zero}", "}"]
            inner = field.shape.item if field.shape.kind == "list" else field.shape
            if inner.kind == "object":
                owner = self.api.objects[inner.name]
                fields = owner.fields
        result = self._shape(shortcut.shape, False)
        doc = f"{self.docs.sentence(name, shortcut.doc, is_noun=True)} {SHOWN[zero]} if there is none."
        signature = f"func ({receiver} *{self.names.public(one.name)}) {name}() {result}"
        return GoMethod(name, comment(doc), signature, [*body, f"return {place}"])

    # Routes

    def route(self, route: Route) -> list[GoMethod]:
        """The method that gives the whole answer, and the one that gives a stream of its pieces."""
        name = self.names.public(route.name)
        whole = self._sender(route, name, f"*{self.names.public(route.answer)}", self._about(route))
        if not route.piece:
            return [whole]
        about = f"{name}Stream is [{self.names.public(route.on)}.{name}] with the answer in pieces."
        return [whole, self._sender(route, f"{name}Stream", f"*{name}Stream", [about], is_streamed=True)]

    def streams(self) -> list[GoField]:
        """Names for the streams that methods give."""
        return [self._stream(route) for route in self.api.routes if route.piece]

    def _stream(self, route: Route) -> GoField:
        name = f"{self.names.public(route.name)}Stream"
        kind = f"AnswerStream[{self.names.public(route.piece)}, {self.names.public(route.answer)}]"
        return GoField(name, kind, comment(f"{name} is what [{self.names.public(route.on)}.{name}] gives."), [])

    def _about(self, route: Route) -> list[str]:
        """What a method does, and what goes wrong."""
        name = self.names.public(route.name)
        facts = [f"{self.docs.sentence(name, route.doc)} When ctx is over, the request is cancelled, and the error is [ErrCancelled] and that of ctx."]
        given = [f"[{self.names.public(route.request)}.{self.names.public(field)}]" for field in route.positional]
        if given:
            facts.append(f"{' and '.join(given)} must be set; what is left out has its default.")
        if route.tools:
            facts.append(
                "Functions may stand among the tools, see [NewTool]: they are called, one after the other, and their results "
                "sent until the model answers. See [WithMaxRounds] and [WithToolErrors]."
            )
        return facts

    def _sender(self, route: Route, name: str, result: str, about: list[str], is_streamed: bool = False) -> GoMethod:
        receiver = self.names.receiver(route.on)
        parameters = ["ctx context.Context"]
        arguments = ["ctx", receiver, f'"{route.route}"']
        if route.request:
            parameters.append(f"request {self.names.public(route.request)}")
            arguments.append("request")
        else:
            arguments.append("nil")
        kinds = [self.names.public(route.piece)] if is_streamed else []
        runtime = f"{'stream' if is_streamed else 'ask'}For[{', '.join([*kinds, self.names.public(route.answer)])}]"
        if route.tools:
            parameters.append("options ...ToolOption")
            arguments.append("options")
            runtime = f"{'stream' if is_streamed else 'ask'}WithTools"
        signature = call(
            f"func ({receiver} *{self.names.public(route.on)}) {name}", parameters, f" ({result}, error)", 0
        )
        if len(signature) > 1:
            raise UnsupportedError(f"{route.name}: a method whose declaration does not fit on a line")
        return GoMethod(
            name, paragraphs(*map(comment, about)), signature[0], [f"return {runtime}({', '.join(arguments)})"]
        )


def _named(shape: Shape) -> set[str]:
    """The objects that a shape names."""
    return {shape.name} if shape.kind == "object" else {name for item in shape.items for name in _named(item)}
