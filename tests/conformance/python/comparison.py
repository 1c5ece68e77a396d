"""Whether a result is what a case expects; the matchers are those of README.md."""

from __future__ import annotations

import math
from typing import Any

NUMBERS = ("inf", "-inf", "nan")


def mismatch(expected: Any, found: Any) -> str | None:
    """None if the result is as expected, otherwise where and how it differs."""
    if isinstance(expected, dict) and expected and set(expected) <= {*MATCHERS, "tolerance"}:
        for word, operand in expected.items():
            if word == "tolerance":
                continue
            if word == "close":
                reason = _not_close(operand, found, expected.get("tolerance", 1e-4))
            else:
                reason = MATCHERS[word](operand, found)
            if reason:
                return reason
        return None
    return _not_equal(expected, found)


def _not_equal(expected: Any, found: Any, exactly: bool = False) -> str | None:
    if _is_number(found) and (_is_number(expected) or expected in NUMBERS):
        number = float(expected) if isinstance(expected, str) else expected
        same = number == found or (math.isnan(number) and math.isnan(found))
        return None if same else f"{found!r} is not {expected!r}"
    if type(expected) is not type(found):
        return f"{_shown(found)} is not {_shown(expected)}"
    if isinstance(found, list):
        if len(expected) != len(found):
            return f"{_shown(found)} has {len(found)} items, not {len(expected)}: {_shown(expected)}"
        pairs = [(f"[{index}]", one, other) for index, (one, other) in enumerate(zip(expected, found, strict=True))]
    elif isinstance(found, dict):
        if exactly and set(expected) != set(found):
            return f"the keys are {sorted(found)}, not {sorted(expected)}"
        pairs = [(key, one, found.get(key)) for key, one in expected.items()]
    else:
        return None if expected == found else f"{_shown(found)} is not {_shown(expected)}"
    for place, one, other in pairs:
        reason = _not_equal(one, other, True) if exactly else mismatch(one, other)
        if reason:
            return f"{place}: {reason}"
    return None


def _not_close(expected: Any, found: Any, tolerance: float) -> str | None:
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{len(found)} items, not {len(expected)}"
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            reason = _not_close(one, other, tolerance)
            if reason:
                return f"[{index}]: {reason}"
        return None
    if not _is_number(found) or not (_is_number(expected) or expected in NUMBERS):
        return f"{_shown(found)} is no number near {_shown(expected)}"
    wanted = float(expected)
    if not (math.isfinite(wanted) and math.isfinite(found)):
        return _not_equal(expected, found)
    return None if abs(wanted - found) <= tolerance else f"{found!r} is not within {tolerance} of {expected!r}"


def _lacks(parts: Any, found: Any) -> str | None:
    for part in parts if isinstance(parts, list) else [parts]:
        if isinstance(found, list):
            has = any(mismatch(part, item) is None for item in found)
        else:
            has = isinstance(found, str) and isinstance(part, str) and part in found
        if not has:
            return f"{_shown(found)} does not contain {_shown(part)}"
    return None


def _length(expected: Any, found: Any) -> str | None:
    length = 0 if found is None else len(found.encode()) if isinstance(found, str) else len(found)
    reason = mismatch(expected, length)
    return f"length: {reason}" if reason else None


def _at(expected: dict[str, Any], found: Any) -> str | None:
    for place, one in expected.items():
        if not -len(found) <= int(place) < len(found):
            return f"[{place}] is not there"
        if reason := mismatch(one, found[int(place)]):
            return f"[{place}]: {reason}"
    return None


def _every(expected: Any, found: list[Any]) -> str | None:
    for index, item in enumerate(found):
        if reason := mismatch(expected, item):
            return f"[{index}]: {reason}"
    return None


def _begins(start: str, found: Any) -> str | None:
    begins = isinstance(found, str) and found.startswith(start)
    return None if begins else f"{_shown(found)} does not begin with {start!r}"


def _at_least(limit: float, found: Any) -> str | None:
    return None if _is_number(found) and found >= limit else f"{_shown(found)} is not at least {limit}"


def _at_most(limit: float, found: Any) -> str | None:
    return None if _is_number(found) and found <= limit else f"{_shown(found)} is not at most {limit}"


def _one_of(choices: list[Any], found: Any) -> str | None:
    fits = any(mismatch(choice, found) is None for choice in choices)
    return None if fits else f"{_shown(found)} is none of {_shown(choices)}"


def _argmax(expected: Any, found: list[float]) -> str | None:
    reason = mismatch(expected, max(range(len(found)), key=found.__getitem__))
    return f"argmax: {reason}" if reason else None


MATCHERS: dict[str, Any] = {
    "close": _not_close,
    "exactly": lambda expected, found: _not_equal(expected, found, True),
    "contains": _lacks,
    "not": lambda expected, found: None if mismatch(expected, found) else f"{_shown(found)} is not wanted",
    "at": _at,
    "length": _length,
    "argmax": _argmax,
    "begins": _begins,
    "at_least": _at_least,
    "at_most": _at_most,
    "one_of": _one_of,
    "every": _every,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 400 else text[:397] + "..."
