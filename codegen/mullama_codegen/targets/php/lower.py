"""The API as PHP sees it: makes the views of views.py."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ...api import NUMBERS, Api, Enum, Function, Handle, Struct, Value
from .docs import Docs
from .layout import broken, comment, declaration, fit, quoted
from .names import Names
from .types import Types, UnsupportedError
from .views import (
    Parameter,
    PhpClass,
    PhpConstant,
    PhpDerived,
    PhpEnum,
    PhpMethod,
    PhpOptions,
    PhpProperty,
    PhpRecord,
    PhpTrampoline,
    PhpWait,
)

INDENT = 4  # of a method
BODY = 8  # of its statements
LOCALS = frozenset("c call err ffi found keep milliseconds options out outLen outStatus".split())  # noqa: SIM905
STATUS_PLACE = "$outStatus = clone Native::$i32;"
WAIT = "wait_ms"  # the parameter of a blocking function that limits how long one call may wait


class Lowering:
    """Lowers one API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.names = Names(api)
        self.types = Types(api, self.names)
        self.docs = Docs(api, self.names)

    # Enums, records, options, callbacks

    def enum(self, enum: Enum) -> PhpEnum:
        spell = self.names.flag if enum.is_flags else self.names.case
        members = [
            PhpConstant(spell(member.name), member.value, comment([self.docs.text(member.doc)], [], INDENT))
            for member in enum.members
        ]
        doc = self.docs.text(enum.doc)
        if enum.is_flags:
            doc += " Bits, to be joined with `|`."
        return PhpEnum(self.names.type(enum.name), comment([doc], [], 0), members, enum.is_flags)

    def record(self, struct: Struct) -> PhpRecord:
        properties = []
        for value in struct.fields:
            c_name = f"$c->{self.api.name_in('c', value.name)}"
            documented = self.types.found(value, True, True)
            declared = self.types.found(value, False, True)
            doc = self.docs.result(value)
            tagged = documented != declared
            doc = comment([], [f"@var {documented} {doc}"], BODY) if tagged else comment([doc], [], BODY)
            name = self.names.plain(value.name)
            properties.append(
                PhpProperty(
                    doc,
                    f"public readonly {declared} ${name},",
                    f"{name}: {self.types.out(value, c_name, f'{c_name}_len', True)},",
                )
            )
        return PhpRecord(self.names.type(struct.name), comment([self.docs.text(struct.doc)], [], 0), properties)

    def options(self, struct: Struct) -> PhpOptions:
        parameters = [str(one).partition(" = ")[0] for one in self._option_parameters(struct)]
        name = self.names.plain(struct.name)
        return PhpOptions(
            comment([self.docs.text(struct.doc)], ["@param list<CData> $keep"], INDENT),
            declaration(f"public static function {name}(", ["array &$keep", *parameters], "): CData", INDENT),
            name,
            [line for value in struct.fields for line in self._store(value)],
        )

    def trampolines(self) -> list[PhpTrampoline]:
        found = []
        for callback in self.api.callbacks.values():
            declared, arguments = [], []
            for value in callback.params:
                name = self.names.plain(value.name)
                if value.type.is_sequence:
                    declared += [f"?CData ${name}", f"int ${name}Len"]
                else:
                    declared.append(f"{'float' if value.type.kind in ('f32', 'f64') else 'int'} ${name}")
                arguments.append(self.types.out(value, f"${name}", f"${name}Len"))
            returns = callback.returns
            if returns and returns.type.kind != "bool":
                raise UnsupportedError(f"{callback.name}: a callback that gives a {returns.type.kind}")
            # The last parameter of C, its `user` pointer, is not needed: the running fiber knows whom to ask.
            head = f"static function ({', '.join([*declared, 'mixed $user'])}): {'int' if returns else 'void'} {{"
            found.append(
                PhpTrampoline(
                    self.names.plain(callback.name),
                    f"{self.api.prefix}_{callback.name}",
                    head,
                    fit("return Callback::ask(" if returns else "Callback::ask(", arguments, ");", 12),
                )
            )
        return found

    def short_functions(self) -> list[tuple[str, str]]:
        """Property and C name of the functions that are called through a pointer."""
        short = [function for function in self.api.functions if self._is_short(function)]
        return [(self.names.plain(function.name), f"{self.api.prefix}_{function.name}") for function in short]

    # Classes and functions

    def functions(self) -> list[PhpMethod]:
        return [self.method(function) for function in self.api.functions if not function.on]

    def handle(self, handle: Handle) -> PhpClass:
        own = [function for function in self.api.functions if function.on == handle.name]
        constructors = [function for function in own if function.constructor]
        methods = [self.method(function) for function in own if not function.constructor]
        parent = handle.keeps_alive
        names = [method.name for method in methods]
        names += [derived.name for method in methods for derived in method.derived]
        names += ["close", "isClosed", "adopt", *([self.names.plain(parent)] if parent else [])]
        for name, count in Counter(map(str.lower, names)).items():
            if count > 1:
                raise UnsupportedError(f"the class of {handle.name} would have {name} twice")
        streams = [function for function in own if function.stream_of]
        starts = [f.returns.type.name for f in self.api.functions if f.text_generation and f.returns]
        interfaces = ["\\IteratorAggregate"] * bool(streams) + ["TextGeneration"] * (handle.name in starts)
        tags = [f"@implements \\IteratorAggregate<int, {self.names.type(one.stream_of)}>" for one in streams]
        return PhpClass(
            self.names.type(handle.name),
            handle.name.replace("_", " "),
            comment([self.docs.text(handle.doc)], tags, 0),
            f"{self.api.prefix}_{handle.name}",
            self.names.plain(parent) if parent else "",
            self.names.type(parent) if parent else "",
            f" implements {', '.join(interfaces)}" if interfaces else "",
            f"{self.names.type(handle.name)}Routes" if any(one.on == handle.name for one in self.api.routes) else "",
            self.method(constructors[0]) if constructors else None,
            methods,
        )

    def method(self, function: Function) -> PhpMethod:
        """A function as PHP has it."""
        parameters = self.parameters(function)
        names = [parameter.name for parameter in parameters]
        self._check_names(function, names)
        kind, places, extra, result = self._result(function)
        if kind in ("stream", "run") and function.params:
            raise UnsupportedError(f"{function.name}: parameters on a stream function")
        on_object = bool(function.on) and not function.static
        setup, given, callback = self._inputs(function)
        wait = self._wait(function, result)
        if wait:
            kind, given = "wait", ["$milliseconds"]
        arguments = ["$this->handle"] * on_object + given + extra
        if function.fallible:
            places.append("$err = clone Native::$error;")
            arguments.append("$err")
        elif callback:
            raise UnsupportedError(f"{function.name}: a callback on a function that cannot fail")
        # What gives nothing, such as cancel, has nothing to refuse on a closed object.
        library = "Native::$ffi" if not function.fallible and function.returns is None else "$this->library"
        library = library if on_object else "Native::ffi()"
        if not on_object and (setup or places):  # the first of them needs a loaded library
            setup, library = ["$ffi = Native::ffi();", *setup], "$ffi"
        if callback:
            kind = "callback"
            places += [f"$call = new Callback(${callback}, fn () => Native::failure(0, $err));"]
        local = "result" if "code" in names and function.fallible else "code"
        head, tail, indent = f"${local} = ", ";", BODY
        if callback:
            head, tail, indent = f"${local} = $call->run(fn (): int => ", ");", BODY
        elif kind in ("stream", "run", "wait"):
            indent = BODY + (8 if wait and wait.release else 4)
        elif not function.fallible:
            direct = kind == "direct"
            head = "return " if direct else "$value = " if function.returns else ""
        callee = f"{library}->{self.api.prefix}_{function.name}"
        if self._is_short(function):
            callee = f"($this->functions->{self.names.plain(function.name)})"
        c_call = fit(f"{callee}(", arguments, ")", indent + len(head) + len(tail))
        if kind == "direct":
            c_call = self._direct(function, c_call)
        return PhpMethod(
            name="__construct" if function.constructor else self._name(function),
            kind="plain" if kind == "direct" else kind,
            comment=self.docs.function(function, kind, parameters, self._returned(function, kind, True), INDENT),
            declaration=self._declaration(function, kind, parameters),
            setup=setup if wait else [*setup, *places],
            places=places,
            call=f"{head}{c_call}{tail}",
            result=result,
            local=local,
            callback=callback,
            wait=wait,
            event=self.names.type(function.stream_of) if function.stream_of else "",
            deprecated=quoted(self._plain_text(function.deprecated)) if function.deprecated else "",
            derived=self._derived(function, parameters),
        )

    def parameters(self, function: Function) -> list[Parameter]:
        """Plain parameters first, then the fields of options, each as a named argument."""
        if function.stream_of or function.run_of:
            doc = "Seconds to wait at most; null: no limit."
            return [Parameter("timeout", "?float", "?float", "null", doc)]
        plain: list[Parameter] = []
        flat: list[Parameter] = []
        for value in function.params:
            if value.type.kind == "options":
                flat += self._option_parameters(self.api.structs[value.type.name])
            else:
                plain.append(self._parameter(value, False))
        return [*plain, *flat]

    def signature(self, function: Function) -> str:
        """The declaration as a user reads it, with the types of its doc comment."""
        kind = "stream" if function.stream_of else "run" if function.run_of else ""
        parameters = [
            f"{one.documented} ${one.name}" + (f" = {one.default}" if one.default is not None else "")
            for one in self.parameters(function)
        ]
        if function.constructor:
            return fit(f"new {self.names.type(function.on)}(", parameters, ")", 0)
        owner = self.names.type(function.on) if function.on else self.names.namespace
        arrow = f"${self.names.plain(function.on)}->" if function.on and not function.static else f"{owner}::"
        lines = []
        for name, returned in self._shown(function, kind):
            lines.append(fit(f"{arrow}{name}(", parameters, f"): {returned}", 0))
            parameters = ["..."]  # the conveniences take the same
        return "\n".join(lines)

    def _shown(self, function: Function, kind: str) -> list[tuple[str, str]]:
        text, returned = function.text_generation, self._returned(function, kind, True)
        if text is None:
            return [(self._name(function), returned)]
        _, result = self._text_generation(function)
        pieces = f"\\Generator<int, string, void, {result}>"
        names = self.names.plain
        return [(names(text.start), returned), (names(text.whole), "string"), (names(text.pieces), pieces)]

    # Pieces of a method

    @staticmethod
    def _is_short(function: Function) -> bool:
        """A method that cannot fail and gives something: little more than the call itself."""
        return bool(function.on) and not function.static and not function.fallible and function.returns is not None

    def _check_names(self, function: Function, names: list[str]) -> None:
        """Arguments must differ from each other, and from the variables that bodies use beside them."""
        if len(set(names)) != len(names):
            raise UnsupportedError(f"{function.name}: two named arguments of one name among {', '.join(names)}")
        used = {self.names.plain(value.name) for value in function.params if value.type.kind == "options"}
        for name in names:
            if name in LOCALS | used:
                raise UnsupportedError(f"{function.name}: an argument ${name}; name it otherwise in names/php.yaml")
        if sum(value.type.kind == "callback" for value in function.params) > 1:
            raise UnsupportedError(f"{function.name}: two callbacks")

    def _name(self, function: Function) -> str:
        text = function.text_generation
        return self.names.plain(text.start) if text else self.names.method(function)

    def _parameter(self, value: Value, in_options: bool) -> Parameter:
        if in_options and value.type.kind == "callback":
            raise UnsupportedError(f"{value.name}: a callback among options")
        return Parameter(
            self.names.plain(value.name),
            self.types.given(value),
            self.types.given(value, True),
            self.types.default(value, in_options),
            self.docs.described(value),
        )

    def _option_parameters(self, struct: Struct) -> list[Parameter]:
        return [
            one
            for value in struct.fields
            for one in (
                self._option_parameters(self.api.structs[value.type.name])
                if value.type.kind == "options"
                else [self._parameter(value, True)]
            )
        ]

    def _inputs(self, function: Function) -> tuple[list[str], list[str], str]:
        """Statements before the call, its arguments, and the name of a callback."""
        setup: list[str] = []
        arguments: list[str] = []
        callback = ""
        for value in function.params:
            if value.type.kind == "options":
                if "$keep = [];" not in setup:
                    setup.append("$keep = [];")
                struct = self.api.structs[value.type.name]
                given = [f"${one.name}" for one in self._option_parameters(struct)]
                local = f"${self.names.plain(value.name)}"
                call = fit(f"{local} = Options::{self.names.plain(struct.name)}(", ["$keep", *given], ");", BODY)
                setup += call.split("\n")
                arguments.append(local)
                continue
            name = self.names.plain(value.name)
            if value.type.kind == "callback":
                callback = name
                trampoline = f"Native::${self.names.plain(value.type.name)}[0]"
                arguments += [f"${name} === null ? null : {trampoline}" if value.nullable else trampoline, "null"]
            elif value.type.is_sequence:
                lines, *pair = self.types.sequence(value, name)
                setup += lines
                arguments += pair
            else:
                arguments.append(self.types.into(value, name))
        return setup, arguments, callback

    def _store(self, value: Value) -> list[str]:
        """Lines that put one option into its C struct."""
        member, name = f"$c->{self.api.name_in('c', value.name)}", self.names.plain(value.name)
        if value.type.kind == "options":
            struct = self.api.structs[value.type.name]
            inner = [f"${one.name}" for one in self._option_parameters(struct)]
            call = fit(f"$keep[] = ${name} = self::{self.names.plain(struct.name)}(", ["$keep", *inner], ");", BODY)
            return [*call.split("\n"), f"{member} = \\FFI::addr(${name}[0]);"]
        if not value.type.is_sequence:
            line = f"{member} = {self.types.into(value, name)};"
            return broken(line, BODY).split("\n")
        lines, data, length = self.types.sequence(replace(value, nullable=False), name)
        lines += fit(f"{member} = Native::keep(", ["$keep", data], ");", BODY).split("\n")
        lines.append(f"{member}_len = {length};")
        if not value.nullable:
            return lines
        return [f"if (${name} !== null) {{", *(f"    {line}" for line in lines), "}"]

    def _result(self, function: Function) -> tuple[str, list[str], list[str], list[str]]:
        """Kind of body, statements that make the places of results, their arguments, and lines that give the result."""
        value = function.returns
        if function.stream_of:
            place = f"$out = clone Native::${self.names.plain(function.stream_of)};"
            return "stream", [place, STATUS_PLACE], ["$milliseconds", "$out", "$outStatus"], []
        if function.run_of:
            return "run", [STATUS_PLACE], ["$milliseconds", "$outStatus"], []
        if not function.fallible:
            if value is None:
                return "plain", [], [], []
            if value.type.kind == "str" and value.borrowed:
                result = [f"return {self.types.out(value, '$value', '$outLen[0]')};"]
                return "plain", ["$outLen = clone Native::$size;"], ["$outLen"], result
            if value.type.kind not in ("bool", "enum", "flags", *NUMBERS):
                raise UnsupportedError(f"{function.name}: a {value.type.kind} from a function that cannot fail")
            expression = self.types.out(value, "$value", "")
            if expression.count("$value") > 1:
                return "plain", [], [], [f"return {expression};"]
            return "direct", [], [], []
        if value is None:
            return "fallible", [], [], []
        if value.type.kind == "struct":
            if value.nullable:
                raise UnsupportedError(f"{function.name}: a struct that may be absent")
            place = f"$out = clone Native::${self.names.plain(value.type.name)};"
            return "fallible", [place], ["$out"], [f"return {self.names.type(value.type.name)}::read($out[0]);"]
        place = f"$out = clone Native::${self.types.prototype(value)};"
        if value.type.kind == "handle":
            return "fallible", [place], ["$out"], self._adopt(function, value)
        if not value.type.is_sequence:
            expression = self.types.out(value, "$out[0]", "")
            return "fallible", [place], ["$out"], [f"return {expression};"]
        expression = self.types.out(value, "$out[0]", "$outLen[0]")
        places = [place, "$outLen = clone Native::$size;"]
        if value.borrowed:
            return "fallible", places, ["$out", "$outLen"], [f"return {expression};"]
        free = f"Native::$ffi->{self.api.prefix}_free($out[0]);"
        return "fallible", places, ["$out", "$outLen"], [f"$found = {expression};", free, "", "return $found;"]

    def _wait(self, function: Function, result: list[str]) -> PhpWait | None:
        """How a blocking function spends the milliseconds that it may wait: in slices, between which signals are handled."""
        value = function.returns
        if not function.blocking or all(one.name != WAIT for one in function.params):
            return None
        if len(function.params) != 1 or value is None or not (value.type.kind == "bool" or value.type.is_sequence):
            raise UnsupportedError(
                f"{function.name}: {WAIT} beside other parameters, or without a result that may be empty"
            )
        limit = self.types.into(function.params[0], self.names.plain(WAIT))
        if value.type.kind == "bool":
            return PhpWait(limit, f"$found = {result[0].removeprefix('return ')}", "", "$found")
        return PhpWait(limit, result[0], result[1], "$found !== []")

    def _direct(self, function: Function, call: str) -> str:
        """The call inside the expression that makes its value."""
        value = function.returns
        expression = self.types.out(value, "\0", "") if value else "\0"
        return expression.replace("\0", call)

    def _adopt(self, function: Function, value: Value) -> list[str]:
        if function.constructor:
            return ["$this->own($ffi, Native::$functions, $out[0]);"]
        handle = self.api.handles[value.type.name]
        arguments = ["$out[0]"]
        if handle.keeps_alive:
            given = [self.names.plain(v.name) for v in function.params if v.type.name == handle.keeps_alive]
            on_object = not function.static
            if function.on == handle.keeps_alive and on_object:
                arguments.append("$this")
            elif function.on == handle.name and on_object:
                arguments.append(f"$this->{self.names.plain(handle.keeps_alive)}")
            elif given:
                arguments.append(f"${given[0]}")
            else:
                what = f"nothing here is the {handle.keeps_alive} that the {handle.name} keeps alive"
                raise UnsupportedError(f"{function.name}: {what}")
        made = f"{self.names.type(handle.name)}::adopt({', '.join(arguments)})"
        return [f"return $out[0] === 0 ? null : {made};" if value.nullable else f"return {made};"]

    def _returned(self, function: Function, kind: str, documented: bool = False) -> str:
        if kind == "stream":
            return f"?{self.names.type(function.stream_of)}"
        return "Status" if kind == "run" else self.types.found(function.returns, documented)

    def _declaration(self, function: Function, kind: str, parameters: list[Parameter]) -> str:
        given = [str(one) for one in parameters]
        if function.constructor:
            return declaration("public function __construct(", given, ")", INDENT)
        static = "" if function.on and not function.static else "static "
        head = f"public {static}function {self._name(function)}("
        return declaration(head, given, f"): {self._returned(function, kind)}", INDENT)

    def _plain_text(self, doc: str) -> str:
        return self.docs.text(doc).replace("{@see ", "").replace("}", "")

    # The text conveniences

    def _derived(self, function: Function, parameters: list[Parameter]) -> list[PhpDerived]:
        if function.text_generation is None:
            return []
        _, result = self._text_generation(function)
        start = self.names.plain(function.text_generation.start)
        found = []
        for kind, declared, documented, summary in (
            ("whole", "string", "string", "Generates a text and gives it whole."),
            (
                "pieces",
                "\\Generator",
                f"\\Generator<int, string, void, {result}>",
                "Generates a text and gives it piece by piece. Leaving the loop early ends the generation and frees it.",
            ),
        ):
            name = self.names.plain(getattr(function.text_generation, kind))
            given = [str(one) for one in parameters]
            found.append(
                PhpDerived(
                    name,
                    self.docs.function(function, kind, parameters, documented, INDENT, summary),
                    declaration(f"public function {name}(", given, f"): {declared}", INDENT),
                    f"return Text::{kind}($this->{start}(...\\func_get_args()));",
                )
            )
        return found

    def _text_generation(self, function: Function) -> tuple[str, str]:
        """Class of the started stream and of its result. The conveniences use its next, run, text and result."""
        handle = function.returns.type.name if function.returns else ""
        has = {f.method: f for f in self.api.functions if f.on == handle}
        events = [f for f in has.values() if f.stream_of]
        texts = [one for f in events for one in self.api.structs[f.stream_of].fields if one.name == "text"]
        fits = {"next", "run", "text", "result"} <= has.keys() and any(one.type.kind == "str" for one in texts)
        fits = fits and has["run"].run_of and has["result"].returns is not None
        if not fits:
            raise UnsupportedError(f"{function.name}: {handle} lacks one of next (with texts), run, text, result")
        return self.names.type(handle), self.types.found(has["result"].returns)
