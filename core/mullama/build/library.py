"""Builds libmullama in a checkout and installs it, with its headers and package files, under build/prefix.

Everything that needs the library in a checkout (the Python package, the C tests, the benchmarks) takes it from there, so
it is compiled once.
"""

from __future__ import annotations

import collections
import os
import re
import shlex
import subprocess
from pathlib import Path

from ..problem import Problem
from . import toolchain
from .pin import read_pin
from .report import Step, note
from .source import llama_cpp
from .stamp import digest, is_fresh

# What the compiler sees beside the files: a change of any of these is a different build.
SETTINGS = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CMAKE_ARGS", "MULLAMA_BACKEND", "MULLAMA_LLAMA_CPP")
STEP = re.compile(r"\[(\d+)/(\d+)\] ")
TAIL = 40


class Library:
    """The build of one checkout."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._abi = root / "abi"
        self.folder = root / "build" / "library"
        self.prefix = root / "build" / "prefix"
        self._stamp = root / "build" / "library.stamp"

    def source(self) -> Path:
        """The llama.cpp source, fetched when it is not there."""
        pin = self._abi / "llama_cpp.toml"
        if not pin.exists():
            raise Problem(f"{self._root} is no checkout of mullama: it has no abi/llama_cpp.toml")
        with Step("download", unit=" MB", divisor=1e6) as progress:
            return llama_cpp(read_pin(pin), note, progress)

    def build(self) -> Path:
        """Makes build/prefix current and returns it. Does nothing when nothing changed."""
        value = digest([self._abi], *(os.environ.get(name, "") for name in SETTINGS))
        # A source folder that the user works in can change at any time; only ninja can tell.
        if os.environ.get("MULLAMA_LLAMA_CPP") or not is_fresh(self._stamp, value):
            self._stamp.unlink(missing_ok=True)
            self._configure()
            self._compile("all")  # the shared library, and the archive where there is one
            self._install(self.prefix)
            self._stamp.write_text(value)
        return self.prefix

    def install(self, prefix: Path) -> None:
        """Makes the build current and installs it under another prefix."""
        self.build()
        self._install(prefix)

    def tools(self, names: list[str]) -> list[Path]:
        """Builds further programs from the same objects: llama.cpp's own, which the library is compared with, and tests."""
        self.build()
        self._compile(*names)
        return [self.folder / "bin" / name for name in names]

    def _configure(self) -> None:
        toolchain.require(toolchain.FOR_LIBRARY, note)
        arguments = ["-S", str(self._abi), "-B", str(self.folder), "-G", "Ninja", "-DMULLAMA_TOOLS=ON"]
        arguments += [f"-DMULLAMA_LLAMA_CPP={self.source()}", f"-DCMAKE_MAKE_PROGRAM={toolchain.program('ninja')}"]
        arguments += shlex.split(os.environ.get("CMAKE_ARGS", ""))
        note("configuring libmullama")
        self._run("configuration", arguments)

    def _compile(self, *targets: str) -> None:
        with Step("build") as step:
            self._run("compilation", ["--build", str(self.folder), "--target", *targets], step)

    def _install(self, prefix: Path) -> None:
        self._run("install", ["--install", str(self.folder), "--prefix", str(prefix), "--component", "mullama"])

    def _run(self, what: str, arguments: list[str], step: Step | None = None) -> None:
        cmake = toolchain.program("cmake")
        assert cmake is not None  # required before the first configuration
        tail: collections.deque[str] = collections.deque(maxlen=TAIL)
        # CMake takes a file installed less than a second ago for the new one, unless told otherwise.
        environment = {**os.environ, "NINJA_STATUS": "[%f/%t] ", "CMAKE_INSTALL_ALWAYS": "1"}
        with subprocess.Popen(
            [cmake, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
        ) as process:
            assert process.stdout is not None  # piped above
            for line in process.stdout:
                if line.startswith("FAILED:"):
                    tail.clear()
                tail.append(line)
                if step and (at := STEP.match(line)):
                    step(int(at[1]), int(at[2]))
        if process.returncode:
            raise Problem(f"the {what} of libmullama failed; its last lines:\n{''.join(tail).rstrip()}")
