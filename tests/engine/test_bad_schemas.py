"""Schemas that lead nowhere or back to themselves are refused before anything is generated."""

from __future__ import annotations

import mullama
import pytest
from ask import answer, user

BAD = {
    "a whole that refers to itself": {"$ref": "#"},
    "a definition that is itself": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    "two that are each other": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "a choice with itself": {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"const": 1}]}}},
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused(engine, name):
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": BAD[name]}}}
    with pytest.raises(mullama.Error) as caught:
        answer(engine, "chat/completions", messages=user("the"), max_tokens=2, **body)
    assert caught.value.code in (mullama.ErrorCode.INVALID_SCHEMA, mullama.ErrorCode.INVALID_GRAMMAR)
    assert answer(engine, "completions", prompt="the", max_tokens=2, ignore_eos=True)["usage"]["completion_tokens"] == 2


def test_a_recursion_that_ends_is_kept_to(engine):
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}}, "additionalProperties": False}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": tree}}
    found = answer(engine, "completions", prompt="the", max_tokens=60, temperature=0, json_schema=schema)["choices"][0]["text"]
    assert found.lstrip().startswith("{")
