"""The Python target: a module for each class, and modules for enums, structs, options, errors and functions."""

from __future__ import annotations

from pathlib import Path

from ...api import Api
from ...messages import SpecError
from ...render import MARK, environment, render
from .imports import imports
from .layout import WIDTH
from .lower import Lowering
from .routes import Routes
from .types import UnsupportedError

UNTYPED = "# mypy: disable-error-code=no-any-return"  # cffi's objects have no types
NAME = "python"
supports = frozenset(
    "bool i32 i64 u32 u64 f32 f64 size str json bytes span list map enum flags struct options handle callback "  # noqa: SIM905
    "shared exclusive keeps_alive nullable unset nested_options handle_in_options static constructor property "
    "blocking any_thread stream run_of text_generation deprecated object route".split()
)


def files(api: Api) -> dict[str, str]:
    """Every output for one API: path relative to the repository → content."""
    try:
        return _files(api)
    except UnsupportedError as error:
        raise SpecError([f"{api.folder}: the target {NAME} does not support {error}"]) from None


def _files(api: Api) -> dict[str, str]:
    lowering = Lowering(api)
    names, upper = lowering.names, api.prefix.upper()
    templates = environment(Path(__file__).parent / "templates")
    mark = f"# {MARK} from {Path(api.areas[0].source).parent.as_posix()}/*.yaml; edit those instead."
    structs = api.structs.values()
    types = {names.type(enum.name): ".enums" for enum in api.enums.values()} | {"Status": ".enums"}
    types |= {names.type(struct.name): ".structs" for struct in structs if not struct.is_options}
    types |= {names.type(handle): f".{names.plain(handle)}" for handle in api.handles}
    types |= {names.family(family.name): ".errors" for family in api.families} | {
        "ErrorCode": ".errors",
        "Error": ".errors",
    }
    folder = "bindings/python/src" if api.folder == "abi" else f"bindings/python/tests/{api.name}_binding"
    outputs = {}

    routes = Routes(api, names, lowering.docs)
    types |= dict.fromkeys(routes.type_names(), ".objects")
    owners = {handle.name: routes.senders(handle.name) for handle in api.handles.values()}
    mixins = {name: f"{names.type(name)}Routes" for name, senders in owners.items() if senders}
    types |= dict.fromkeys(mixins.values(), ".routes")

    def module(name: str, template: str, **view: object) -> None:
        body = render(templates, template, api=api, names=names, upper=upper, text=lowering.docs.text, **view)
        doc, _, code = body.partition("\n")
        outputs[f"{folder}/generated/{name}.py"] = "\n".join(
            [mark, UNTYPED, doc, "", imports(code, types), code.rstrip("\n"), ""]
        )

    enums = [lowering.enum(enum) for enum in api.enums.values()]
    records = [lowering.record(struct) for struct in structs if not struct.is_options]
    functions = lowering.functions()
    module("_library", "library.py.j2", required=_version(_required(api)))
    module("enums", "enums.py.j2", enums=enums)
    module("errors", "errors.py.j2", lowering=lowering)
    module("structs", "structs.py.j2", records=records)
    module("options", "options.py.j2", options=[lowering.options(struct) for struct in structs if struct.is_options])
    if api.callbacks:
        module("callbacks", "callbacks.py.j2", trampolines=lowering.trampolines())
    module("functions", "functions.py.j2", functions=functions)
    for handle in api.handles.values():
        base = f"{mixins[handle.name]}, Handle" if handle.name in mixins else "Handle"
        module(names.plain(handle.name), "handle.py.j2", one=lowering.handle(handle), base=base)
    if api.routes:
        module("objects", "objects.py.j2", requests=routes.request_types(), answers=routes.answer_types())
        views = [{"name": mixin, "owner": names.type(name), "senders": owners[name]} for name, mixin in mixins.items()]
        module("routes", "routes.py.j2", routes=views)
    public = {name: module_name for name, module_name in types.items() if module_name != ".routes"}
    public |= {function.name: ".functions" for function in functions}
    public |= {f"{function.name}_async": ".functions" for function in functions if function.twin}
    public |= {"abi_version": "._library", "live_objects": "._library"}
    outputs[f"{folder}/generated/__init__.py"] = render(
        templates,
        "init.py.j2",
        api=api,
        mark=mark,
        callbacks=bool(api.callbacks),
        lines=_public(public),
        all=_all(public),
    )
    declarations = [trampoline.declaration for trampoline in lowering.trampolines()]
    outputs[f"{folder}/generated/trampolines.h"] = render(
        templates, "trampolines.h.j2", mark=mark, declarations=declarations
    )
    return outputs


def _required(api: Api) -> str:
    """The oldest version of the library that has everything."""
    since = [
        thing.since for things in (api.structs, api.enums, api.handles, api.callbacks) for thing in things.values()
    ]
    since += [function.since for function in api.functions]
    since += [field.since for struct in api.structs.values() for field in struct.fields]
    return max(since, key=_version)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _public(names: dict[str, str]) -> list[str]:
    modules: dict[str, list[str]] = {}
    for name, module in names.items():
        modules.setdefault(module, []).append(name)
    lines = []
    for module, found in sorted(modules.items()):
        order = sorted(found, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))
        line = f"from {module} import {', '.join(order)}"
        lines += [line] if len(line) <= WIDTH else [f"from {module} import (", *(f"    {name}," for name in order), ")"]
    return lines


def _all(names: dict[str, str]) -> list[str]:
    return sorted(names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))
