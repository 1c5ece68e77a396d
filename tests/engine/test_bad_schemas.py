"""Schemas that lead nowhere or back to themselves are refused before anything is generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mullama
import pytest
from ask import answer, user

Code = mullama.ErrorCode


def definitions(start: Any, **named: Any) -> dict[str, Any]:
    return {"$defs": named, **(start if isinstance(start, dict) else {"$ref": f"#/$defs/{start}"})}


def chain(length: int, link: Callable[[dict[str, str]], Any]) -> dict[str, Any]:
    """Definitions of which each refers to the next one."""
    named = {f"a{i}": link({"$ref": f"#/$defs/a{i + 1}"}) for i in range(length)}
    return definitions("a0", **named, **{f"a{length}": {"type": "string"}})


def within(property: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": property}, "required": ["x"]}


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    return wrap(nested(depth - 1, wrap)) if depth else {"type": "string"}


# Each of them ended the process, or took more memory than there is, or more time than anybody waits.
BAD: dict[str, tuple[Any, Code, str]] = {
    "a whole that refers to itself": ({"$ref": "#"}, Code.INVALID_SCHEMA, "unsupported $ref #"),
    "a definition that is itself": (definitions("a", a={"$ref": "#/$defs/a"}), Code.INVALID_SCHEMA, "#/$defs/a leads to itself"),
    "two that are each other": (definitions("a", a={"$ref": "#/$defs/b"}, b={"$ref": "#/$defs/a"}), Code.INVALID_SCHEMA, "#/$defs/a leads to itself"),
    "a choice with itself": (definitions("a", a={"anyOf": [{"$ref": "#/$defs/a"}, {"const": 1}]}), Code.INVALID_SCHEMA, "#/$defs/a leads to itself"),
    "a property that is merged with its whole": (definitions("a", a=within({"allOf": [{"$ref": "#/$defs/a"}]})), Code.INVALID_SCHEMA, "#/$defs/a leads to itself through allOf"),
    "a merge of two that are each other": (
        definitions({"allOf": [{"$ref": "#/$defs/a"}]}, a={"$ref": "#/$defs/b"}, b={"$ref": "#/$defs/a"}), Code.INVALID_SCHEMA, "leads to itself"),
    "a long way of references": (chain(4000, lambda next: next), Code.INVALID_SCHEMA, "levels deep"),
    "a long way of properties": (chain(4000, within), Code.INVALID_SCHEMA, "levels deep"),
    "a long way in a circle": (definitions("a0", **{f"a{i}": within({"$ref": f"#/$defs/a{(i + 1) % 2000}"}) for i in range(2000)}), Code.INVALID_SCHEMA, "levels deep"),
    "more references than anybody has": (chain(5000, within), Code.INVALID_SCHEMA, "references"),
    "types that multiply": (nested(100, lambda inner: {"type": ["object", "object"], "properties": {"x": inner}, "required": ["x"]}), Code.INVALID_SCHEMA, "parts"),
    "merges that multiply": (
        chain(60, lambda next: {"type": "object", "properties": {"x": {"allOf": [next]}, "y": {"allOf": [next]}}, "required": ["x", "y"]}), Code.INVALID_SCHEMA, "parts"),
    "choices that multiply": (chain(60, lambda next: {"anyOf": [next, next]}), Code.INVALID_SCHEMA, "alternatives"),
    "one thing under many names": (
        definitions({"anyOf": [{"$ref": f"#/$defs/x/{'0' * i}"} for i in range(1, 100)]}, x=[{"type": "array", "items": [{"type": "string"}] * 20_000}]), Code.INVALID_SCHEMA, "parts"),
    "thousands of optional properties": ({"type": "object", "properties": {f"x{i}": {"type": "string"} for i in range(3000)}}, Code.INVALID_SCHEMA, "3000 properties"),
    "names that add up": (nested(100, lambda inner: {"type": "object", "properties": {"x" * 10_000: inner}, "required": ["x" * 10_000]}), Code.INVALID_SCHEMA, "too long"),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_and_the_streams_beside_it_stay_the_same_to_the_byte(watched, name):
    schema, code, message = BAD[name]
    with watched.beside(), pytest.raises(mullama.Error) as caught:
        answer(watched.engine, "completions", prompt="the", max_tokens=2, json_schema=schema)
    assert caught.value.code == code
    assert message in str(caught.value)


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_in_a_tool(watched, name):
    schema, code, message = BAD[name]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": schema}, "$defs": schema.get("$defs", {})}}}
    with watched.beside(), pytest.raises(mullama.Error) as caught:
        answer(watched.engine, "chat/completions", messages=user("the"), max_tokens=2, tools=[tool])
    assert caught.value.code == code
    assert message in str(caught.value)


def test_large_schemas_are_read(engine):
    """What generators of schemas write: many definitions, deep ones, circles through lists and properties."""
    many = definitions(
        {"type": "object", "properties": {f"x{i}": {"$ref": f"#/$defs/a{i}"} for i in range(200)}, "required": [f"x{i}" for i in range(200)]},
        **{f"a{i}": within({"type": "array", "items": {"$ref": f"#/$defs/a{(i * 7) % 200}"}}) for i in range(200)},
    )
    for schema in (many, chain(300, within), definitions("a", a={"anyOf": [{"type": "null"}, within({"$ref": "#/$defs/a"})]})):
        found = answer(engine, "completions", prompt="the", max_tokens=20, temperature=0, json_schema=schema)
        assert found["usage"]["completion_tokens"] > 0


def test_a_recursion_that_ends_is_kept_to(engine):
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}}, "additionalProperties": False}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": tree}}
    found = answer(engine, "completions", prompt="the", max_tokens=60, temperature=0, json_schema=schema)["choices"][0]["text"]
    assert found.lstrip().startswith("{")
