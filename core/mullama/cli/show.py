"""What the commands show beside their output, all of it on stderr: notes and progress bars."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

# A step that is over sooner needs no bar.
PATIENCE_SECONDS = 0.4


def note(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


class Bar:
    """A progress bar that appears when a step takes a while: `with Bar("load") as bar: bar(1, 2)`."""

    def __init__(self, label: str, *, is_bytes: bool = False) -> None:
        self._label, self._is_bytes = label, is_bytes
        self._started_at = time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __call__(self, done: float, total: float) -> None:
        if not self._progress:
            if time.monotonic() - self._started_at < PATIENCE_SECONDS:
                return
            self._progress = self._open()
            self._progress.add_task(self._label)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total or None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress:
            self._progress.stop()

    def _open(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TransferSpeedColumn,
        )

        measures = (DownloadColumn(), TransferSpeedColumn()) if self._is_bytes else (TaskProgressColumn(),)
        # The bar of a load goes when the answer comes; that of a download stays as a record.
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *measures,
            console=Console(stderr=True),
            transient=not self._is_bytes,
        )
