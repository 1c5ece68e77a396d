"""Doc comments: the description's docs as Go writes them, sentences that start with the name."""

from __future__ import annotations

import re

from ... import references
from ...api import Api, Function, Value
from .layout import comment, items, paragraphs
from .names import Names
from .types import Types

# A plural noun at the start of a doc goes on with one of these; a verb does not.
AFTER_NOUNS = frozenset("of that and in for from on at with as 0 kept which".split())  # noqa: SIM905
DETERMINERS = frozenset("A An The One More All Every Its Three Nothing What Whether Which How Why".split())  # noqa: SIM905
QUESTIONS = ("Whether", "What", "Which", "How", "Why")


class Docs:
    """Docs for one API."""

    def __init__(self, api: Api, names: Names, types: Types) -> None:
        self.api = api
        self.names = names
        self.types = types

    def text(self, doc: str) -> str:
        text = " ".join(references.spell(doc, self.names.reference).split())
        return text if text.endswith((".", "!", "?", ":")) else f"{text}."

    def sentence(self, name: str, doc: str, verb: str = "gives", is_noun: bool = False) -> str:
        """The doc as a sentence about `name`: "Tokenize gives the tokens of a text." """
        text = self.text(doc)
        words = re.split(r"[ ,;:.]", text, maxsplit=2)
        first, second = words[0], words[1]
        is_word = (first[1:].islower() or len(first) == 1) and "'" not in first
        lower = text[0].lower() + text[1:] if is_word else text
        if first in QUESTIONS:
            return f"{name} says {lower}"
        if first == "For":
            return f"{name} is {lower}"
        if not is_noun and first.endswith("s") and is_word and second not in AFTER_NOUNS and first not in DETERMINERS:
            return f"{name} {lower}"
        article = "" if first in DETERMINERS or not is_word else "the "
        return f"{name} {verb} {article}{lower}"

    def described(self, value: Value) -> str:
        """A doc with shape, unit and range behind it."""
        facts = [self.text(value.doc)] if value.doc else []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.unit:
            facts.append(f"In {value.unit}.")
        low = None if value.unset is not None and value.min == value.unset else value.min
        if low is not None and value.max is not None:
            facts.append(f"From {low} to {value.max}.")
        elif low is not None:
            facts.append(f"At least {low}.")
        elif value.max is not None:
            facts.append(f"At most {value.max}.")
        return " ".join(facts)

    def given(self, value: Value) -> str:
        """A doc of what a caller gives, with its form and its default."""
        facts = [self.described(value)]
        if value.type.kind == "json":
            facts.append("A string or a [json.RawMessage] is JSON text; anything else is marshalled.")
        default = self.types.shown_default(value)
        if default:
            facts.append(f"Default: {default}.")
        return " ".join(facts)

    def function(
        self, function: Function, name: str, parameters: list[tuple[str, Value]], notes: list[str], options: list[str]
    ) -> list[str]:
        entries = [f"{shown}: {self.given(value)}" for shown, value in parameters]
        returns = function.returns
        if returns and not function.property and returns.type.kind != "handle":
            entries.append(f"It gives: {self.described(returns)}")
        elif returns and function.property:
            described = self.described(Value("", returns.type, "", shape=returns.shape, unit=returns.unit))
            notes = [*([described] if described else []), *notes]
        facts = []
        if options:
            facts.append(f"Options: {', '.join(f'[{option}]' for option in options)}.")
        codes = list(function.errors)
        if codes:
            facts.append(f"Errors: {', '.join(f'[{self.names.error(code)}]' for code in codes)}.")
        deprecated = [f"Deprecated: {self.text(function.deprecated)}"] if function.deprecated else []
        summary = " ".join([self.sentence(name, function.doc, is_noun=function.property), *notes])
        return paragraphs(
            comment(summary), items(entries), *(comment(fact) for fact in facts), *(comment(one) for one in deprecated)
        )
