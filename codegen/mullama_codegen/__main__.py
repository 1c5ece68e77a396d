"""`python -m mullama_codegen`: checks that every generated file is up to date; `--write` writes them, `--release` freezes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import load, released, render, targets
from .build import load_api
from .messages import SpecError

SPECS = ("abi/spec", "abi/fixture/spec")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mullama_codegen", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="write what differs, remove what is not generated any more"
    )
    parser.add_argument(
        "--spec", type=Path, action="append", help=f"a folder of description files (default: {', '.join(SPECS)})"
    )
    parser.add_argument("--root", type=Path, default=load.REPOSITORY, help="the folder that the outputs belong to")
    parser.add_argument("--target", action="append", choices=targets.names(), help="only this target (default: all)")
    parser.add_argument(
        "--release",
        metavar="VERSION",
        help="freeze what the description of this version promises, in its released.json",
    )
    options = parser.parse_args(arguments)
    if options.release:
        return _release(options.spec or [options.root / SPECS[0]], options.root, options.release)

    files: dict[str, str] = {}
    messages: list[str] = []
    for spec in options.spec or [options.root / spec for spec in SPECS if (options.root / spec).is_dir()]:
        try:
            api = load_api(spec, options.root)
            messages += released.check(api, spec)
            files.update(targets.outputs(api, options.target or targets.names()))
        except SpecError as error:
            messages += error.messages
    if messages:
        print("\n".join(messages), file=sys.stderr)
        return 1

    if options.write:
        changes = render.write(files, options.root)
        print("\n".join([*changes, f"{len(files)} files, {len(changes)} changed"]))
        return 0
    differences = render.compare(files, options.root)
    if differences:
        print(
            "\n".join([*differences, "Run `python -m mullama_codegen --write` and commit the result."]), file=sys.stderr
        )
        return 1
    print(f"{len(files)} generated files are up to date")
    return 0


def _release(specs: list[Path], root: Path, version: str) -> int:
    try:
        for spec in specs:
            print(f"frozen: {load.shown(released.freeze(load_api(spec, root), spec, version), root)}")
    except SpecError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
