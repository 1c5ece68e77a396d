"""Lines as PSR-12 wants them: signatures and calls broken to fit, doc comments wrapped."""

from __future__ import annotations

import textwrap

WIDTH = 120


def fit(head: str, items: list[str], tail: str, indent: int) -> str:
    """`head`, items and `tail` on one line, or with a line for each item. Unindented but for the items."""
    flat = f"{head}{', '.join(items)}{tail}"
    if indent + len(flat) <= WIDTH or not items:
        return flat
    return "\n".join([head, *(f"    {item}," for item in items), tail])


def declaration(head: str, items: list[str], tail: str, indent: int) -> str:
    """A function's first lines with its opening brace, which stands on the last of several lines and else on its own."""
    text = fit(head, items, tail, indent)
    return text + (" {" if "\n" in text else "\n{")


def broken(line: str, indent: int) -> str:
    """A statement, or an argument, with the branches of its `? :` on lines of their own where it would not fit."""
    return line if indent + len(line) <= WIDTH else line.replace(" ? ", "\n    ? ").replace(" : ", "\n    : ")


def comment(paragraphs: list[str], tags: list[str], indent: int) -> str:
    """A doc comment, unindented; `indent` is where it will stand. A tag is one line, continued with a deeper margin."""
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += ([""] if lines else []) + wrap(paragraph, indent + 3)
    if lines and tags:
        lines.append("")
    for tag in tags:
        lines += wrap(tag, indent + 3, 4)
    if len(lines) == 1 and len(lines[0]) + indent + 7 <= WIDTH:
        return f"/** {lines[0]} */"
    return "\n".join(["/**", *(f" * {line}".rstrip() for line in lines), " */"])


def wrap(text: str, indent: int, hanging: int = 0) -> list[str]:
    """Lines of a text; what stands in braces or behind a backslash stays whole."""
    whole = text.replace("*/", "* /").replace("{@see ", "{@see\0")
    lines = textwrap.wrap(
        whole, WIDTH - indent, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines]


def quoted(text: str) -> str:
    """A string literal."""
    if any(ord(letter) < 32 for letter in text):
        escaped = "".join(
            f"\\x{ord(letter):02x}" if ord(letter) < 32 else f"\\{letter}" if letter in '\\"$' else letter
            for letter in text
        )
        return f'"{escaped}"'
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
