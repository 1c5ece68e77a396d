"""How a reader of Go sees a function of the description: its declarations, and the options that it takes."""

from __future__ import annotations

from ...api import Api, Function, Route
from .layout import comment
from .lower import Lowering


def signature(api: Api, function: Function) -> str:
    """One line for each way to call it, and what may be left out; options of one kind stay together."""
    lowering = _lowering(api)
    names, options = lowering.names, lowering.options
    lines = [method.signature for method in lowering.methods(function) if method.name[0].isupper()]
    given = [value for value in options.optional(function) if options.is_option(value)]
    alone = [f"{names.option(one.name)}({lowering.types.go(one)})" for one in given if one.type.kind != "options"]
    groups = [one.type.name.removesuffix("_options") for one in given if one.type.kind == "options"]
    alone += [f"the options of {' and '.join(groups)}"] if groups else []
    return "\n".join([*lines, *comment(", ".join(alone))])


def route(api: Api, route: Route) -> str:
    """The methods that send a request: for the whole answer, and for a stream."""
    return "\n".join(method.signature for method in _lowering(api).objects.route(route))


def _lowering(api: Api) -> Lowering:
    """One for each API: it holds the API, whose id is then no other's."""
    if id(api) not in _LOWERINGS:
        _LOWERINGS[id(api)] = Lowering(api)
    return _LOWERINGS[id(api)]


_LOWERINGS: dict[int, Lowering] = {}
