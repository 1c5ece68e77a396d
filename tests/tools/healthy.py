"""Three streams that run on an engine while a test does something, and must give to the byte what they give alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import mullama

PROMPTS = ["the of and to", "how many people", "time made his"]
LENGTH = 80  # tokens of each
REST = 20  # of them, those that come only when the test has done what it does
DONE_WITHIN = 600  # seconds, on any machine

Outcome = list[list[tuple[Any, Any]]]


class Healthy:
    """What the streams give alone is found once, when it is made. A slot of the engine must be left for the test."""

    def __init__(self, engine: mullama.Engine):
        self.engine = engine
        self.alone = self._read(threading.Event())
        assert all(len(pieces) > LENGTH - REST for pieces in self.alone)

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """The streams have begun before what is done within, run meanwhile, and end after it."""
        begun, done = threading.Event(), threading.Event()
        found: list[Outcome] = []
        reader = threading.Thread(target=lambda: found.append(self._read(done, begun)))
        reader.start()
        try:
            assert begun.wait(DONE_WITHIN)
            yield
        finally:
            done.set()
            reader.join(DONE_WITHIN)
        assert found == [self.alone]

    def _read(self, done: threading.Event, begun: threading.Event | None = None) -> Outcome:
        bodies = [{"prompt": prompt, "max_tokens": LENGTH, "ignore_eos": True, "temperature": 0, "stream": True, "cache_prompt": False} for prompt in PROMPTS]
        if begun is None:
            done.set()
        with contextlib.ExitStack() as opened:
            streams = [opened.enter_context(self.engine.request("completions", body)) for body in bodies]
            outcome: Outcome = [[] for _ in streams]
            for place in range(LENGTH - REST):
                for stream, pieces in zip(streams, outcome, strict=True):
                    pieces += self._pieces(stream.next())
                if begun and place == 0:
                    begun.set()
            assert done.wait(DONE_WITHIN)
            for stream, pieces in zip(streams, outcome, strict=True):
                for event in stream:
                    pieces += self._pieces(event)
        return outcome

    @staticmethod
    def _pieces(event: Any) -> Outcome:
        assert event is not None
        return [(choice["text"], choice["finish_reason"]) for choice in event.data["choices"]]
