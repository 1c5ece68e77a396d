"""The typed views that the templates of this folder loop over. Lines have no indent; comments are ready lines."""

from __future__ import annotations

from dataclasses import dataclass, field

WIDTH = 120


@dataclass(frozen=True)
class Parameter:
    type: str
    name: str
    default: str | None
    doc: str

    def declared(self, with_default: bool) -> str:
        space = "" if self.type.endswith(("&", "*")) else " "
        default = f" = {self.default}" if with_default and self.default is not None else ""
        return f"{self.type}{space}{self.name}{default}"


@dataclass(frozen=True)
class Method:
    """A function or method: declared in its class or namespace, defined below."""

    name: str
    result: str  # "" for a constructor
    parameters: list[Parameter]
    comment: list[str]
    body: list[str]
    owner: str = ""  # the class
    before: str = ""  # explicit, static
    after: str = ""  # const, noexcept
    deprecated: str = ""

    def declaration(self, indent: int) -> str:
        words = [f'[[deprecated("{self.deprecated}")]]' if self.deprecated else "", self.before, self.result]
        return self._fit(words, self.name, True, ";", indent)

    def declared_apart(self, indent: int) -> str:
        """The declaration without defaults: the definition has them, where their types are whole."""
        return self._fit([self.before, self.result], self.name, False, ";", indent)

    def signature(self) -> str:
        """The declaration as a reference page shows it."""
        return self._fit(
            [self.before, self.result], f"{self.owner}::{self.name}" if self.owner else self.name, True, "", 0
        )

    def definition(self, with_defaults: bool = False) -> str:
        name = f"{self.owner}::{self.name}" if self.owner else self.name
        return block(self._fit(["inline", self.result], name, with_defaults, " {", 0), self.body)

    def inside(self) -> str:
        """The definition as it stands in the class."""
        return block(self._fit([self.result], self.name, True, " {", 4), self.body, WIDTH - 4)

    def _fit(self, words: list[str], name: str, with_defaults: bool, tail: str, indent: int) -> str:
        head = (" ".join([*filter(None, words), name]) + "(").replace("& ", "&")
        end = f"){' ' if self.after else ''}{self.after}{tail}"
        return fit(head, [one.declared(with_defaults) for one in self.parameters], end, indent)


def fit(head: str, items: list[str], tail: str, indent: int) -> str:
    """One line if it fits, else wrapped between the items and aligned behind the bracket."""
    lines, line = [], head
    for index, item in enumerate(items):
        end = tail if index == len(items) - 1 else ","
        space = "" if line.endswith("(") or not line.strip() else " "
        if indent + len(line + space + item + end) > WIDTH and line != head:
            lines.append(line.rstrip())
            line, space = " " * len(head), ""
        line += space + item + ("" if end is tail else end)
    return f"\n{' ' * indent}".join([*lines, line + tail])


def block(head: str, body: list[str], width: int = WIDTH) -> str:
    """A function: on one line where it fits."""
    short = f"{head} {body[0]} }}" if len(body) == 1 else ""
    if short and len(short) <= width and "\n" not in short:
        return short
    return "\n".join([head, *(f"    {line}" for line in body), "}"])


@dataclass(frozen=True)
class Constant:
    name: str
    value: str
    shown: str  # what to_string gives
    comment: list[str]


@dataclass(frozen=True)
class CppEnum:
    name: str
    is_flags: bool
    constants: list[Constant]
    comment: list[str]


@dataclass(frozen=True)
class Field:
    type: str
    name: str
    default: str
    comment: list[str]

    @property
    def declaration(self) -> str:
        space = "" if self.type.endswith("*") else " "
        return f"{self.type}{space}{self.name}{f' = {self.default}' if self.default else ''};"


@dataclass(frozen=True)
class CppStruct:
    """Options or a result."""

    name: str
    fields: list[Field]
    comment: list[str]


@dataclass(frozen=True)
class Record(CppStruct):
    c_name: str = ""
    reads: list[str] = field(default_factory=list)  # statements that fill `to` from `from`


@dataclass(frozen=True)
class Given:
    """The class that holds a set of options as C reads them."""

    name: str
    c_name: str
    source: str  # the struct that it is made from; "" for several
    initializers: list[str]
    lines: list[str]
    members: list[str]

    @property
    def constructor(self) -> str:
        head, inits = f"explicit {self.name}(const {self.source or 'Options'} &from)", self.initializers
        short = f"{head} : {', '.join(inits)} {{" if inits else f"{head} {{"
        if 4 + len(short) <= WIDTH:
            return short
        second = f"        : {', '.join(inits)} {{"
        apart = ",\n          ".join(inits)
        return f"{head}\n{second if len(second) <= WIDTH else f'        : {apart} {{'}"


@dataclass(frozen=True)
class CppCallback:
    name: str  # load_progress
    type: str  # LoadProgress
    function: str  # bool(float fraction)
    comment: list[str]
    definition: str  # of the function that C calls


@dataclass(frozen=True)
class CppClass:
    name: str
    c_name: str
    what: str
    comment: list[str]
    item: str  # of the stream; "" for no stream
    methods: list[Method]
    routes: list[Method]  # those that take and give JSON objects
