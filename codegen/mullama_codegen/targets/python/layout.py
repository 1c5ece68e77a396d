"""Lines as `ruff format` would leave them: calls and signatures broken to fit, docstrings wrapped."""

from __future__ import annotations

import textwrap

WIDTH = 120


def fit(head: str, items: list[str], tail: str, indent: int) -> str:
    """`head`, items, `tail` on one line, on three, or with a line for each item. Unindented but for the items."""
    room = WIDTH - indent
    flat = ", ".join(items)
    if len(head) + len(flat) + len(tail) <= room:
        return f"{head}{flat}{tail}"
    if len(flat) + 4 <= room and "\n" not in flat:
        return f"{head}\n    {flat}\n{tail}"
    marks = ("*", "/")
    last = "" if items[-1] in marks else ","
    return "\n".join([head, *(f"    {item}," for item in items[:-1]), f"    {items[-1]}{last}", tail])


def wrap(text: str, indent: int, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text, WIDTH - indent, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
    ) or [""]


def docstring(summary: str, sections: dict[str, list[str]], indent: int) -> str:
    """A docstring with Google-style sections, unindented; `indent` is where it will stand."""
    lines = wrap(summary.replace("\\", "\\\\"), indent + 3)
    for title, entries in sections.items():
        if entries:
            lines += ["", f"{title}:"]
            for entry in entries:
                hanging = 0 if title == "Returns" else 4
                lines += ["    " + line for line in wrap(entry.replace("\\", "\\\\"), indent + 4, hanging)]
    if len(lines) == 1 and len(lines[0]) + indent + 6 <= WIDTH:
        return f'"""{lines[0]}"""'
    return "\n".join(['"""' + lines[0], *lines[1:], '"""'])


def quoted(text: str) -> str:
    """A string literal in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if '"' not in text or "'" in text else f"'{text}'"
