"""How a user of C++ reads a function's declaration, for the reference that shows all languages side by side."""

from __future__ import annotations

from ...api import Api, Function, Route
from .lower import Lowering


def signature(api: Api, function: Function) -> str:
    """The declarations, one a line where they fit: overloads, views and conveniences included."""
    return "\n".join(method.signature() for method in Lowering(api).methods(function))


def route(api: Api, route: Route) -> str:
    """The declarations of a route's method and of the one for its pieces."""
    return "\n".join(method.signature() for method in Lowering(api).objects.route_methods(route))
