"""The declaration of a function as a PHP programmer reads it, for the reference."""

from __future__ import annotations

from ...api import Api, Function
from .lower import Lowering


def signature(api: Api, function: Function) -> str:
    """One line, or one for each parameter; the two text conveniences follow the function that starts a generation."""
    return Lowering(api).signature(function)
