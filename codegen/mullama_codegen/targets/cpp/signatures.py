"""How a user of C++ reads a function's declaration, for the reference that shows all languages side by side."""

from __future__ import annotations

from ...api import Api, Function
from .lower import Lowering


def signature(api: Api, function: Function) -> str:
    """The declarations, one a line where they fit: overloads, views and conveniences included."""
    return "\n".join(method.signature() for method in Lowering(api).methods(function))
