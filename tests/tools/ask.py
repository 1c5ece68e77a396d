"""Ways to ask an engine."""

from __future__ import annotations

from typing import Any

import mullama

# Long enough to be there for the whole of a test, and the same on every run.
ENDLESS = {"prompt": "the of and", "max_tokens": 200, "ignore_eos": True, "temperature": 0}


def answer(engine: mullama.Engine, route: str, **body: Any) -> Any:
    """The only event of an answer."""
    with engine.request(route, body) as stream:
        (event,) = [event.data for event in stream]
        return event


def events(engine: mullama.Engine, route: str, **body: Any) -> list[Any]:
    with engine.request(route, {"stream": True, **body}) as stream:
        return [event.data for event in stream]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
