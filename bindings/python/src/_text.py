# mypy: disable-error-code=no-any-return
"""Text from a running generation: whole (`Completion`) or piece by piece (`TextStream`)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from ._async import run
from .generated.errors import Error

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class TextGeneration(Protocol[R_co]):
    """What a generated stream class offers for the two conveniences."""

    @property
    def closed(self) -> bool: ...
    @property
    def result(self) -> R_co: ...
    def next(self, timeout: float | None = None) -> Any: ...
    def run(self, timeout: float | None = None) -> Any: ...
    def text(self) -> str: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...


class Completion(str, Generic[R_co]):
    """The generated text, a `str`, with the figures of its generation in `result`."""

    result: R_co

    @classmethod
    def _of(cls, generation: TextGeneration[R_co]) -> Completion[R_co]:
        completion: Completion[R_co] = cls(generation.text())
        completion.result = generation.result
        return completion


class TextStream(Generic[R_co]):
    """Pieces of the text as they become certain: an iterator and an async iterator of `str`.

    Leaving the loop early, `close()` or the end of a `with` block ends the generation and frees it.
    """

    def __init__(self, generation: TextGeneration[R_co]) -> None:
        self._generation = generation
        self._result: R_co | None = None

    def __iter__(self) -> TextStream[R_co]:
        return self

    def __next__(self) -> str:
        if self._generation.closed:
            raise StopIteration
        try:
            while (event := self._generation.next()) is not None:
                if event.text:
                    return event.text
        except Exception:
            raise
        except BaseException:
            self.close()
            raise
        self._end()
        raise StopIteration

    def __aiter__(self) -> TextStream[R_co]:
        return self

    async def __anext__(self) -> str:
        piece = await run(lambda: next(self, None), self._generation.cancel)
        if piece is None:
            raise StopAsyncIteration
        return piece

    @property
    def result(self) -> R_co:
        """The figures so far; final once the text has ended."""
        return self._generation.result if self._result is None else self._result

    def cancel(self) -> None:
        """Ends the generation from any thread; the loop over the pieces then ends as usual."""
        self._generation.cancel()

    def close(self) -> None:
        """Ends the generation and frees it. `result` stays."""
        if not self._generation.closed:
            self._generation.cancel()
            self._end()

    def _end(self) -> None:
        with contextlib.suppress(Error):  # another thread may still be inside
            self._result = self._generation.result
        self._generation.close()

    def __enter__(self) -> TextStream[R_co]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> TextStream[R_co]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await run(self.close)


def _derived(method: Any, start: Any, name: str, doc: str) -> Any:
    functools.update_wrapper(method, start)
    method.__name__ = name
    method.__qualname__ = f"{start.__qualname__.rpartition('.')[0]}.{name}"
    arguments = (start.__doc__ or "").partition("Args:")
    method.__doc__ = "\n".join([doc, "", "        " + "".join(arguments[1:]).partition("Returns:")[0].rstrip()])
    return method


def whole(
    start: Callable[Concatenate[S, P], TextGeneration[R_co]], name: str
) -> Callable[Concatenate[S, P], Completion[R_co]]:
    """From a starting method the one that runs to the end and gives the text."""

    def generate(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Completion[R_co]:
        generation = start(self, *args, **kwargs)
        try:
            generation.run()
            return Completion._of(generation)
        finally:
            generation.close()

    return _derived(generate, start, name, "Generates a text and gives it whole, with its figures in `.result`.")


def whole_async(
    start: Callable[Concatenate[S, P], TextGeneration[R_co]], name: str
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, Completion[R_co]]]:
    """The `async` twin of `whole`; cancelling the task ends the generation."""

    async def generate(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Completion[R_co]:
        generation = start(self, *args, **kwargs)
        try:
            await run(generation.run, generation.cancel)
            return Completion._of(generation)
        finally:
            generation.close()

    return _derived(generate, start, name, "Generates a text without blocking the event loop; see `generate`.")


def pieces(
    start: Callable[Concatenate[S, P], TextGeneration[R_co]], name: str
) -> Callable[Concatenate[S, P], TextStream[R_co]]:
    """From a starting method the one that gives the text piece by piece."""

    def stream(self: S, /, *args: P.args, **kwargs: P.kwargs) -> TextStream[R_co]:
        return TextStream(start(self, *args, **kwargs))

    return _derived(stream, start, name, "Generates a text and gives it piece by piece, also to `async for`.")
