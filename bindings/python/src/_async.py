# mypy: disable-error-code=no-any-return
"""`async` twins: the blocking call runs on a thread; cancelling the task stops the call before it leaves the task."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

MAX_THREADS = 128
RETRY_S = 0.05


@functools.cache
def _threads() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(MAX_THREADS, __name__.partition(".")[0])


async def run(call: Callable[[], R], cancel: Callable[[], object] | None = None) -> R:
    """Runs a blocking call on a thread. A cancelled task cancels the call, waits until it has left, and then ends."""
    import asyncio
    import contextvars

    context = contextvars.copy_context()
    future = asyncio.get_running_loop().run_in_executor(_threads(), lambda: context.run(call))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            # Again and again: the call may not have reached the library yet, where cancelling would find nothing.
            if cancel is not None:
                cancel()
            try:
                await asyncio.wait([future], timeout=RETRY_S)
            except asyncio.CancelledError:
                continue
        future.exception()  # seen; the task ends as cancelled
        raise


def _named(twin: Any, method: Any, doc: str) -> Any:
    functools.update_wrapper(twin, method)
    twin.__name__ += "_async"
    twin.__qualname__ += "_async"
    twin.__doc__ = doc + "\n" + "\n".join((method.__doc__ or "").split("\n")[1:])
    return twin


def twin(method: Callable[P, R], cancel: str = "") -> Callable[P, Coroutine[Any, Any, R]]:
    """The `async` twin of a function or of a method; `cancel` names the method that stops it."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        stop = getattr(args[0], cancel) if cancel else None
        return await run(functools.partial(method, *args, **kwargs), stop)

    doc = f"Like `{method.__name__}`, without blocking the event loop"
    return _named(call, method, doc + ("; cancelling the task stops the work." if cancel else "."))


class _Gate:
    """A progress callback that a cancelled task can make say no."""

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self.function = function
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True

    def __call__(self, *arguments: Any) -> Any:
        if self.stopped:
            return False
        return None if self.function is None else self.function(*arguments)


def constructor_twin(
    init: Callable[Concatenate[S, P], None], name: str, progress: str = ""
) -> classmethod[S, P, Coroutine[Any, Any, S]]:
    """The `async` twin of a constructor; a cancelled task makes the callback `progress` say stop."""

    async def call(cls: type[S], *args: P.args, **kwargs: P.kwargs) -> S:
        if not progress:
            return await run(functools.partial(cls, *args, **kwargs))
        gate = _Gate(cast("Callable[..., Any] | None", kwargs.get(progress)))
        kwargs[progress] = gate
        return await run(functools.partial(cls, *args, **kwargs), gate.stop)

    doc = "Like the constructor, without blocking the event loop"
    method = _named(call, init, doc + ("; cancelling the task stops the work." if progress else "."))
    method.__qualname__ = method.__qualname__.replace("__init___async", name)
    method.__name__ = name
    return classmethod(method)
