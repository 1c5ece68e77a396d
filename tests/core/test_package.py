"""The installed package: its version, its licences, and what its import leaves alone."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import mullama

ROOT = Path(__file__).parents[2]


def test_all_places_name_the_same_version() -> None:
    pattern = re.compile(r"^(?:version = \"|project\(mullama VERSION )([\d.]+)", re.MULTILINE)
    files = ("pyproject.toml", "abi/CMakeLists.txt")
    assert {pattern.findall((ROOT / file).read_text())[0] for file in files} == {mullama.__version__}
    assert version("mullama") == mullama.__version__


def test_the_licences_of_what_is_linked_in_travel_with_the_package() -> None:
    folder = Path(mullama.binding.__file__).parent / "licenses"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert {"llama.cpp.txt", "mullama.txt", "jsonhpp.txt", "cpp-httplib.txt"} <= texts.keys()
    stated_in_sources = {
        "llamafile.txt": "Copyright 2024 Mozilla Foundation",
        "yarn.txt": "Jeffrey Quesnelle and Bowen Peng",
        "stb_image.txt": "Sean Barrett",
        "miniaudio.txt": "David Reid",
        "subprocess.txt": "public domain",
    }
    for name, author in stated_in_sources.items():
        assert author in texts[name]


def test_every_public_name_can_be_had_and_is_listed() -> None:
    for name in mullama.__all__:
        assert getattr(mullama, name) is not None
    assert {"Model", "Error", "__version__"} <= set(dir(mullama))
    assert not hasattr(mullama, "no_such_name")


def test_import_leaves_alone_what_takes_long() -> None:
    """How long it takes is measured by `./x bench`: here other tests may be using the machine."""
    code = "import sys, mullama; mullama.Model; print({'numpy', 'rich', 'typer', 'asyncio'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
