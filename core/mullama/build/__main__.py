"""The build on the command line: `python -m mullama.build source|library|tools NAME...`. Prints what it made, one a line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..problem import Problem
from .library import Library

CHECKOUT = Path(__file__).resolve().parents[3]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mullama.build", description=__doc__)
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the checkout (default: the one this file lies in)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("source", help="fetch llama.cpp's source and print its folder")
    commands.add_parser("library", help="build libmullama and print the prefix it is installed in")
    tools = commands.add_parser("tools", help="build llama.cpp's own programs and print their paths")
    tools.add_argument("names", nargs="+", metavar="NAME", help="llama-bench, llama-completion, ...")
    arguments = parser.parse_args()
    library = Library(arguments.root)
    try:
        if arguments.command == "source":
            made = [library.source()]
        elif arguments.command == "library":
            made = [library.build()]
        else:
            made = library.tools(arguments.names)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(*made, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
