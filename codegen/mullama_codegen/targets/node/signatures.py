"""A function or a request as a user of JavaScript reads it, for the page that shows all languages side by side."""

from __future__ import annotations

from ...api import Api, Function, Route
from .docs import Docs
from .names import Names
from .routes import Routes
from .script import Script


def signature(api: Api, function: Function) -> str:
    """One line for each way to call it."""
    names = Names(api)
    members = Script(api, names, Docs(api, names)).members(function)
    return "\n".join(line for member in members for line in member.signatures)


def route(api: Api, route: Route) -> str:
    """One line for the whole answer, and one for its pieces."""
    names = Names(api)
    return "\n".join(Routes(api, names, Docs(api, names)).member(route).signatures)
