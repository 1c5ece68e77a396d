"""What every generated class stands on: handles, records, enums, callbacks, and waiting that Ctrl-C can end."""

from __future__ import annotations

import atexit
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from ._native import ffi

if TYPE_CHECKING:
    from typing_extensions import Self

SLICE_MS = 100  # how long a call may stay in C before Python looks for signals

_open_handles: weakref.WeakSet[Handle] = weakref.WeakSet()


class Handle:
    """An object of the library. `close()` releases it; so does leaving a `with` block, and being forgotten."""

    __slots__ = ("__weakref__", "_closed", "_handle")

    _shown: tuple[str, ...] = ()  # properties that the representation shows

    def _own(self, pointer: Any, free: Callable[[Any], None]) -> None:
        # The pointer is freed when nobody can use it any more, so a call on a closed object is an error, not a crash.
        self._handle = ffi.gc(pointer, free)
        self._closed = False
        _open_handles.add(self)

    def close(self) -> None:
        """Cancels what runs, waits for it and releases the resources. Later calls fail; closing twice is fine."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        from ._async import run

        await run(self.close)

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._closed:
            return f"<{name} closed>"
        return f"<{' '.join([name, *(f'{shown}={getattr(self, shown)}' for shown in self._shown)])}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled; it lives in this process")


@atexit.register
def _close_all() -> None:
    # A thread that still computes when the process ends would meet destroyed objects.
    _end_threads_quietly()
    for handle in list(_open_handles):
        handle.close()


def _end_threads_quietly() -> None:
    """A thread whose objects the end of the process has closed ends without a traceback."""
    from .generated.errors import Error, ErrorCode

    usual = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value
        if not (isinstance(error, Error) and error.code == ErrorCode.CLOSED):
            usual(args)

    threading.excepthook = hook


class Record:
    """An immutable result with named fields."""

    __slots__: Any = ()

    def __init__(self, *values: object) -> None:
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def _asdict(self) -> dict[str, Any]:
        """The fields as a new dict."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return self._asdict() == other._asdict() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._asdict().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def __reduce__(self) -> Any:
        return type(self), tuple(self._asdict().values())


class Enum(IntEnum):
    """Constants of the library; a value that a newer library adds becomes a member `UNKNOWN_n`."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}".replace("-", "MINUS_")
        member._value_ = value
        return cls._value2member_map_.setdefault(value, member)


class Flags(IntFlag):
    """Bits of the library; bits that a newer library adds are kept."""


class Callback:
    """A Python function that C calls; what it raises is kept for the caller of C, where it can be raised."""

    __slots__ = ("_error", "_function")

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self._function = function
        self._error: BaseException | None = None

    def __call__(self, *arguments: Any) -> Any:
        return None if self._function is None else self._function(*arguments)

    def raise_stored(self) -> None:
        """Raises what the function raised, if it did."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None


def store_error(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """For `ffi.def_extern(onerror=...)`: hands an exception of a trampoline, Ctrl-C included, to its `Callback`."""
    ffi.from_handle(traceback.tb_frame.f_locals["user"])._error = error.with_traceback(traceback)


def warn_deprecated(message: str) -> None:
    """Warns the caller of a deprecated function."""
    warnings.warn(message, DeprecationWarning, stacklevel=3)


def slices(timeout: float | None) -> Iterator[int]:
    """Times in ms for one C call after the other, until `timeout` seconds are over; None: without an end."""
    if timeout is None:
        while True:
            yield SLICE_MS
    end = time.monotonic() + timeout
    left = timeout
    while True:
        yield max(0, min(SLICE_MS, round(left * 1000)))
        left = end - time.monotonic()
        if left <= 0:
            return
