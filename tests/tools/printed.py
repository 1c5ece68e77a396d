"""What the examples of READMEs print."""

from __future__ import annotations

import json
from typing import Any


def answer_in(output: str, key: str) -> dict[str, Any]:
    """The JSON object with a key that a model has written; the first one."""
    decoder = json.JSONDecoder()
    for start in (place for place, character in enumerate(output) if character == "{"):
        try:
            value = decoder.raw_decode(output, start)[0]
        except ValueError:
            continue
        if key in value:
            return dict(value)
    raise AssertionError(f"no object with {key} in {output!r}")
