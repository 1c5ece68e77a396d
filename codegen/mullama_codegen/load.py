"""Reads the files of one description into plain data; refuses what is not safe YAML or not of the schema's form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from . import strict_yaml
from .messages import Messages

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMAS = REPOSITORY / "abi" / "spec" / "schema"


@dataclass
class RawArea:
    """One area file as written."""

    source: str  # path as messages show it
    data: dict[str, Any]


@dataclass
class RawSpec:
    """A folder of description files as written. `folder` is where outputs of this API lie, relative to the repository."""

    folder: str
    source: str  # of api.yaml
    data: dict[str, Any] = field(default_factory=dict)
    areas: list[RawArea] = field(default_factory=list)
    names: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # language -> source, exceptions


def shown(path: Path, root: Path) -> str:
    """The path as messages show it: relative to the root where it lies inside."""
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else f"{path.parent.name}/{path.name}"


def load(spec: Path, root: Path = REPOSITORY) -> RawSpec:
    """Loads api.yaml, the areas that it names, and names/*.yaml. Raises SpecError with every message."""
    messages = Messages()
    raw = RawSpec(folder=Path(shown(spec, root)).parent.as_posix(), source=shown(spec / "api.yaml", root))
    raw.data = _read(spec / "api.yaml", raw.source, "api", messages)
    messages.raise_if_any()
    for area in raw.data["areas"]:
        path = spec / f"{area}.yaml"
        source = shown(path, root)
        data = _read(path, source, "area", messages)
        if data and data["area"] != area:
            messages.add(source, "area", f'is "{data["area"]}", but the file is named {area}.yaml')
        raw.areas.append(RawArea(source, data))
    for path in sorted(spec.glob("*.yaml")):
        if path.stem != "api" and path.stem not in raw.data["areas"]:
            messages.add(shown(path, root), "", "is not among the areas of api.yaml")
    for path in sorted((spec / "names").glob("*.yaml")):
        raw.names[path.stem] = (shown(path, root), _read(path, shown(path, root), "names", messages))
    messages.raise_if_any()
    return raw


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{schema}.json").read_text()))


def _read(path: Path, source: str, schema: str, messages: Messages) -> dict[str, Any]:
    try:
        data = strict_yaml.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        messages.add(source, "", "does not exist")
        return {}
    except ValueError as error:
        messages.add(source, "", str(error))
        return {}
    if data is None and schema == "names":
        return {}
    mistakes = sorted(
        _validator(schema).iter_errors(data), key=lambda mistake: [str(part) for part in mistake.absolute_path]
    )
    for mistake in mistakes:
        messages.add(source, ".".join(str(part) for part in mistake.absolute_path), _sentence(mistake))
    return {} if mistakes else data


def _sentence(error: ValidationError) -> str:
    """What the schema refuses, in the words of the description language."""
    schema: Any = error.schema
    value: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        allowed = schema.get("properties", {})
        return f"unknown key {', '.join(repr(key) for key in instance if key not in allowed)}".replace("'", '"')
    if error.validator == "required":
        missing = [key for key in value if key not in instance]
        return f"lacks {', '.join(repr(key) for key in missing)}".replace("'", '"')
    if error.validator == "pattern":
        form = {"^[a-z]": "snake_case", "^[A-Z]": "UPPER_CASE", "^(0|": 'a version such as "0.1"'}
        return (
            f'"{instance}" is not {next((text for start, text in form.items() if value.startswith(start)), "a name")}'
        )
    return error.message
