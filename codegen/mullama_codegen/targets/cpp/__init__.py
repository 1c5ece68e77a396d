"""The C++ target: headers over the C API, and a table of the layout that a C++ compiler sees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ...api import Api
from ...messages import SpecError
from ...render import MARK, environment, render
from ..c.layout import members
from .docs import comment
from .lower import Lowering
from .names import UnsupportedError

NAME = "cpp"
supports = frozenset(
    "bool i32 i64 u32 u64 f32 f64 size str json bytes span list map enum flags struct options handle callback "  # noqa: SIM905
    "shared exclusive keeps_alive nullable unset nested_options handle_in_options static constructor property "
    "blocking any_thread stream run_of text_generation deprecated object route".split()
)
RUNTIME_TYPES = ("Completion", "Span", "Status", "TextStream", "Timeout", "Error", "ErrorCode")
OBJECT_TYPES = ("AnswerStream", "Json", "Tool", "ToolErrors", "ToolRun")  # where there are objects


def files(api: Api) -> dict[str, str]:
    """Every output for one API: path relative to the repository → content."""
    try:
        return _files(api)
    except UnsupportedError as error:
        raise SpecError([f"{api.folder}: the target {NAME} does not support {error}"]) from None


def _files(api: Api) -> dict[str, str]:
    lowering = Lowering(api)
    structs = api.structs.values()
    closed = next((lowering.names.family(code.family) for code in api.codes if code.name == "CLOSED"), "")
    if not closed:
        raise UnsupportedError("handles without an error code CLOSED")
    view = {
        "api": api,
        "names": lowering.names,
        "upper": api.prefix.upper(),
        "mark": f"{MARK} from {api.folder}/spec/*.yaml; edit those instead.",
        "comment": comment,
        "docs": lowering.docs,
        "required": _required(api),
        "closed_error": closed,
        "enums": [lowering.enum(enum) for enum in api.enums.values()],
        "callbacks": [lowering.callback(callback) for callback in api.callbacks.values()],
        "records": [lowering.record(struct) for struct in structs if not struct.is_options],
        "options": lowering.options(),
        "given": [lowering.given(struct) for struct in structs if struct.is_options],
        "functions": lowering.functions(),
        "classes": [lowering.handle(handle) for handle in api.handles.values()],
        "objects": lowering.objects.all(),
        "streams": lowering.objects.streams(),
        "named": lowering.objects.named(),
        "routes_on": lowering.objects.on,
        "layout": {f"{api.prefix}_{struct.name}": [one.name for one in members(struct, api)] for struct in structs},
    }
    _refuse_twins(lowering, view)
    templates = environment(Path(__file__).parent / "templates")
    outputs = {f"{api.folder}/include/lib{api.name}.hpp": render(templates, "header.hpp.j2", **view)}
    if api.routes:
        path = f"{api.folder}/include/lib{api.name}_{lowering.objects.on}.hpp"
        outputs[path] = render(templates, "routes.hpp.j2", **view)
    if api.folder in ("abi", "abi/fixture"):
        outputs[f"bindings/cpp/tests/generated/{api.name}_layout.hpp"] = render(templates, "layout.hpp.j2", **view)
    return outputs


def _refuse_twins(lowering: Lowering, view: dict[str, Any]) -> None:
    """One namespace holds every type."""
    found = [*RUNTIME_TYPES, *(lowering.names.family(family.name) for family in lowering.api.families)]
    found += (*OBJECT_TYPES, *view["streams"]) if view["objects"] else ()
    found += [one.name for key in ("enums", "records", "options", "classes", "objects") for one in view[key]]
    found += [one.type for one in view["callbacks"]]
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise UnsupportedError(f"two types of the name {twice[0]}; names/cpp.yaml can give one of them another")


def _required(api: Api) -> int:
    """The oldest version of the library that has everything, packed as `abi_version` gives it."""
    things = [thing for group in (api.structs, api.enums, api.handles, api.callbacks) for thing in group.values()]
    since = [thing.since for thing in (*things, *api.functions)]
    since += [field.since for struct in api.structs.values() for field in struct.fields]
    return max(major << 16 | minor for major, minor in (map(int, version.split(".")) for version in since))
