"""A function as a user of Python reads it, for the reference; options stay together under the name of their group."""

from __future__ import annotations

import re
from dataclasses import replace

from ...api import Api, Function, Route
from .lower import Lowering
from .routes import Routes


def signature(api: Api, function: Function) -> str:
    """One line for each way to call it; a property as an annotation."""
    lowering = Lowering(api)
    groups = [f"**{value.type.name}" for value in function.params if value.type.kind == "options"]
    plain = tuple(value for value in function.params if value.type.kind != "options")
    # Derived names and deprecation are no part of how it is called.
    method = lowering.method(replace(function, params=plain, text_generation=None, deprecated=""), 8)
    found = re.fullmatch(r"(?:async )?def \w+\((.*)\) -> (.*):", " ".join(method.signature.split()))
    assert found is not None  # the form that `_signature` of lower.py writes
    parameters = [one for one in re.split(r", (?![^\[]*\])", found[1].strip().strip(",")) if one and one != "self"]
    arguments, result = ", ".join([*parameters, *groups]), found[2]
    if not function.on:
        return f"{api.name}.{lowering.names.method(function)}({arguments}) -> {result}"
    owner = lowering.names.type(function.on)
    if function.constructor:
        return f"{owner}({arguments})"
    receiver = owner if function.static else lowering.names.plain(function.on)
    if function.property:
        return f"{receiver}.{lowering.names.method(function)}: {result}"
    if function.text_generation is None:
        return f"{receiver}.{lowering.names.method(function)}({arguments}) -> {result}"
    ways = function.text_generation
    results = {ways.start: result, ways.whole: "Completion", ways.pieces: "TextStream"}
    return "\n".join(f"{receiver}.{name}({arguments}) -> {kind}" for name, kind in results.items())


def route(api: Api, route: Route) -> str:
    """The method that sends a request, and what it gives; a twin with `_async` stands beside each."""
    lowering = Lowering(api)
    routes = Routes(api, lowering.names, lowering.docs)
    return f"{lowering.names.plain(route.on)}.{routes.declaration(route)}"
