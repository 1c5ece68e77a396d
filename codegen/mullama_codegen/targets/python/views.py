"""The typed views that the templates of this folder loop over."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    name: str
    annotation: str
    default: str | None
    keyword_only: bool
    doc: str

    def __str__(self) -> str:
        return f"{self.name}: {self.annotation}" + (f" = {self.default}" if self.default is not None else "")


@dataclass(frozen=True)
class Input:
    """One parameter on its way into C: lines before the call, arguments, and checks for when cffi refuses a number."""

    lines: list[str]
    arguments: list[str]
    checks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PyMethod:
    """A function or method. `kind` is the template macro that writes its body."""

    name: str
    kind: str  # plain, fallible, stream, run
    decorator: str
    signature: str
    docstring: str
    setup: list[str]
    checks: list[str]
    call: str
    result: list[str]
    fails: bool = False  # needs `err`
    twin: str = ""  # an assignment that makes the async twin
    local: str = "value"  # what the value of a function that cannot fail is called
    texts: list[str] = field(default_factory=list)  # assignments that make the text conveniences
    callback: str = ""
    event: str = ""
    c_event: str = ""
    cancel: str = ""
    check_closed: bool = False
    returns_value: bool = False


@dataclass(frozen=True)
class PyClass:
    name: str
    what: str
    docstring: str
    c_name: str
    parent: str
    parent_type: str
    shown: list[str]
    refusal: str
    constructor: PyMethod | None
    methods: list[PyMethod]


@dataclass(frozen=True)
class PyConstant:
    name: str
    value: str
    doc: list[str]


@dataclass(frozen=True)
class PyEnum:
    name: str
    base: str
    docstring: str
    members: list[PyConstant]


@dataclass(frozen=True)
class PyField:
    name: str
    annotation: str
    doc: list[str]
    value: str


@dataclass(frozen=True)
class PyRecord:
    name: str
    docstring: str
    fields: list[PyField]


@dataclass(frozen=True)
class PyOptions:
    name: str
    c_name: str
    signature: str
    lines: list[str]


@dataclass(frozen=True)
class PyTrampoline:
    name: str
    signature: str
    call: str
    answers: bool
    answers_bool: bool
    declaration: str
    docstring: str
