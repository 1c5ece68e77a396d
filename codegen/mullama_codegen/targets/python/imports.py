"""Which imports a generated module needs: found in its own code, so that none is missing and none is idle."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .layout import WIDTH

RUNTIME = {
    "annotations": "__future__",
    "Callable": "collections.abc",
    "AsyncIterator": "collections.abc",
    "Iterable": "collections.abc",
    "Iterator": "collections.abc",
    "Mapping": "collections.abc",
    "Any": "typing",
    "Literal": "typing",
    "TypedDict": "typing",
    "overload": "typing",
    "Unpack": "typing_extensions",
    "Answer": ".._answers",
    "AnswerStream": ".._answers",
    "MAX_ROUNDS": ".._tools",
    "ToolErrors": ".._tools",
    "interruptible": ".._async",
    "twin": ".._async",
    "constructor_twin": ".._async",
    "Keep": ".._convert",
    "Buffer": ".._convert",
    "Bytes": ".._convert",
    "FloatArray": ".._convert",
    "Floats": ".._convert",
    "Ints": ".._convert",
    "Json": ".._convert",
    "StrPath": ".._convert",
    "ffi": ".._native",
    "lib": ".._native",
    "Callback": ".._runtime",
    "Enum": ".._runtime",
    "Flags": ".._runtime",
    "Handle": ".._runtime",
    "Record": ".._runtime",
    "slices": ".._runtime",
    "warn_deprecated": ".._runtime",
    "store_error": ".._runtime",
    "whole": ".._text",
    "whole_async": ".._text",
    "pieces": ".._text",
    "options": ".",
    "structs": ".",
    "closed": ".errors",
    "failure": ".errors",
}
ORDER = (
    "collections.abc",
    "typing",
    "typing_extensions",
    "..",
    ".._answers",
    ".._async",
    ".._convert",
    ".._native",
    ".._runtime",
    ".._text",
    ".._tools",
    ".",
)


def imports(body: str, types: dict[str, str]) -> str:
    """Import lines for a module body. `types` says which module has which class; what only hints name is not loaded."""
    tree = ast.parse(body)
    hints: set[int] = set()
    for node in ast.walk(tree):
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(hint, ast.expr):
                hints |= {id(inner) for inner in ast.walk(hint)}
    own = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    loaded: set[str] = set()
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (named if id(node) in hints else loaded).add(node.id)
    home = {**RUNTIME, **types}
    needed = {name: home[name] for name in loaded | named if name in home and name not in own}
    typing_only = {
        name
        for name in needed
        if name not in loaded
        and (needed[name] == "typing_extensions" or types.get(name, ".enums") not in (".enums", ".structs"))
    }
    if typing_only:
        needed["TYPE_CHECKING"] = "typing"
    whole = [name for name in ("answers", "convert") if name in loaded]
    blocks = _lines({name: module for name, module in needed.items() if name not in typing_only}, whole)
    if typing_only:
        found = _lines({name: needed[name] for name in typing_only}, [])
        lines = "\n\n".join("\n".join(block) for block in found).split("\n")
        blocks.append(["if TYPE_CHECKING:", *(f"    {line}".rstrip() for line in lines)])
    return "\n\n".join(["from __future__ import annotations", *("\n".join(block) for block in blocks if block)])


def _lines(needed: dict[str, str], whole: Sequence[str]) -> list[list[str]]:
    modules: dict[str, list[str]] = {}
    for name, module in needed.items():
        modules.setdefault(module, []).append(name)
    standard: list[str] = []
    local: list[str] = []
    for module in sorted(modules, key=_rank):
        found = sorted(modules[module], key=_case)
        line = f"from {module} import {', '.join(found)}"
        if len(line) > WIDTH - 4:  # a block of type checking is indented
            line = "\n".join([f"from {module} import (", *(f"    {name}," for name in found), ")"])
        (local if module.startswith(".") else standard).append(line)
    local[:0] = [f"from .. import _{name} as {name}" for name in whole]
    return [block for block in (standard, local) if block]


def _rank(module: str) -> tuple[int, str]:
    return (ORDER.index(module) if module in ORDER else len(ORDER), module)


def _case(name: str) -> tuple[int, str]:
    """isort's order within a line: constants, classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
