"""The declaration of a function as a PHP programmer reads it, for the reference."""

from __future__ import annotations

from ...api import Api, Function, Route
from .lower import Lowering
from .routes import Routes


def signature(api: Api, function: Function) -> str:
    """One line, or one for each parameter; the two text conveniences follow the function that starts a generation."""
    return Lowering(api).signature(function)


def route(api: Api, route: Route) -> str:
    """One line for the whole answer, one for its stream."""
    lowering = Lowering(api)
    return Routes(api, lowering.names, lowering.docs).signature(route)
