"""Lines as gofmt leaves them: comments wrapped, calls broken to fit, columns of fields aligned."""

from __future__ import annotations

import textwrap

WIDTH = 120
TAB = 4


def comment(text: str, indent: int = 0, hanging: str = "", first: str = "") -> list[str]:
    """A paragraph of a comment; `first` and `hanging` stand before its first line and the others."""
    return textwrap.wrap(
        text,
        WIDTH - TAB * indent,
        initial_indent=f"// {first}",
        subsequent_indent=f"// {hanging}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def items(entries: list[str], indent: int = 0) -> list[str]:
    """A list of a comment, in gofmt's own form."""
    return [line for entry in entries for line in comment(entry, indent, "    ", "  - ")]


def paragraphs(*parts: list[str]) -> list[str]:
    """Parts of a comment with an empty line between them."""
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["//", *part] if lines else part
    return lines


def call(head: str, arguments: list[str], tail: str, indent: int) -> list[str]:
    """`head(arguments)tail` on one line, or with its arguments on lines of their own."""
    flat = f"{head}({', '.join(arguments)}){tail}"
    if len(flat) + TAB * indent <= WIDTH:
        return [flat]
    room = WIDTH - TAB * (indent + 1)
    lines = textwrap.wrap(
        ", ".join(arguments).replace(" ", "\0").replace(",\0", ", "), room, break_long_words=False, break_on_hyphens=False
    )
    return [f"{head}(", *("\t" + line.replace("\0", " ") for line in [*lines[:-1], f"{lines[-1]},"]), f"){tail}"]


def columns(fields: list[tuple[str, str]]) -> list[str]:
    """Names and types of neighbouring fields."""
    width = max((len(name) for name, _ in fields), default=0)
    return [f"{name:{width}} {type_}" for name, type_ in fields]


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\0", "\\x00")
    return f'"{escaped}"'
