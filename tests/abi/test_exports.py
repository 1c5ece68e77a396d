"""The built library exports what the description names, under its version node, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from commands import ROOT, need, run
from mullama_codegen.api import Api

ALWAYS = ("abi_version", "free", "live_objects", "error_code", "error_message", "error_free", "error_name")


def library(api: Api, build_fixture) -> Path:
    """libfixture is built here; libmullama is taken from MULLAMA_LIBRARY or from where the checkout's build installs it."""
    if api.name == "fixture":
        return build_fixture() / "libfixture.so"
    given = os.environ.get("MULLAMA_LIBRARY")
    places = [Path(given)] if given else sorted((ROOT / "build/prefix").glob("lib*/libmullama.so"))
    if not places:
        message = "libmullama is not built; run ./x build or set MULLAMA_LIBRARY"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return places[0]


def expected(api: Api) -> list[str]:
    names = [*ALWAYS, *(function.name for function in api.functions), *(f"{struct}_init" for struct in api.structs)]
    names += [f"{handle}_{end}" for handle in api.handles for end in ("close", "free")]
    return sorted(f"{api.prefix}_{name}" for name in names)


def test_exported_symbols_are_those_of_the_description(api: Api, build_fixture) -> None:
    lines = run(need("nm"), "-D", "--defined-only", library(api, build_fixture)).splitlines()
    symbols = [line.split() for line in lines]
    node = f"{api.prefix.upper()}_{api.version.split('.')[0]}"
    functions = sorted(name.split("@")[0] for _, kind, name in symbols if kind != "A")
    assert functions == expected(api)
    assert {name.split("@@")[1] for _, kind, name in symbols if kind != "A"} == {node}


def test_all_export_lists_name_the_same_symbols(api: Api) -> None:
    folder = ROOT / api.folder
    pattern = re.compile(rf"\b_?({api.prefix}_\w+)")
    for suffix in ("map", "exports", "def"):
        lines = (folder / f"lib{api.name}.{suffix}").read_text().splitlines()[1:]
        assert [match[1] for line in lines if (match := pattern.search(line))] == expected(api), suffix
