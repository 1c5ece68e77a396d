"""Functional options: what a caller may leave out, for each function and named once for all that share it.

An option `max_tokens` becomes `WithMaxTokens`, which gives an interface that says which functions take it. Two options of one
name and type are one; another type gets the name of its receiver or function in between.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Function, Struct, Value
from ...languages import LANGUAGES
from .docs import Docs
from .layout import comment, items, paragraphs
from .names import Names
from .types import Types, UnsupportedError
from .views import GoGroup, GoOption, GoSetter, GoUnion


@dataclass(frozen=True)
class Use:
    """One place where an option enters the arguments of a function."""

    function: Function
    value: Value
    struct: str  # the options that it is a field of; "" for a parameter
    lines: list[str]


class Options:
    """All options of one API."""

    def __init__(self, api: Api, names: Names, types: Types, docs: Docs) -> None:
        self.api = api
        self.names = names
        self.types = types
        self.docs = docs
        self.plain = _plain(api)
        names.plain = frozenset(self.plain)
        self.groups: dict[str, GoGroup] = {}  # function -> its options
        self.uses: dict[str, list[Use]] = {}  # Go name -> where it is used
        self.results: dict[str, str] = {}  # function with texts -> type of its result
        functions = [function for function in api.functions if any(map(self.is_option, self.optional(function)))]
        bases = [self._base(function) for function in functions]
        for function, base in zip(functions, bases, strict=True):
            if bases.count(base) > 1 or base == "Wait":  # WaitOption is the runtime's
                base = names.public(function.on) + base
            self._add_group(function, base)
        self.options: list[GoOption] = []
        self.unions: list[GoUnion] = []
        for name, uses in self.uses.items():
            self._add_option(name, uses)
        for function in functions:
            group = self.groups[function.name]
            group.doc = comment(
                f"{_article(group.interface)} is an option of {_listed(self.links(function))}: "
                f"{', '.join(f'[{option}]' for option in group.options)}."
            )

    @staticmethod
    def positional(function: Function) -> Value | None:
        """The prompt of a text generation: its place is first, although another parameter may stand for it."""
        first = function.params[0] if function.params else None
        return first if function.text_generation and first and first.nullable and first.type.kind == "str" else None

    def stand_ins(self, function: Function) -> list[Value]:
        """What can be given in place of the prompt."""
        prompt = self.positional(function)
        return [value for value in function.params if prompt and value is not prompt and value.nullable and value.type.is_sequence]

    def optional(self, function: Function) -> list[Value]:
        """The parameters that a caller may leave out; options belong to them."""
        return [value for value in function.params if value is not self.positional(function)]

    def is_option(self, value: Value) -> bool:
        if value.type.kind == "options":
            return value.type.name not in self.plain
        return value.has_default or value.nullable or value.optional or value.unset is not None

    def links(self, function: Function) -> list[str]:
        """The methods that take the options of a function."""
        if function.text_generation is None:
            return [f"[{self.names.qualified(function)}]"]
        text = function.text_generation
        return [f"[{self.names.qualified(function, self.names.public(name))}]" for name in (text.whole, text.pieces, text.start)]

    def plain_fields(self, struct: Struct) -> list[tuple[Value, str]]:
        """The fields of options that are shown as a struct, each with the statement that stores it."""
        stored = []
        for value in struct.fields:
            member = self.names.field(value.name)
            keeper = self.types.keeper(value, f"{struct.name[0]}.{self.names.public(value.name)}")
            stored.append((value, f"c.{member}, c.{member}_len = held.{keeper}"))
        return stored

    def _base(self, function: Function) -> str:
        return self.names.public(function.text_generation.whole) if function.text_generation else self.names.method(function)

    def _add_group(self, function: Function, base: str) -> None:
        private = base[0].lower() + base[1:]
        method = f"apply{base}" if LANGUAGES["go"].is_keyword("parameter", private) else private
        group = self.groups[function.name] = GoGroup(f"{base}Option", method, f"{private}Arguments")
        for value in self.optional(function):
            if not self.is_option(value):
                continue
            name = self.names.private(value.name)
            if value.type.kind == "options":
                self._add_struct(function, group, self.api.structs[value.type.name], name)
            else:
                self._add_parameter(function, group, value, name)
        if function.text_generation:
            group.is_shared = True
            self._add_result(function, group)
        if self.stand_ins(function):
            group.fields.append((f"{self.names.private(function.params[0].name)}Replaced", "bool"))

    def _add_struct(self, function: Function, group: GoGroup, struct: Struct, place: str, is_inner: bool = False) -> None:
        """Options inside others are an object of their own: cgo checks whole objects."""
        c_name = f"{self.api.prefix}_{struct.name}"
        group.fields.append((place, f"{'*' if is_inner else ''}C.{c_name}"))
        group.before += [f"args.{place} = new(C.{c_name})"] if is_inner else []
        group.before.append(f"C.{c_name}_init({'' if is_inner else '&'}args.{place}, C.sizeof_{c_name})")
        for value in struct.fields:
            member = f"args.{place}.{self.names.field(value.name)}"
            if value.type.kind == "options":
                inner = place + self.names.public(value.name)
                group.keeps = True
                self._add_struct(function, group, self.api.structs[value.type.name], inner, True)
                group.after += [f"{member} = args.{inner}", f"args.Pin({member})"]
            else:
                self._use(function, group, value, struct.name, member, f"{member}_len")

    def _add_parameter(self, function: Function, group: GoGroup, value: Value, name: str) -> None:
        kind = value.type.kind
        if kind == "callback":
            group.fields.append((name, self.types.go(value)))
        elif value.type.is_sequence:
            group.fields += [(name, f"*{self.types.c(value)}"), (f"{name}Len", "C.size_t")]
        else:
            group.fields.append((name, f"*{self.types.c(value)}" if kind == "handle" else self.types.c(value)))
        default = self.types.default(value)
        if default and value.type.is_sequence:
            group.before.append(f"args.{name}, args.{name}Len = {', '.join(self.types.sequence_in(value, default))}")
        elif default:
            group.literal.append(f"{name}: {default}")
        self._use(function, group, value, "", f"args.{name}", f"args.{name}Len")

    def _use(self, function: Function, group: GoGroup, value: Value, struct: str, data: str, length: str) -> None:
        kind = value.type.kind
        if kind == "handle":
            group.keeps = True
            lines = ["args.objects = append(args.objects, option.value)", f"{data} = option.value.pointer()"]
        elif value.type.is_sequence and not struct and kind not in ("json", "list"):
            lines = [f"{data}, {length} = {', '.join(self.types.sequence_in(value, 'option.value'))}"]
        elif value.type.is_sequence:
            group.keeps = True
            group.fails |= kind == "json"
            lines = [f"{data}, {length} = args.{self.types.keeper(value, 'option.value')}"]
        elif kind == "callback":
            if struct:
                raise UnsupportedError(f"{struct}.{value.name}: a callback among options")
            lines = [f"{data} = option.value"]
        else:
            lines = [f"{data} = {self.types.scalar_in(value, 'option.value')}"]
        if value in self.stand_ins(function):
            lines.append(f"args.{self.names.private(function.params[0].name)}Replaced = true")
        name = self.names.option(value.name)
        if name in self.uses and self.types.go(self.uses[name][0].value) != self.types.go(value):
            owner = self.names.public(function.on) if function.on else self.names.method(function)
            name = f"With{owner}{self.names.public(value.name)}"
        uses = self.uses.setdefault(name, [])
        if self.types.go(uses[0].value if uses else value) != self.types.go(value):
            raise UnsupportedError(f"{function.name}: an option {name} of another type than elsewhere")
        if name in group.options:
            raise UnsupportedError(f"{function.name}: two options {name}")
        uses.append(Use(function, value, struct, lines))
        group.options.append(name)

    def _add_result(self, function: Function, group: GoGroup) -> None:
        handle = function.returns.type.name if function.returns else ""
        result = next((one for one in self.api.functions if one.on == handle and one.method == "result"), None)
        if result is None or result.returns is None:
            raise UnsupportedError(f"{function.name}: a text generation without a result")
        self.results[function.name] = self.names.public(result.returns.type.name)
        if len(set(self.results.values())) > 1:
            raise UnsupportedError(f"{function.name}: text generations with different results")
        start = self.names.qualified(function)
        doc = f"Where to put the figures of the generation once it has ended. [{start}] refuses it: what it gives has Result."
        value = Value("result", result.returns.type, doc)
        group.fields.append(("result", f"*{self.results[function.name]}"))
        self.uses.setdefault("WithResult", []).append(Use(function, value, "", ["args.result = option.value"]))
        group.options.append("WithResult")

    def _add_option(self, name: str, uses: list[Use]) -> None:
        groups = [self.groups[use.function.name] for use in uses]
        value = uses[0].value
        kind = value.type.kind
        go_type = self.types.go(value)
        if kind == "list":
            go_type = "...string"
        elif kind == "struct":
            go_type = f"*{go_type}"
        interface = groups[0].interface if len(groups) == 1 else self._union(name, uses)
        setters = [GoSetter(group.method, group.arguments, use.lines) for group, use in zip(groups, uses, strict=True)]
        self.options.append(
            GoOption(
                name,
                f"{self.names.private(value.name) if name == self.names.option(value.name) else name[4].lower() + name[5:]}Option",
                interface,
                self.names.parameter(value.name),
                go_type,
                self._doc(name, uses),
                setters,
            )
        )

    def _union(self, name: str, uses: list[Use]) -> str:
        """The interface of an option for several functions; all options of one struct share theirs."""
        functions = {use.function.name for use in uses}
        struct = uses[0].struct
        owners = {f.name for f in self.api.functions for v in f.params if v.type.name == struct} if struct else set()
        union = self.names.public(struct.removesuffix("_options")) if functions == owners else name.removeprefix("With")
        if any(group.interface == f"{union}Option" for group in self.groups.values()):
            union = f"Any{union}"
        interfaces = [self.groups[use.function.name].interface for use in uses]
        found = GoUnion(
            f"{union}Option",
            comment(f"{_article(union)}Option is an option of {_listed([link for use in uses for link in self.links(use.function)])}."),
            interfaces,
        )
        if found not in self.unions:
            self.unions.append(found)
        return found.name

    def _doc(self, name: str, uses: list[Use]) -> list[str]:
        docs: dict[str, list[str]] = {}
        for use in uses:
            docs.setdefault(self.docs.given(use.value), []).extend(self.links(use.function))
        if len(docs) == 1:
            return comment(f"{name}: {next(iter(docs))}")
        entries = [f"{', '.join(links)}: {doc}" for doc, links in docs.items()]
        return paragraphs(comment(f"{name} means"), items(entries))


def _plain(api: Api) -> dict[str, Struct]:
    """Options that are shown as a Go struct: they must be given, and each field left out is what Go's zero value says."""
    given = {v.type.name for f in api.functions for v in f.params if v.type.kind == "options" and not v.optional}
    given -= {v.type.name for f in api.functions for v in f.params if v.type.kind == "options" and v.optional}
    given -= {v.type.name for s in api.structs.values() for v in s.fields if v.type.kind == "options"}
    sequences = ("span", "list", "bytes")
    return {
        name: api.structs[name]
        for name in sorted(given)
        if all(one.type.kind in sequences and not one.default for one in api.structs[name].fields)
    }


def _listed(links: list[str]) -> str:
    return links[0] if len(links) == 1 else f"{', '.join(links[:-1])} and {links[-1]}"


def _article(name: str) -> str:
    return f"{'An' if name[0] in 'AEIO' else 'A'} {name}"
