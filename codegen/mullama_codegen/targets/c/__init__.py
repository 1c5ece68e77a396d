"""The C target: header, flat declarations, export lists, and the parts of the library that follow from the description."""

from __future__ import annotations

from pathlib import Path

from ...api import Api
from ...render import MARK, environment, render
from . import readers, requests
from .lower import Lowering

NAME = "c"
FAILURE = "mullama::failure"  # what the readers throw: abi/src/failure.h, which the fixture shares
supports = frozenset(
    [
        "bool",
        "i32",
        "i64",
        "u32",
        "u64",
        "f32",
        "f64",
        "size",
        "str",
        "json",
        "bytes",
        "span",
        "list",
        "map",
        "enum",
        "flags",
        "struct",
        "options",
        "handle",
        "callback",
        "shared",
        "exclusive",
        "keeps_alive",
        "nullable",
        "unset",
        "nested_options",
        "handle_in_options",
        "static",
        "constructor",
        "property",
        "blocking",
        "any_thread",
        "stream",
        "run_of",
        "text_generation",
        "deprecated",
        "object",
        "route",
    ]
)


def files(api: Api) -> dict[str, str]:
    """Every output for one API: path relative to the repository → content."""
    lowering = Lowering(api)
    view = {
        "api": api,
        "upper": api.prefix.upper(),
        "mark": f"{MARK} from {api.folder}/spec/{{{','.join(['api', *(area.name for area in api.areas)])}}}.yaml.",
        "failure": FAILURE,
        "areas": lowering.areas(),
        "requests": requests.tables(api),
        "exports": lowering.exports(),
        "comments": lowering.comments,
        "readers": readers.readers(api),
        "enum_checks": readers.enum_checks(api),
    }
    outputs = {
        f"include/lib{api.name}.h": "header.h.j2",
        f"include/lib{api.name}.cdef.h": "cdef.h.j2",
        f"lib{api.name}.map": "exports.map.j2",
        f"lib{api.name}.exports": "exports.macos.j2",
        f"lib{api.name}.def": "exports.def.j2",
        f"lib{api.name}.layout.tsv": "layout.tsv.j2",
        "src/generated/layout.cpp": "layout.cpp.j2",
        "src/generated/options.h": "options.h.j2",
        "src/generated/options.cpp": "options.cpp.j2",
        "src/generated/errors.cpp": "errors.cpp.j2",
    }
    if api.routes:
        outputs |= {f"src/generated/request_fields.{end}": f"request_fields.{end}.j2" for end in ("h", "cpp")}
    templates = environment(Path(__file__).parent / "templates")
    return {f"{api.folder}/{path}": render(templates, template, **view) for path, template in outputs.items()}
