"""The Node target: an addon in C++, JavaScript classes over it, and their declarations for TypeScript."""

from __future__ import annotations

from pathlib import Path

from ...api import Api
from ...messages import SpecError
from ...render import MARK, environment, render
from .docs import Docs, comment
from .names import Names, UnsupportedError
from .native import Native
from .routes import Routes
from .script import Script, imports

NAME = "node"
supports = frozenset(
    "bool i32 i64 u32 u64 f32 f64 size str json bytes span list map enum flags struct options handle callback "  # noqa: SIM905
    "shared exclusive keeps_alive nullable unset nested_options static constructor property "
    "blocking any_thread stream run_of text_generation deprecated object route".split()
)
TEMPLATES = Path(__file__).parent / "templates"

def files(api: Api) -> dict[str, str]:
    """Every output for one API: path relative to the repository → content."""
    try:
        return _files(api)
    except UnsupportedError as error:
        raise SpecError([f"{api.folder}: the target {NAME} does not support {error}"]) from None

def _files(api: Api) -> dict[str, str]:
    names = Names(api)
    docs = Docs(api, names)
    native, script, routes = Native(api, names), Script(api, names, docs), Routes(api, names, docs)
    templates = environment(TEMPLATES)
    is_own = api.folder == "abi"
    folder = "bindings/node/generated" if is_own else f"bindings/node/tests/{api.name}_binding/generated"
    mark = f"{MARK} from {Path(api.areas[0].source).parent.as_posix()}/*.yaml; edit those instead."
    outputs: dict[str, str] = {}

    def add(name: str, template: str, **view: object) -> None:
        common = {"api": api, "mark": mark, "names": names, "text": docs.text, "comment": comment, "routes": routes}
        outputs[f"{folder}/{name}"] = render(templates, template, **common, **view)

    structs = api.structs.values()
    records = [native.record(struct) for struct in structs if not struct.is_options]
    options = [native.options(struct) for struct in structs if struct.is_options]
    add("native/library.h", "library.h.j2", symbols=native.symbols(), required=_packed(_required(api)))
    shapes = {"options": options, "records": records, "trampolines": list(native.trampolines())}
    add("native/types.h", "types.h.j2", working=native.working(), **shapes)
    add("native/layout.cpp", "layout.cpp.j2", layouts=native.layouts())
    areas = list(native.areas())
    for area in areas:
        add(f"native/{area.name}.cpp", "area.cpp.j2", area=area)
    add("native/operations.cpp", "operations.cpp.j2", areas=areas)

    classes = [script.handle(handle, routes.members(handle.name)) for handle in api.handles.values()]
    functions = script.functions()
    modules = script.modules(function for function in api.functions if not function.on)
    for one in classes:
        given = ["native", one.base, *(["PARENT"] if one.parent else [])]
        add(f"{one.module}.js", "class.js.j2", one=one, imports=imports(one.members, given))

    if api.routes:
        for name in ("answers", "requests", "routes"):
            add(f"{name}.js", f"{name}.js.j2")
    add("binding.js", "binding.js.j2", runtime="../runtime" if is_own else "../../../runtime")
    add("errors.js", "errors.js.j2")
    add("functions.js", "functions.js.j2", functions=functions, modules=modules, imports=imports(functions, ["native"]))
    runtime = [*(["AnswerStream"] if api.routes else []), "Completion", "Handle", "TextStream"]
    errors = [names.base_error, *(names.family(family.name) for family in api.families)]
    values = [*(one.name for one in classes), *errors, *runtime]
    values += [*(one.name for one in functions), "abiVersion", "libraryPath", "liveObjects"]
    if duplicates := sorted({name for name in values if values.count(name) > 1}):
        raise UnsupportedError(f"{', '.join(duplicates)} more than once in the package")
    add("index.js", "index.js.j2", classes=classes, errors=errors, functions=functions, runtime=runtime)
    add("index.mjs", "index.mjs.j2", values=values)
    add("index.d.ts", "index.d.ts.j2", script=script, classes=classes, functions=functions, structs=structs)
    outputs[f"{folder}/index.d.mts"] = f"// {mark}\nexport * from './index.js';\n"
    return outputs

def _required(api: Api) -> str:
    """The oldest version of the library that has everything."""
    since = [thing.since for things in (api.structs, api.enums, api.handles, api.callbacks) for thing in things.values()]
    since += [function.since for function in api.functions]
    since += [field.since for struct in api.structs.values() for field in struct.fields]
    return max(since, key=_packed)

def _packed(version: str) -> int:
    major, minor = version.split(".")
    return int(major) << 16 | int(minor)
