"""Spec names in Go's spelling."""

from __future__ import annotations

import re

from ... import references
from ...api import Api, Function
from ...languages import LANGUAGES

# Words that Go writes in capitals throughout.
INITIALISMS = frozenset(
    "abi api bos bpe cls cpu eos eot fim gpu id ids io json kv nl rpc rwkv spm swa ugm url utf8 wpm xtc".split()  # noqa: SIM905
)
# Packages that generated code imports, and what it calls its own variables: a parameter cannot have their names.
PACKAGES = frozenset("context iter json runtime time unsafe callback interrupt".split())  # noqa: SIM905
LOCALS = frozenset("ctx args options out outLen failed held call status".split())  # noqa: SIM905


class Names:
    """Names for one API; `names/go.yaml` makes the exceptions."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.functions = {function.name: function for function in api.functions}
        self.codes = {code.name for code in api.codes}
        self.plain: frozenset[str] = frozenset()  # options that are shown as structs, see options.py

    def public(self, name: str) -> str:
        """A type, function, method or field. `q4_0` keeps its underscore: Q40 would be another number."""
        words = [_capital(word) for word in self.api.name_in("go", name).split("_")]
        return re.sub(r"(?<=\d)\0(?=\d)", "_", "\0".join(words)).replace("\0", "")

    def private(self, name: str) -> str:
        """A variable, a field or a method for this package only."""
        first, *rest = self.api.name_in("go", name).split("_")
        return first + "".join(_capital(word) for word in rest)

    def parameter(self, name: str, receiver: str = "") -> str:
        spelled, taken = self.private(name), {*PACKAGES, *LOCALS, receiver}
        return next(one for one in (spelled, spelled[:1], spelled[:2], f"{spelled}Value") if one not in taken)

    def receiver(self, handle: str) -> str:
        return handle[0]

    def constant(self, enum: str, member: str) -> str:
        return self.public(enum) + self.public(member)

    def error(self, code: str) -> str:
        return f"Err{self.public(code.lower())}"

    def option(self, name: str) -> str:
        return f"With{self.public(name)}"

    def field(self, name: str) -> str:
        """A member of a C struct as cgo calls it."""
        spelled = self.api.name_in("c", name)
        return f"_{spelled}" if LANGUAGES["go"].is_keyword("parameter", spelled) else spelled

    def method(self, function: Function) -> str:
        """A constructor is a verb with its type, `LoadModel`; another static function has the type in front."""
        if function.text_generation:
            return self.public(function.text_generation.start)
        exception = self.api.names.get("go", {}).get(function.name)
        name = self.public(exception or function.method)
        if function.constructor:
            return name + self.public(function.on)
        return self.public(function.on) + name if function.static else name

    def qualified(self, function: Function, method: str = "") -> str:
        """A function as documentation names it: `Context.Decode`."""
        name = method or self.method(function)
        return f"{self.public(function.on)}.{name}" if function.on and not function.static else name

    def reference(self, name: str) -> str:
        """What `[[name]]` of a doc is in Go: a link, where there is something to link to."""
        head, _, rest = name.partition(".")
        structs = self.api.structs
        if name in self.functions:
            return f"[{self.qualified(self.functions[name])}]"
        if name in self.codes:
            return f"[{self.error(name)}]"
        if name in references.STATUSES:
            return f"[Status{self.public(name.lower())}]"
        if head in structs and structs[head].is_options and head not in self.plain:
            return f"[{self.option(rest)}]" if rest else f"the options of {head.removesuffix('_options').replace('_', ' ')}"
        if head in self.api.enums:
            return f"[{self.constant(head, rest)}]" if rest else f"[{self.public(head)}]"
        if head in structs:
            return f"[{self.public(head)}.{self.public(rest)}]" if rest else f"[{self.public(head)}]"
        if rest:
            return self.private(rest)
        return f"[{self.public(head)}]" if head in {**self.api.handles, **self.api.callbacks} else name


def _capital(word: str) -> str:
    if word in INITIALISMS:
        return "IDs" if word == "ids" else word.upper()
    if re.fullmatch(r"[a-z]{1,2}\d+", word):  # f32, q4, bf16
        return word.upper()
    return word[:1].upper() + word[1:]
