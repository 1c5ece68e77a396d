"""Makes sure that the programs a build needs are there: through apt where that is possible, else by naming them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..cache import Note
from ..problem import Problem


@dataclass(frozen=True)
class Need:
    """One thing a build needs: how to tell that it is there, and the Debian packages that bring it."""

    what: str
    present: Callable[[], bool]
    packages: tuple[str, ...]


def program(name: str) -> str | None:
    """The program's path. The environment that Python runs in comes first: its cmake and ninja have known versions."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _on_path(*names: str) -> Callable[[], bool]:
    return lambda: any(program(name) for name in names)


def _python_header() -> bool:
    return Path(sysconfig.get_path("include"), "Python.h").exists()


CMAKE = Need("CMake", _on_path("cmake"), ("cmake",))
NINJA = Need("ninja", _on_path("ninja"), ("ninja-build",))
COMPILER = Need("a C and C++17 compiler", lambda: sys.platform == "win32" or _compiles(), ("g++",))
PYTHON_HEADERS = Need("Python's C headers", _python_header, ("python3-dev",))
PKG_CONFIG = Need("pkg-config", _on_path("pkg-config", "pkgconf"), ("pkg-config",))
CLANG = Need("clang", _on_path("clang"), ("clang",))
VALGRIND = Need("valgrind", _on_path("valgrind"), ("valgrind",))
ABIDIFF = Need("abidiff", _on_path("abidiff"), ("abigail-tools",))
PHP = Need("PHP 8.1 or newer with FFI", lambda: _php_has_ffi(), ("php-cli",))
PHP_CGI = Need("php-cgi", _on_path("php-cgi"), ("php-cgi",))
COMPOSER = Need("Composer", _on_path("composer"), ("composer",))
PHPUNIT = Need("PHPUnit", _on_path("phpunit"), ("phpunit",))

FOR_LIBRARY = (CMAKE, NINJA, COMPILER)
FOR_PACKAGE = (*FOR_LIBRARY, PYTHON_HEADERS)
FOR_PHP = (PHP, PHP_CGI, COMPOSER, PHPUNIT)
FOR_TESTS = (*FOR_PACKAGE, PKG_CONFIG, CLANG, VALGRIND, ABIDIFF, *FOR_PHP)


def _compiles() -> bool:
    c = os.environ.get("CC") or program("cc") or program("gcc") or program("clang")
    cxx = os.environ.get("CXX") or program("c++") or program("g++") or program("clang++")
    return bool(c and cxx)


def _php_has_ffi() -> bool:
    php = program("php")
    check = "exit((int) (PHP_VERSION_ID < 80100 || !extension_loaded('ffi')));"
    return bool(php) and subprocess.run([str(php), "-r", check], capture_output=True).returncode == 0


def version(command: str, *arguments: str) -> tuple[int, ...]:
    """The version that a program prints, such as (1, 24, 3); () where there is none."""
    path = program(command)
    if not path:
        return ()
    printed = subprocess.run([path, *arguments], capture_output=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)+", printed)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def require(needs: tuple[Need, ...], note: Note) -> None:
    """Returns when every need is met; installs what is missing when root on Debian or Ubuntu."""
    missing = [need for need in needs if not need.present()]
    if missing and program("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        _install([package for need in missing for package in need.packages], note)
        missing = [need for need in missing if not need.present()]
    if missing:
        names = ", ".join(need.what for need in missing)
        packages = " ".join(package for need in missing for package in need.packages)
        raise Problem(f"missing: {names}. Install them (Debian, Ubuntu: apt install {packages}) and run again")


def _install(packages: list[str], note: Note) -> None:
    note(f"installing {' '.join(packages)} with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            note(f"apt-get {arguments[0]} failed: {' '.join(last)}")
