# mypy: disable-error-code=no-any-return
"""`async` twins and Ctrl-C: the blocking call runs on a thread, and is cancelled there when its caller is stopped."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
M = TypeVar("M", bound=Callable[..., Any])

MAX_THREADS = 128
RETRY_S = 0.05


@functools.cache
def _threads() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(MAX_THREADS, __name__.partition(".")[0])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # the child has none of its parent's threads


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


def interruptible(method: M, cancel: str) -> M:
    """Lets Ctrl-C stop a method: on the main thread, where Python sees signals only between calls, it runs beside it.

    A call for a single item is short and stays on the thread it is on.
    """

    @functools.wraps(method)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() or _is_single(args):
            return method(self, *args, **kwargs)
        begun = stopped = False
        done = threading.Event()
        results: list[Any] = []
        errors: list[BaseException] = []

        def work() -> None:
            nonlocal begun
            begun = True
            try:
                if not stopped:
                    results.append(method(self, *args, **kwargs))
            except BaseException as error:
                errors.append(error)
            finally:
                done.set()

        try:
            # No pool: an interrupt in the midst of its bookkeeping leaves a thread that the interpreter's end waits for.
            threading.Thread(target=work, daemon=True).start()
            while not done.wait(RETRY_S):  # in slices: Windows sees Ctrl-C only between two waits
                pass
        except BaseException:
            # Ctrl-C may come at any moment, also before the call is known to run: what has begun by now must end.
            stopped = True
            while begun and not done.is_set():
                with contextlib.suppress(KeyboardInterrupt):  # a second one changes nothing
                    getattr(self, cancel)()  # again and again, as above
                    done.wait(RETRY_S)
            raise
        if errors:
            raise errors.pop()  # and not kept: its traceback holds this frame
        return results[0]

    return cast(M, call)


def _is_single(args: tuple[Any, ...]) -> bool:
    return bool(args) and hasattr(args[0], "__len__") and len(args[0]) <= 1


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
