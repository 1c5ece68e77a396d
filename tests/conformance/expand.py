"""Conformance cases as runners read them: checked against the description, setups in place, paths and long values filled in.

`python tests/conformance/expand.py FOLDER LANGUAGE` writes into a folder the models, `cases.jsonl`, a case a line, and
`negated.jsonl`, the same cases with an expectation turned around, all of which must fail.
The words of both forms stand in README.md.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "codegen"), str(HERE), str(ROOT / "tests" / "tools")]

import outcome  # noqa: E402
from jsonschema import Draft202012Validator  # noqa: E402
from mullama_codegen.api import Api, Value  # noqa: E402
from mullama_codegen.build import load_api  # noqa: E402
from mullama_codegen.targets.conformance.calls import Call, Calls  # noqa: E402

CASES = HERE / "cases"
OPENINGS = HERE / "openings.json"
REFERENCE = re.compile(r"\$([a-z][a-z0-9_]*)((?:\.\w+|\[-?\d+\])*)(?:\[:(\d+)\])?")
PART = re.compile(r"\.(\w+)|\[(-?\d+)\]")


@dataclass
class Case:
    """One case as written; `id` is area/name."""

    area: str
    name: str
    steps: list[dict[str, Any]]
    recorded: bool = False

    @property
    def id(self) -> str:
        return f"{self.area}/{self.name}"

    def calls(self) -> Iterator[str]:
        for step in self.steps:
            if "call" in step:
                yield step["call"]


@dataclass
class Places:
    """What the placeholders ${tiny}, ${files} and ${scratch} stand for; each case has a scratch folder of its own."""

    tiny: Path
    files: Path
    scratch: Path
    made: int = field(default=0)

    def of_case(self, text: str) -> dict[str, str]:
        places = {"tiny": str(self.tiny), "files": str(self.files)}
        if "${scratch}" in text:
            self.made += 1
            folder = self.scratch / str(self.made)
            folder.mkdir(parents=True)
            places["scratch"] = str(folder)
        return places


def load(folder: Path = CASES) -> list[Case]:
    """All cases in the order of their files. Raises ValueError with every mistake in them."""
    api = load_api(ROOT / "abi" / "spec")
    validator = Draft202012Validator(json.loads((HERE / "schema.json").read_text(encoding="utf-8")))
    cases: list[Case] = []
    mistakes: list[str] = []
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        found = [f"{path.name}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(data)]
        if not found and data["area"] != path.stem:
            found = [f"{path.name}: the area is {data['area']}"]
        mistakes += found
        if not found:
            cases += [_case(data, one) for one in data["cases"]]
    cases += examples(api)
    names = [case.id for case in cases]
    mistakes += [f"{name}: there are two cases of this name" for name in sorted({n for n in names if names.count(n) > 1})]
    checker = _Checker(api)
    mistakes += [mistake for case in cases for mistake in checker.mistakes(case)]
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return cases


def _case(data: dict[str, Any], one: dict[str, Any]) -> Case:
    setup = data["setups"][one["setup"]] if "setup" in one else []
    return Case(data["area"], one["name"], [*setup, *one["steps"]], one.get("recorded", False))


def examples(api: Api) -> list[Case]:
    """The cases that the description itself gives, as examples of its functions."""
    openings = json.loads(OPENINGS.read_text(encoding="utf-8"))
    cases = []
    for function in api.functions:
        on = "" if function.static else function.on
        opening = openings[on] if on else []
        for number, example in enumerate(function.examples, 1):
            step = {"call": function.name, **({"on": f"${on}"} if on else {}), **example}
            cases.append(Case(function.area, f"{function.name}: example {number} of the description", [*opening, step]))
    return cases


def expand(case: Case, places: Places) -> dict[str, Any]:
    """The case as runners read it."""
    texts = places.of_case(json.dumps(case.steps))
    return {"case": case.id, "steps": [_expanded(step, texts) for step in case.steps]}


def negated(case: dict[str, Any]) -> dict[str, Any]:
    """The expanded case up to its last check, which now expects something else: a runner that lets it pass checks nothing."""
    last = max(index for index, step in enumerate(case["steps"]) if set(step) & {"expect", "error", "status"})
    step = dict(case["steps"][last])
    if "expect" in step:
        expected = step["expect"]
        double = isinstance(expected, dict) and set(expected) == {"not"}
        step["expect"] = expected["not"] if double else {"not": expected}
    elif "error" in step:
        step["error"] = "INTERNAL"
    else:
        step["status"] = "waiting" if step["status"] == "end" else "end"
    return {"case": case["case"], "steps": [*case["steps"][:last], step]}


def _expanded(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, str):
        return _expanded_text(value, places)
    if isinstance(value, list):
        return [_expanded(item, places) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _expanded(item, places) for key, item in value.items()}
    match sorted(value):
        case ["fill", "length"] | ["at", "fill", "length"]:
            array = [value["fill"]] * value["length"]
            for index, item in value.get("at", {}).items():
                array[int(index)] = item
            return array
        case ["repeat", "times"]:
            return value["repeat"] * value["times"]
        case ["range"]:
            return list(range(*value["range"]))
        case ["concat"]:
            whole = value["concat"][0]
            for part in value["concat"][1:]:
                whole = whole + part
            return whole
        case ["base64"]:
            return {"hex": base64.b64decode(value["base64"]).hex()}
        case ["utf8"]:
            return {"hex": value["utf8"].encode().hex()}
        case ["byte", "flip"]:
            return value["flip"] | {"flip": value["byte"]}
    return value


def _expanded_text(text: str, places: dict[str, str]) -> Any:
    if text.startswith("$$"):
        return text[1:]
    reference = REFERENCE.fullmatch(text)
    if reference:
        name, path, cut = reference.groups()
        parts = [part[0] or int(part[1]) for part in PART.findall(path)]
        return {"ref": name} | ({"path": parts} if parts else {}) | ({"cut": int(cut)} if cut else {})
    for name, place in places.items():
        text = text.replace(f"${{{name}}}", place)
    return text


class _Checker:
    """Finds what the description does not have, so that a slip in a case is not taken for a gap of the library."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.calls: dict[str, Call] = {call.name: call for call in Calls(api).all()}
        self.codes = {code.name for code in api.codes}

    def mistakes(self, case: Case) -> Iterator[str]:
        bound: set[str] = set()
        for number, step in enumerate(case.steps, 1):
            place = f"{case.id}: step {number}"
            for name in self._references([step.get(key) for key in ("on", "args", "check", "expect")]):
                if name not in bound:
                    yield f"{place}: nothing is bound to {name}"
            if "call" in step:
                yield from (f"{place}: {mistake}" for mistake in self._call(step))
            bound |= {step["as"]} if "as" in step else set()
            bound |= {one["as"] for one in step.get("args", {}).values() if isinstance(one, dict) and "as" in one}

    def _call(self, step: dict[str, Any]) -> Iterator[str]:
        call = self.calls.get(step["call"])
        if call is None:
            yield f"there is no function {step['call']}"
            return
        if bool(call.on) != ("on" in step):
            yield f"{call.name} is called {f'on a {call.on}' if call.on else 'on nothing'}"
        if ("collect" in step or "status" in step) and call.kind != "stream":
            yield f"{call.name} is no stream"
        if "error" in step and step["error"] not in self.codes:
            yield f"there is no error {step['error']}"
        elif "error" in step and step["error"] not in _possible(call):
            yield f"{call.name} does not name {step['error']} among its errors"
        yield from self._values(call.name, call.function.params, step.get("args", {}), True)

    def _values(self, owner: str, values: tuple[Value, ...], given: dict[str, Any], required: bool) -> Iterator[str]:
        known = {value.name: value for value in values}
        yield from (f"{owner} has no {name}" for name in given if name not in known)
        for value in values:
            if value.name in given:
                yield from self._value(f"{owner}.{value.name}", value, given[value.name])
            elif required and not (value.has_default or value.optional or value.nullable or value.unset is not None):
                yield f"{owner} needs {value.name}"

    def _value(self, place: str, value: Value, given: Any) -> Iterator[str]:
        kind = value.type.kind
        if kind == "options" and isinstance(given, dict):
            yield from self._values(value.type.name, self.api.structs[value.type.name].fields, given, False)
        if kind in ("enum", "flags"):
            members = {member.name for member in self.api.enums[value.type.name].members}
            names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
            yield from (f"{place} has no member {name}" for name in names if name not in members)

    def _references(self, value: Any) -> Iterator[str]:
        if isinstance(value, str) and (found := REFERENCE.fullmatch(value)):
            yield found[1]
        for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
            yield from self._references(item)


def _possible(call: Call) -> set[str]:
    """The errors that a call may end with. One that cannot fail still tells a closed object."""
    return {*call.function.errors, "INTERNAL", "INVALID_ARGUMENT", *(["CLOSED"] if not call.function.fallible else [])}


def _gap(case: Case, language: str) -> dict[str, str]:
    reason = outcome.gap_of(case.id, language)
    return {"gap": reason} if reason else {}


def main() -> None:
    import files
    import tiny_models

    if len(sys.argv) != 3:
        raise SystemExit(f"usage: {sys.argv[0]} FOLDER LANGUAGE")
    folder = Path(sys.argv[1])
    places = Places(folder / "tiny", folder / "files", folder / f"scratch-{sys.argv[2]}")
    tiny_models.write_all(places.tiny)
    files.write_all(places.files, places.tiny)
    cases = load()
    write([expand(case, places) | _gap(case, sys.argv[2]) for case in cases], folder / "cases.jsonl")
    write([negated(expand(case, places)) for case in cases], folder / "negated.jsonl")


def write(cases: list[dict[str, Any]], path: Path) -> None:
    """Expanded cases, one a line."""
    lines = [json.dumps(case) for case in cases]
    path.write_text("\n".join([*lines, ""]), encoding="ascii")


if __name__ == "__main__":
    main()
