"""The cache folder: where it is, how one process at a time writes to it, and what to say when it cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .problem import Problem

# Called with the bytes that are there and the bytes expected (0 when unknown).
Progress = Callable[[int, int], None]
# Called with one line for the user.
Note = Callable[[str], None]

ELSEWHERE = "set MULLAMA_CACHE to another folder"


def folder() -> Path:
    """`$MULLAMA_CACHE`, else `$XDG_CACHE_HOME/mullama`, else `~/.cache/mullama`."""
    if chosen := os.environ.get("MULLAMA_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "mullama"


@contextmanager
def writing(target: Path, needed: int = 0) -> Iterator[None]:
    """Makes `target`'s folder, and turns a refusal of the file system into a `Problem` that names it.

    `needed` bytes are asked for in advance, so that a full disk shows before a long download rather than after it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        free = shutil.disk_usage(target.parent).free
        if free < needed:
            raise Problem(
                f"no space for {target.name} in {target.parent}: {_megabytes(needed)} needed, {_megabytes(free)} free; "
                f"free some or {ELSEWHERE}"
            )
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Problem(f"the disk under {target.parent} is full: free some space or {ELSEWHERE}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise Problem(f"cannot write to {target.parent} ({error.strerror}): {ELSEWHERE}") from error
        raise


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@contextmanager
def locked(target: Path, note: Note) -> Iterator[None]:
    """Holds the only right to make `target`; a second process waits and then finds it made.

    The system drops the lock of a process that dies, so a crash leaves nothing to clean up.
    """
    with writing(target), target.with_name(target.name + ".lock").open("a+b") as file:
        if not _try_lock(file.fileno()):
            note(f"another process is making {target.name}: waiting for it")
            _wait_lock(file.fileno())
        yield


if sys.platform == "win32":
    import msvcrt
    import time

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_lock(descriptor: int) -> None:
        while not _try_lock(descriptor):
            time.sleep(0.2)
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
