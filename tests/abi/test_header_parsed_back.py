"""The flat declarations, parsed back by an independent parser, say what the description says.

The expectation is worked out here from docs/abi/spec.md, not by the generator's own lowering.
"""

from __future__ import annotations

import re

import pytest
from commands import ROOT
from mullama_codegen.api import Api, Function, Struct, Type, Value
from pycparser import c_ast, c_generator, c_parser

PRELUDE = "".join(
    f"typedef {plain} {name};\n"
    for name, plain in {
        "size_t": "unsigned long", "int32_t": "int", "uint32_t": "unsigned int", "int64_t": "long",
        "uint64_t": "unsigned long", "uint8_t": "unsigned char",
    }.items()
)  # fmt: skip
NUMBERS = {
    "bool": "int32_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "f32": "float",
    "f64": "double",
    "size": "size_t",
}
ELEMENTS = {"i32": "int32_t", "f32": "float", "u8": "uint8_t"}


class Parsed:
    """Functions, structs and constants as pycparser saw them."""

    def __init__(self, text: str) -> None:
        self.functions: dict[str, tuple[str, list[str]]] = {}
        self.callbacks: dict[str, tuple[str, list[str]]] = {}
        self.structs: dict[str, list[str]] = {}
        self.constants: dict[str, int] = {}
        show = c_generator.CGenerator().visit
        text = re.sub(r"/\*.*?\*/", "", text)  # cffi and PHP skip comments, pycparser does not
        for node in c_parser.CParser().parse(PRELUDE + text).ext:
            inner = getattr(node, "type", None)
            if isinstance(inner, c_ast.FuncDecl):
                self.functions[node.name] = self._signature(inner, show)
            elif isinstance(inner, c_ast.PtrDecl) and isinstance(inner.type, c_ast.FuncDecl):
                self.callbacks[node.name] = self._signature(inner.type, show)
            elif isinstance(inner, c_ast.Enum):
                for entry in inner.values.enumerators:
                    self.constants[entry.name] = int(show(entry.value).replace("(", "").replace(")", ""))
            elif isinstance(inner, c_ast.TypeDecl) and isinstance(inner.type, c_ast.Struct) and inner.type.decls:
                self.structs[node.name] = [show(member) for member in inner.type.decls]

    @staticmethod
    def _signature(declaration: c_ast.FuncDecl, show) -> tuple[str, list[str]]:
        result = declaration.type
        stars = ""
        while isinstance(result, c_ast.PtrDecl):
            result, stars = result.type, stars + "*"
        returns = " ".join([*result.quals, *result.type.names]) + (f" {stars}" if stars else "")
        params = [show(param) for param in declaration.args.params] if declaration.args else []
        return returns, [] if params == ["void"] else params


@pytest.fixture(scope="module")
def parsed(api: Api) -> Parsed:
    return Parsed((ROOT / api.folder / "include" / f"lib{api.name}.cdef.h").read_text())


def scalar(type_: Type, api: Api) -> str:
    return NUMBERS.get(type_.kind, f"{api.prefix}_{type_.name}")


def element(type_: Type, api: Api) -> str:
    return {
        "str": "char",
        "json": "char",
        "bytes": "uint8_t",
        "span": ELEMENTS.get(type_.item, ""),
        "list": f"{api.prefix}_str",
        "map": f"{api.prefix}_str",
    }[type_.kind]


def variables(value: Value, api: Api) -> list[str]:
    """Third column of the table of types."""
    name, type_ = api.name_in("c", value.name), value.type
    if type_.is_sequence:
        return [f"const {element(type_, api)} *{name}", f"size_t {name}_len"]
    if type_.kind == "callback":
        return [f"{api.prefix}_{type_.name} {name}", f"void *{name}_user"]
    if type_.kind == "options":
        return [f"const {api.prefix}_{type_.name} *{name}"]
    return [f"{scalar(type_, api)} {'*' if type_.kind == 'handle' else ''}{name}"]


def signature(function: Function, api: Api) -> tuple[str, list[str]]:
    params = [f"{api.prefix}_{function.on} *{function.on}"] if function.on and not function.static else []
    for value in function.params:
        params += variables(value, api)
    result, returns = function.returns, "void"
    if function.stream_of:
        params += ["int32_t timeout_ms", f"{api.prefix}_{function.stream_of} *out", "int32_t *out_status"]
    elif function.run_of:
        params += ["int32_t timeout_ms", "int32_t *out_status"]
    elif function.fallible and result and result.type.is_sequence:
        params += [f"const {element(result.type, api)} **out", "size_t *out_len"]
    elif function.fallible and result:
        params += [f"{scalar(result.type, api)} {'**' if result.type.kind == 'handle' else '*'}out"]
    elif result and result.type.kind == "str":
        returns, params = "const char *", [*params, "size_t *out_len"]
    elif result:
        returns = scalar(result.type, api)
    return ("int32_t", [*params, f"{api.prefix}_error **err"]) if function.fallible else (returns, params)


def test_every_function_has_the_signature_that_the_description_gives(api: Api, parsed: Parsed) -> None:
    p = api.prefix
    expected = {f"{p}_{function.name}": signature(function, api) for function in api.functions}
    for handle in api.handles:
        expected |= {f"{p}_{handle}_{end}": ("void", [f"{p}_{handle} *{handle}"]) for end in ("close", "free")}
    for struct in api.structs:
        expected[f"{p}_{struct}_init"] = ("void", [f"{p}_{struct} *out", "size_t struct_size"])
    expected |= {
        f"{p}_abi_version": ("uint32_t", []),
        f"{p}_free": ("void", ["const void *result"]),
        f"{p}_live_objects": ("int64_t", []),
        f"{p}_error_code": ("int32_t", [f"const {p}_error *err"]),
        f"{p}_error_message": ("const char *", [f"const {p}_error *err", "size_t *out_len"]),
        f"{p}_error_free": ("void", [f"{p}_error *err"]),
        f"{p}_error_name": ("const char *", ["int32_t code"]),
    }
    assert parsed.functions == expected


def test_every_callback_takes_the_users_pointer_last(api: Api, parsed: Parsed) -> None:
    expected = {}
    for callback in api.callbacks.values():
        params = [variable for value in callback.params for variable in variables(value, api)]
        returns = scalar(callback.returns.type, api) if callback.returns else "void"
        expected[f"{api.prefix}_{callback.name}"] = (returns, [*params, "void *user"])
    assert parsed.callbacks == expected


def test_every_struct_starts_with_its_size_and_has_its_fields_in_order(api: Api, parsed: Parsed) -> None:
    def members(struct: Struct) -> list[str]:
        return ["uint32_t struct_size", *(variable for field in struct.fields for variable in variables(field, api))]

    expected = {f"{api.prefix}_{struct.name}": members(struct) for struct in api.structs.values()}
    expected[f"{api.prefix}_str"] = ["const char *data", "size_t len"]
    assert parsed.structs == expected


def test_every_constant_has_its_value(api: Api, parsed: Parsed) -> None:
    upper = api.prefix.upper()
    expected = {
        f"{upper}_{enum.name}_{member.name}".upper(): member.value
        for enum in api.enums.values()
        for member in enum.members
    }
    expected |= {f"{upper}_E_{code.name}": code.value for code in api.codes}
    expected |= {f"{upper}_STATUS_{name}": value for value, name in enumerate(("WAITING", "ITEM", "DONE", "CANCELLED"))}
    expected |= {f"{upper}_OK": 0, f"{upper}_ABI_VERSION": api.packed_version}
    assert parsed.constants == expected


def test_cffi_accepts_the_flat_declarations(api: Api) -> None:
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef((ROOT / api.folder / "include" / f"lib{api.name}.cdef.h").read_text())
    assert ffi.typeof(f"{api.prefix}_str").fields[0][0] == "data"
