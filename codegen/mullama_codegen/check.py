"""Refuses descriptions that contradict themselves. Every rule is in `checks`; all messages come at once."""

from __future__ import annotations

from .checks import constants, docs, functions, names, objects, values
from .checks.spec import Spec
from .load import RawSpec
from .messages import Messages


def check(raw: RawSpec) -> None:
    """Raises SpecError with every message."""
    messages = Messages()
    spec = Spec(raw, messages)
    for rules in (names, constants, docs, values, functions, objects):
        rules.check(spec)
    messages.raise_if_any()
