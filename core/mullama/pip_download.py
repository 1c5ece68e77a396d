"""Fetches one pinned archive with pip, as pip is configured on this machine, and refuses any other content.

pip knows the index, proxy, certificates and credentials that a user has set up; asking it keeps all of that working.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from .cache import ELSEWHERE, Note, Progress, writing
from .problem import Problem, Unavailable

POLL_SECONDS = 0.1


def pip_download(
    package: str,
    version: str,
    sha256: str,
    target: Path,
    *,
    source: bool,
    size: int,
    note: Note,
    progress: Progress,
    offline_advice: str,
) -> None:
    """Writes the source distribution (or the wheel) of `package` to `target`.

    pip checks the sha256 itself, before it runs anything from a source distribution.
    """
    with writing(target, needed=2 * size), tempfile.TemporaryDirectory(dir=target.parent, prefix=".pip-") as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
        folder = Path(scratch, "archive")
        command = [*_pip(), "download", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(wanted)]
        command += ["--no-binary" if source else "--only-binary", package, "--dest", str(folder)]
        note(f"fetching {package} {version} with pip")
        code, output = _watch(command, Path(scratch), size, progress)
        if code:
            raise _diagnosis(output, f"{package} {version}", sha256, target.parent, offline_advice)
        (archive,) = folder.iterdir()
        archive.replace(target)


def _pip() -> list[str]:
    """A pip that runs: this interpreter's, one on the path, or the copy that Python carries for new environments.

    `-I` lets the interpreter's own pip be found inside an isolated build, whose path hides it.
    """
    if subprocess.run([sys.executable, "-I", "-c", "import pip"], capture_output=True).returncode == 0:
        return [sys.executable, "-I", "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    bundle = find_spec("ensurepip")
    if bundle and bundle.origin:
        for wheel in Path(bundle.origin).parent.glob("_bundled/pip-*.whl"):
            return [sys.executable, str(wheel / "pip")]
    raise Problem("pip is needed to fetch this and was not found: install it (apt install python3-pip) and run again")


def _watch(command: list[str], scratch: Path, size: int, progress: Progress) -> tuple[int, str]:
    """Runs pip with its temporary files in `scratch` and reports how far the download there has come.

    Older pips have no progress output that a program can read; the growing file is the same in all of them.
    """
    environment = {"PIP_RETRIES": "2", "PIP_RESUME_RETRIES": "5", **os.environ, "TMPDIR": str(scratch)}
    log = scratch / "log"
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, env=environment) as pip:
        try:
            while pip.poll() is None:
                progress(_largest(scratch), size)
                time.sleep(POLL_SECONDS)
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode == 0:
        progress(size, size)
    return pip.returncode, log.read_text(errors="replace")


def _largest(folder: Path) -> int:
    largest = 0
    with contextlib.suppress(OSError):  # pip removes a folder in the midst of its listing
        for place in folder.glob("pip-*/*"):
            with contextlib.suppress(OSError):  # or a file between the listing and the look
                largest = max(largest, place.stat().st_size)
    return largest


def _diagnosis(output: str, what: str, sha256: str, folder: Path, offline_advice: str) -> Problem:
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+(\w+)", output)
        return Unavailable(
            f"{what} was refused, its checksum is wrong: sha256 {sha256} expected, "
            f"{got.group(1) if got else 'another'} received; nothing of it was used"
        )
    if "No space left on device" in output:
        return Problem(f"the disk under {folder} is full: free some space or {ELSEWHERE}")
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1] if errors else "pip failed"
    return Unavailable(f"{what} could not be fetched ({reason}): {offline_advice}")
