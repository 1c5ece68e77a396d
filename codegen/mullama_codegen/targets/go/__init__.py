"""The Go target: a file for each type that owns something, and files for enums, structs, options, errors and functions."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment

from ...api import Api
from ...messages import SpecError
from ...render import MARK, environment, render
from ..c.layout import members
from .layout import columns
from .lower import Lowering
from .types import ITEMS, UnsupportedError
from .views import GoField, GoStruct

NAME = "go"
supports = frozenset(
    "bool i32 i64 u32 u64 f32 f64 size str json bytes span list map enum flags struct options handle callback "  # noqa: SIM905
    "shared exclusive keeps_alive nullable unset nested_options handle_in_options static constructor property "
    "blocking any_thread stream run_of text_generation deprecated object route".split()
)
MODULE = "github.com/mullama/mullama/bindings/go"
STANDARD = {  # as code names a package -> its path
    "atomic": "sync/atomic",
    "context": "context",
    "errors": "errors",
    "fmt": "fmt",
    "iter": "iter",
    "json": "encoding/json",
    "math": "math",
    "runtime": "runtime",
    "slices": "slices",
    "strings": "strings",
    "time": "time",
    "unsafe": "unsafe",
}
OWN = {name: f"{MODULE}/internal/{name}" for name in ("callback", "interrupt", "threads")}
READERS = {  # name -> Go type, C type, the expression that copies
    "Text": ("string", "C.char", "copyText(data, size)"),
    "JSON": ("json.RawMessage", "C.char", "copySlice[byte](data, uint64(size))"),
    "Octets": ("[]byte", "C.uint8_t", "copySlice[byte](data, uint64(size))"),
    "Ints": ("[]int32", "C.int32_t", "copySlice[int32](data, uint64(size))"),
    "Floats": ("[]float32", "C.float", "copySlice[float32](data, uint64(size))"),
}


def files(api: Api) -> dict[str, str]:
    """Every output for one API: path relative to the repository → content."""
    try:
        return _Files(api).outputs()
    except UnsupportedError as error:
        raise SpecError([f"{api.folder}: the target {NAME} does not support {error}"]) from None


class _Files:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.lowering = Lowering(api)
        self.templates = _templates()
        self.folder = "bindings/go" if api.folder == "abi" else f"bindings/go/tests/{api.name}"
        self.source = f"{Path(api.areas[0].source).parent.as_posix()}/*.yaml"
        self.found: dict[str, str] = {}

    def outputs(self) -> dict[str, str]:
        api, lowering = self.api, self.lowering
        enums = [lowering.enum(enum) for enum in api.enums.values()]
        structs = [lowering.struct(struct) for struct in api.structs.values() if not struct.is_options]
        plain = [lowering.plain_options(struct) for struct in lowering.options.plain.values()]
        options = lowering.options
        self._file("enums", "enums.go.j2", enums=enums, has_flags=any(enum.is_flags for enum in enums))
        self._file("structs", "structs.go.j2", structs=structs, plain=plain)
        groups = list(options.groups.values())
        self._file("options", "options.go.j2", groups=groups, unions=options.unions, options=options.options)
        trampolines = [lowering.trampoline(callback) for callback in api.callbacks.values()]
        if trampolines:
            self._file("callbacks", "callbacks.go.j2", trampolines=trampolines)
        declarations = [one.declaration for one in trampolines]
        self._file("functions", "functions.go.j2", declarations, methods=lowering.functions())
        for handle in api.handles.values():
            view = lowering.handle(handle)
            rows = [("c", f"*C.{view.c_name}")]
            rows += [(view.parent, f"*{view.parent_type}")] if view.parent else []
            rows += [("closed", "atomic.Bool")] if view.says_closed else []
            rows += [("lookout", "threads.Lookout")] if view.names_streams else []
            rows += [("place", "threads.Place")] if view.id_function else []
            rows += [("cleanup", "runtime.Cleanup")] if view.is_released else []
            self._file(handle.name, "handle.go.j2", declarations, one=view, rows=columns(rows))
        if api.routes:
            self._file("objects", "objects.go.j2", objects=lowering.objects.objects())
            self._file("routes", "routes.go.j2", streams=lowering.objects.streams(), methods=lowering.objects.methods())
        streams = any(function.stream_of for function in api.functions)
        texts = any(function.text_generation for function in api.functions)
        families, whole = self._families()
        self._file("errors", "errors.go.j2", families=families, whole_families=whole, has_streams=streams, has_texts=texts, has_lookouts=bool(lowering.lookouts))
        self._library(streams)
        self._layout()
        return self.found

    def _file(self, name: str, template: str, declarations: list[str] | None = None, **view: object) -> None:
        body = render(self.templates, template, api=self.api, **view).strip("\n")
        self._write(f"{name}.go", body, self._preamble(body, declarations or []))

    def _write(self, path: str, body: str, preamble: list[str], package: str = "", doc: str = "") -> None:
        self.found[f"{self.folder}/{path}"] = render(
            self.templates,
            "file.go.j2",
            source=self.source,
            mark=MARK,
            package=package or self.api.name,
            package_doc=doc,
            preamble=preamble,
            imports=_imports(body),
            body=body,
        )

    def _preamble(self, body: str, declarations: list[str]) -> list[str]:
        """What cgo needs: the header, and which functions neither keep a pointer nor call back; only callbacks do."""
        if not re.search(r"\bC\.", body):
            return []
        prefix = self.api.prefix
        calling_back = {f"{prefix}_{f.name}" for f in self.api.functions for v in f.params if v.type.kind == "callback"}
        types = {f"{prefix}_{name}" for name in (*self.api.callbacks, *self.api.enums)}
        called = sorted(set(re.findall(rf"\bC\.({prefix}_\w+)\(", body)) - calling_back - types - {f"{prefix}_path"})
        lines = [f"#include <lib{self.api.name}.h>"]
        lines += [one for one in declarations if re.search(rf"\b{one.split('(')[0].split()[-1]}\b", body)]
        if any(f.deprecated and f"{prefix}_{f.name}" in called for f in self.api.functions):
            lines.append("#cgo CFLAGS: -Wno-deprecated-declarations")
        lines += [f"#cgo {word} {name}" for name in called for word in ("noescape", "nocallback")]
        return lines

    def _families(self) -> tuple[list[dict[str, object]], str]:
        lowering, names = self.lowering, self.lowering.names
        codes = {code.name for code in self.api.codes}
        families, whole = [], []
        for family in self.api.families:
            has_code = family.name.upper() in codes
            doc = lowering.docs.text(family.doc)
            families.append(
                {
                    "name": "" if has_code else names.error(family.name),
                    "value": family.first,
                    "shown": family.name,
                    "doc": [] if has_code else [f"// A family: {doc}"],
                    "codes": [
                        {
                            "name": names.error(code.name),
                            "value": code.value,
                            "shown": code.name,
                            "doc": [f"// {lowering.docs.text(code.doc)}"],
                        }
                        for code in self.api.codes
                        if code.family == family.name
                    ],
                }
            )
            whole.append(names.error(family.name))
        return families, ", ".join(whole)

    def _library(self, streams: bool) -> None:
        everything = "\n".join(self.found.values())
        held = sorted(set(re.findall(r"\b(?:args|held)\.hold(\w+)\(", everything)))
        spans = [(name, item, c_type) for item, c_type, name in ITEMS.values() if name in held]
        uses = {
            "held": bool(held),
            "objects": "args.objects" in everything,
            "json": "JSON" in held,
            "texts": "Texts" in held,
            "spans": spans,
        }
        body = render(
            self.templates,
            "library.go.j2",
            api=self.api,
            required=max(map(_version, _since(self.api))),
            has_streams=streams,
            uses=uses,
            readers=self._readers(everything),
        ).strip("\n")
        prefix = self.api.prefix
        path = [
            "#ifndef _WIN32",
            "#include <dlfcn.h>",
            "#endif",
            "",
            "// Where the library that answers lies.",
            f"static const char *{prefix}_path(void) {{",
            "#ifndef _WIN32",
            "    Dl_info info;",
            f"    if (dladdr((void *){prefix}_abi_version, &info) && info.dli_fname) return info.dli_fname;",
            "#endif",
            '    return "an unknown place";',
            "}",
            "",
        ]
        head, *directives = self._preamble(body, [])
        self._write("library.go", body, ["#define _GNU_SOURCE", head, *path, *directives])

    def _readers(self, code: str) -> list[str]:
        """The functions that copy or take what C gives, as far as they are used."""
        used = set(re.findall(r"\b((?:copy|take)(?:Text|JSON|Octets|Ints|Floats|Texts|Pairs))\(", code))
        used |= {"copyTexts"} if used & {"takeTexts", "copyPairs", "takePairs"} else set()
        used |= {"copyPairs"} if "takePairs" in used else set()
        used |= {f"copy{name[4:]}" for name in used if name.startswith("take")}
        texts = f"C.{self.api.prefix}_str"
        readers = {**READERS, "Texts": ("[]string", texts, ""), "Pairs": ("map[string]string", texts, "")}
        lines = []
        for name, (go_type, c_type, expression) in readers.items():
            if f"copy{name}" in used and name in ("Texts", "Pairs"):
                lines.append(_COLLECTIONS[name].replace("TEXT", texts))
            elif f"copy{name}" in used and name != "Text":
                lines.append(f"func copy{name}(data *{c_type}, size C.size_t) {go_type} {{\n\treturn {expression}\n}}")
            if f"take{name}" in used:
                lines.append(
                    f"func take{name}(data *{c_type}, size C.size_t) {go_type} {{\n\tdefer free(data)\n\treturn copy{name}(data, size)\n}}"
                )
        return lines

    def _layout(self) -> None:
        names, prefix = self.lowering.names, self.api.prefix
        structs = [
            GoStruct(
                names.parameter(struct.name),
                f"{prefix}_{struct.name}",
                [],
                [GoField(member.name, names.field(member.name), [], []) for member in members(struct, self.api)],
            )
            for struct in self.api.structs.values()
        ]
        body = render(self.templates, "layout.go.j2", structs=structs).strip("\n")
        doc = f"Package layout says how cgo lays out the structs of lib{self.api.name}, for the test that it is as C does."
        self._write("internal/layout/layout.go", body, [f"#include <lib{self.api.name}.h>"], "layout", doc)


_COLLECTIONS = {
    "Texts": """func copyTexts(data *TEXT, size C.size_t) []string {
	if data == nil {
		return nil
	}
	texts := make([]string, size)
	for i, text := range unsafe.Slice(data, size) {
		texts[i] = copyText(text.data, text.len)
	}
	return texts
}""",
    "Pairs": """func copyPairs(data *TEXT, size C.size_t) map[string]string {
	texts := copyTexts(data, size)
	pairs := make(map[string]string, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		pairs[texts[i]] = texts[i+1]
	}
	return pairs
}""",
}


@cache
def _templates() -> Environment:
    """Compiled once: two APIs share them."""
    return environment(Path(__file__).parent / "templates")


def _imports(body: str) -> list[str]:
    """The imports that code needs: found in it, so that none is missing and none is idle."""
    code = "\n".join(line.partition("//")[0] for line in body.split("\n"))
    used = set(re.findall(r"(?<![\w.\"])([a-z]+)\.[A-Z]", code))
    standard = sorted(f'"{path}"' for name, path in STANDARD.items() if name in used)
    own = sorted(f'"{path}"' for name, path in OWN.items() if name in used)
    return [*standard, *([""] if standard and own else []), *own]


def _since(api: Api) -> list[str]:
    since = [
        thing.since for things in (api.structs, api.enums, api.handles, api.callbacks) for thing in things.values()
    ]
    since += [function.since for function in api.functions]
    return since + [field.since for struct in api.structs.values() for field in struct.fields]


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
