"""What cases can call, as every language's table sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...api import Api, Function, Struct, Type, Value
from ...render import MARK, environment
from ...render import render as render_template

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Call:
    """One thing that a case can call.

    `kind` is function, constructor, static, method, property, stream, run or close; and start, whole or pieces for a
    function with `text_generation`, whose two conveniences are called `context_generate.whole` and `.pieces`.
    """

    name: str
    kind: str
    function: Function

    @property
    def on(self) -> str:
        """The handle that it is called on; "" for functions, static methods and constructors."""
        return "" if self.function.static else self.function.on


class Calls:
    """The calls of one API, and what a template needs besides."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.mark = f"{MARK} from {api.folder}/spec; edit the description instead."

    def all(self) -> list[Call]:
        calls = [Call(function.name, "function", function) for function in self._always_there()]
        for function in self.api.functions:
            calls.append(Call(function.name, _kind(function), function))
            if function.text_generation:
                calls += [Call(f"{function.name}.{kind}", kind, function) for kind in ("whole", "pieces")]
        for handle in self.api.handles:
            close = Function(f"{handle}_close", "", "", on=handle, any_thread=True)
            calls.append(Call(close.name, "close", close))
        return calls

    def options(self) -> list[Struct]:
        return [struct for struct in self.api.structs.values() if struct.is_options]

    def results(self) -> list[Struct]:
        return [struct for struct in self.api.structs.values() if not struct.is_options]

    def render(self, template: str, **view: object) -> str:
        return render_template(environment(TEMPLATES), template, api=self.api, mark=self.mark, **view)

    def _always_there(self) -> list[Function]:
        """What every library has besides its description, where every language shows it."""
        return [Function("live_objects", "", "", returns=Value("", Type("i64"), ""))]


def _kind(function: Function) -> str:
    if function.stream_of:
        return "stream"
    for kind, applies in (
        ("run", function.run_of),
        ("start", function.text_generation),
        ("constructor", function.constructor),
        ("property", function.property),
        ("static", function.static),
    ):
        if applies:
            return kind
    return "method" if function.on else "function"
