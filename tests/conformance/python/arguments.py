"""From a case's arguments to those of the Python binding; the generated table in dispatch.py is made of these."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Converter = Callable[[Any], Any]


@dataclass(frozen=True)
class Call:
    """How to call a function: `callee(on)` gives what is called, `parameters` its keyword for each parameter."""

    callee: Callable[[Any], Callable[..., Any]]
    parameters: dict[str, Any] = field(default_factory=dict)

    def __call__(self, on: Any, arguments: dict[str, Any], **more: Any) -> Any:
        return self.callee(on)(**keywords(self.parameters, arguments), **more)


def keywords(parameters: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments; those of options stand beside the others."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        parameter = parameters[name]
        if isinstance(parameter, dict):
            found |= keywords(parameter, value or {})
        else:
            keyword, convert = parameter
            found[keyword] = convert(value)
    return found


def as_is(value: Any) -> Any:
    return _numbers(value)


def text(value: Any) -> Any:
    """A text or several, also one that is not UTF-8: Python says so with lone surrogates."""
    if isinstance(value, list):
        return [text(item) for item in value]
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def flags(kind: type[enum.IntFlag]) -> Converter:
    def convert(names: Any) -> Any:
        if not isinstance(names, list):
            return names
        bits = kind(0)
        for name in names:
            bits |= kind[name.upper()]
        return bits

    return convert


def callback(given: dict[str, Any]) -> Callable[..., Any]:
    """Notes each call under `calls` and gives the answers in turn, the last one again and again."""
    calls, answers = given["calls"], given["answers"]

    def call(fraction: float) -> Any:
        calls.append({"fraction": fraction})
        return answers[min(len(calls), len(answers)) - 1]

    return call


def in_seconds(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a stream, for a timeout in milliseconds."""

    def call(timeout_ms: int = -1) -> Any:
        return method(timeout=None if timeout_ms < 0 else timeout_ms / 1000)

    return call


def listed(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that gives an iterator, for its items."""
    return lambda **arguments: list(method(**arguments))


def _numbers(value: Any) -> Any:
    """Numbers that JSON cannot write stand as texts: inf, -inf, nan."""
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value
