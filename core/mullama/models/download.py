"""Downloads one file over HTTP: goes on where an earlier try stopped, and keeps nothing whose checksum is wrong."""

from __future__ import annotations

import hashlib
import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ..cache import Progress, writing
from ..problem import Unavailable

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
CHUNK = 1 << 20


def download(url: str, target: Path, *, size: int, sha256: str, progress: Progress) -> None:
    """Writes `url` to `target`, through `target`.part, which a later call continues."""
    part = target.with_name(target.name + ".part")
    with writing(target, needed=size - _length(part)):
        resumed = _transfer(url, part, size, progress)
        if resumed and _sha256(part) != sha256:
            # The beginning came from an earlier try and may be the wrong half: once more, whole.
            part.unlink()
            _transfer(url, part, size, progress)
        accept(part, target, sha256, url)


def accept(part: Path, target: Path, sha256: str, origin: str) -> None:
    """Gives a complete file its name, or removes it and says why."""
    got = _sha256(part)
    if got != sha256:
        part.unlink()
        raise Unavailable(f"{target.name} was refused, its checksum is wrong: sha256 {sha256} expected, {got} received from {origin}")
    part.replace(target)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def _transfer(url: str, part: Path, size: int, progress: Progress) -> bool:
    """Fetches what `part` lacks; returns whether part of it was there before."""
    start = _length(part)
    if start >= size:
        return True
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with _opener().open(request, timeout=READ_SECONDS) as response:
            # A server that does not know ranges answers 200 and sends the whole file.
            resumed: bool = response.status == http.HTTPStatus.PARTIAL_CONTENT
            with part.open("ab" if resumed else "wb") as file:
                progress(file.tell(), size)
                while chunk := response.read1(CHUNK):
                    file.write(chunk)
                    progress(file.tell(), size)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{url} answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise Unavailable(f"{_host(request)} cannot be reached ({_reason(error)})") from error
    if _length(part) < size:
        raise Unavailable(f"{_host(request)} broke off after {_length(part)} of {size} bytes; the next try goes on from there")
    return resumed


def _host(request: urllib.request.Request) -> str:
    return request.host or request.full_url


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _connect_soon(connection: http.client.HTTPConnection, connect: Any) -> None:
    """Bounds name lookup, all addresses and TLS together; a socket's own timeout applies to each address anew."""
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            connect()
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=attempt, daemon=True)
    worker.start()
    worker.join(CONNECT_SECONDS)
    if worker.is_alive():
        raise TimeoutError(f"no connection within {CONNECT_SECONDS:.0f} s")
    if failures:
        raise failures[0]


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        _connect_soon(self, super().connect)


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        _connect_soon(self, super().connect)


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_Connection, request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_SecureConnection, request)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Handler, _SecureHandler)
