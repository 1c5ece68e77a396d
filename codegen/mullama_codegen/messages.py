"""What is wrong with a description: every message names its file and the path inside it, and all are shown together."""

from __future__ import annotations


class SpecError(Exception):
    """A description that cannot be used; `messages` holds one line for each mistake, in the order of the files."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


class Messages:
    """Gathers messages, so that one run shows every mistake."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, source: str, path: str, text: str) -> None:
        line = f"{source}: {path}: {text}" if path else f"{source}: {text}"
        if line not in self.lines:
            self.lines.append(line)

    def raise_if_any(self) -> None:
        if self.lines:
            raise SpecError(self.lines)
