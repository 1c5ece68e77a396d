"""Shows a long step on the terminal: one line that grows in place, or a line every few seconds in a log."""

from __future__ import annotations

import shutil
import sys
import time

LOG_SECONDS = 10.0
TERMINAL_SECONDS = 0.1
BAR = 24


def note(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


class Step:
    """A step with a known end. `with Step("build") as step: step(3, 100)`."""

    def __init__(self, label: str, *, unit: str = "", divisor: float = 1) -> None:
        self._label, self._unit, self._divisor = label, unit, divisor
        self._terminal = sys.stderr.isatty()
        self._shown_at = -LOG_SECONDS
        self._open = False

    def __enter__(self) -> Step:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            print(file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._shown_at < (TERMINAL_SECONDS if self._terminal else LOG_SECONDS):
            return
        self._shown_at = now
        line = f"{self._label} {self._count(done)}/{self._count(total)}{self._unit}"
        if not self._terminal:
            print(line, file=sys.stderr, flush=True)
            return
        filled = BAR * done // total if total else 0
        width = shutil.get_terminal_size().columns - 1
        line = f"{line} [{'#' * filled}{'.' * (BAR - filled)}]"
        print(f"\r{line:<{width}.{width}}", end="", file=sys.stderr, flush=True)
        self._open = True

    def _count(self, value: int) -> str:
        return f"{value / self._divisor:.0f}"
