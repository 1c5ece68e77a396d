# mypy: disable-error-code=no-any-return
"""Requests that an engine answers with objects: whole, in pieces, and in rounds in which the model calls functions.

In an event loop no stream has a thread of its own: one thread for each engine that is awaited tells which streams have
something (`Engine.wait`), and one sends requests. So a thousand open streams cost two threads.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ._tools import ToolErrors, ToolRun, Tools
from .generated.errors import CancelledError, Error, ErrorCode

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from .generated.engine import Engine
    from .generated.stream import Stream
    from .generated.structs import StreamEvent

A = TypeVar("A", bound="Answer")
P = TypeVar("P", bound="Answer")


class Answer:
    """A JSON object of an answer, with its fields as properties. `raw` is all that came, as a dict."""

    __slots__ = ("raw", "reached_max_rounds", "tool_runs")

    _shown: tuple[str, ...] = ()

    def __init__(
        self, raw: dict[str, Any], tool_runs: Iterable[ToolRun] = (), reached_max_rounds: bool = False
    ) -> None:
        self.raw = raw
        #: The calls of functions that led to it, in order.
        self.tool_runs = tuple(tool_runs)
        #: Whether it is of the last round that `max_rounds` allows: the model could not call any more, and had to answer.
        self.reached_max_rounds = reached_max_rounds

    def _at(self, *path: str | int) -> Any:
        """What lies at a path; None where it ends early."""
        value: Any = self.raw
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, type(self)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a dict has none

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
        return f"{type(self).__name__}({shown})"


def _plain(value: Any) -> Any:
    """What JSON has no form for: answers that are sent back, NumPy's numbers and arrays, whatever can be iterated over."""
    if isinstance(value, Answer):
        return value.raw
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r:.60}")


# Waiting in event loops


class _Pump:
    """The thread that waits for an engine's streams in the name of event loops. It lives while somebody waits."""

    _pumps: ClassVar[weakref.WeakKeyDictionary[Engine, _Pump]] = weakref.WeakKeyDictionary()
    _guard = threading.RLock()  # a stream that is collected within it leaves through it

    def __init__(self) -> None:
        self._waiting: dict[int, Callable[[], None]] = {}
        self._running = False

    @classmethod
    def add(cls, stream: Stream, wake: Callable[[], None]) -> None:
        """Calls `wake`, on a thread, whenever the stream may have something."""
        engine = stream.engine
        with cls._guard:
            pump = cls._pumps.setdefault(engine, cls())
            pump._waiting[stream.id] = wake
            if pump._running:
                return
            pump._running = True
        threading.Thread(target=pump._work, args=(engine,), name="mullama-streams", daemon=True).start()

    @classmethod
    def remove(cls, engine: Engine, id_: int) -> None:
        with cls._guard:
            pump = cls._pumps.get(engine)
            if pump is None or pump._waiting.pop(id_, None) is None or pump._waiting:
                return
        engine.wake()  # for nobody any more

    def _work(self, engine: Engine) -> None:
        running = True
        while running:
            try:
                ready: Iterable[int] | None = engine.wait()
            except Error:  # the engine was closed: whoever waits is to find out
                ready = None
            with self._guard:
                running = self._running = bool(self._waiting) and ready is not None
                woken = self._waiting.values() if ready is None else filter(None, map(self._waiting.get, ready))
                calls = list(woken)
            for wake in calls:
                wake()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Pump._pumps.clear)  # the child has none of its parent's threads


class _Events:
    """The events of one request, for a thread or an event loop."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._id = stream.id
        self._ready: asyncio.Event | None = None

    def next(self) -> StreamEvent | None:
        return self._stream.next()

    async def next_async(self) -> StreamEvent | None:
        ready = self._ready or self._join_loop()
        while True:
            ready.clear()
            try:
                return self._stream.next(0)
            except TimeoutError:
                await ready.wait()

    def _join_loop(self) -> asyncio.Event:
        import asyncio

        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits
                loop.call_soon_threadsafe(ready.set)

        self._ready = ready
        _Pump.add(self._stream, wake)
        return ready

    def cancel(self) -> None:
        self._stream.cancel()

    def close(self) -> None:
        if self._ready is not None:
            self._ready = None
            _Pump.remove(self._stream.engine, self._id)
        self._stream.close()


@functools.cache
def _sender() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1, "mullama-requests")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_sender.cache_clear)


async def _request_async(engine: Engine, route: str, body: str) -> Stream:
    """Checks, the template and the tokenizer run off the loop, one request after the other."""
    import asyncio

    future = asyncio.get_running_loop().run_in_executor(_sender(), engine.request, route, body)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_drop)
        raise


def _drop(sent: asyncio.Future[Stream]) -> None:
    if sent.exception() is None:
        sent.result().close()


# Rounds: a request, its answer, the functions that it calls, the next request


class _Exchange(Generic[A]):
    """What is sent and what came of it. A request without functions among its tools has one round."""

    def __init__(
        self, engine: Engine, route: str, body: dict[str, Any], kind: type[A], max_rounds: int, tool_errors: ToolErrors
    ) -> None:
        self.engine = engine
        self.route = route
        self.kind = kind
        self.runs: list[ToolRun] = []
        self.tools = Tools.among(body, max_rounds, tool_errors)
        self._body = body

    def open(self) -> _Events:
        return _Events(self.engine.request(self.route, self._written()))

    async def open_async(self) -> _Events:
        return _Events(await _request_async(self.engine, self.route, self._written()))

    def _written(self) -> str:
        body = self.tools.body if self.tools else self._body
        try:
            return json.dumps(body, ensure_ascii=False, default=_plain)
        except (ValueError, RecursionError) as error:
            raise TypeError(f"the request cannot be written as JSON: {error}") from None

    def take(self, answer: dict[str, Any]) -> Iterator[ToolRun]:
        """Calls the functions that the answer asks for; none if it is the last one."""
        for run in self.tools.rounds(answer) if self.tools else ():
            self.runs.append(run)
            yield run

    async def take_async(self, answer: dict[str, Any]) -> AsyncIterator[ToolRun]:
        if self.tools:
            async for run in self.tools.rounds_async(answer):
                self.runs.append(run)
                yield run

    def answer(self, raw: dict[str, Any]) -> A:
        return self.kind(raw, self.runs, self.reached_max_rounds)

    @property
    def reached_max_rounds(self) -> bool:
        return self.tools is not None and self.tools.reached_max_rounds


def _gone() -> CancelledError:
    return CancelledError("the request was cancelled before its answer was complete", ErrorCode.CANCELLED)


class AnswerStream(Generic[P, A]):
    """An answer in pieces: an iterator and an async iterator of them. `answer()` and `await stream` give it whole.

    Both may be mixed: what the loop has not taken is read by `answer()`. Leaving the loop early, `close()` or the end of a
    `with` block cancels the request. `tool_runs` holds the functions that were called so far.
    """

    def __init__(self, exchange: _Exchange[A], piece: type[P], events: _Events) -> None:
        self._exchange = exchange
        self._piece = piece
        self._events: _Events | None = events
        self._answer: A | None = None

    @property
    def tool_runs(self) -> tuple[ToolRun, ...]:
        """The functions that were called so far, in order."""
        return tuple(self._exchange.runs)

    @property
    def reached_max_rounds(self) -> bool:
        """Whether the last round that `max_rounds` allows has begun: the model cannot call any more, and has to answer."""
        return self._exchange.reached_max_rounds

    def __iter__(self) -> Iterator[P]:
        try:
            while (piece := self._next()) is not None:
                yield piece
        finally:
            self.close()

    def _next(self) -> P | None:
        while self._events is not None:
            event = self._events.next()
            if event is not None and not event.whole:
                return self._piece(event.data)
            self._finish()
            if event is not None:
                if list(self._exchange.take(event.data)):
                    self._events = self._exchange.open()
                else:
                    self._answer = self._exchange.answer(event.data)
        return None

    async def __aiter__(self) -> AsyncIterator[P]:
        try:
            while (piece := await self._next_async()) is not None:
                yield piece
        finally:
            self.close()

    async def _next_async(self) -> P | None:
        while self._events is not None:
            event = await self._events.next_async()
            if event is not None and not event.whole:
                return self._piece(event.data)
            self._finish()
            if event is not None:
                if [run async for run in self._exchange.take_async(event.data)]:
                    self._events = await self._exchange.open_async()
                else:
                    self._answer = self._exchange.answer(event.data)
        return None

    def answer(self) -> A:
        """The whole answer; waits for it. Raises CancelledError where the request was cancelled before."""
        try:
            while self._next() is not None:
                pass
        except BaseException:
            self.close()
            raise
        if self._answer is None:
            raise _gone()
        return self._answer

    def __await__(self) -> Generator[Any, None, A]:
        return self._whole().__await__()

    async def _whole(self) -> A:
        try:
            while await self._next_async() is not None:
                pass
        except BaseException:
            self.close()
            raise
        if self._answer is None:
            raise _gone()
        return self._answer

    def cancel(self) -> None:
        """Cancels the request, from any thread; the loop over the pieces then ends as usual."""
        if (events := self._events) is not None:
            events.cancel()

    def close(self) -> None:
        """Cancels the request and frees its slot. The answer stays, if it was complete."""
        self._finish()

    def _finish(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.close()

    def __enter__(self) -> AnswerStream[P, A]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> AnswerStream[P, A]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def send(
    engine: Any,  # a mixin of its own
    route: str,
    body: dict[str, Any],
    kind: type[A],
    piece: type[P] | None = None,
    max_rounds: int = 0,
    tool_errors: ToolErrors = "tell",
) -> Any:
    """The answer to a request, or its stream where there is a class for pieces."""
    exchange = _Exchange(engine, route, body, kind, max_rounds, tool_errors)
    if piece is not None:
        body |= {"stream": True, "stream_options": {"include_answer": True}}
        return AnswerStream(exchange, piece, exchange.open())
    while True:
        events = exchange.open()
        try:
            event = events.next()
        finally:
            events.close()
        if event is None:
            raise _gone()
        if not list(exchange.take(event.data)):
            return exchange.answer(event.data)


async def send_async(
    engine: Any,
    route: str,
    body: dict[str, Any],
    kind: type[A],
    piece: type[P] | None = None,
    max_rounds: int = 0,
    tool_errors: ToolErrors = "tell",
) -> Any:
    """As `send`, for event loops."""
    exchange = _Exchange(engine, route, body, kind, max_rounds, tool_errors)
    if piece is not None:
        body |= {"stream": True, "stream_options": {"include_answer": True}}
        return AnswerStream(exchange, piece, await exchange.open_async())
    while True:
        events = await exchange.open_async()
        try:
            event = await events.next_async()
        finally:
            events.close()
        if event is None:
            raise _gone()
        if not [run async for run in exchange.take_async(event.data)]:
            return exchange.answer(event.data)
