"""What a release promises: `released.json` beside a description holds every fact that programs were built on.

A later description may add, but not change or take away. `python -m mullama_codegen --release VERSION` writes the file when a
version is released; every other run compares with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .api import Api, Value
from .messages import Messages, SpecError
from .targets.c.layout import layout, members
from .targets.c.lower import Lowering

FILE = "released.json"
Facts = dict[str, dict[str, Any]]
GONE = object()

# Section → what to do instead of changing one of its facts.
ADVICE = {
    "functions": "a function keeps its declaration; leave this one, deprecate it, and add another one beside it",
    "results": "who owns a result, and whether it may be none, stays; add another function beside it",
    "callbacks": "a callback keeps its declaration; add another one beside it",
    "handles": "the thread rule and the parent of a handle stay; add another handle",
    "structs": "fields keep their type and place, and new ones stand behind them; leave this one and add another at the end",
    "constants": "a constant keeps its value; leave this one and add another with a value of its own",
    "defaults": "a new default changes programs that are not compiled again; leave this one and add another option",
    "limits": "a limit may become wider, not narrower",
}


def facts(api: Api) -> Facts:
    """Everything in a description that must stay, by section."""
    lowering = Lowering(api)
    prefix, upper = api.prefix, api.prefix.upper()
    found: Facts = {section: {} for section in ADVICE}
    for area in lowering.areas():
        found["functions"] |= {function.name: function.signature for function in area.functions}
        found["callbacks"] |= {callback.name.strip("(*)"): callback.signature for callback in area.callbacks}
    for function in api.functions:
        if function.returns and (function.returns.type.is_sequence or function.returns.nullable):
            found["results"][f"{prefix}_{function.name}"] = _ownership(function.returns)
        _value_facts(found, function.params, f"{prefix}_{function.name}")
    for handle in api.handles.values():
        parent = f", keeps its {handle.keeps_alive} alive" if handle.keeps_alive else ""
        found["handles"][f"{prefix}_{handle.name}"] = f"{handle.thread}{parent}"
    for struct in api.structs.values():
        where = layout(struct, api)
        places = {one.name: f"{one.type} at {where.offsets[one.name]}" for one in members(struct, api)}
        found["structs"][f"{prefix}_{struct.name}"] = {"size": where.size, "members": places}
        _value_facts(found, struct.fields, f"{prefix}_{struct.name}")
    for enum in api.enums.values():
        names = {f"{upper}_{enum.name.upper()}_{member.name.upper()}": member.value for member in enum.members}
        found["constants"] |= names
    found["constants"] |= {f"{upper}_E_{code.name}": code.value for code in api.codes}
    return found


def check(api: Api, spec: Path) -> list[str]:
    """How a description breaks what was released, a line for each; none if it does not, or nothing is released yet."""
    path = spec / FILE
    if not path.is_file():
        return []
    released = json.loads(path.read_text(encoding="utf-8"))
    version, messages = released["version"], Messages()
    if version is None:
        return []
    source, now = f"{api.folder}/spec/{FILE}", facts(api)
    for section, frozen in released["facts"].items():
        for name, fact in frozen.items():
            difference = _difference(section, fact, now[section].get(name, GONE))
            if difference:
                messages.add(source, f"{section}.{name}", f"{difference} (released in {version}): {ADVICE[section]}")
    for name, since in _since(api).items():
        known = any(name in released["facts"][section] for section in ("functions", "structs", "constants"))
        known |= any(
            name == f"{struct}.{member}"
            for struct, one in released["facts"]["structs"].items()
            for member in one["members"]
        )
        if not known and _packed(since) <= _packed(version):
            messages.add(source, name, f"is not in the release {version}, so its `since` must be newer than {since}")
    return messages.lines


def freeze(api: Api, spec: Path, version: str) -> Path:
    """Writes the facts of a version that is being released. Raises SpecError where it cannot be released."""
    if version != api.version:
        raise SpecError(
            [f"{api.folder}/spec/api.yaml: version: is {api.version}, not {version}; releasing starts there"]
        )
    broken = check(api, spec)
    if broken:
        raise SpecError(broken)
    path = spec / FILE
    path.write_text(
        json.dumps({"version": version, "facts": facts(api)}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return path


def _ownership(value: Value) -> str:
    words = [f"borrowed {value.borrowed}" if value.borrowed else "owned"]
    return ", ".join([*words, *(["may be none"] if value.nullable else [])])


def _value_facts(found: Facts, values: tuple[Value, ...], owner: str) -> None:
    for value in values:
        name = f"{owner}.{value.name}"
        if value.has_default or value.unset is not None:
            found["defaults"][name] = value.default if value.default is not None else value.unset
        if value.min is not None or value.max is not None:
            found["limits"][name] = [value.min, value.max]


def _difference(section: str, was: Any, now: Any) -> str:
    """What became of a fact; "" if it is as it was, or better."""
    if now is GONE:
        return f"was {json.dumps(was)}, and is gone" if section != "limits" else ""  # no limit is the widest
    if section == "limits":
        narrower = (now[0] is not None and (was[0] is None or now[0] > was[0])) or (
            now[1] is not None and (was[1] is None or now[1] < was[1])
        )
        return f"was {was[0]} to {was[1]}, and is {now[0]} to {now[1]}" if narrower else ""
    if section != "structs":
        return f"was {json.dumps(was)}, and is {json.dumps(now)}" if was != now else ""
    before, after = list(was["members"].items()), list(now["members"].items())
    for index, (name, place) in enumerate(before):
        if index >= len(after) or after[index] != (name, place):
            found = "nothing" if index >= len(after) else f"{after[index][0]}, {after[index][1]}"
            return f"had {name}, {place}, where it has {found}"
    return f"had {was['size']} bytes, and has {now['size']}" if now["size"] < was["size"] else ""


def _since(api: Api) -> dict[str, str]:
    """The version that brought each function, struct, field and constant."""
    prefix, upper = api.prefix, api.prefix.upper()
    found = {f"{prefix}_{function.name}": function.since for function in api.functions}
    for struct in api.structs.values():
        found[f"{prefix}_{struct.name}"] = struct.since
        found |= {f"{prefix}_{struct.name}.{api.name_in('c', field.name)}": field.since for field in struct.fields}
    for enum in api.enums.values():
        found |= {f"{upper}_{enum.name.upper()}_{member.name.upper()}": member.since for member in enum.members}
    return found | {f"{upper}_E_{code.name}": code.since for code in api.codes}


def _packed(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)
