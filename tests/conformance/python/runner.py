"""Runs expanded conformance cases through the Python binding."""

from __future__ import annotations

import enum
import gc
import json
from pathlib import Path
from typing import Any

import mullama
from comparison import mismatch
from dispatch import CALLS

EVERYTHING = "*"


class CaseFailed(AssertionError):
    """A step did not do what its case expects."""


def run_case(case: dict[str, Any]) -> None:
    """Raises CaseFailed, naming the step."""
    before = mullama.live_objects()
    bindings: dict[str, Any] = {}
    opened: list[Any] = []
    try:
        for number, step in enumerate(case["steps"], 1):
            reason = _run_step(_with_bytes(step), bindings, opened)
            if reason:
                raise CaseFailed(f"step {number} {step.get('call', '')}: {reason}")
    finally:
        bindings.clear()
        while opened:
            opened.pop().close()
    if mullama.live_objects() > before:
        gc.collect()
    if mullama.live_objects() > before:
        raise CaseFailed(f"{mullama.live_objects() - before} objects are left over")


def _run_step(step: dict[str, Any], bindings: dict[str, Any], opened: list[Any]) -> str | None:
    if "truncate_file" in step:
        path = Path(step["truncate_file"])
        path.write_bytes(path.read_bytes()[: step["length"]])
        return None
    if "check" in step:
        return mismatch(_resolve(step["expect"], bindings), _resolve(step["check"], bindings))
    _bind_calls(step.get("args", {}), bindings)
    on = _resolve(step["on"], bindings) if "on" in step else None
    arguments = _resolve(step.get("args", {}), bindings)
    expect = _resolve(step["expect"], bindings) if "expect" in step else None
    more = {"timeout_ms": step["timeout_ms"]} if "timeout_ms" in step else {}
    call, status = CALLS[step["call"]], "end"
    try:
        if "collect" in step:
            result, status = _collect(call, on, more, step)
        else:
            result = call(on, arguments, **more)
            status = "end" if result is None else "item"
    except TimeoutError:
        result, status = None, "waiting"
    except mullama.Error as error:
        return _failure(step, error)
    if isinstance(result, mullama.Log | mullama.Model | mullama.Context | mullama.Sampler | mullama.Generation):
        opened.append(result)
    found = _plain(result)
    if "as" in step:
        bindings[step["as"]] = found
    if "error" in step:
        return f"succeeded with {found!r}, an error was expected"
    if step.get("status", status) != status:
        return f"the status is {status}"
    return mismatch(expect, found) if "expect" in step else None


def _failure(step: dict[str, Any], error: mullama.Error) -> str | None:
    name = error.code.name
    if step.get("error") != name:
        return f"{name} instead of {step['error']}: {error}" if "error" in step else f"{name}: {error}"
    return mismatch({"contains": step["message"]}, str(error)) if "message" in step else None


def _collect(call: Any, on: Any, more: dict[str, Any], step: dict[str, Any]) -> tuple[list[Any], str]:
    items: list[Any] = []
    while len(items) < step.get("limit", 10**6):
        try:
            item = _plain(call(on, {}, **more))
        except TimeoutError:
            return items, "waiting"
        if item is None:
            return items, "end"
        items.append(item if step["collect"] == EVERYTHING else item[step["collect"]])
    return items, "item"


def _bind_calls(arguments: dict[str, Any], bindings: dict[str, Any]) -> None:
    for argument in arguments.values():
        if isinstance(argument, dict) and "answers" in argument:
            argument["calls"] = bindings[argument.get("as", "")] = []


def _resolve(value: Any, bindings: dict[str, Any]) -> Any:
    """The value with every reference replaced by what is bound, or a part of it."""
    if isinstance(value, list):
        return [_resolve(item, bindings) for item in value]
    if not isinstance(value, dict):
        return value
    if "answers" in value:
        return value
    if "ref" not in value:
        return {key: _resolve(item, bindings) for key, item in value.items()}
    found = bindings[value["ref"]]
    for part in value.get("path", ()):
        found = found.get(part) if isinstance(part, str) else found[part]
    if "cut" in value:
        found = found[: value["cut"]]
    if "flip" in value:
        changed = bytearray(found)
        changed[value["flip"]] ^= 1
        found = bytes(changed)
    return found


def _with_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"hex"} and isinstance(value["hex"], str):
        return bytes.fromhex(value["hex"])
    return {key: _with_bytes(item) for key, item in value.items()}


def _plain(value: Any) -> Any:
    """A result as cases write it."""
    if isinstance(value, enum.IntFlag):
        return [member.name.lower() for member in type(value) if member in value]
    if isinstance(value, enum.IntEnum):
        return int(value) if value.name.startswith("UNKNOWN_") else value.name.lower()
    if hasattr(value, "_asdict"):
        return {name.rstrip("_"): _plain(item) for name, item in value._asdict().items()}
    if hasattr(value, "tolist"):
        return value.reshape(-1).tolist()
    if isinstance(value, str) and type(value) is not str:
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def read_cases(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
