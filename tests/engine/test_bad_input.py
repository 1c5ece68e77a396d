"""Bad input gets a typed error, and the streams beside it do not notice: their outputs stay the same to the byte."""

from __future__ import annotations

from typing import Any

import mullama
import pytest
import rewrite
from ask import answer, user
from healthy import Healthy

Code = mullama.ErrorCode

DEEP = "[" * 5_000_000 + "]" * 5_000_000
CHAT = {"messages": user("the"), "max_tokens": 4}
ONE = {"prompt": "the", "max_tokens": 4}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def tool(**function: Any) -> dict[str, Any]:
    return {**CHAT, "tools": [{"type": "function", "function": {"name": "f", **function}}]}


def schema(value: Any) -> dict[str, Any]:
    return {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}}


BAD: dict[str, tuple[str, Any, Code, str]] = {
    "not JSON": ("completions", "{prompt: 1}", Code.INVALID_JSON, "not JSON"),
    "10 MB of brackets": ("completions", DEEP, Code.INVALID_JSON, "5000000 deep"),
    "50 KB of garbage": ("completions", "\x01\x7f" * 25_000, Code.INVALID_JSON, "not JSON"),
    "a lone surrogate": ("completions", '{"prompt": "\\ud800"}', Code.INVALID_JSON, "not JSON"),
    "a number beyond all": ("completions", '{"prompt": "a", "temperature": 1e999}', Code.INVALID_JSON, "not JSON"),
    "a list for an object": ("completions", "[1]", Code.INVALID_ARGUMENT, "the body"),
    "no text at all": ("completions", "{", Code.INVALID_JSON, "not JSON"),
    "a lone surrogate in a chat": ("chat/completions", '{"messages": [{"role": "user", "content": "\\udfff"}]}', Code.INVALID_JSON, "not JSON"),
    "half a pair of surrogates in a name": ("chat/completions", '{"\\ud83d": 1}', Code.INVALID_JSON, "not JSON"),
    "a text of 3 MB that is no JSON": ("completions", '"' + "x" * 3_000_000, Code.INVALID_JSON, "not JSON"),
    "a number of 1 MB": ("completions", '{"prompt": "a", "seed": ' + "9" * 1_000_000 + "}", Code.INVALID_JSON, "not JSON"),
    "a name of 1 MB": ("completions", {**ONE, "é" * 500_000: 1}, Code.INVALID_ARGUMENT, "é... does not exist"),
    "an unknown route": ("chat", CHAT, Code.INVALID_ARGUMENT, "no route"),
    "an unknown field": ("chat/completions", {**CHAT, "temprature": 1}, Code.INVALID_ARGUMENT, "temprature"),
    "an unknown field deep inside": ("chat/completions", {"messages": [{"role": "user", "content": "x", "weight": 1}]}, Code.INVALID_ARGUMENT, "messages[0].weight"),
    "a negative n_discard": ("completions", {**ONE, "n_discard": -5}, Code.INVALID_ARGUMENT, "n_discard"),
    "an extreme temperature": ("completions", {**ONE, "temperature": 3.4e38}, Code.INVALID_ARGUMENT, "temperature"),
    "an extreme penalty": ("completions", {**ONE, "repeat_penalty": 1e-40}, Code.INVALID_ARGUMENT, "repeat_penalty"),
    "an extreme bias": ("completions", {**ONE, "logit_bias": {"5": 1e30}}, Code.INVALID_ARGUMENT, "logit_bias.5"),
    "a bias on no token": ("completions", {**ONE, "logit_bias": [[99999, 1]]}, Code.INVALID_ARGUMENT, "99999"),
    "a token that does not exist": ("completions", {"prompt": [1, 2, 999999]}, Code.INVALID_TOKEN, "prompt[2]"),
    "a negative token": ("completions", {"prompt": [-1]}, Code.INVALID_TOKEN, "prompt[0]"),
    "10,000 stop texts": ("completions", {**ONE, "stop": [str(i) for i in range(10_000)]}, Code.INVALID_ARGUMENT, "stop"),
    "an empty stop text": ("completions", {**ONE, "stop": [""]}, Code.INVALID_ARGUMENT, "stop[0]"),
    "no tokens": ("completions", {**ONE, "prompt": []}, Code.INVALID_ARGUMENT, "prompt"),
    "context overflow by one": ("completions", {"prompt": [5] * 256}, Code.CONTEXT_FULL, "256 tokens"),
    "context overflow by ten times": ("completions", {"prompt": [5] * 2560}, Code.CONTEXT_FULL, "2560 tokens"),
    "%llguidance": ("completions", {**ONE, "grammar": "%llguidance {}"}, Code.INVALID_GRAMMAR, "llguidance"),
    "a left-recursive grammar": ("completions", {**ONE, "grammar": 'root ::= root "a" | "b"'}, Code.INVALID_GRAMMAR, "left recursion"),
    "a grammar that explodes": ("completions", {**ONE, "grammar": "root ::= (([a-z]{1,9999}){1,9999}){1,9999}"}, Code.INVALID_GRAMMAR, "too many ways"),
    "a grammar of optional parts": ("completions", {**ONE, "grammar": "root ::= (" + '"a"? ' * 40 + ")*"}, Code.INVALID_GRAMMAR, "too many ways"),
    "a grammar of 10,000 words": ("completions", {**ONE, "grammar": "root ::= " + " | ".join(f'"x{i}"' for i in range(10_000))}, Code.INVALID_GRAMMAR, "1024 ways"),
    "a grammar of brackets": ("completions", {**ONE, "grammar": "root ::= " + "(" * 100_000}, Code.INVALID_GRAMMAR, "nested"),
    "a grammar without its rule": ("completions", {**ONE, "grammar": "root ::= x"}, Code.INVALID_GRAMMAR, '"x"'),
    "an endless choice": ("completions", {**ONE, "response_format": {"type": "choice", "choices": []}}, Code.INVALID_ARGUMENT, "choices"),
    "a regular expression that is none": ("completions", {**ONE, "response_format": {"type": "regex", "regex": "[a-"}}, Code.INVALID_GRAMMAR, "regular expression"),
    "a schema that needs itself": ("chat/completions", schema({"$ref": "#/nowhere"}), Code.INVALID_SCHEMA, "nowhere"),
    "a schema with a pattern that does not compile": ("chat/completions", schema({"type": "string", "pattern": "^(["}), Code.INVALID_SCHEMA, "pattern"),
    "a schema that cannot be enforced": ("chat/completions", schema({"type": "object", "not": {}}), Code.INVALID_SCHEMA, "not"),
    "a schema of 10,000 alternatives": ("chat/completions", schema({"anyOf": [{"const": f"x{i}"} for i in range(10_000)]}), Code.INVALID_GRAMMAR, "1024 ways"),
    "a schema that is itself": ("chat/completions", schema({"$ref": "#"}), Code.INVALID_SCHEMA, "$ref #"),
    "a definition that is itself": ("chat/completions", schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), Code.INVALID_SCHEMA, "itself"),
    "two definitions that are each other": ("chat/completions", schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}), Code.INVALID_SCHEMA, "itself"),
    "a choice with itself": ("chat/completions", schema({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"const": 1}]}}}), Code.INVALID_SCHEMA, "itself"),
    "a schema with a pattern of half a group": ("chat/completions", schema({"type": "string", "pattern": "^(?:$"}), Code.INVALID_SCHEMA, 'pattern is "^(?:$"'),
    "a schema with a pattern of 1 MB": ("chat/completions", schema({"type": "string", "pattern": "^" + "x" * 1_000_000 + "["}), Code.INVALID_SCHEMA, "pattern"),
    "a schema with a name of 1 MB": ("chat/completions", schema({"type": "object", "properties": {"x" * 1_000_000: {"not": {}}}}), Code.INVALID_SCHEMA, "properties.xxx"),
    "a schema with a bound that is none": ("chat/completions", schema({"type": "string", "minLength": "x"}), Code.INVALID_SCHEMA, "minLength"),
    "a schema with a type that does not exist": ("chat/completions", schema({"type": "strnig"}), Code.INVALID_SCHEMA, "strnig"),
    "a grammar with a name of 1 MB": ("completions", {**ONE, "grammar": "root ::= " + "x" * 1_000_000}, Code.INVALID_GRAMMAR, "used but not defined"),
    "a format that does not exist": ("chat/completions", {**CHAT, "response_format": {"type": "xml"}}, Code.INVALID_ARGUMENT, "response_format.type"),
    "two constraints": ("completions", {**ONE, "grammar": 'root ::= "a"', "json_schema": {}}, Code.INVALID_ARGUMENT, "json_schema"),
    "a tool with a broken schema": ("chat/completions", tool(parameters={"$ref": "#/nowhere"}), Code.INVALID_SCHEMA, "nowhere"),
    "a tool with a schema that is itself": ("chat/completions", tool(parameters={"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}), Code.INVALID_SCHEMA, "itself"),
    "a tool with a pattern that does not compile": ("chat/completions", tool(parameters={"type": "object", "properties": {"x": {"type": "string", "pattern": "^([$"}}}), Code.INVALID_SCHEMA, "pattern"),
    "a tool with a schema of a type that does not exist": ("chat/completions", tool(parameters={"type": "object", "properties": {"x": {"type": "strnig"}}}), Code.INVALID_SCHEMA, "strnig"),
    "a tool with a schema that is a list": ("chat/completions", tool(parameters=[]), Code.INVALID_ARGUMENT, "tools[0].function.parameters"),
    "a choice of 10 MB": ("chat/completions", {**CHAT, "tools": [TOOL], "tool_choice": "x" * 10_000_000}, Code.INVALID_ARGUMENT, 'tool_choice is "xxx'),
    "a choice of a tool with a name of 10 MB": (
        "chat/completions", {**CHAT, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x" * 10_000_000}}}, Code.INVALID_ARGUMENT, 'tool_choice.function.name is "xxx'),
    "a tool with a name of 1 MB": ("chat/completions", {**CHAT, "tools": [{"type": "function", "function": {"name": "x" * 1_000_000}}]}, Code.INVALID_ARGUMENT, "tools[0].function.name"),
    "a tool without a name": ("chat/completions", {**CHAT, "tools": [{"type": "function", "function": {}}]}, Code.INVALID_ARGUMENT, "tools[0].function.name"),
    "a tool that is none": ("chat/completions", {**CHAT, "tools": [{"type": "web_search"}]}, Code.INVALID_ARGUMENT, "tools[0]"),
    "a choice of a tool that is not there": (
        "chat/completions", {**CHAT, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, Code.INVALID_ARGUMENT, "tool_choice.function.name"),
    "an image without a projector": (
        "chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]},
        Code.UNSUPPORTED, "messages[0].content[0] is an image"),
    "an image that is no base64": (
        "chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@@"}}]}]},
        Code.UNSUPPORTED, "messages[0].content[0] is an image"),
    "sound that is no base64": (
        "chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "@@@@", "format": "wav"}}]}]},
        Code.UNSUPPORTED, "messages[0].content[0] is sound"),
    "a kind of content of 1 MB": ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "x" * 1_000_000}]}]}, Code.INVALID_ARGUMENT, "messages[0].content[0].type"),
    "a kind of block of 1 MB": ("messages", {"messages": [{"role": "user", "content": [{"type": "x" * 1_000_000}]}]}, Code.INVALID_ARGUMENT, 'messages[0].content[0].type is "xxx'),
    "a mark that only programs use": ("chat/completions", {"messages": user("\ufdd0")}, Code.INVALID_ARGUMENT, "U+FDD0"),
    "a message without a role": ("chat/completions", {"messages": [{"content": "x"}]}, Code.INVALID_ARGUMENT, "messages[0].role"),
    "a message that is none": ("chat/completions", {"messages": ["x"]}, Code.INVALID_ARGUMENT, "messages[0]"),
    "no messages": ("chat/completions", {"messages": []}, Code.INVALID_ARGUMENT, "messages"),
    "an unknown block": ("messages", {"messages": [{"role": "user", "content": [{"type": "document"}]}]}, Code.INVALID_ARGUMENT, "messages[0].content[0].type"),
    "a stored response": ("responses", {"input": "x", "previous_response_id": "y"}, Code.INVALID_ARGUMENT, "previous_response_id"),
    "a tool of the platform": ("responses", {"input": "x", "tools": [{"type": "web_search"}]}, Code.INVALID_ARGUMENT, "tools[0].type"),
    "more answers than slots": ("completions", {**ONE, "n": 5}, Code.INVALID_ARGUMENT, "n is 5"),
    "a slot that does not exist": ("completions", {**ONE, "id_slot": 4}, Code.INVALID_ARGUMENT, "id_slot"),
    "an adapter that does not exist": ("completions", {**ONE, "lora": [{"id": 0, "scale": 1}]}, Code.INVALID_ARGUMENT, "lora[0].id"),
    "a file with a name of 60 KB": ("slots", {"action": "restore", "id_slot": 0, "path": "x" * 60_000}, Code.FILE_UNREADABLE, "xxx..."),
    "a sampler that does not exist": ("completions", {**ONE, "samplers": ["luck"]}, Code.INVALID_ARGUMENT, "luck"),
    "embeddings of a generating engine": ("embeddings", {"input": "x"}, Code.UNSUPPORTED, "mode embed"),
    "reranking with a generating engine": ("rerank", {"query": "x", "documents": ["y"]}, Code.UNSUPPORTED, "mode rerank"),
    "a token beyond the vocabulary to text": ("detokenize", {"tokens": [99999]}, Code.INVALID_TOKEN, "tokens[0]"),
}


def send(engine: mullama.Engine, route: str, body: Any) -> Any:
    return answer(engine, route, **body) if isinstance(body, dict) else engine.request(route, body)


@pytest.mark.parametrize("name", BAD)
def test_each_is_a_typed_error_and_the_streams_beside_it_stay_the_same_to_the_byte(watched, name):
    route, body, code, message = BAD[name]
    with watched.beside(), pytest.raises(mullama.Error) as caught:
        send(watched.engine, route, body)
    assert caught.value.code == code, caught.value
    assert message in str(caught.value)
    assert len(str(caught.value)) < 2000


FIELDS: dict[str, Any] = {
    "stream": 1, "max_tokens": "x", "n": [], "stop": 5, "seed": "x", "ignore_eos": "yes", "logit_bias": 5, "response_format": "json", "grammar": 5,
    "temperature": "hot", "top_k": 1.5, "top_p": True, "min_p": {}, "mirostat": 0.5, "samplers": "k", "dry_sequence_breakers": "x", "lora": {},
    "cache_prompt": "no", "n_keep": "x", "priority": "high", "deadline_ms": 0, "messages": "x", "tools": {}, "tool_choice": 1, "logprobs": 3, "top_logprobs": -1,
    "chat_template_kwargs": [], "model": 5, "user": 5, "id_slot": 1.5, "stream_options": 1, "reasoning_effort": 5, "parallel_tool_calls": 1,
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_type_names_its_field(engine, field):
    with pytest.raises(mullama.ArgumentError, match=field):
        answer(engine, "chat/completions", **{**CHAT, field: FIELDS[field]})


@pytest.mark.parametrize("number", [-1e308, -(2**63), -1, 2**31, 2**63, 1e308])
def test_huge_and_negative_numbers_are_refused_or_harmless_everywhere(engine, number):
    names = [
        "max_tokens", "n", "seed", "temperature", "dynatemp_range", "dynatemp_exponent", "top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold",
        "min_keep", "mirostat_tau", "mirostat_eta", "adaptive_target", "adaptive_decay", "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty", "dry_multiplier",
        "dry_base", "dry_allowed_length", "dry_penalty_last_n", "n_keep", "n_discard", "n_cache_reuse", "n_indent", "t_max_predict_ms", "id_slot", "logprobs", "deadline_ms",
    ]  # fmt: skip
    for name in names:
        try:
            found = answer(engine, "completions", **{"prompt": "the", "max_tokens": 2, name: number})
        except mullama.ArgumentError as error:
            assert name in str(error)
        else:
            assert found["usage"]["completion_tokens"] >= 1


def test_a_model_without_a_template_cannot_chat(open_engine, tiny, tmp_path):
    rewrite.write(tiny / "llama.gguf", tmp_path / "plain.gguf", without="tokenizer.chat_template")
    engine = open_engine(tmp_path / "plain.gguf")
    with pytest.raises(mullama.Error) as caught:
        answer(engine, "chat/completions", **CHAT)
    assert caught.value.code == Code.NO_TEMPLATE
    assert answer(engine, "completions", **ONE)["usage"]["completion_tokens"] == 4


def test_a_template_that_raises_is_an_error_of_the_template(open_engine):
    engine = open_engine(chat_template="{% if messages[0].content == 'bad' %}{{ raise_exception('no such word') }}{% endif %}the", max_buffered=8)
    assert answer(engine, "chat/completions", **CHAT)["usage"]["completion_tokens"] == 4
    with Healthy(engine).beside(), pytest.raises(mullama.Error, match="no such word") as caught:
        answer(engine, "chat/completions", messages=user("bad"))
    assert caught.value.code == Code.TEMPLATE_FAILED


def test_what_a_template_raises_is_shortened(open_engine):
    engine = open_engine(chat_template="{% if messages[0].content | length > 9 %}{{ raise_exception(messages[0].content) }}{% endif %}the", max_buffered=8)
    with Healthy(engine).beside(), pytest.raises(mullama.Error, match="bad bad") as caught:
        answer(engine, "chat/completions", messages=user("bad " * 100_000))
    assert caught.value.code == Code.TEMPLATE_FAILED
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("mark", ["\ufdd05\ufdd1", "\ufdd0x\ufdd1", "\ufdd0\ufdd1", "\ufdd0" + "9" * 40 + "\ufdd1", "\ufdd0", "\ufdd1"])
def test_marks_that_only_programs_use_stay_what_they_are_where_they_may_stand(watched, mark):
    """What the assistant said and what tools are given is not looked through for special tokens, and so has no marks of the library."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": mark}}}
    messages = [*user("the <|im_end|>"), {"role": "assistant", "content": mark, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "the"}]
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": mark}}}
    with watched.beside():
        prompt = answer(watched.engine, "apply-template", messages=messages, tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])["prompt"]
    assert prompt.count(mark) >= 3
    assert "the <|im_end|>" in prompt


@pytest.mark.parametrize(
    ("mode", "route", "body", "message"),
    [
        ("embed", "chat/completions", CHAT, "mode generate; this one was opened with mode embed"),
        ("embed", "completions", ONE, "mode generate; this one was opened with mode embed"),
        ("embed", "infill", {"input_prefix": "a", "input_suffix": "b"}, "mode generate; this one was opened with mode embed"),
        ("embed", "rerank", {"query": "x", "documents": ["y"]}, "mode rerank; this one was opened with mode embed"),
        ("rerank", "messages", {"messages": user("the"), "max_tokens": 2}, "mode generate; this one was opened with mode rerank"),
        ("rerank", "embeddings", {"input": "x"}, "mode embed; this one was opened with mode rerank"),
    ],
)
def test_what_an_engine_is_not_for_is_refused(open_engine, watched, mode, route, body, message):
    engine = open_engine("bert.gguf", mode=mode, n_ctx=64)
    with watched.beside(), pytest.raises(mullama.Error) as caught:
        answer(engine, route, **body)
    assert caught.value.code == Code.UNSUPPORTED
    assert message in str(caught.value)


def test_a_model_that_reads_only_is_not_opened_to_write(open_engine, watched):
    with watched.beside(), pytest.raises(mullama.Error) as caught:
        open_engine("bert.gguf")
    assert caught.value.code == Code.UNSUPPORTED
    assert "mode embed" in str(caught.value)


def test_an_engine_that_is_given_up_before_it_is_ready(tiny, watched):
    """There is nothing to ask before the engine is open; who does not want to wait stops the load."""
    with watched.beside(), pytest.raises(mullama.Error) as caught:
        mullama.Engine(tiny / "llama.gguf", progress=lambda _: False)
    assert caught.value.code == Code.CANCELLED


def test_requests_after_close_are_refused(open_engine, watched):
    engine = open_engine()
    engine.close()
    with watched.beside():
        for route, body in (("completions", ONE), ("chat/completions", CHAT), ("props", {})):
            with pytest.raises(mullama.Error) as caught:
                engine.request(route, body)
            assert caught.value.code == Code.CLOSED
            assert "the engine was closed" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"chat_template": "{% if %}"}, Code.TEMPLATE_FAILED, "template"),
        ({"chat_template": "{{ raise_exception('always') }}"}, Code.TEMPLATE_FAILED, "always"),
        ({"n_ubatch": 1024, "n_batch": 512}, Code.INVALID_ARGUMENT, "n_ubatch"),
        ({"n_slots": 64, "n_batch": 32, "n_ubatch": 32}, Code.INVALID_ARGUMENT, "n_batch"),
        ({"lora": ["missing.gguf"]}, Code.FILE_NOT_FOUND, "missing.gguf"),
        ({"projector": "missing.gguf"}, Code.FILE_NOT_FOUND, "missing.gguf"),
        ({"template_arguments": [1]}, Code.INVALID_JSON, "template_arguments"),
        ({"vocab_only": True}, Code.INVALID_ARGUMENT, "vocab_only"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(open_engine, options, code, message):
    with pytest.raises(mullama.Error, match=message) as caught:
        open_engine(**options)
    assert caught.value.code == code


def test_a_model_without_a_vocabulary_is_no_engine(open_engine):
    with pytest.raises(mullama.Error) as caught:
        open_engine("no-vocabulary.gguf")
    assert caught.value.code == Code.NO_VOCABULARY
