"""The API as C++ sees it: makes the views of views.py."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ...api import NUMBERS, Api, Callback, Enum, Function, Handle, Struct, Value
from .docs import Docs
from .names import Names, UnsupportedError, joins, uses
from .objects import Objects
from .types import C_SCALARS, Types, element, is_optional, is_timeout
from .views import (
    Constant,
    CppCallback,
    CppClass,
    CppEnum,
    CppStruct,
    Field,
    Given,
    Method,
    Parameter,
    Record,
    block,
    fit,
)

WAIT = "How long to wait at most; none: no limit."
TIMEOUT = Parameter("Timeout", "timeout", "std::nullopt", WAIT)


class Lowering:
    """Lowers one API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.names = Names(api)
        self.types = Types(api, self.names)
        self.docs = Docs(api, self.names)
        self.objects = Objects(api, self.names, self.docs)

    # Enums, callbacks, structs

    def enum(self, enum: Enum) -> CppEnum:
        constants = [
            Constant(self.names.plain(one.name), str(one.value), one.name, self.docs.lines(one.doc, 8))
            for one in enum.members
        ]
        return CppEnum(self.names.type(enum.name), enum.is_flags, constants, self.docs.lines(enum.doc))

    def callback(self, callback: Callback) -> CppCallback:
        returns = callback.returns
        if returns and returns.type.kind not in ("bool", *NUMBERS):
            raise UnsupportedError(f"{callback.name}: a callback that gives a {returns.type.kind}")
        parameters, c_parameters, arguments = [], [], []
        for value in callback.params:
            name = self.names.parameter(value.name)
            parameters.append(f"{self.types.callback(value)} {name}")
            if value.type.is_sequence:
                c_parameters += [f"const {self.types.c_element(value)} *{name}", f"std::size_t {name}_len"]
            else:
                c_parameters.append(f"{C_SCALARS[value.type.kind]} {name}")
            is_view = value.type.kind in ("str", "json") and not is_optional(value)
            arguments.append(
                f"std::string_view({name}, {name}_len)"
                if is_view
                else self.types.optional_copy(value, name, f"{name}_len")
            )
        lines = self.docs.lines(callback.doc) + [""]
        for value in callback.params:
            lines += [f"@param {self.names.parameter(value.name)} {self.docs.described(value)}"]
        if returns:
            lines += [f"@return {self.docs.text(returns.doc).replace('0 stops', 'false stops')}"]
        answer = C_SCALARS[returns.type.kind] if returns else ""
        name = self.names.type(callback.name)
        call = f"return callback.answer<{answer}>(" if answer else "callback.tell("
        return CppCallback(
            name=callback.name,
            type=name,
            function=f"{self.types.result(returns)}({', '.join(parameters)})",
            comment=lines,
            definition=block(
                fit(f"inline {answer or 'void'} call_{callback.name}(", [*c_parameters, "void *user"], ") {", 0),
                [f"auto &callback = *static_cast<runtime::Callback<{name}> *>(user);", fit(call, arguments, ");", 4)],
            ),
        )

    def record(self, struct: Struct) -> Record:
        fields, reads = [], []
        for value in struct.fields:
            name, c_name = self.names.plain(value.name), self.api.name_in("c", value.name)
            empty = {
                "bool": "false",
                **dict.fromkeys(NUMBERS, "0"),
                "enum": f"{self._type(value)}()",
                "flags": f"{self._type(value)}()",
            }
            default = "" if is_optional(value) else empty.get(value.type.kind, "")
            fields.append(Field(self.types.field(value), name, default, self.docs.value(value, 8)))
            pointer, length = f"from.{c_name}", f"from.{c_name}_len"
            if value.type.kind in ("str", "json") or (value.type.kind in ("bytes", "span") and not value.nullable):
                reads.append(f"runtime::assign(to.{name}, {pointer}, {length});")
            else:
                reads.append(f"to.{name} = {self.types.optional_copy(value, pointer, length)};")
        return Record(self._type(struct), fields, self.docs.struct(struct), f"{self.api.prefix}_{struct.name}", reads)

    def options(self) -> list[CppStruct]:
        """The structs that users fill: those of the description, and those that join several."""
        found = []
        for struct in self.api.structs.values():
            if struct.is_options and uses(self.api, struct.name)[0]:
                found.append(CppStruct(self._type(struct), self._fields(struct.fields), self.docs.struct(struct)))
        for function in self.api.functions:
            if joins(function):
                comment = [f"All that may be left out of {self.names.reference(function.name)}."]
                if function.text_generation:
                    owner, whole = self.names.type(function.on), function.text_generation
                    names = [
                        f"`{owner}::{self.names.plain(one)}()`" for one in (whole.whole, whole.pieces, whole.start)
                    ]
                    comment = [f"How to generate, for {names[0]}, {names[1]} and {names[2]}."]
                found.append(CppStruct(self.names.joined(function), self._fields(self._joined(function)), comment))
        return found

    def given(self, struct: Struct) -> Given:
        """How a set of options, wherever its fields are found, becomes C's."""
        alone, together = uses(self.api, struct.name)
        sources = [self._type(struct)] * alone + [self.names.joined(function) for function in together]
        initializers, lines, members = [], [], []
        for value in struct.fields:
            name, c_name = self.names.plain(value.name), self.api.name_in("c", value.name)
            source = f"from.{name}"
            if value.type.kind == "list":
                initializers.append(f"{name}_(runtime::texts<{self.api.prefix}_str>({source}))")
                members.append(f"std::vector<{self.api.prefix}_str> {name}_;")
                lines += [f"c.{c_name} = {name}_.data();", f"c.{c_name}_len = {name}_.size();"]
            elif value.type.kind == "options":
                members.append(f"std::optional<Given{self._type(value)}> {name}_;")
                lines.append(f"if ({source}) c.{c_name} = &{name}_.emplace(*{source}).c;")
            elif value.type.is_sequence:
                _, (pointer, length) = self.types.into(value, source)
                lines += [f"c.{c_name} = {pointer};", f"c.{c_name}_len = {length};"]
            elif value.type.kind == "handle":
                lines.append(f"c.{c_name} = {source} ? {source}->get() : nullptr;")
            else:
                lines.append(f"c.{c_name} = {self.types.scalar(value, source)};")
        c_name = f"{self.api.prefix}_{struct.name}"
        return Given(
            f"Given{self._type(struct)}", c_name, sources[0] if len(sources) == 1 else "", initializers, lines, members
        )

    def _fields(self, values: tuple[Value, ...]) -> list[Field]:
        return [
            Field(
                self.types.field(value),
                self.names.plain(value.name),
                self.types.default(value, True) or "{}",
                self.docs.value(value, 8),
            )
            for value in values
        ]

    # Classes and functions

    def functions(self) -> list[Method]:
        return [method for function in self.api.functions if not function.on for method in self.methods(function)]

    def handle(self, handle: Handle) -> CppClass:
        own = [function for function in self.api.functions if function.on == handle.name]
        events = [function.stream_of for function in own if function.stream_of]
        methods = [method for function in own for method in self.methods(function)]
        taken = {"close", "closed", "get", "use", "adopt", *(["begin", "end"] if events else [])}
        routes = self.objects.methods(handle.name)
        clash = next((method.name for method in (*methods, *routes) if method.name in taken), "")
        if clash:
            raise UnsupportedError(f"the class of {handle.name} would have {clash} twice")
        return CppClass(
            name=self._type(handle),
            c_name=f"{self.api.prefix}_{handle.name}",
            what=handle.name.replace("_", " "),
            comment=self.docs.handle(handle),
            item=self.names.type(events[0]) if events else "",
            methods=methods,
            routes=routes,
        )

    def methods(self, function: Function) -> list[Method]:
        """All that a function becomes: itself, an overload, a view, and the conveniences of a text generation."""
        if function.stream_of or function.run_of:
            return self._stream(function)
        method = self._method(function)
        found = [method]
        returns = function.returns
        if (
            returns
            and returns.type.kind == "span"
            and returns.borrowed
            and not returns.nullable
            and function.on
            and not function.static
        ):
            found.append(self._view(function, method))
        if function.text_generation:
            found += self._texts(function, method)
        if joins(function) and function.params[0].nullable:
            found = [overload for one in found for overload in (one, self._without_first(one, method, function))]
        return found

    def _method(self, function: Function) -> Method:
        parameters, lines, arguments = self._inputs(function)
        receiver = bool(function.on) and not function.static
        body = [] if receiver else ["detail::check_version();"]
        returns, callback = function.returns, next((v for v in function.params if v.type.kind == "callback"), None)
        c_name = f"{self.api.prefix}_{function.name}"
        body += lines
        result = self.types.result(returns)
        if receiver:
            arguments.insert(0, "use()" if function.fallible or returns else "get()")
        if function.fallible:
            arguments += ["&out", "&out_len"][: 2 if returns and returns.type.is_sequence else 1] if returns else []
            body += self.types.places(returns) if returns else []
            body += [f"{self.api.prefix}_error *err = nullptr;"]
            caught = f", c_{self.names.plain(callback.name)}" if callback else ""
            body += [
                fit(f"const std::int32_t code = {c_name}(", [*arguments, "&err"], ");", 4),
                f"if (code) detail::fail(code, err{caught});",
            ]
            body += self._result(function, callback)
        elif callback:
            raise UnsupportedError(f"{function.name}: a callback on a function that cannot fail")
        elif returns is None:
            body.append(f"{c_name}({', '.join(arguments)});")
        else:
            body += self._value(function, f"{c_name}({', '.join(arguments)})", arguments)
        return Method(
            name=self._type_of(function) if function.constructor else self.names.method(function),
            result="" if function.constructor else result,
            parameters=parameters,
            comment=self.docs.function(function, [(one.name, one.doc) for one in parameters], 4 if function.on else 0),
            body=body,
            owner=self._type_of(function),
            before="explicit" if function.constructor else "static" if function.on and function.static else "",
            after=self._qualifiers(function),
            deprecated=self.docs.text(function.deprecated).replace("`", "") if function.deprecated else "",
        )

    def _inputs(self, function: Function) -> tuple[list[Parameter], list[str], list[str]]:
        """Parameters, statements before the call, and arguments in C's order."""
        together = self.joined_params(function)
        parameters, lines, arguments = [], [], []
        for value in function.params:
            name = self.names.parameter(value.name)
            if value not in together:
                parameters.append(
                    Parameter(
                        self.types.parameter(value),
                        name,
                        self.types.default(value, False),
                        WAIT if is_timeout(value) else self.docs.described(value),
                    )
                )
                before, given = self.types.into(value, name)
            elif value.type.kind == "options":
                local = f"c_{self.names.plain(value.name)}"
                before, given = (
                    [f"const detail::Given{self.names.type(value.type.name)} {local}(options);"],
                    [f"&{local}.c"],
                )
            else:
                before, given = self.types.into(value, f"options.{self.names.plain(value.name)}")
            lines += before
            arguments += given
        if together:
            if parameters and joins(function) and function.params[0].nullable:
                parameters[0] = replace(parameters[0], default=None)
            parameters.append(
                Parameter(f"const {self.names.joined(function)} &", "options", "{}", "All that may be left out.")
            )
        return parameters, lines, arguments

    def _result(self, function: Function, callback: Value | None) -> list[str]:
        """From a successful call's places to the C++ result. What a callback threw is thrown when that has an owner."""
        returns = function.returns
        again = [f"c_{self.names.plain(callback.name)}.rethrow();"] if callback else []
        if returns is None:
            return again
        kind, word = returns.type.kind, self.types.result(returns)
        if function.constructor:
            return ["adopt(out);", *again]
        if kind == "struct":
            return [f"{word} result;", "detail::read(out, result);", *again, "return result;"]
        lines = ["const detail::Owner owner(out);"] if returns.type.is_sequence and not returns.borrowed else []
        if kind == "handle":
            name = self.names.type(returns.type.name)
            made = f"out ? std::optional<{name}>({name}(out)) : std::nullopt" if returns.nullable else f"{name}(out)"
        else:
            made = self.types.optional_copy(returns, "out", "out_len")
        if again:
            return [*lines, f"{word} result = {made};", *again, "return result;"]
        return [*lines, f"return {made};"]

    def _value(self, function: Function, call: str, arguments: list[str]) -> list[str]:
        """The body of a function that cannot fail: zero may mean that the object is closed."""
        returns = function.returns
        assert returns is not None
        lines = []
        c_type, there = f"{C_SCALARS.get(returns.type.kind)} ", "out"
        if returns.type.kind == "str":
            lines, c_type = ["std::size_t out_len = 0;"], "const char *"
            call = f"{call[:-1]}{', ' if arguments else ''}&out_len)"
        made = self.types.optional_copy(returns, there, "out_len")
        if not function.on or function.static:
            return [
                *lines,
                f"const {c_type}out = {call};" if c_type[0] != "c" else f"{c_type}out = {call};",
                f"return {made};",
            ]
        what = function.on.replace("_", " ")
        declared = f"const {c_type}out = {call};" if c_type[0] != "c" else f"{c_type}out = {call};"
        return [*lines, declared, f'if (!out && closed()) detail::fail_closed("{what}");', f"return {made};"]

    def _view(self, function: Function, method: Method) -> Method:
        returns = function.returns
        assert returns is not None
        item = f"Span<const {element(returns)}>"
        until = (
            "as long as the library" if returns.borrowed == "forever" else self.docs.text(returns.borrowed).rstrip(".")
        )
        comment = [f"`{method.name}()` without a copy: valid {until}."]
        body = [*method.body[:-1], f"return {item}(out, out_len);"]
        return replace(method, name=f"{method.name}_view", result=item, comment=comment, body=body)

    def _stream(self, function: Function) -> list[Method]:
        if function.params or not function.on:
            raise UnsupportedError(f"{function.name}: parameters on a stream function")
        prefix, name = self.api.prefix, self.names.method(function)
        places = ["std::int32_t status = 0;", f"{prefix}_error *err = nullptr;"]
        arguments, parameters, end = ["use()", "runtime::milliseconds(timeout)"], [TIMEOUT], []
        if function.stream_of:
            c_type, item = f"{prefix}_{function.stream_of}", self.names.type(function.stream_of)
            places = [f"{c_type} out;", f"{c_type}_init(&out, sizeof out);", *places]
            arguments.append("&out")
            parameters = [Parameter(f"{item} &", "item", None, "Filled when the status is `item`."), TIMEOUT]
            end = [f"if (status == {prefix.upper()}_STATUS_ITEM) detail::read(out, item);"]
        call = fit(f"const std::int32_t code = {prefix}_{function.name}(", [*arguments, "&status", "&err"], ");", 4)
        body = [
            *places,
            call,
            "if (code) detail::fail(code, err);",
            *end,
            "return static_cast<Status>(status);",
        ]
        docs = [(one.name, one.doc) for one in parameters]
        owner = self._type_of(function)
        returns = "How far it is; `Status::waiting` when the time is over."
        timed = Method(name, "Status", parameters, self.docs.function(function, docs, 4, returns), body, owner)
        if not function.stream_of:
            return [timed]
        whole = [
            f"std::optional<{item}> item(std::in_place);",
            f"if ({name}(*item) != Status::item) item.reset();",
            "return item;",
        ]
        doc = self.docs.function(function, [], 4, "The next one; none at the end, or when it was cancelled.")
        comment = [f"`{name}()` with a limit of time. An item that is used again keeps its memory.", ""]
        comment += timed.comment[timed.comment.index("") + 1 :]
        return [Method(name, f"std::optional<{item}>", [], doc, whole, owner), replace(timed, comment=comment)]

    def _texts(self, function: Function, start: Method) -> list[Method]:
        """Run to the end and give the text, and iterate over its pieces."""
        generation = self._check_text_generation(function)
        assert function.text_generation is not None
        given = f"{start.name}({', '.join(one.name for one in start.parameters)})"
        result = next(f.returns for f in self.api.functions if f.on == generation.name and f.method == "result")
        assert result is not None
        name = self._type(generation)
        reference = self.names.reference(function.name)
        whole, pieces = (
            self.names.plain(one) for one in (function.text_generation.whole, function.text_generation.pieces)
        )
        described = [(one.name, one.doc) for one in start.parameters]
        about = replace(function, doc=f"Generates a text and gives it whole. It begins as {reference} does.", cancel="")
        text = f"The text, with its figures in `{self.names.type(result.type.name)} result`."
        body = [f"{name} started = {given};", "started.run();", "return {started.text(), started.result()};"]
        result_type = f"Completion<{self.names.type(result.type.name)}>"
        found = [
            replace(
                start, name=whole, result=result_type, comment=self.docs.function(about, described, 4, text), body=body
            )
        ]
        about = replace(about, doc=f"Generates a text piece by piece. It begins as {reference} does.")
        text = "A range of pieces as they become certain; leaving its loop early ends the generation."
        body = [f"return TextStream<{name}>({given});"]
        comment = self.docs.function(about, described, 4, text)
        return [*found, replace(start, name=pieces, result=f"TextStream<{name}>", comment=comment, body=body)]

    def _check_text_generation(self, function: Function) -> Handle:
        """The conveniences use `next`, `run`, `text`, `result` and `cancel` of the stream."""
        handle = function.returns.type.name if function.returns else ""
        has = {f.method: f for f in self.api.functions if f.on == handle}
        lacking = {"next", "run", "text", "result", "cancel"} - has.keys()
        if lacking or not has["next"].stream_of or not has["run"].run_of:
            raise UnsupportedError(f"{function.name}: {handle} lacks one of next, run, text, result, cancel")
        return self.api.handles[handle]

    def _without_first(self, method: Method, start: Method, function: Function) -> Method:
        """The overload for when the first parameter is not what is given: `generate({.tokens = tokens})`."""
        first = start.parameters[0].name
        options = replace(method.parameters[-1], default=None)
        return replace(
            method,
            parameters=[options],
            comment=[f"The same without a {first}: what to go on from is among the options."],
            body=[f"return {method.name}(std::nullopt, options);"],
        )

    # What functions with several sets of options join

    def joined_params(self, function: Function) -> list[Value]:
        """All that may be left out but the first parameter, of a function with several sets of options."""
        if not joins(function):
            return []
        return [
            value
            for index, value in enumerate(function.params)
            if index and self.types.default(value, False) is not None
        ]

    def _joined(self, function: Function) -> tuple[Value, ...]:
        found: list[Value] = []
        for value in self.joined_params(function):
            found += self.api.structs[value.type.name].fields if value.type.kind == "options" else [value]
        twice = [name for name, count in Counter(value.name for value in found).items() if count > 1]
        if twice:
            raise UnsupportedError(f"{function.name}: its options would have {twice[0]} twice")
        return tuple(found)

    def _qualifiers(self, function: Function) -> str:
        """As in the standard library: any number of threads may call what is `const`. Properties are, too."""
        if function.constructor or function.static or not function.on:
            return ""
        is_const = self.api.handles[function.on].thread == "shared" or function.any_thread or function.property
        silent = not function.fallible and function.returns is None
        return " ".join(["const"] * is_const + ["noexcept"] * silent)

    def _type(self, thing: Struct | Handle | Enum | Value) -> str:
        return self.names.type(thing.type.name if isinstance(thing, Value) else thing.name)

    def _type_of(self, function: Function) -> str:
        return self.names.type(function.on) if function.on else ""
