"""The API as Python sees it: makes the views of views.py."""

from __future__ import annotations

import keyword
from collections import Counter

from ...api import NUMBERS, Api, Enum, Function, Handle, Struct, Value
from .docs import Docs, can_be_view
from .layout import docstring, fit, quoted, wrap
from .names import Names
from .types import C_SCALARS, Types, UnsupportedError
from .views import Input, Parameter, PyClass, PyConstant, PyEnum, PyField, PyMethod, PyOptions, PyRecord, PyTrampoline


class Lowering:
    """Lowers one API."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.names = Names(api)
        self.types = Types(api, self.names)
        self.docs = Docs(api, self.names)

    # Enums, records, options, errors, callbacks

    def enum(self, enum: Enum) -> PyEnum:
        members = [
            PyConstant(
                self.names.constant(member.name), str(member.value), wrap(f'"""{self.docs.text(member.doc)}"""', 4)
            )
            for member in enum.members
        ]
        doc = docstring(self.docs.text(enum.doc), {}, 4)
        return PyEnum(self.names.type(enum.name), "Flags" if enum.is_flags else "Enum", doc, members)

    def record(self, struct: Struct) -> PyRecord:
        fields = []
        for value in struct.fields:
            c_name = self.api.name_in("c", value.name)
            c_length = f"c.{c_name}_len"
            c_name = f'getattr(c, "{c_name}")' if keyword.iskeyword(c_name) else f"c.{c_name}"
            doc = quoted(self.docs.described(value))
            name = self.names.plain(value.name)
            lines = [f'"{name}": {doc},']
            if len(lines[0]) > 112:
                parts = wrap(self.docs.described(value), 12 + 4)
                parts = [f"{part} " for part in parts[:-1]] + parts[-1:]
                lines = [f'"{name}": (', *(f"    {quoted(part)}" for part in parts), "),"]
            fields.append(
                PyField(
                    name,
                    self.types.result_annotation(value, True),
                    lines,
                    self.types.out(value, c_name, c_length, True),
                )
            )
        return PyRecord(self.names.type(struct.name), docstring(self.docs.text(struct.doc), {}, 4), fields)

    def options(self, struct: Struct) -> PyOptions:
        parameters, lines = [], []
        for value in struct.fields:
            parameters += [f"{parameter.name}: {parameter.annotation}" for parameter in self._option_parameters(value)]
            lines += self._store(value)
        name = f"{self.api.prefix}_{struct.name}"
        return PyOptions(
            struct.name, name, fit(f"def {struct.name}(", ["keep: Keep", *parameters], ") -> Any:", 0), lines
        )

    def trampolines(self) -> list[PyTrampoline]:
        found = []
        for callback in self.api.callbacks.values():
            c_params, params, values = [], [], []
            for value in callback.params:
                name = self.names.parameter(value.name)
                c_params += [f"{self.types.out_type(value)}{value.name}"] + (
                    [f"size_t {value.name}_len"] if value.type.is_sequence else []
                )
                params += [f"{name}: Any"] + ([f"{name}_len: Any"] if value.type.is_sequence else [])
                if value.type.is_sequence and not value.borrowed:
                    value = Value(
                        value.name, value.type, value.doc, nullable=value.nullable, borrowed="until the call is over"
                    )
                values.append(self.types.out(value, name, f"{name}_len"))
            returns = callback.returns
            if returns and returns.type.kind not in ("bool", *NUMBERS):
                raise UnsupportedError(f"{callback.name}: a callback that gives a {returns.type.kind}")
            c_returns = C_SCALARS[returns.type.kind] if returns else "void"
            found.append(
                PyTrampoline(
                    callback.name,
                    fit(f"def python_{callback.name}(", [*params, "user: Any"], ") -> Any:", 0),
                    ", ".join(values),
                    returns is not None,
                    returns is not None and returns.type.kind == "bool",
                    f"{c_returns} python_{callback.name}({', '.join([*c_params, 'void *user'])});",
                    docstring(self.docs.text(callback.doc), {}, 4),
                )
            )
        return found

    # Classes and functions

    def functions(self) -> list[PyMethod]:
        return [self.method(function, 4) for function in self.api.functions if not function.on]

    def handle(self, handle: Handle) -> PyClass:
        own = [function for function in self.api.functions if function.on == handle.name]
        constructors = [function for function in own if function.constructor]
        methods = [self.method(function, 8) for function in own if not function.constructor]
        parent = handle.keeps_alive
        doc = self.docs.text(handle.doc)
        constructor = self.method(constructors[0], 8) if constructors else None
        creators = [
            self.names.reference(f.name) for f in self.api.functions if f.returns and f.returns.type.name == handle.name
        ]
        taken = Counter(
            [method.name for method in methods] + ["close", "closed"] + ([self.names.plain(parent)] if parent else [])
        )
        for name, count in taken.items():
            if count > 1:
                raise UnsupportedError(f"the class of {handle.name} would have {name} twice")
        return PyClass(
            self.names.type(handle.name),
            handle.name.replace("_", " "),
            docstring(doc, {}, 4),
            f"{self.api.prefix}_{handle.name}",
            self.names.plain(parent) if parent else "",
            self.names.type(parent) if parent else "",
            [
                self.names.method(function)
                for function in own
                if function.property
                and not function.fallible
                and function.returns
                and function.returns.type.kind in NUMBERS
            ][:2],
            fit(
                "raise TypeError(",
                [quoted(f"a {self.names.type(handle.name)} comes from {' or '.join(creators)}")],
                ")",
                8,
            ),
            constructor,
            methods,
        )

    def method(self, function: Function, indent: int) -> PyMethod:
        """A function as Python has it; `indent` is that of its body."""
        name = self.names.method(function)
        if function.text_generation:
            name = self.names.plain(function.text_generation.start)
        inputs, parameters = self._inputs(function)
        if can_be_view(function):
            parameters.append(Parameter("copy", "bool", "True", True, "Off: a view instead, see below."))
        names = [parameter.name for parameter in parameters]
        if len(set(names)) != len(names):
            raise UnsupportedError(f"{function.name}: two keyword arguments of one name among {', '.join(names)}")
        receiver = [] if function.static or not function.on else ["self._handle"]
        arguments = receiver + [argument for one in inputs for argument in one.arguments]
        checks = [check for one in inputs for check in one.checks]
        setup = [f"warn_deprecated({quoted(self.docs.text(function.deprecated))})"] if function.deprecated else []
        setup += [line for one in inputs for line in one.lines]
        kind, result, places = self._result(function)
        if kind in ("stream", "run"):
            if parameters:
                raise UnsupportedError(f"{function.name}: parameters on a stream function")
            parameters = [
                Parameter("timeout", "float | None", "None", False, "Seconds to wait at most; None: no limit.")
            ]
            arguments += ["milliseconds", *(["out"] if kind == "stream" else []), "status"]
        elif places:
            setup += places
            arguments += ["out", "out_len"][: len(places)] if function.fallible else ["out_len"]
        if function.fallible:
            arguments.append("err")
        if function.constructor:
            signature = self._signature("__init__", ["self"], parameters, "None", indent - 4)
        else:
            first = ["self"] if receiver else []
            signature = self._signature(name, first, parameters, self._annotation(function, kind), indent - 4)
        c_name = f"lib.{self.api.prefix}_{function.name}"
        local = "result" if "value" in names else "value"
        head, tail = "code = " if function.fallible else (f"{local} = " if function.returns else ""), ""
        if kind == "plain" and function.returns and not receiver and not places and function.returns.unset is None:
            head, tail = self.types.out(function.returns, "\0", "").split("\0")  # nothing to do between call and result
            head, result = f"return {head}", []
        elif kind == "plain":
            result = [line.replace("\0", local) for line in result]
        deeper = 8 if kind in ("stream", "run") else (4 if checks else 0)
        twin, texts = self._derived(function, name)
        callback = next((self.names.parameter(v.name) for v in function.params if v.type.kind == "callback"), "")
        if callback and not function.fallible:
            raise UnsupportedError(f"{function.name}: a callback on a function that cannot fail")
        if callback:
            result = self._after_callback(result, callback)
        if kind in ("stream", "run") and not function.cancel:
            raise UnsupportedError(f"{function.name}: a {kind} without a cancel function")
        return PyMethod(
            name="__init__" if function.constructor else name,
            kind=kind,
            decorator="@property"
            if function.property
            else ("@staticmethod" if function.static and not function.constructor else ""),
            signature=signature,
            docstring=self.docs.function(function, kind, parameters, indent),
            setup=setup,
            checks=checks,
            call=fit(f"{head}{c_name}(", arguments, f"){tail}", indent + deeper),
            local=local,
            result=result,
            fails=function.fallible,
            twin=twin,
            texts=texts,
            callback=callback,
            event=self.names.type(function.stream_of) if function.stream_of else "",
            c_event=f"{self.api.prefix}_{function.stream_of}",
            cancel=f"{self.api.prefix}_{function.cancel}",
            check_closed=bool(receiver) and not function.fallible and function.returns is not None,
            returns_value=function.returns is not None,
        )

    # Pieces of a method

    def _inputs(self, function: Function) -> tuple[list[Input], list[Parameter]]:
        inputs: list[Input] = []
        plain: list[Parameter] = []
        flat: list[Parameter] = []
        optional_seen = nullable_seen = False
        for value in function.params:
            if value.type.kind == "options":
                name, options = value.type.name, self.api.structs[value.type.name]
                fields = [parameter for one in options.fields for parameter in self._option_parameters(one)]
                flat += fields
                lines = [] if any("keep = convert.Keep()" in one.lines for one in inputs) else ["keep = convert.Keep()"]
                build = fit(f"{name}_c = options.{name}(", ["keep", *(one.name for one in fields)], ")", 8)
                inputs.append(Input([*lines, *build.split("\n")], [f"{name}_c"]))
                continue
            default = self.types.default(value, False)
            only = (
                (value.type.kind in ("bool", "callback") and default is not None)
                or (default is None and optional_seen)
                or (value.nullable and nullable_seen)
            )
            optional_seen |= default is not None
            nullable_seen |= value.nullable
            name = self.names.parameter(value.name)
            plain.append(Parameter(name, self.types.annotation(value), default, only, self.docs.described(value)))
            inputs.append(self._input(value, name))
        return inputs, [*plain, *flat]

    def _input(self, value: Value, name: str) -> Input:
        kind = value.type.kind
        if kind == "callback":
            lines = [f"{name}_call = Callback({name})", f"{name}_user = ffi.new_handle({name}_call)"]
            return Input(lines, [f"lib.python_{value.type.name}", f"{name}_user"])
        expression = self.types.into(value, name)
        if value.type.is_sequence:
            return Input([f"{name}_c, {name}_len = {expression}"], [f"{name}_c", f"{name}_len"])
        if kind in NUMBERS or kind == "bool":
            # cffi checks numbers itself, and faster; only its complaint does not name the parameter.
            if value.unset is None:
                return Input([], [name], [expression])
            return Input([f"{name}_c = {value.unset!r} if {name} is None else {name}"], [f"{name}_c"], [expression])
        return Input([f"{name}_c = {expression}"], [f"{name}_c"])

    def _option_parameters(self, value: Value) -> list[Parameter]:
        if value.type.kind == "options":
            return [one for inner in self.api.structs[value.type.name].fields for one in self._option_parameters(inner)]
        default = self.types.default(value, True)
        return [
            Parameter(
                self.names.parameter(value.name),
                self.types.annotation(value),
                default,
                True,
                self.docs.described(value),
            )
        ]

    def _store(self, value: Value) -> list[str]:
        """Lines that put one option into its C struct."""
        field_name = self.api.name_in("c", value.name)
        member = f"c.{field_name}"
        name = self.names.parameter(value.name)
        if value.type.kind == "options":
            inner = [one.name for one in self._option_parameters(value)]
            call = fit(f"{member} = keep.pointer({value.type.name}(", ["keep", *inner], "))", 4)
            return call.split("\n")
        expression = self.types.into(value, name)
        if keyword.iskeyword(field_name):
            if value.type.is_sequence or value.type.kind in ("options", "handle"):
                raise UnsupportedError(
                    f"{value.name}: a {value.type.kind} in a field whose C name is a keyword of Python"
                )
            return [f'setattr(c, "{field_name}", {expression})']
        if value.type.is_sequence:
            if expression.startswith("convert.NOTHING if "):
                condition = expression.removeprefix("convert.NOTHING if ").partition(" else ")
                return [f"if {name} is not None:", f"    {member}, {member}_len = keep(*{condition[2]})"]
            return [f"{member}, {member}_len = keep(*{expression})"]
        if value.type.kind == "handle":
            return [f"{member} = {expression}", f"keep.append({name})"]
        if value.type.kind == "callback":
            raise UnsupportedError(f"{value.name}: a callback among options")
        return [f"{member} = {expression}"]

    def _result(self, function: Function) -> tuple[str, list[str], list[str]]:
        """Kind of body, the lines that give the result, and those that make the places for it."""
        value = function.returns
        if function.stream_of:
            return "stream", [], []
        if function.run_of:
            return "run", [], []
        if not function.fallible:
            if value is None:
                return "plain", [], []
            if value.type.kind == "str" and value.borrowed:
                return (
                    "plain",
                    ["return " + self.types.out(value, "\0", "out_len[0]")],
                    ['out_len = ffi.new("size_t *")'],
                )
            if value.type.kind not in ("bool", "enum", "flags", *NUMBERS):
                raise UnsupportedError(f"{function.name}: a {value.type.kind} from a function that cannot fail")
            return "plain", ["return " + self.types.out(value, "\0", "")], []
        if value is None:
            return "fallible", [], []
        out = f'out = ffi.new("{self.types.out_type(value)}*")'
        if value.type.kind == "struct":
            name = f"{self.api.prefix}_{value.type.name}"
            if value.nullable:
                raise UnsupportedError(f"{function.name}: a struct that may be absent")
            # One statement more than a place: the struct says which version of it the binding knows.
            return (
                "fallible",
                [f"return {self.names.type(value.type.name)}._read(out)"],
                [f"out = structs.new({name!r})".replace("'", '"')],
            )
        if value.type.kind == "handle":
            return "fallible", self._adopt(function, value), [out]
        if value.type.is_sequence:
            return "fallible", self._sequence(function, value), [out, 'out_len = ffi.new("size_t *")']
        return "fallible", [f"return {self.types.out(value, 'out[0]', '')}"], [out]

    def _sequence(self, function: Function, value: Value) -> list[str]:
        expression = self.types.out(value, "out[0]", "out_len[0]")
        if value.type.kind != "span" or value.type.item != "f32":
            return [f"return {expression}"]
        dimensions = [word.strip() for word in value.shape.strip("[]").split(",")]
        shape = "{}"
        if len(dimensions) == 2:
            rows = next(
                (f for f in self.api.functions if f.on == function.on and f.property and f.method == dimensions[0]),
                None,
            )
            if rows is None:
                raise UnsupportedError(
                    f"{function.name}: the first dimension of {value.shape} is not a property of {function.on}"
                )
            shape = f"convert.rows({{}}, self.{self.names.method(rows)})"
        elif len(dimensions) > 2:
            raise UnsupportedError(f"{function.name}: more than two dimensions")
        lines = [f"return {shape.format(expression)}"]
        if can_be_view(function):
            view = shape.format("convert.float_view(out[0], out_len[0], self)")
            lines = ["if not copy:", f"    return {view}", *lines]
        return lines

    def _adopt(self, function: Function, value: Value) -> list[str]:
        if function.constructor:
            return [f"self._own(out[0], lib.{self.api.prefix}_{value.type.name}_free)"]
        handle = self.api.handles[value.type.name]
        arguments = ["out[0]"]
        if handle.keeps_alive:
            given = [
                self.names.parameter(v.name)
                for v in function.params
                if v.type.kind == "handle" and v.type.name == handle.keeps_alive
            ]
            if function.on == handle.keeps_alive and not function.static:
                arguments.append("self")
            elif function.on == handle.name and not function.static:
                arguments.append(f"self._{self.names.plain(handle.keeps_alive)}")
            elif given:
                arguments.append(given[0])
            else:
                raise UnsupportedError(
                    f"{function.name}: nothing here is the {handle.keeps_alive} that the {handle.name} keeps alive"
                )
        expression = f"{self.names.type(handle.name)}._adopt({', '.join(arguments)})"
        return [f"return {expression} if out[0] else None" if value.nullable else f"return {expression}"]

    @staticmethod
    def _after_callback(result: list[str], callback: str) -> list[str]:
        """What the callback raised is raised last, when the result has an owner."""
        again = f"{callback}_call.raise_stored()"
        if result and result[-1].startswith("return "):
            return [*result[:-1], f"result = {result[-1].removeprefix('return ')}", again, "return result"]
        return [*result, again]

    def _annotation(self, function: Function, kind: str) -> str:
        if kind == "run":
            return "Status"
        if kind == "stream":
            return f"{self.names.type(function.stream_of)} | None"
        return self.types.result_annotation(function.returns)

    def _signature(self, name: str, first: list[str], parameters: list[Parameter], result: str, indent: int) -> str:
        plain = [str(one) for one in parameters if not one.keyword_only]
        only = [str(one) for one in parameters if one.keyword_only]
        return fit(f"def {name}(", [*first, *plain, *(["*", *only] if only else [])], f") -> {result}:", indent)

    def _derived(self, function: Function, name: str) -> tuple[str, list[str]]:
        """Assignments that make the async twin (and let Ctrl-C stop the method itself), and the text conveniences."""
        cancel = next((self.names.method(f) for f in self.api.functions if f.name == function.cancel), "")
        twin = ""
        if function.constructor and function.blocking:
            progress = next((self.names.parameter(v.name) for v in function.params if v.type.kind == "callback"), "")
            words = ["__init__", f'"{name}_async"', *([f'progress="{progress}"'] if progress else [])]
            twin = f"{name}_async = constructor_twin({', '.join(words)})"
        elif function.blocking and function.property:
            raise UnsupportedError(f"{function.name}: a property that blocks")
        elif function.blocking:
            twin = f"{name}_async = twin({name}" + (f', "{cancel}")' if cancel and function.on else ")")
            if cancel and function.on and not (function.stream_of or function.run_of):
                twin += f'\n{name} = interruptible({name}, "{cancel}")'
        if function.text_generation is None:
            return twin, []
        self._check_text_generation(function)
        whole, pieces = function.text_generation.whole, function.text_generation.pieces
        return twin, [
            f'{whole} = whole({name}, "{whole}")',
            f'{whole}_async = whole_async({name}, "{whole}_async")',
            f'{pieces} = pieces({name}, "{pieces}")',
            f'{pieces}_async = pieces({name}, "{pieces}_async")',
        ]

    def _check_text_generation(self, function: Function) -> None:
        """The conveniences use `next`, `run`, `text`, `result` and `cancel` of the stream."""
        handle = function.returns.type.name if function.returns else ""
        has = {f.method: f for f in self.api.functions if f.on == handle}
        events = [f for f in has.values() if f.stream_of]
        fits = (
            {"next", "run", "text", "result", "cancel"} <= has.keys()
            and bool(events)
            and any(
                one.name == "text" and one.type.kind == "str" for one in self.api.structs[events[0].stream_of].fields
            )
            and has["run"].run_of
            and has["result"].property
        )
        if not fits:
            raise UnsupportedError(
                f"{function.name}: {handle} lacks one of next (with texts), run, text, result (a property), cancel"
            )
