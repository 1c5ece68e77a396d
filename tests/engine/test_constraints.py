"""Answers keep to a schema, a regular expression, a choice or a grammar: streamed or not, with tools, after thinking.

The model of bytes says anything, so nothing but the constraint makes its answers valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import families
import jsonschema
import mullama
import pytest
from ask import answer, events, user

WORD = {"type": "string", "minLength": 1, "maxLength": 8}

SCHEMAS: dict[str, Any] = {
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "number": {"type": "number"},
    "integer in a range": {"type": "integer", "minimum": -12, "maximum": 340},
    "integer above a bound": {"type": "integer", "exclusiveMinimum": 99, "maximum": 100_000},
    "string of a length": {"type": "string", "minLength": 3, "maxLength": 5},
    "string with a pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{1,4}(x|yz)?$"},
    "uuid": {"type": "string", "format": "uuid"},
    "enumeration": {"enum": ["red", 5, None, True, 'a "quoted" \\ text', "naïve €"]},
    "constant": {"const": {"a": [1, 2.5, "é"]}},
    "list of a length": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "tuple": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": "x"}], "minItems": 2, "maxItems": 2},
    "object": {"type": "object", "properties": {"name": WORD, "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name"], "additionalProperties": False},
    "optional properties": {"type": "object", "properties": {name: {"type": "boolean"} for name in "abcd"}, "required": ["c"], "additionalProperties": False},
    "nested objects": {
        "type": "object",
        "properties": {"list": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"x": WORD}, "required": ["x"], "additionalProperties": False}}},
        "required": ["list"],
        "additionalProperties": False,
    },
    "alternatives": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"const": "none"}, {"type": "array", "items": {"type": "null"}, "maxItems": 2}]},
    "several types": {"type": ["boolean", "null"]},
    "references": {
        "$defs": {"point": {"type": "object", "properties": {"x": {"enum": [0, 1]}, "y": {"enum": [0, 1]}}, "required": ["x", "y"], "additionalProperties": False}},
        "type": "object",
        "properties": {"from": {"$ref": "#/$defs/point"}, "to": {"$ref": "#/$defs/point"}},
        "required": ["from", "to"],
        "additionalProperties": False,
    },
    "all of several": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]},
        ]
    },
}

# Keywords of JSON Schema that llama.cpp's grammar ignores, where a schema with them would be met by chance only.
UNENFORCEABLE: dict[str, Any] = {
    "not": {"type": "integer", "not": {"const": 3}},
    "a condition": {"type": "object", "properties": {"a": {"type": "boolean"}}, "if": {"required": ["a"]}, "then": {"required": ["b"]}},
    "multiples": {"type": "integer", "multipleOf": 7},
    "a range of numbers": {"type": "number", "minimum": 0, "maximum": 1},
    "unique items": {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
    "a contained item": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 5}},
    "names by a pattern": {"type": "object", "patternProperties": {"^x": {"type": "null"}}},
    "a number of properties": {"type": "object", "minProperties": 3},
    "an unknown format": {"type": "string", "format": "email"},
    "a repeated escape in a pattern": {"type": "string", "pattern": "^x\\.{2}$"},
    "a pattern with a length": {"type": "string", "pattern": "^[a-z]{1,9}$", "maxLength": 2},
    "a format with a length": {"type": "string", "format": "date", "maxLength": 3},
    "a property that is only required": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["b"]},
    "alternatives beside properties": {"type": "object", "properties": {"a": {"type": "boolean"}}, "anyOf": [{"required": ["a"]}]},
    "all of several beside properties": {"properties": {"a": {"type": "boolean"}}, "allOf": [{"properties": {"b": {"type": "null"}}}]},
    "a reference beside a bound": {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n", "minimum": 1000},
    "a dynamic reference": {"$dynamicRef": "#x"},
    "items beyond a tuple": {"type": "array", "items": [{"type": "boolean"}], "additionalItems": False},
    "an empty range": {"type": "integer", "minimum": 5, "maximum": 3},
    "a pattern without ends": {"type": "string", "pattern": "[0-9]+"},
    "a pattern that looks ahead": {"type": "string", "pattern": "^(?=a)[a-z]+$"},
    "a pattern deep inside": {"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": [{"type": "string", "pattern": "x"}]}}}},
}


@pytest.fixture(scope="module")
def speaking(bytes_model) -> Any:
    """An engine that says random bytes."""
    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    with mullama.Engine(bytes_model, chat_template=template, n_ctx=4096, n_slots=2, n_threads=1) as engine:
        yield engine


def asked_for_schema(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def text_of(engine: mullama.Engine, route: str, streams: bool, **body: Any) -> str:
    """The text of an answer that ends by itself; from its deltas where it is streamed."""
    body = {"max_tokens": 2000, "temperature": 1, **body}
    body |= {"prompt": "say"} if route == "completions" else {"messages": user("say")}
    if not streams:
        choice = answer(engine, route, **body)["choices"][0]
        assert choice["finish_reason"] == "stop"
        return choice["text"] if route == "completions" else choice["message"]["content"]
    choices = [choice for event in events(engine, route, **body) for choice in event["choices"]]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    return "".join(choice["text"] if route == "completions" else choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_are_valid_under_their_schema(speaking, name, streams):
    schema = SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for seed in range(4):
        route = ["chat/completions", "completions"][seed % 2]
        text = text_of(speaking, route, streams, seed=seed, **asked_for_schema(schema))
        validator.validate(json.loads(text))


@pytest.mark.parametrize("name", UNENFORCEABLE)
def test_a_schema_that_cannot_be_enforced_is_refused_before_anything_is_said(speaking, name):
    before = answer(speaking, "metrics")["prompt_tokens_total"]
    for route, body in (("chat/completions", {"messages": user("say")}), ("completions", {"prompt": "say"})):
        with pytest.raises(mullama.Error, match="cannot be enforced") as caught:
            speaking.request(route, {**body, **asked_for_schema(UNENFORCEABLE[name])})
        assert caught.value.code == mullama.ErrorCode.INVALID_SCHEMA
    assert answer(speaking, "metrics")["prompt_tokens_total"] == before


def matches(pattern: str) -> Callable[[str], object]:
    return lambda text: re.fullmatch(pattern, text)


CONSTRAINTS: dict[str, tuple[dict[str, Any], Callable[[str], object]]] = {
    "digits": ({"response_format": {"type": "regex", "regex": r"[0-9]{3}-[0-9]{2,4}"}}, matches(r"[0-9]{3}-[0-9]{2,4}")),
    "alternatives": ({"response_format": {"type": "regex", "regex": "^(ab|cd?)+[^a-z ]$"}}, matches(r"(ab|cd?)+[^a-z ]")),
    "special characters": ({"response_format": {"type": "regex", "regex": r'"\[x\]\."{1,2}-é?\\{1,3}'}}, matches(r'"\[x\]\."{1,2}-é?\\{1,3}')),
    "one choice": ({"response_format": {"type": "choice", "choices": ["only"]}}, matches("only")),
    "choices with a common start": ({"response_format": {"type": "choice", "choices": ["yes", "yes!", "yesterday"]}}, matches("yes|yes!|yesterday")),
    "any text as a choice": ({"response_format": {"type": "choice", "choices": ['"', "\\", "\n", "é😀", "<|im_end|>"]}}, matches(r'"|\\|\n|é😀|<\|im_end\|>')),
    "a grammar": ({"grammar": 'root ::= ("a" | word) " " [0-9]{2}\nword ::= [x-z]{3,6}'}, matches("(a|[x-z]{3,6}) [0-9]{2}")),
    "a grammar as a format": ({"response_format": {"type": "grammar", "grammar": 'root ::= "é" [€-₭]'}}, matches("é[€-₭]")),
    "a recursive grammar": ({"grammar": 'root ::= "(" root? ")"', "logit_bias": {}}, matches(r"\(+\)+")),
    "a date, by its form": (asked_for_schema({"type": "string", "format": "date"}), matches(r'"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"')),
    "any JSON object of a schema": ({"response_format": {"type": "json_object", "schema": SCHEMAS["object"]}}, lambda text: "name" in json.loads(text)),
}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_answers_keep_to_their_constraint(speaking, name, streams):
    constraint, holds = CONSTRAINTS[name]
    for seed in range(4):
        text = text_of(speaking, ["chat/completions", "completions"][seed % 2], streams, seed=seed, **constraint)
        assert holds(text), text


def message_of(engine: mullama.Engine, streams: bool, **body: Any) -> dict[str, Any]:
    """The message of a chat; its texts from the deltas where it is streamed."""
    body = {"messages": user("say"), "temperature": 1, **body}
    if not streams:
        choice = answer(engine, "chat/completions", **body)["choices"][0]
        return {"finish_reason": choice["finish_reason"], **choice["message"]}
    message: dict[str, Any] = {"content": "", "reasoning_content": ""}
    for event in events(engine, "chat/completions", **body):
        for choice in event["choices"]:
            message["finish_reason"] = choice["finish_reason"]
            for name in ("content", "reasoning_content"):
                message[name] += choice["delta"].get(name) or ""
    return message


# llama.cpp's own readers of these families make no grammar of a schema: it is refused, as it could not be kept to.
SCHEMA_REFUSED = {"Kimi-K2-Instruct", "Kimi-K2-Thinking", "Kimi-K3", "moonshotai-Kimi-K2", "GigaChat3-10B-A1.8B", "inclusionai-ling-3.0-flash", "meetkai-functionary-medium-v3.2"}
# A random model does not find the end of their thinking by itself, and llama.cpp does not force these.
ENDLESS_THOUGHT = {"Apriel-1.6-15b-Thinker-fixed", "google-gemma-4-31B-it-interleaved", "google-gemma-4-31B-it", "muse-glimmer", "openai-gpt-oss-120b", "unsloth-mistral-Devstral-Small-2507"}
# llama.cpp ends a thinking that the template has ended already, and then its grammar has no place to go on from.
ENDS_THE_THOUGHT_TWICE = {"tencent-Hy3"}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_a_schema_holds_in_every_family_and_from_the_end_of_the_thinking_on(family, streams):
    body = {"reasoning_budget_tokens": 12, "chat_template_kwargs": {"enable_thinking": True}, "max_tokens": 400, **asked_for_schema(SCHEMAS["object"])}
    if family.name in SCHEMA_REFUSED:
        with pytest.raises(mullama.GrammarError):
            message_of(family.engine, streams, **body)
        return
    if family.name in ENDS_THE_THOUGHT_TWICE:
        with pytest.raises(mullama.Error, match="empty grammar stack"):
            message_of(family.engine, streams, seed=1, **body)
        return
    prompt = answer(family.engine, "apply-template", messages=user("say"), chat_template_kwargs={"enable_thinking": True})["prompt"]
    begins_to_think = prompt.rstrip().endswith(("<think>", "<think:opensource>", "[THINK]"))
    message = message_of(family.engine, streams, seed=1, **body)
    thought = message.get("reasoning_content") or ""
    if family.name in ENDLESS_THOUGHT:
        assert message["finish_reason"] == "length"
        assert thought
        assert not message["content"]
        return
    assert message["finish_reason"] == "stop"
    jsonschema.validate(json.loads(message["content"]), SCHEMAS["object"])
    if begins_to_think and family.name != "llama-cpp-rwkv-world":  # whose thoughts llama.cpp does not know
        assert thought.strip()
        with pytest.raises(json.JSONDecodeError):
            json.loads(thought)


@pytest.mark.skipif(not families.SOURCE, reason=families.WITHOUT_SOURCE)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", ["CohereForAI-c4ai-command-r-plus-tool_use", "meta-llama-Llama-3.1-8B-Instruct"])
def test_the_arguments_of_a_call_are_valid_under_the_schema_of_the_tool(bytes_model, name, streams):
    schema = SCHEMAS["object"]
    tool = {"type": "function", "function": {"name": "register", "description": "registers", "parameters": schema}}
    body = {"messages": user("say"), "max_tokens": 4000, "temperature": 1, "tools": [tool], "tool_choice": "required", "parallel_tool_calls": False}
    with mullama.Engine(bytes_model, chat_template=families.templates()[name], n_ctx=0, n_slots=1, n_threads=1) as engine:
        for seed in range(3):
            if streams:
                pieces = [
                    call["function"]
                    for event in events(engine, "chat/completions", seed=seed, **body)
                    for choice in event["choices"]
                    for call in choice["delta"].get("tool_calls") or []
                ]
                called = "".join(piece.get("name") or "" for piece in pieces)
                arguments = "".join(piece.get("arguments") or "" for piece in pieces)
            else:
                choice = answer(engine, "chat/completions", seed=seed, **body)["choices"][0]
                assert choice["finish_reason"] == "tool_calls"
                (call,) = choice["message"]["tool_calls"]
                called, arguments = call["function"]["name"], call["function"]["arguments"]
            assert called == "register"
            jsonschema.validate(json.loads(arguments), schema)
