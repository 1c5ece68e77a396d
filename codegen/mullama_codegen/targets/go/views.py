"""The typed views that the templates of this folder loop over."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GoMethod:
    """A function or method, whole."""

    name: str
    doc: list[str]
    signature: str  # from `func` to the results
    body: list[str]


@dataclass(frozen=True)
class GoHandle:
    name: str
    doc: list[str]
    c_name: str
    receiver: str
    parent: str  # the field that holds what it keeps alive; "" for none
    parent_type: str
    says_closed: bool  # some method must ask whether it is closed
    may_be_absent: bool  # some function gives none of it
    is_argument: bool
    is_released: bool  # a text function frees it at once
    names_streams: bool  # see lookouts.py
    id_function: str  # of a stream that is named; "" for others
    wake: str
    methods: list[GoMethod]


@dataclass(frozen=True)
class GoConstant:
    name: str
    value: str
    doc: list[str]
    shown: str


@dataclass(frozen=True)
class GoEnum:
    name: str
    base: str
    doc: list[str]
    is_flags: bool
    members: list[GoConstant]


@dataclass(frozen=True)
class GoField:
    name: str
    type: str
    doc: list[str]
    lines: list[str]  # statements that read or store it


@dataclass(frozen=True)
class GoStruct:
    name: str
    c_name: str
    doc: list[str]
    fields: list[GoField]


@dataclass(frozen=True)
class GoMember:
    """A field of a JSON object."""

    name: str
    type: str
    tag: str  # of encoding/json; "" for none
    doc: list[str]


@dataclass(frozen=True)
class GoObject:
    name: str
    doc: list[str]
    members: list[GoMember]
    methods: list[GoMethod]


@dataclass(frozen=True)
class GoTrampoline:
    name: str
    symbol: str
    doc: list[str]
    type: str  # the Go function type
    declaration: str  # for C
    signature: str
    call: str
    result: str  # C type; "" for none


@dataclass(frozen=True)
class GoSetter:
    """How an option enters the arguments of one function."""

    method: str
    arguments: str
    lines: list[str]


@dataclass(frozen=True)
class GoOption:
    name: str
    type: str  # of its implementation
    interface: str  # what its function gives
    parameter: str
    go_type: str
    doc: list[str]
    setters: list[GoSetter]

    @property
    def held(self) -> str:
        return f"[]{self.go_type[3:]}" if self.go_type.startswith("...") else self.go_type


@dataclass
class GoGroup:
    """The options of one function, or of a text generation."""

    interface: str
    method: str
    arguments: str
    doc: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    literal: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    keeps: bool = False
    fails: bool = False
    options: list[str] = field(default_factory=list)  # names, for documentation
    is_shared: bool = False  # by several methods, which get the arguments from a function

    @property
    def constructor(self) -> str:
        return f"new{self.arguments[0].upper()}{self.arguments[1:]}"

    @property
    def lines(self) -> list[str]:
        """Statements that make the arguments from the defaults and the options."""
        return [
            f"args := &{self.arguments}{{{', '.join(self.literal)}}}",
            *self.before,
            "for _, option := range options {",
            f"\toption.{self.method}(args)",
            "}",
            *self.after,
        ]

    @property
    def rows(self) -> list[str]:
        width = max((len(name) for name, _ in self.fields), default=0)
        return [f"{name:{width}} {type_}" for name, type_ in self.fields]


@dataclass(frozen=True)
class GoUnion:
    """An option that several functions take."""

    name: str
    doc: list[str]
    interfaces: list[str]
