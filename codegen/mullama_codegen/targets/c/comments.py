"""Docs as C comments: references in C's spelling, and the facts that the description states apart from the text."""

from __future__ import annotations

import textwrap

from ... import references
from ...api import Api, Callback, Enum, Function, Handle, Struct, Value
from .types import variables

WIDTH = 110

THREAD_RULES = {
    "shared": "Any number of threads may use it at once.",
    "exclusive": "One call at a time: a call during another one fails with {busy} at once.",
}
BLOCKING = {"cpu": "May take long: it computes.", "io": "May take long: it waits for input or output."}


class Comments:
    """Comment lines for the things of one API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.prefix = api.prefix
        self.upper = api.prefix.upper()
        self.functions = {function.name for function in api.functions}
        self.codes = {code.name for code in api.codes}

    def area(self, doc: str) -> list[str]:
        return self._wrap(self._text(doc))

    def short(self, doc: str, indent: int) -> list[str]:
        """Text that follows a constant or precedes a member."""
        return self._wrap(self._text(doc), indent + 4)

    def enum(self, enum: Enum) -> list[str]:
        kind = "Flags, to be combined." if enum.is_flags else ""
        return self._wrap(self._join(self._text(enum.doc), kind, self._since(enum.since)))

    def struct(self, struct: Struct) -> list[str]:
        name = f"{self.prefix}_{struct.name}"
        if struct.is_options:
            use = f"Set the defaults with {name}_init() first; NULL in place of optional ones means all defaults."
        else:
            use = f"Call {name}_init() before the library fills it."
        return self._wrap(self._join(self._text(struct.doc), self._since(struct.since))) + ["", *self._wrap(use)]

    def member(self, value: Value) -> list[str]:
        return self._wrap(self._join(self._text(value.doc), *self.facts(value), self._since(value.since)), 8)

    def handle(self, handle: Handle) -> list[str]:
        rule = THREAD_RULES[handle.thread].format(busy=f"{self.upper}_E_BUSY")
        keeps = (
            f"It keeps the {self.prefix}_{handle.keeps_alive} that it was made from alive."
            if handle.keeps_alive
            else ""
        )
        return self._wrap(self._join(self._text(handle.doc), self._since(handle.since))) + [
            "",
            *self._wrap(self._join(rule, keeps)),
        ]

    def callback(self, callback: Callback) -> list[str]:
        lines = self._wrap(self._join(self._text(callback.doc), self._since(callback.since))) + [""]
        for value in callback.params:
            lifetime = "Valid until the callback returns." if value.type.is_sequence else ""
            lines += self._param(self._names(value), self._join(self._text(value.doc), *self.facts(value), lifetime))
        lines += self._param("user", "The pointer that was given beside the function.")
        if callback.returns:
            lines += self._tag("@return", self._text(callback.returns.doc))
        return lines

    def function(self, function: Function) -> list[str]:
        lines = self._wrap(self._join(self._text(function.doc), self._since(function.since)))
        notes = [BLOCKING[function.blocking]] if function.blocking else []
        if function.any_thread:
            notes.append("May be called from any thread at any time.")
        if function.cancel:
            notes.append(f"{self.spelling(function.cancel)} ends it early.")
        if function.deprecated:
            notes.append(f"Deprecated: {self._text(function.deprecated)}")
        if notes:
            lines += ["", *self._wrap(" ".join(notes))]
        tags = self._params(function) + self._returns(function)
        return lines + [""] + tags if tags else lines

    def facts(self, value: Value) -> list[str]:
        """Default, limits, unit, shape, lifetime and the like, as sentences."""
        facts = []
        if value.shape:
            facts.append(f"Shape {value.shape}.")
        if value.type.kind == "json":
            facts.append("JSON.")
        if value.unit:
            facts.append(f"Unit: {value.unit}.")
        if value.has_default:
            facts.append(f"Default: {self._default(value)}.")
        if value.unset is not None and not (value.has_default and value.default is None):
            facts.append(f"{value.unset} stands for unset.")
        limits = f"{value.min} to {value.max}" if value.min is not None and value.max is not None else ""
        if not limits and value.min is not None:
            limits = f"at least {value.min}"
        if not limits and value.max is not None:
            limits = f"at most {value.max}"
        if limits:
            facts.append(f"Range: {limits}.")
        if not value.finite:
            facts.append("May be infinite or NaN.")
        if value.type.kind in ("enum", "flags"):
            facts.append(
                f"One of {self.upper}_{value.type.name.upper()}_*."
                if value.type.kind == "enum"
                else f"Bits of {self.upper}_{value.type.name.upper()}_*."
            )
        if value.optional:
            facts.append("May be NULL: all defaults." if value.type.kind == "options" else "May be NULL.")
        if value.nullable and value.default is None and not value.has_default:
            facts.append("NULL: none.")
        if value.borrowed:
            until = (
                "The library owns it, and it lives as long as the library."
                if value.borrowed == "forever"
                else f"The library owns it; valid {self._text(value.borrowed)}"
            )
            facts.append(until)
        return facts

    def spelling(self, name: str) -> str:
        """What `[[name]]` is called in C."""
        head, _, rest = name.partition(".")
        if name in self.functions or name in references.ALWAYS_THERE:
            return f"{self.prefix}_{name}()"
        if name in self.codes:
            return f"{self.upper}_E_{name}"
        if name in references.STATUSES:
            return f"{self.upper}_STATUS_{name}"
        if head in self.api.enums and rest:
            return f"{self.upper}_{head.upper()}_{rest.upper()}"
        if head in self.functions and rest:
            return f"{self.api.name_in('c', rest)} of {self.prefix}_{head}()"
        return f"{self.prefix}_{head}" + (f".{self.api.name_in('c', rest)}" if rest else "")

    def _params(self, function: Function) -> list[str]:
        lines = []
        for value in function.params:
            lines += self._param(self._names(value), self._join(self._text(value.doc), *self.facts(value)))
        if function.stream_of or function.run_of:
            lines += self._param(
                "timeout_ms", "How long to wait at most; negative: no limit, 0: return at the first chance."
            )
            if function.stream_of:
                lines += self._param(
                    "out",
                    f"Filled when the status is {self.upper}_STATUS_ITEM; initialise it with {self.prefix}_{function.stream_of}_init().",
                )
            lines += self._param("out_status", f"One of {self.upper}_STATUS_*.")
        return lines

    def _returns(self, function: Function) -> list[str]:
        lines = []
        if function.returns:
            text = self._join(
                self._text(function.returns.doc), *self.facts(function.returns), self._ownership(function.returns)
            )
            if not function.fallible:
                return self._tag(
                    "@return",
                    self._join(
                        text, "Zero if the handle is NULL or closed." if function.on and not function.static else ""
                    ),
                )
            lines += self._param("out, out_len" if function.returns.type.is_sequence else "out", text)
        if function.fallible:
            codes = dict.fromkeys((*function.errors, "INVALID_ARGUMENT", "INTERNAL"))
            lines += self._tag(
                "@return", f"{self.upper}_OK, or {', '.join(f'{self.upper}_E_{code}' for code in codes)}."
            )
        return lines

    def _ownership(self, value: Value) -> str:
        if value.type.kind == "handle":
            return f"Free it with {self.prefix}_{value.type.name}_free()."
        if value.type.kind == "struct":
            return f"Initialise it with {self.prefix}_{value.type.name}_init()."
        texts = "Key, value, key, value; out_len counts both." if value.type.kind == "map" else ""
        return (
            self._join(texts, f"Free it with {self.prefix}_free().")
            if value.type.is_sequence and not value.borrowed
            else texts
        )

    def _default(self, value: Value) -> str:
        default = value.default
        if default is None:
            return f"unset ({value.unset})" if value.unset is not None else "NULL"
        if value.type.kind == "enum":
            return f"{self.upper}_{value.type.name.upper()}_{default.upper()}"
        if value.type.kind == "flags":
            return " | ".join(f"{self.upper}_{value.type.name.upper()}_{name.upper()}" for name in default) or "0"
        if value.type.kind == "bool":
            return str(int(default))
        if value.type.is_sequence:
            return f'"{default}"' if default else "empty"
        return str(default)

    def _names(self, value: Value) -> str:
        return ", ".join(variable.name for variable in variables(value, self.api))

    def _param(self, names: str, text: str) -> list[str]:
        return self._tag(f"@param {names}", text)

    def _tag(self, tag: str, text: str) -> list[str]:
        return textwrap.wrap(
            f"{tag} {text}", WIDTH - 3, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )

    def _since(self, since: str) -> str:
        return f"Since {since}." if since != "0.1" else ""

    def _text(self, doc: str) -> str:
        text = " ".join(references.spell(doc, self.spelling).split())
        return text if text.endswith((".", "!", "?", ":")) else f"{text}."

    @staticmethod
    def _join(*sentences: str) -> str:
        return " ".join(sentence for sentence in sentences if sentence)

    @staticmethod
    def _wrap(text: str, indent: int = 3) -> list[str]:
        return textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False)
