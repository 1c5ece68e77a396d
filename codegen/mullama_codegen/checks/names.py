"""Rules for names: declared once, and free in every language after its spelling and its exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..languages import LANGUAGES, Language
from ..references import ALWAYS_THERE
from .spec import DECLARATION_ORDER, Spec

Name = tuple[str, str, str, str]  # source, path, kind, spec name

C_RESERVED = {
    "out": "the result",
    "out_len": "the result",
    "err": "the error",
    "timeout_ms": "a stream",
    "out_status": "a stream",
}


def check(spec: Spec) -> None:
    if _declared_once(spec):
        _c_symbols(spec)
        _c_variables(spec)
        _flattened_options(spec)
        _collisions(spec)
    _keywords(spec)
    _exceptions(spec)


def _declared_once(spec: Spec) -> bool:
    """Whether nothing is declared twice; the other rules would repeat it in their own words."""
    before = len(spec.messages.lines)
    types: dict[str, str] = {}
    functions: dict[str, str] = {}
    for area in spec.raw.areas:
        for section in (*DECLARATION_ORDER, "objects", "functions"):
            seen = functions if section == "functions" else types
            for name in area.data.get(section, {}):
                if name in seen:
                    spec.messages.add(area.source, f"{section}.{name}", f"is declared twice, see {seen[name]}")
                seen.setdefault(name, f"{area.source}: {section}.{name}")
    return len(spec.messages.lines) == before


def _c_symbols(spec: Spec) -> None:
    """Types, functions and constants share one name space in C."""
    prefix = spec.raw.data["prefix"]
    taken = {f"{prefix}_{name}": "always there" for name in (*ALWAYS_THERE, "str", "error")}
    upper = prefix.upper()
    taken |= {f"{upper}_{name}": "always there" for name in ("OK", "API", "BUILD", "ABI_VERSION", "DEPRECATED")}
    taken |= {f"{upper}_STATUS_{name}": "always there" for name in ("WAITING", "ITEM", "DONE", "CANCELLED")}
    taken |= {f"{upper}_E_{code}": "an error code" for code in spec.codes}
    for section in (*DECLARATION_ORDER, "functions"):
        for area, name, data, path in spec.things(section):
            symbols = {f"{prefix}_{name}": path}
            if section in ("structs", "options"):
                symbols[f"{prefix}_{name}_init"] = path
            if section == "handles":
                symbols |= {f"{prefix}_{name}_{ending}": path for ending in ("close", "free")}
            symbols |= {
                f"{prefix}_{name}_{member}".upper(): f"{path}.values.{member}" for member in data.get("values", {})
            }
            for symbol, at in symbols.items():
                if symbol in taken:
                    spec.messages.add(area.source, at, f"the C name {symbol} is taken ({taken[symbol]})")
                taken.setdefault(symbol, at)


def _c_variables(spec: Spec) -> None:
    """A sequence becomes two C variables, a callback as well; results and streams add their own."""
    for section, key in (
        ("functions", "params"),
        ("callbacks", "params"),
        ("structs", "fields"),
        ("options", "fields"),
    ):
        for area, _, data, path in spec.things(section):
            taken = {"struct_size": "the size of the struct"} if key == "fields" else dict(C_RESERVED)
            if section == "callbacks":
                taken = {"user": "the pointer for the callback"}
            if data.get("on") and not data.get("static"):
                taken[_spelled(spec, "c", data["on"])] = "the receiver"
            for name, value in data.get(key, {}).items():
                type_ = spec.type(value["type"])
                spelled = _spelled(spec, "c", name)
                variables = [spelled]
                if type_ and type_.is_sequence:
                    variables.append(f"{spelled}_len")
                if type_ and type_.kind == "callback":
                    variables.append(f"{spelled}_user")
                for variable in variables:
                    if variable in taken:
                        spec.messages.add(
                            area.source, f"{path}.{key}.{name}", f"the C name {variable} is taken ({taken[variable]})"
                        )
                    taken.setdefault(variable, name)


def _flattened_options(spec: Spec) -> None:
    """Languages with keyword arguments put the fields of options beside the parameters."""
    for area, _, data, path in spec.things("functions"):
        params = data.get("params", {})
        taken = {
            name: f"the parameter {name}"
            for name, param in params.items()
            if spec.kinds.get(param["type"]) != "options"
        }
        for name, param in params.items():
            if spec.kinds.get(param["type"]) != "options":
                continue
            for field in spec.fields(param["type"]):
                if field in taken:
                    text = f"{field} of {param['type']} is also {taken[field]}; as keyword arguments they collide"
                    spec.messages.add(area.source, f"{path}.params.{name}", text)
                taken.setdefault(field, f"a field of {param['type']}")


def _all_names(spec: Spec) -> Iterator[Name]:
    """Every name that some language shows."""
    for section in DECLARATION_ORDER:
        for area, name, data, path in spec.things(section):
            yield area.source, path, "type", name
            for member in data.get("values", {}):
                yield area.source, f"{path}.values.{member}", "member", member
            for field in data.get("fields", {}):
                yield area.source, f"{path}.fields.{field}", "field", field
                if section == "options":
                    yield area.source, f"{path}.fields.{field}", "parameter", field
            for param in data.get("params", {}):
                yield area.source, f"{path}.params.{param}", "parameter", param
    for area, name, data, path in spec.things("objects"):
        yield area.source, path, "type", name
        for key in ("fields", "shortcuts"):
            for field in data.get(key, {}):
                yield area.source, f"{path}.{key}.{field}", "field", field
    for area, name, _, path in spec.things("routes"):
        yield area.source, path, "method", name
    for area, name, data, path in spec.things("functions"):
        yield from _function_names(area.source, name, data, path)
        for param in data.get("params", {}):
            yield area.source, f"{path}.params.{param}", "parameter", param
    for area, name, _, path in spec.things("handles"):
        yield area.source, path, "parameter", name  # the receiver


def _function_names(source: str, name: str, data: dict[str, Any], path: str) -> Iterator[Name]:
    on = data.get("on")
    if "text_generation" in data:
        for key, method in data["text_generation"].items():
            yield source, f"{path}.text_generation.{key}", "method", method
    elif on:
        method = name.removeprefix(f"{on}_")
        yield source, path, "method", method.removeprefix("get_") if data.get("property") else method
    else:
        yield source, path, "function", name


def _scopes(spec: Spec, language: Language) -> Iterator[list[Name]]:
    """Groups of names that must differ from each other in a language."""
    types: list[Name] = [
        (area.source, path, "type", name)
        for section in (*DECLARATION_ORDER, "objects")
        for area, name, _, path in spec.things(section)
    ]
    functions: list[Name] = [
        (area.source, path, "function", name)
        for area, name, data, path in spec.things("functions")
        if not data.get("on")
    ]
    if language.name != "c":  # its symbols have their own rule
        yield from [types + functions] if language.one_namespace else [types, functions]
    for handle in spec.handles:
        methods: list[Name] = [("", "", "method", "close")]
        for area, name, data, path in spec.things("functions"):
            if data.get("on") == handle:
                methods += _function_names(area.source, name, data, path)
        for area, name, data, path in spec.things("routes"):
            if data["on"] == handle and language.name != "c":  # which sends requests as they are
                methods.append((area.source, path, "method", name))
        yield methods
    for section, key, kind in (
        *(
            ("structs", "fields", "field"),
            ("options", "fields", "field"),
            ("enums", "values", "member"),
            ("flags", "values", "member"),
        ),
        *(("functions", "params", "parameter"), ("callbacks", "params", "parameter")),
    ):
        for area, _, data, path in spec.things(section):
            yield [(area.source, f"{path}.{key}.{name}", kind, name) for name in data.get(key, {})]


def _collisions(spec: Spec) -> None:
    """Names that become one in some languages. What C refuses already is not said again."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for language in LANGUAGES.values():
        for scope in _scopes(spec, language):
            taken: dict[str, Name] = {}
            for name in scope:
                source, path, kind, word = name
                spelled = language.spell(kind, _spelled(spec, language.name, word))
                key = spelled.lower() if language.ignores_case and kind in ("type", "function", "method") else spelled
                other = taken.setdefault(key, name)
                if other[:2] != (source, path):
                    found.setdefault((source, path, other[1] or f"the {other[3]} of every handle"), []).append(
                        language.name
                    )
    refused = {tuple(line.split(": ")[:2]) for line in spec.messages.lines}
    for (source, path, twin), languages in found.items():
        if (source, path) not in refused:
            spec.messages.add(source, path, f"has the same name as {twin} in {', '.join(languages)}")


def _keywords(spec: Spec) -> None:
    found: dict[tuple[str, str, str], list[str]] = {}
    for language in LANGUAGES.values():
        for source, path, kind, word in _all_names(spec):
            spelled = language.spell(kind, _spelled(spec, language.name, word))
            # C++ includes the C header: the keywords of neither can be parameters or fields there.
            judges = (
                [language, LANGUAGES["cpp"]] if language.name == "c" and kind in language.keywords_in else [language]
            )
            if any(judge.is_keyword(kind, spelled) for judge in judges):
                languages = found.setdefault((source, path, word), [])
                if language.name not in languages:
                    languages.append(language.name)
    for (source, path, word), languages in found.items():
        text = f"{word} is a keyword of {', '.join(languages)}; name it otherwise in names/<language>.yaml"
        spec.messages.add(source, path, text)


def _exceptions(spec: Spec) -> None:
    known = {name for _, _, _, name in _all_names(spec)} | set(spec.functions)
    for language, (source, exceptions) in spec.raw.names.items():
        if language not in LANGUAGES:
            spec.messages.add(source, "", f"unknown language; there are {', '.join(LANGUAGES)}")
        for word in exceptions:
            if word not in known:
                spec.messages.add(source, word, "is not used by the description")


def _spelled(spec: Spec, language: str, name: str) -> str:
    exceptions = spec.raw.names.get(language, ("", {}))[1]
    return exceptions[name]["name"] if name in exceptions else name
