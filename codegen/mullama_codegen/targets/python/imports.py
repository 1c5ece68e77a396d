"""Which imports a generated module needs: found in its own code, so that none is missing and none is idle."""

from __future__ import annotations

import ast

RUNTIME = {
    "annotations": "__future__",
    "Callable": "collections.abc",
    "AsyncIterator": "collections.abc",
    "Iterable": "collections.abc",
    "Iterator": "collections.abc",
    "Any": "typing",
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
ORDER = ("collections.abc", "typing", "..", ".._async", ".._convert", ".._native", ".._runtime", ".._text", ".")


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
        and needed[name].startswith(".")
        and name in types
        and types[name] not in (".enums", ".structs")
    }
    if typing_only:
        needed["TYPE_CHECKING"] = "typing"
    blocks = _lines({name: module for name, module in needed.items() if name not in typing_only}, "convert" in loaded)
    if typing_only:
        lines = _lines({name: needed[name] for name in typing_only}, False)[0]
        blocks.append(["if TYPE_CHECKING:", *(f"    {line}" for line in lines)])
    return "\n\n".join(["from __future__ import annotations", *("\n".join(block) for block in blocks if block)])


def _lines(needed: dict[str, str], convert: bool) -> list[list[str]]:
    modules: dict[str, list[str]] = {}
    for name, module in needed.items():
        modules.setdefault(module, []).append(name)
    standard: list[str] = []
    local: list[str] = []
    for module in sorted(modules, key=_rank):
        line = f"from {module} import {', '.join(sorted(modules[module], key=_case))}"
        (local if module.startswith(".") else standard).append(line)
    if convert:
        local.insert(0, "from .. import _convert as convert")
    return [block for block in (standard, local) if block]


def _rank(module: str) -> tuple[int, str]:
    return (ORDER.index(module) if module in ORDER else len(ORDER), module)


def _case(name: str) -> tuple[int, str]:
    """isort's order within a line: constants, classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
