"""The typed views that the templates of this folder loop over."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    documented: str  # the type as a doc comment says it
    default: str | None
    doc: str

    def __str__(self) -> str:
        return f"{self.type} ${self.name}" + (f" = {self.default}" if self.default is not None else "")


@dataclass(frozen=True)
class PhpMethod:
    """A function or method. `kind` is the template macro that writes its body."""

    name: str
    kind: str  # plain, fallible, callback, stream, run, wait
    comment: str
    declaration: str
    setup: list[str]
    call: str
    result: list[str]
    local: str = "code"  # what the code of a fallible function or the value of another is called
    callback: str = ""
    places: list[str] = field(default_factory=list)  # statements that make the places of results
    wait: PhpWait | None = None
    event: str = ""
    fields: list[str] = field(default_factory=list)
    deprecated: str = ""
    derived: list[PhpDerived] = field(default_factory=list)


@dataclass(frozen=True)
class PhpWait:
    """How a wait is spent."""

    limit: str  # its milliseconds
    result: str  # the statement that makes a result
    release: str  # the one that frees it, also where a handler of a signal threw; "": nothing to free
    ended: str  # whether the result ends the wait


@dataclass(frozen=True)
class PhpDerived:
    """One of the text conveniences."""

    name: str
    comment: str
    declaration: str
    call: str


@dataclass(frozen=True)
class PhpClass:
    name: str
    what: str
    comment: str
    c_name: str
    parent: str
    parent_type: str
    implements: str
    routes: str  # the trait with its requests; "": it has none
    constructor: PhpMethod | None
    methods: list[PhpMethod]


@dataclass(frozen=True)
class PhpConstant:
    name: str
    value: int
    comment: str


@dataclass(frozen=True)
class PhpEnum:
    name: str
    comment: str
    members: list[PhpConstant]
    is_flags: bool


@dataclass(frozen=True)
class PhpProperty:
    comment: str
    declaration: str
    value: str


@dataclass(frozen=True)
class PhpRecord:
    name: str
    comment: str
    properties: list[PhpProperty]


@dataclass(frozen=True)
class PhpOptions:
    comment: str
    declaration: str
    prototype: str
    lines: list[str]


@dataclass(frozen=True)
class PhpTrampoline:
    prototype: str
    c_name: str
    head: str
    call: str
