"""The API as Go sees it: makes the views of views.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...api import NUMBERS, Api, Callback, Enum, Function, Handle, Struct, Value
from .docs import Docs
from .layout import call, comment, paragraphs
from .lookouts import lookouts
from .names import Names
from .objects import Objects
from .options import Options
from .types import C_TEXT, Types, UnsupportedError
from .views import GoConstant, GoEnum, GoField, GoHandle, GoMethod, GoStruct, GoTrampoline

# Names of bindings/go/answers.go and tools.go.
RUNTIME = (
    "AnswerStream Of NewTool SchemaFormat ToolErrors ToolErrorsReturn ToolErrorsTell ToolOption ToolRun "  # noqa: SIM905
    "WithMaxRounds WithToolErrors".split()
)
THREADS = {
    "shared": "Any number of goroutines may call it at once.",
    "exclusive": "Of two calls at the same time the second one fails at once with [ErrBusy].",
}


@dataclass
class Inputs:
    """The parameters of a function on their way into C."""

    parameters: list[tuple[str, str]] = field(default_factory=list)  # name, type
    documented: list[tuple[str, Value]] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    holder: str = ""  # the `keep` that holds what C's structs point to
    fails: bool = False  # an argument may be refused before the call


class Lowering:
    """Lowers one API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.prefix = api.prefix
        self.names = Names(api)
        self.types = Types(api, self.names)
        self.docs = Docs(api, self.names, self.types)
        self.options = Options(api, self.names, self.types, self.docs)
        self.objects = Objects(api, self.names, self.docs)
        self.lookouts = lookouts(api)
        self._senders = {f"{route.on}_request" for route in api.routes}
        self._named = {one.streams: one for one in self.lookouts.values()}
        self._check_names()

    # Enums, structs, callbacks

    def enum(self, enum: Enum) -> GoEnum:
        members = [
            GoConstant(
                self.names.constant(enum.name, member.name),
                str(member.value),
                comment(self.docs.text(member.doc), 1),
                member.name,
            )
            for member in enum.members
        ]
        name = self.names.public(enum.name)
        doc = comment(self.docs.sentence(name, enum.doc, "is", True))
        return GoEnum(name, "uint64" if enum.is_flags else "int32", doc, enum.is_flags, members)

    def struct(self, struct: Struct) -> GoStruct:
        name = self.names.public(struct.name)
        fields = []
        for value in struct.fields:
            place, member = f"result.{self.names.public(value.name)}", f"c.{self.names.field(value.name)}"
            if value.type.kind in ("handle", "options", "callback", "struct"):
                raise UnsupportedError(f"{struct.name}.{value.name}: a {value.type.kind} inside a result")
            read = self.types.out(value, member, f"{member}_len")
            lines = [f"{place} = {read}"]
            if self.types.says_ok(value):
                target = self.names.parameter(value.name, "c")
                lines = [
                    f"if {self.types.presence(value, member)} {{",
                    f"\t{target} := {read}",
                    f"\t{place} = &{target}",
                    "}",
                ]
            absent = "Nil for none." if self.types.says_ok(value) or value.nullable else ""
            doc = comment(" ".join(part for part in (self.docs.described(value), absent) if part), 1)
            fields.append(GoField(self.names.public(value.name), self.types.go_field(value), doc, lines))
        return GoStruct(name, f"{self.prefix}_{struct.name}", comment(self.docs.sentence(name, struct.doc, "is" if struct.doc.split()[0] in ("A", "An", "One") else "holds", True)), fields)

    def plain_options(self, struct: Struct) -> GoStruct:
        name = self.names.public(struct.name)
        fields = [
            GoField(self.names.public(value.name), self.types.go(value), comment(self.docs.described(value), 1), [stored])
            for value, stored in self.options.plain_fields(struct)
        ]
        return GoStruct(name, f"{self.prefix}_{struct.name}", comment(self.docs.sentence(name, struct.doc, "is" if struct.doc.split()[0] in ("A", "An", "One") else "holds", True)), fields)

    def trampoline(self, callback: Callback) -> GoTrampoline:
        c_parameters, go_parameters, values, shown = [], [], [], []
        for value in callback.params:
            name, c_type = self.names.parameter(value.name), self.types.c(value)
            flat = C_TEXT.get(c_type, c_type.removeprefix("C."))
            if value.type.is_sequence:
                c_parameters += [f"{flat} *{name}", f"size_t {name}Len"]
                go_parameters += [f"{name} *{c_type}", f"{name}Len C.size_t"]
            else:
                c_parameters.append(f"{flat} {name}")
                go_parameters.append(f"{name} {c_type}")
            if value.nullable or value.unset is not None:
                raise UnsupportedError(f"{callback.name}.{value.name}: an argument of a callback that may be absent")
            values.append(self.types.out(replace(value, borrowed="the callback returns"), name, f"{name}Len"))
            shown.append(f"{name} {self.types.go_result(value)}")
        returns = callback.returns
        if returns and returns.type.kind not in ("bool", *NUMBERS):
            raise UnsupportedError(f"{callback.name}: a callback that gives a {returns.type.kind}")
        result = self.types.c(returns) if returns else ""
        go_result = f" {self.types.go_result(returns)}" if returns else ""
        symbol = f"{self.prefix}{self.names.public(callback.name)}"
        name = self.names.public(callback.name)
        answer = f"call.Function.({name})({', '.join(values)})"
        notes = [f"It gives: {self.docs.text(returns.doc)}"] if returns and returns.doc else []
        panics = "A panic in it ends the call of the library, and goes on from there."
        return GoTrampoline(
            name,
            symbol,
            comment(" ".join([self.docs.sentence(name, f"Is {callback.doc[0].lower()}{callback.doc[1:]}"), *notes, panics])),
            f"func({', '.join(shown)}){go_result}",
            f"{C_TEXT.get(result, result.removeprefix('C.')) or 'void'} {symbol}({', '.join([*c_parameters, 'void *user'])});",
            f"func {symbol}({', '.join([*go_parameters, 'user unsafe.Pointer'])}){f' (answer {result})' if result else ''}",
            f"answer = {self.types.scalar_in(returns, answer)}" if returns else answer,
            result,
        )

    # Handles and functions

    def functions(self) -> list[GoMethod]:
        return [method for function in self.api.functions if not function.on for method in self.methods(function)]

    def handle(self, handle: Handle) -> GoHandle:
        own = [function for function in self.api.functions if function.on == handle.name]
        gives = [f for f in self.api.functions if f.returns and f.returns.type.name == handle.name]
        given = [v for f in self.api.functions for v in f.params] + [v for s in self.api.structs.values() for v in s.fields]
        name, parent = self.names.public(handle.name), handle.keeps_alive
        facts = ["" if " at once" in handle.doc else THREADS[handle.thread], f"It keeps its [{self.names.public(parent)}] alive." if parent else ""]
        doc = self.docs.sentence(name, handle.doc, "is", True)
        return GoHandle(
            name,
            paragraphs(
                comment(doc),
                comment(" ".join([*filter(None, facts), "Close it when it is not needed any more; a forgotten one is freed later."])),
            ),
            f"{self.prefix}_{handle.name}",
            self.names.receiver(handle.name),
            self.names.private(parent) if parent else "",
            self.names.public(parent) if parent else "",
            any(not f.fallible and f.returns and not f.static for f in own),
            any(f.returns and f.returns.nullable for f in gives),
            any(v.type.kind == "handle" and v.type.name == handle.name for v in given),
            any(f.text_generation or f.name in self._senders for f in gives),
            handle.name in self.lookouts,
            f"{self.prefix}_{self._named[handle.name].id.name}" if handle.name in self._named else "",
            self.names.method(self._named[handle.name].wake) if handle.name in self._named else "",
            [method for function in own for method in self.methods(function)],
        )

    def methods(self, function: Function) -> list[GoMethod]:
        """What a function of the ABI becomes: mostly one method."""
        if function.stream_of:
            return self._stream(function)
        if function.run_of:
            return [self._run(function)]
        if function.text_generation:
            return self._texts(function)
        if any(function is one.wait for one in self.lookouts.values()):
            return self._wait(function)
        return [self._method(function)]

    def _method(self, function: Function) -> GoMethod:
        name = self.names.method(function)
        group = self.options.groups.get(function.name)
        inputs = self._inputs(function)
        body = self._prologue(function)
        if group:
            body += group.lines
            body += ["defer args.Unpin()"] if group.keeps else []
        body += self._call(function, inputs)
        parameters = _grouped(inputs.parameters)
        if function.blocking:
            parameters.insert(0, "ctx context.Context")
        if group:
            parameters.append(f"options ...{group.interface}")
        results = self.results(function)
        doc = self.docs.function(
            function, name, inputs.documented, self._notes(function), group.options if group else []
        )
        return GoMethod(name, doc, self._signature(function, name, parameters, results), body)

    # Pieces of a function

    def _signature(self, function: Function, name: str, parameters: list[str], results: list[str]) -> str:
        receiver = ""
        if function.on and not function.static:
            receiver = f"({self.names.receiver(function.on)} *{self.names.public(function.on)}) "
        shown = "" if not results else f" {results[0]}" if len(results) == 1 else f" ({', '.join(results)})"
        return f"func {receiver}{name}({', '.join(parameters)}){shown}"

    def results(self, function: Function) -> list[str]:
        has_receiver = bool(function.on) and not function.static
        results = self.types.go_results(function.returns)
        if function.fallible or (has_receiver and results):
            results.append("error")
        return results

    def _notes(self, function: Function) -> list[str]:
        notes = []
        if function.returns and function.returns.type.kind == "handle" and function.returns.nullable:
            notes.append(f"Nil: {self.docs.text(function.returns.doc)}")
        elif function.returns and self.types.says_ok(function.returns):
            notes.append("False beside it says that there is none.")
        elif function.returns and function.returns.nullable:
            notes.append("Nil for none.")
        if function.any_thread:
            notes.append("Any goroutine may call it at any time.")
        if function.blocking and function.cancel:
            notes.append("When ctx is over, the call ends with an error that is [ErrCancelled] and that of ctx.")
        elif function.blocking and self._progress(function):
            notes.append("When ctx is over, it ends at the next report, with an error that is [ErrCancelled] and that of ctx.")
        elif function.blocking:
            notes.append("ctx is looked at before the call, which cannot be interrupted.")
        if function.on in self.lookouts and function is self.lookouts[function.on].wait:
            streams = self.names.public(self.lookouts[function.on].streams)
            notes.append(
                f"Goroutines need it not: any number of them can be in [{streams}.Next], where one of them is here for all and "
                f"takes the names. A program that calls it looks at its streams with [WithTimeout] of 0."
            )
        return notes

    def _prologue(self, function: Function) -> list[str]:
        """What stands before everything else: the object lives until the call is over, and the caller still wants it."""
        body = []
        if function.on and not function.static:
            body.append(f"defer runtime.KeepAlive({self.names.receiver(function.on)})")
        if function.blocking == "cpu" and function.on in self.lookouts:
            body += ["end, err := turn(ctx)", *self._checked("", "err", self._zeros(function)), "defer end()"]
        elif function.blocking:
            body += self._checked("err := begin(ctx)", "err", self._zeros(function))
        return body

    def _inputs(self, function: Function) -> Inputs:
        """Parameters, and what they become; optional ones wait in `args`."""
        group = self.options.groups.get(function.name)
        receiver = self.names.receiver(function.on) if function.on and not function.static else ""
        inputs = Inputs(holder="args" if group and group.keeps else "", fails=bool(group and group.fails))
        if receiver:
            inputs.arguments.append(f"{receiver}.c")
        positional = self.options.positional(function)
        for value in function.params:
            name = self.names.parameter(value.name, receiver)
            if value is positional:
                self._add_prompt(function, inputs, value, name)
            elif self.options.is_option(value):
                inputs.arguments += self._optional(value)
            else:
                inputs.parameters.append((name, self.types.go(value)))
                inputs.documented.append((name, value))
                self._required(inputs, value, name)
        return inputs

    def _optional(self, value: Value) -> list[str]:
        place = f"args.{self.names.private(value.name)}"
        if value.type.kind == "options":
            return [f"&{place}"]
        if value.type.kind == "callback":
            return [f"\0{place}"]
        return [place, f"{place}Len"] if value.type.is_sequence else [place]

    def _required(self, inputs: Inputs, value: Value, name: str) -> None:
        kind = value.type.kind
        if kind == "handle":
            inputs.setup.append(f"defer runtime.KeepAlive({name})")
            inputs.arguments.append(f"{name}.pointer()")
        elif kind == "callback":
            inputs.arguments.append(f"\0{name}")
        elif kind == "options":
            self._hold(inputs)
            inputs.setup.append(f"c{self.names.public(value.name)} := {name}.c(&{inputs.holder})")
            inputs.arguments.append(f"&c{self.names.public(value.name)}")
        elif kind in ("list", "json"):
            self._hold(inputs)
            inputs.fails |= kind == "json"
            inputs.setup.append(f"{name}Data, {name}Len := {inputs.holder}.{self.types.keeper(value, name)}")
            inputs.arguments += [f"{name}Data", f"{name}Len"]
        elif value.type.is_sequence:
            inputs.arguments += self.types.sequence_in(value, name)
        else:
            inputs.arguments.append(self.types.scalar_in(value, name))

    def _hold(self, inputs: Inputs) -> None:
        if not inputs.holder:
            inputs.holder = "held"
            inputs.setup += ["var held keep", "defer held.Unpin()"]

    def _add_prompt(self, function: Function, inputs: Inputs, value: Value, name: str) -> None:
        """An empty prompt is none where something else is given in its place."""
        inputs.parameters.append((name, "string"))
        inputs.setup += [f"{name}Data := chars({name})"]
        if self.options.stand_ins(function):
            inputs.setup += [f'if {name} == "" && args.{name}Replaced {{', f"\t{name}Data = nil", "}"]
        inputs.arguments += [f"{name}Data", f"C.size_t(len({name}))"]

    def _call(self, function: Function, inputs: Inputs) -> list[str]:
        """From the arguments to the results."""
        body = list(inputs.setup)
        if inputs.fails:
            body += self._checked("", f"{inputs.holder}.err", self._zeros(function))
        arguments: list[str] = []
        for argument in inputs.arguments:
            if argument.startswith("\0"):
                lines, given = self._callback(function, argument[1:])
                body += lines
                arguments += given
            else:
                arguments.append(argument)
        if function.blocking and function.cancel:
            body.append(self._watch(function))
        return body + (self._fallible(function, arguments) if function.fallible else self._infallible(function, arguments))

    def _watch(self, function: Function) -> str:
        cancel = next(one for one in self.api.functions if one.name == function.cancel)
        return f"defer interrupt.Watch(ctx, {self.names.receiver(function.on)}.{self.names.method(cancel)})()"

    @staticmethod
    def _checked(statement: str, error: str, zeros: list[str]) -> list[str]:
        head = f"{statement}; {error} != nil" if statement else f"{error} != nil"
        return [f"if {head} {{", f"\treturn {', '.join([*zeros, error])}", "}"]

    def _progress(self, function: Function) -> bool:
        """Whether a callback can stop the call, in place of a function that cancels it."""
        callbacks = [self.api.callbacks[v.type.name] for v in function.params if v.type.kind == "callback"]
        return any(one.returns and one.returns.type.kind == "bool" for one in callbacks)

    def _callback(self, function: Function, place: str) -> tuple[list[str], list[str]]:
        """Lines that make a Go function callable, and its two arguments."""
        if not function.fallible:
            raise UnsupportedError(f"{function.name}: a callback on a function that cannot fail")
        value = next(v for v in function.params if v.type.kind == "callback")
        callback = self.api.callbacks[value.type.name]
        name = self.names.public(callback.name)
        trampoline = f"C.{self.prefix}_{callback.name}(C.{self.prefix}{name})"
        is_optional = place.startswith("args.")
        if function.blocking and not function.cancel and self._progress(function):
            names = [self.names.parameter(one.name) for one in callback.params]
            shown = self.trampoline(callback).type
            asks = f"ctx.Err() == nil && {f'({place} == nil || ' if is_optional else ''}{place}({', '.join(names)})"
            lines = [
                f"call := callback.New({name}({shown} {{",
                f"\treturn {asks}{')' if is_optional else ''}",
                "}))",
                "defer call.End()",
            ]
            return lines, [trampoline, "call.User()"]
        lines = [f"call := callback.New({place})", "defer call.End()"]
        if not is_optional:
            return lines, [trampoline, "call.User()"]
        local = self.names.private(value.name)
        lines += [f"var {local} C.{self.prefix}_{callback.name}", f"if {place} != nil {{", f"\t{local} = {trampoline}", "}"]
        return lines, [local, "call.User()"]

    def _fallible(self, function: Function, arguments: list[str]) -> list[str]:
        value, zeros = function.returns, self._zeros(function)
        places, outs, success = self._places(function, value)
        fails = "interrupted(ctx, failure(code, failed))" if function.blocking else "failure(code, failed)"
        lines = [*places, f"var failed *C.{self.prefix}_error"]
        lines += self._guarded(function, [*arguments, *outs, "&failed"], ", ".join([*zeros, fails]))
        return [*lines, f"return {', '.join([*success, 'nil'])}"]

    def _guarded(self, function: Function, arguments: list[str], failure: str) -> list[str]:
        c_name = f"C.{self.prefix}_{function.name}"
        one_line = call(f"if code := {c_name}", arguments, "; code != 0 {", 1)
        if len(one_line) == 1:
            return [*one_line, f"\treturn {failure}", "}"]
        return [*call(f"code := {c_name}", arguments, "", 1), "if code != 0 {", f"\treturn {failure}", "}"]

    def _places(self, function: Function, value: Value | None) -> tuple[list[str], list[str], list[str]]:
        """Variables for the result, the arguments that name them, and the expressions that read them."""
        if value is None:
            return [], [], []
        kind, c_type = value.type.kind, self.types.c(value)
        if kind == "struct":
            if value.nullable:
                raise UnsupportedError(f"{function.name}: a struct that may be absent")
            c_name = f"{self.prefix}_{value.type.name}"
            read = f"read{self.names.public(value.type.name)}(&out)"
            return [f"out := C.{c_name}{{struct_size: C.sizeof_{c_name}}}"], ["&out"], [read]
        if kind == "handle":
            return [f"var out *{c_type}"], ["&out"], [self._adopt(function, value)]
        present = [self.types.presence(value, "out")] if self.types.says_ok(value) else []
        if value.type.is_sequence:
            places = [f"var out *{c_type}", "var outLen C.size_t"]
            return places, ["&out", "&outLen"], [self.types.out(value, "out", "outLen"), *present]
        return [f"var out {c_type}"], ["&out"], [self.types.out(value, "out", ""), *present]

    def _adopt(self, function: Function, value: Value) -> str:
        handle = self.api.handles[value.type.name]
        arguments = ["out"]
        if handle.keeps_alive:
            receiver = self.names.receiver(function.on) if function.on else ""
            given = [v for v in function.params if v.type.kind == "handle" and v.type.name == handle.keeps_alive]
            if function.on == handle.keeps_alive and not function.static:
                arguments.append(receiver)
            elif function.on == handle.name and not function.static:
                arguments.append(f"{receiver}.{self.names.private(handle.keeps_alive)}")
            elif given and not self.options.is_option(given[0]):
                arguments.append(self.names.parameter(given[0].name, receiver))
            else:
                raise UnsupportedError(
                    f"{function.name}: nothing here is the {handle.keeps_alive} that the {handle.name} keeps alive"
                )
        return f"adopt{self.names.public(handle.name)}({', '.join(arguments)})"

    def _infallible(self, function: Function, arguments: list[str]) -> list[str]:
        value = function.returns
        has_receiver = bool(function.on) and not function.static
        c_name = f"C.{self.prefix}_{function.name}"
        if value is None:
            return call(c_name, arguments, "", 1)
        if value.type.kind == "str" and value.borrowed:
            lines = ["var outLen C.size_t", *call(f"out := {c_name}", [*arguments, "&outLen"], "", 1)]
            empty = "out == nil"
        elif value.type.kind in ("bool", "enum", "flags", *NUMBERS):
            if not has_receiver and value.unset is None:
                called = f"{c_name}({', '.join(arguments)})"
                return [f"return {self.types.out(value, called, '')}"]
            lines, empty = call(f"out := {c_name}", arguments, "", 1), "out == 0"
        else:
            raise UnsupportedError(f"{function.name}: a {value.type.kind} from a function that cannot fail")
        results = [self.types.out(value, "out", "outLen")]
        results += [self.types.presence(value, "out")] if self.types.says_ok(value) else []
        if has_receiver:
            receiver, what = self.names.receiver(function.on), function.on.replace("_", " ")
            failed = ", ".join([*self._zeros(function), f'closed("{what}")'])
            lines += [f"if {empty} && {receiver}.closed.Load() {{", f"\treturn {failed}", "}"]
            results.append("nil")
        return [*lines, f"return {', '.join(results)}"]

    def _zeros(self, function: Function) -> list[str]:
        """What stands beside an error."""
        if function.returns is None:
            return []
        kind = function.returns.type.kind
        if kind == "bool":
            zero = "false"
        elif kind in NUMBERS or kind in ("enum", "flags"):
            zero = "0"
        elif kind == "struct":
            zero = f"{self.names.public(function.returns.type.name)}{{}}"
        else:
            zero = '""' if kind == "str" else "nil"
        return [zero, "false"] if self.types.says_ok(function.returns) else [zero]

    # Streams and texts

    def _stream(self, function: Function) -> list[GoMethod]:
        self._check_stream(function)
        receiver, c_event = self.names.receiver(function.on), f"{self.prefix}_{function.stream_of}"
        event, handle = self.names.public(function.stream_of), self.names.public(function.on)
        name = self.names.method(function)
        step = name[0].lower() + name[1:]
        notes = [
            "The status is [StatusItem] when there is one, [StatusWaiting] when the time of [WithTimeout] is over,",
            "[StatusDone] at the end, [StatusCancelled] when somebody cancelled.",
            "When ctx is over, the stream is cancelled, and the error is [ErrCancelled] and that of ctx.",
        ]
        doc = self.docs.function(replace(function, returns=None), name, [], notes, ["WithTimeout"])
        watch = self._watch(function)
        single = [
            *self._checked("err := begin(ctx)", "err", [f"{event}{{}}", "StatusWaiting"]),
            watch,
            f"item, status, err := {receiver}.{step}(milliseconds(options))",
            "return item, status, ended(ctx, status, err)",
        ]
        inner = [
            f"defer runtime.KeepAlive({receiver})",
            f"out := C.{c_event}{{struct_size: C.sizeof_{c_event}}}",
            "var status C.int32_t",
            f"var failed *C.{self.prefix}_error",
            *self._guarded(
                function,
                [f"{receiver}.c", "timeout", "&out", "&status", "&failed"],
                f"{event}{{}}, StatusWaiting, failure(code, failed)",
            ),
            "if Status(status) != StatusItem {",
            f"\treturn {event}{{}}, Status(status), nil",
            "}",
            f"return read{event}(&out), StatusItem, nil",
        ]
        every = [
            f"return func(yield func({event}, error) bool) {{",
            "\tif err := begin(ctx); err != nil {",
            f"\t\tyield({event}{{}}, err)",
            "\t\treturn",
            "\t}",
            f"\t{watch}",
            "\tfor {",
            f"\t\titem, status, err := {receiver}.{step}(forever)",
            "\t\tif err = ended(ctx, status, err); err != nil {",
            f"\t\t\tyield({event}{{}}, err)",
            "\t\t\treturn",
            "\t\t}",
            "\t\tif status != StatusItem || !yield(item, nil) {",
            "\t\t\treturn",
            "\t\t}",
            "\t}",
            "}",
        ]
        all_doc = comment(
            f"All gives what is still to come, to range over; see [{handle}.{name}]. An error is the last thing it gives, "
            "also when ctx is over. Leaving the loop early leaves the rest for later."
        )
        results = [event, "Status", "error"]
        parameters = ["ctx context.Context", "options ...WaitOption"]
        steps = [GoMethod(step, [], self._signature(function, step, ["timeout C.int32_t"], results), inner)]
        if function.on in self._named:
            steps = self._awaited(function, step, results, [line.replace("timeout", "0") for line in inner])
        return [
            GoMethod(name, doc, self._signature(function, name, parameters, results), single),
            GoMethod(
                "All",
                all_doc,
                self._signature(function, "All", ["ctx context.Context"], [f"iter.Seq2[{event}, error]"]),
                every,
            ),
            *steps,
        ]

    def _awaited(self, function: Function, step: str, results: list[str], poll: list[str]) -> list[GoMethod]:
        """The step of a stream that its parent names: it polls, and waits for its name in between."""
        lookout, receiver = self._named[function.on], self.names.receiver(function.on)
        event, parent = results[0], f"{receiver}.{self.names.private(lookout.wait.on)}"
        body = [
            f"if !{receiver}.place.Take() {{",
            f'\treturn {event}{{}}, StatusWaiting, busy("{function.on.replace("_", " ")}")',
            "}",
            f"defer {receiver}.place.Free()",
            f"var item {event}",
            "var status Status",
            "var failed error",
            f"err := {parent}.lookout.Await(&{receiver}.place, int32(timeout), func() bool {{",
            f"\titem, status, failed = {receiver}.poll()",
            "\treturn status != StatusWaiting || failed != nil",
            f"}}, {parent}.named)",
            "if err == nil {",
            "\terr = failed",
            "}",
            "return item, status, err",
        ]
        return [
            GoMethod(step, [], self._signature(function, step, ["timeout C.int32_t"], results), body),
            GoMethod("poll", [], self._signature(function, "poll", [], results), poll),
        ]

    def _wait(self, function: Function) -> list[GoMethod]:
        """The call that names streams: the public one, and the one for those who read them."""
        receiver, name = self.names.receiver(function.on), "named"
        public = [
            *self._prologue(function),
            *self.options.groups[function.name].lines,
            self._watch(function),
            f"ids, err := {receiver}.{name}(int32(args.{self.names.private(function.params[0].name)}))",
            "if err == nil && len(ids) == 0 {",
            "\terr = begin(ctx) // it may be why the call was woken",
            "}",
            "return ids, err",
        ]
        private = [
            f"defer runtime.KeepAlive({receiver})",
            *self._fallible(replace(function, blocking=""), [f"{receiver}.c", "C.int32_t(timeoutMs)"]),
        ]
        signature = self._signature(function, name, ["timeoutMs int32"], self.results(function))
        return [replace(self._method(function), body=public), GoMethod(name, [], signature, private)]

    def _run(self, function: Function) -> GoMethod:
        self._check_stream(function)
        receiver, name = self.names.receiver(function.on), self.names.method(function)
        notes = [
            "With [WithTimeout] the status may also be [StatusWaiting].",
            "When ctx is over, the stream is cancelled, and the error is [ErrCancelled] and that of ctx.",
        ]
        body = [
            f"defer runtime.KeepAlive({receiver})",
            *self._checked("err := begin(ctx)", "err", ["StatusWaiting"]),
            self._watch(function),
            "var status C.int32_t",
            f"var failed *C.{self.prefix}_error",
            *self._guarded(
                function,
                [f"{receiver}.c", "milliseconds(options)", "&status", "&failed"],
                "StatusWaiting, failure(code, failed)",
            ),
            "return Status(status), ended(ctx, Status(status), nil)",
        ]
        doc = self.docs.function(function, name, [], notes, ["WithTimeout"])
        parameters = ["ctx context.Context", "options ...WaitOption"]
        return GoMethod(name, doc, self._signature(function, name, parameters, ["Status", "error"]), body)

    def _check_stream(self, function: Function) -> None:
        if function.params or not function.cancel or not function.blocking:
            raise UnsupportedError(f"{function.name}: a stream with parameters, or without blocking and cancel")
        if len([one for one in self.api.functions if one.on == function.on and one.stream_of]) > 1:
            raise UnsupportedError(f"{function.name}: two streams on one {function.on}")

    def _texts(self, function: Function) -> list[GoMethod]:
        """The method that starts a generation, and the two that give its text."""
        text, group = function.text_generation, self.options.groups[function.name]
        assert text is not None
        handle = function.returns.type.name if function.returns else ""
        self._check_texts(function, handle)
        start, whole, pieces = (self.names.public(name) for name in (text.start, text.whole, text.pieces))
        inner = f"start{start.removeprefix('Start')}" if start.startswith("Start") else f"start{start}"
        inputs = self._inputs(function)
        receiver = self.names.receiver(function.on)
        parameters = _grouped(inputs.parameters)
        given = ", ".join([*(name for name, _ in inputs.parameters), "args"])
        arguments = f"{group.constructor}(options)"
        positional = self.options.positional(function)
        documented = list(inputs.documented)
        notes = []
        if positional:
            documented.insert(0, (self.names.parameter(positional.name, receiver), replace(positional, nullable=False)))
            links = " or ".join(f"[{self.names.option(one.name)}]" for one in self.options.stand_ins(function))
            notes = [f"Leave {documented[0][0]} empty with {links}."] if links else []
        started, gives = self.names.public(handle), f"*{self.names.public(handle)}"
        unpin = ["defer args.Unpin()"] if group.keeps else []
        offered = [option for option in group.options if option != "WithResult"]
        variadic, first = f"options ...{group.interface}", "ctx context.Context"
        private = [*self._prologue(function), *unpin, *self._call(function, inputs)]
        public = [
            f"args := {arguments}",
            *unpin,
            "if args.result != nil {",
            f'\treturn nil, misplaced("WithResult", "{whole} and {pieces}", "{started}", "Result")',
            "}",
            f"return {receiver}.{inner}({given})",
        ]
        generate = [
            *self._checked("err := begin(ctx)", "err", ['""']),
            f"args := {arguments}",
            f"generation, err := {receiver}.{inner}({given})",
            *self._checked("", "err", ['""']),
            "defer generation.release()",
            "status, runErr := generation.Run(ctx)",
            "if runErr == nil && status == StatusCancelled {",
            "\trunErr = stopped()",
            "}",
            "text, err := generation.Text()",
            "if args.result != nil && err == nil {",
            "\t*args.result, err = generation.Result()",
            "}",
            "if runErr != nil {",
            "\terr = runErr",
            "}",
            "return text, err",
        ]
        stream = [
            "return func(yield func(string, error) bool) {",
            "\tif err := begin(ctx); err != nil {",
            '\t\tyield("", err)',
            "\t\treturn",
            "\t}",
            f"\targs := {arguments}",
            f"\tgeneration, err := {receiver}.{inner}({given})",
            "\tif err != nil {",
            '\t\tyield("", err)',
            "\t\treturn",
            "\t}",
            "\tdefer generation.release()",
            "\tif args.result != nil {",
            "\t\tdefer func() { *args.result, _ = generation.Result() }()",
            "\t}",
            "\tdefer interrupt.Watch(ctx, generation.Cancel)()",
            "\tfor {",
            "\t\tevent, status, err := generation.next(forever)",
            "\t\tif err = ended(ctx, status, err); err == nil && status == StatusCancelled {",
            "\t\t\terr = stopped()",
            "\t\t}",
            "\t\tif err != nil {",
            '\t\t\tyield("", err)',
            "\t\t}",
            "\t\tif err != nil || status != StatusItem {",
            "\t\t\treturn",
            "\t\t}",
            '\t\tif event.Text != "" && !yield(event.Text, nil) {',
            "\t\t\tgeneration.Cancel() // the result says so",
            "\t\t\treturn",
            "\t\t}",
            "\t}",
            "}",
        ]
        see = f"See [{self.names.qualified(function)}] for what is given, [WithResult] for the figures."
        whole_doc = comment(
            f"{whole} generates a text and gives it whole. {see} When ctx is over, the text so far comes with an error that is "
            "[ErrCancelled] and that of ctx."
        )
        pieces_doc = comment(
            f"{pieces} generates a text and gives it piece by piece, each whole characters, to range over. {see} Each loop is a "
            "generation of its own, which ends with the loop, also when that is left early. An error is the last thing it "
            "gives; when ctx is over, it is [ErrCancelled] and that of ctx."
        )
        doc = self.docs.function(replace(function, returns=None), start, documented, notes, offered)
        return [
            GoMethod(start, doc, self._signature(function, start, [*parameters, variadic], [gives, "error"]), public),
            GoMethod(
                whole,
                whole_doc,
                self._signature(function, whole, [first, *parameters, variadic], ["string", "error"]),
                generate,
            ),
            GoMethod(
                pieces,
                pieces_doc,
                self._signature(function, pieces, [first, *parameters, variadic], ["iter.Seq2[string, error]"]),
                stream,
            ),
            GoMethod(
                inner,
                [],
                self._signature(function, inner, [*parameters, f"args *{group.arguments}"], [gives, "error"]),
                private,
            ),
        ]

    def _check_texts(self, function: Function, handle: str) -> None:
        """The conveniences use `next`, `run`, `text`, `result` and `cancel` of the stream."""
        has = {one.method: one for one in self.api.functions if one.on == handle}
        events = [one for one in has.values() if one.stream_of]
        fits = (
            {"next", "run", "text", "result", "cancel"} <= has.keys()
            and bool(events)
            and any(one.name == "text" and one.type.kind == "str" for one in self.api.structs[events[0].stream_of].fields)
            and has["run"].run_of
            and has["result"].property
        )
        if not fits:
            raise UnsupportedError(
                f"{function.name}: {handle} lacks one of next (with texts), run, text, result (a property), cancel"
            )

    # Names that Go has in one place: those of the package

    def _check_names(self) -> None:
        taken: dict[str, str] = {}

        def take(name: str, owner: str) -> None:
            if taken.setdefault(name, owner) != owner:
                raise UnsupportedError(f"{owner}: the name {name}, which is that of {taken[name]}")

        for name in ("Error", "ErrorCode", "Status", "WaitOption", "WithTimeout", "ABIVersion", "LiveObjects"):
            take(name, "the runtime")
        api = self.api
        for name in RUNTIME if api.routes else ():
            take(name, "the runtime")
        for kinds in (api.enums, api.handles, api.callbacks):
            for name in kinds:
                take(self.names.public(name), name)
        for struct in api.structs.values():
            if not struct.is_options or struct.name in self.options.plain:
                take(self.names.public(struct.name), struct.name)
        for enum in api.enums.values():
            for member in enum.members:
                take(self.names.constant(enum.name, member.name), f"{enum.name}.{member.name}")
        for function in api.functions:
            if not function.on or function.static:
                take(self.names.method(function), function.name)
        for group in self.options.groups.values():
            take(group.interface, group.method)
        for name in self.objects.types():
            take(name, f"the object {name}")
        for option in self.options.options:
            take(option.name, option.name)
        for union in self.options.unions:
            take(union.name, f"options {union.interfaces}")


def _grouped(parameters: list[tuple[str, str]]) -> list[str]:
    """Parameters with their types; neighbours of one type share it."""
    shown = []
    for index, (name, type_) in enumerate(parameters):
        follows = index + 1 < len(parameters) and parameters[index + 1][1] == type_
        shown.append(name if follows else f"{name} {type_}")
    return shown
