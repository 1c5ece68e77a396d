"""A function's C declaration, for the reference."""

from __future__ import annotations

from ...api import Api, Function
from .lower import Lowering


def signature(api: Api, function: Function) -> str:
    return Lowering(api).function(function).declaration("")
