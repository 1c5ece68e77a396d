"""The PHP target: a file for each class, enum, record and exception, and one that alone talks to FFI."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment

from ...api import Api
from ...messages import SpecError
from ...render import MARK, environment, render
from .declarations import declarations
from .layout import comment
from .lower import Lowering
from .routes import Routes
from .types import UnsupportedError

NAME = "php"
supports = frozenset(
    "bool i32 i64 u32 u64 f32 f64 size str json bytes span list map enum flags struct options handle callback "  # noqa: SIM905
    "shared exclusive keeps_alive nullable unset nested_options handle_in_options static constructor property "
    "blocking any_thread stream run_of text_generation deprecated object route".split()
)
# Classes of the hand-written runtime that generated code may name; see _imports.
RUNTIME = {
    "CData": "FFI\\CData",
    "Binding": "Mullama\\Runtime\\Binding",
    "Callback": "Mullama\\Runtime\\Callback",
    "Handle": "Mullama\\Runtime\\Handle",
    "JsonObject": "Mullama\\Runtime\\JsonObject",
    "Text": "Mullama\\Runtime\\Text",
    "TextGeneration": "Mullama\\Runtime\\TextGeneration",
    "Floats": "Mullama\\Floats",
    "TimeoutException": "Mullama\\TimeoutException",
}


def files(api: Api) -> dict[str, str]:
    """Every output for one API: path relative to the repository → content."""
    try:
        return _files(api)
    except UnsupportedError as error:
        raise SpecError([f"{api.folder}: the target {NAME} does not support {error}"]) from None


def _files(api: Api) -> dict[str, str]:
    lowering = Lowering(api)
    names = lowering.names
    templates = _templates()
    source = Path(api.areas[0].source).parent.as_posix()
    folder = "bindings/php/src/generated" if api.folder == "abi" else "bindings/php/tests/generated"
    head = f"<?php\n\n// {MARK} from {source}/*.yaml; edit those instead.\n\ndeclare(strict_types=1);\n"
    outputs: dict[str, str] = {}

    def php(name: str, template: str, **view: object) -> None:
        path = f"{folder}/{name}.php"
        if path.lower() in {other.lower() for other in outputs}:
            raise UnsupportedError(f"two classes named {name}")
        body = render(templates, template, api=api, names=names, text=lowering.docs.text, **view)
        imports = _imports(body, names.namespace)
        outputs[path] = f"{head}\nnamespace {names.namespace};\n\n{imports}{body}"

    structs = api.structs.values()
    php("Status", "status.php.j2")
    php("ErrorCode", "error_code.php.j2", lowering=lowering)
    php(f"{names.namespace}Exception", "exception.php.j2")
    for family in api.families:
        php(names.family(family.name), "family.php.j2", family=family)
    for enum in api.enums.values():
        php(names.type(enum.name), "enum.php.j2", enum=lowering.enum(enum))
    for struct in structs:
        if not struct.is_options:
            php(names.type(struct.name), "record.php.j2", record=lowering.record(struct))
    for handle in api.handles.values():
        php(names.type(handle.name), "handle.php.j2", one=lowering.handle(handle))
    if api.routes:
        routes = Routes(api, names, lowering.docs)
        for one in routes.objects():
            php(one.name, "object.php.j2", one=one)
        php("Requests", "requests.php.j2", requests=routes.requests())
        for on in {route.on: None for route in api.routes}:
            about = comment(
                [f"The requests of {{@see {names.type(on)}}}, a method for each route."], routes.shapes(), 0
            )
            name = f"{names.type(on)}Routes"
            php(name, "routes.php.j2", trait=name, about=about, senders=routes.senders(on))
    php(names.namespace, "functions.php.j2", functions=lowering.functions())
    php("Options", "options.php.j2", options=[lowering.options(struct) for struct in structs if struct.is_options])
    php("Functions", "short_functions.php.j2", functions=lowering.short_functions())
    php(
        "Native",
        "native.php.j2",
        required=_required(api),
        declarations=declarations(api),
        structs=[(names.plain(struct.name), f"{api.prefix}_{struct.name}") for struct in structs],
        trampolines=lowering.trampolines(),
        codes={code.name: code for code in api.codes},
    )
    return outputs


@cache
def _templates() -> Environment:
    """Compiled once for all APIs."""
    return environment(Path(__file__).parent / "templates")


def _imports(body: str, namespace: str) -> str:
    """`use` lines for the classes that the code of a body names."""
    code = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    found = sorted(full for name, full in RUNTIME.items() if re.search(rf"(?<!case )(?<![\w\\$>:]){name}\b", code))
    lines = [f"use {full};\n" for full in found if full.rpartition("\\")[0] != namespace]
    return "".join(lines) + "\n" * bool(lines)


def _required(api: Api) -> tuple[int, int]:
    """The oldest version of the library that has everything."""
    since = [function.since for function in api.functions]
    since += [enum.since for enum in api.enums.values()] + [handle.since for handle in api.handles.values()]
    since += [callback.since for callback in api.callbacks.values()]
    since += [struct.since for struct in api.structs.values()]
    since += [field.since for struct in api.structs.values() for field in struct.fields]
    major, minor = max((int(one.partition(".")[0]), int(one.partition(".")[2])) for one in since)
    return major, minor
