"""How each language spells a spec name, and where its keywords hurt. The bindings follow these conventions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

Spelling = Callable[[str], str]


def snake(name: str) -> str:
    return name


def upper(name: str) -> str:
    return name.upper()


def pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def camel(name: str) -> str:
    whole = pascal(name)
    return whole[:1].lower() + whole[1:]


@dataclass(frozen=True)
class Language:
    """Spelling of each kind of name; a kind in `keywords_in` may not be a keyword."""

    name: str
    spelling: dict[str, Spelling]  # type, function, method, parameter, field, member
    keywords_in: tuple[str, ...]
    one_namespace: bool = False  # types and functions share their names
    ignores_case: bool = False  # in names of types and functions

    def spell(self, kind: str, name: str) -> str:
        return self.spelling[kind](name)

    def is_keyword(self, kind: str, spelled: str) -> bool:
        if (
            self.name == "php"
        ):  # variables, properties and methods may have any name but $this; class constants any but class
            spelled = spelled.lower()
            if kind in ("parameter", "member"):
                return spelled == {"parameter": "this", "member": "class"}[kind]
        return kind in self.keywords_in and spelled in _keywords()[self.name]


def _spelling(
    type_: Spelling, function: Spelling, parameter: Spelling, field: Spelling, member: Spelling
) -> dict[str, Spelling]:
    return {
        "type": type_,
        "function": function,
        "method": function,
        "parameter": parameter,
        "field": field,
        "member": member,
    }


LANGUAGES = {
    language.name: language
    for language in (
        Language("c", _spelling(snake, snake, snake, snake, upper), ("parameter", "field")),
        Language(
            "cpp", _spelling(pascal, snake, snake, snake, snake), ("function", "method", "parameter", "field", "member")
        ),
        Language("python", _spelling(pascal, snake, snake, snake, upper), ("function", "method", "parameter", "field")),
        Language("javascript", _spelling(pascal, camel, camel, camel, snake), ("function", "parameter")),
        Language("go", _spelling(pascal, pascal, camel, pascal, pascal), ("parameter",), one_namespace=True),
        Language(
            "php", _spelling(pascal, camel, camel, camel, pascal), ("type", "parameter", "member"), ignores_case=True
        ),
    )
}


@cache
def _keywords() -> dict[str, frozenset[str]]:
    data = yaml.safe_load((Path(__file__).parent / "keywords.yaml").read_text(encoding="utf-8"))
    return {language: frozenset(words) for language, words in data.items()}
