"""What the routes answer, checked against the typed layer, which generates on its own."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable
from typing import Any

import mullama
import numpy as np
import pytest
from ask import answer, events, user

GREEDY = {"temperature": 0, "max_tokens": 12}


@pytest.fixture
def reference(llama: mullama.Model) -> Callable[..., mullama.Completion]:
    def generate(*args: Any, **options: Any) -> mullama.Completion:
        with llama.create_context(n_ctx=256, n_threads=1) as context:
            return context.generate(*args, temperature=0, max_tokens=12, **options)

    return generate


def test_a_chat_answers_like_a_context(engine, reference):
    expected = reference(messages=user("how many people"))
    whole = answer(engine, "chat/completions", messages=user("how many people"), **GREEDY)
    assert whole["choices"][0]["message"]["content"] == expected
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"]["prompt_tokens"] == expected.result.n_prompt
    assert whole["usage"]["completion_tokens"] == 12
    assert whole["usage"]["total_tokens"] == expected.result.n_prompt + 12
    assert whole["model"] == "llama"


def test_a_streamed_chat_is_the_whole_one_in_pieces_and_ends_with_usage_and_timings(engine):
    whole = answer(engine, "chat/completions", messages=user("how many people"), **GREEDY)
    pieces = events(engine, "chat/completions", messages=user("how many people"), **GREEDY)
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces[:-1])
    assert text == whole["choices"][0]["message"]["content"]
    assert pieces[-2]["choices"][0]["finish_reason"] == "length"
    assert pieces[-1]["choices"] == []
    assert pieces[-1]["usage"] | {"prompt_tokens_details": None} == whole["usage"] | {"prompt_tokens_details": None}
    assert pieces[-1]["timings"]["predicted_n"] == 12
    assert not any("usage" in piece or "timings" in piece for piece in pieces[:-1])


def test_a_completion_goes_on_from_exactly_the_prompt(engine, reference):
    expected = reference("time made his")
    assert answer(engine, "completions", prompt="time made his", **GREEDY)["choices"][0]["text"] == expected


def test_log_probabilities_are_those_of_the_model(engine, llama):
    with llama.create_context(n_ctx=256, n_threads=1) as context:
        generation = context.start_generation("time made his", temperature=0, max_tokens=3, logprobs=2)
        expected = [(event.logprob, event.top_logprobs) for event in generation if event.token >= 0]
    found = answer(engine, "completions", prompt="time made his", temperature=0, max_tokens=3, logprobs=2)["choices"][0]["logprobs"]
    for (logprob, top), token, alternatives in zip(expected, found["token_logprobs"], found["top_logprobs"], strict=True):
        assert token == pytest.approx(logprob, abs=1e-4)
        assert sorted(alternatives.values(), reverse=True) == pytest.approx(list(top), abs=1e-4)


def test_chats_show_as_many_alternatives_as_were_asked_for(engine):
    body = {"messages": user("time"), "max_tokens": 2, "temperature": 0, "logprobs": True}
    tokens = answer(engine, "chat/completions", **body, top_logprobs=3)["choices"][0]["logprobs"]["content"]
    assert [len(token["top_logprobs"]) for token in tokens] == [3, 3]
    assert all(token["logprob"] <= 0 for token in tokens)
    tokens = answer(engine, "chat/completions", **body)["choices"][0]["logprobs"]["content"]
    assert [token["top_logprobs"] for token in tokens] == [[], []]


def test_several_prompts_and_several_answers_each(engine, reference):
    whole = answer(engine, "completions", prompt=["time made his", "the of"], n=2, **GREEDY)
    texts = {choice["index"]: choice["text"] for choice in whole["choices"]}
    assert texts == {0: reference("time made his"), 1: reference("time made his"), 2: reference("the of"), 3: reference("the of")}
    assert whole["usage"]["completion_tokens"] == 4 * 12
    n_prompt = reference("time made his").result.n_prompt + reference("the of").result.n_prompt
    assert whole["usage"]["prompt_tokens"] == n_prompt  # each prompt once


def test_seeds_make_answers_repeatable_and_differ(engine):
    def ask(seed: int) -> str:
        return answer(engine, "completions", prompt="the", max_tokens=24, temperature=2, seed=seed, cache_prompt=False)["choices"][0]["text"]

    assert ask(7) == ask(7)
    assert ask(7) != ask(8)


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(engine, reference):
    text = str(reference("time made his"))
    stop = text.split()[3]
    choice = answer(engine, "completions", prompt="time made his", stop=stop, **GREEDY)["choices"][0]
    assert choice["text"] == text[: text.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_responses_and_messages_answer_what_a_chat_answers(engine):
    text = answer(engine, "chat/completions", messages=user("how many people"), **GREEDY)["choices"][0]["message"]["content"]
    response = answer(engine, "responses", input="how many people", temperature=0, max_output_tokens=12)
    assert response["output"][0]["content"][0]["text"] == text
    message = answer(engine, "messages", messages=user("how many people"), **GREEDY)
    assert message["content"] == [{"type": "text", "text": text}]
    assert message["stop_reason"] == "max_tokens"
    counted = answer(engine, "messages/count_tokens", messages=user("how many people"))
    usage = message["usage"]
    assert counted["input_tokens"] == usage["input_tokens"] + usage["cache_read_input_tokens"] == response["usage"]["input_tokens"]


def test_streamed_responses_are_numbered_and_end_complete(engine):
    found = events(engine, "responses", input="how many people", temperature=0, max_output_tokens=6)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert found[0]["type"] == "response.created"
    assert found[-1]["type"] == "response.completed"
    text = "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta")
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert found[-1]["timings"]["predicted_n"] == 6


def test_streamed_messages_open_and_close_their_block(engine):
    found = events(engine, "messages", messages=user("how many people"), temperature=0, max_tokens=6)
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert found[-1]["usage"]["output_tokens"] == 6
    assert found[-1]["timings"]["predicted_n"] == 6


def test_tokenize_and_detokenize(engine, llama):
    tokens = answer(engine, "tokenize", content="how <|im_end|>", add_special=True)["tokens"]
    assert tokens == list(llama.tokenize("how <|im_end|>", add_special=True, parse_special=True))
    as_text = answer(engine, "tokenize", content="<|im_end|>", parse_special=False)["tokens"]
    assert len(as_text) > 1
    assert answer(engine, "detokenize", tokens=as_text)["content"].strip() == "<|im_end|>"
    pieces = answer(engine, "tokenize", content="é", with_pieces=True)["tokens"]
    assert bytes(byte for token in pieces if isinstance(token["piece"], list) for byte in token["piece"]) == b"\xc3\xa9"


def test_a_template_is_applied_without_an_answer(engine, llama):
    found = answer(engine, "apply-template", messages=user("how many"))
    assert found["prompt"] == llama.apply_chat_template(user("how many"))["prompt"]
    assert found["tokens"] == list(llama.tokenize(found["prompt"], add_special=True, parse_special=True))


def test_embeddings_are_those_of_a_context(open_engine, tiny):
    engine = open_engine("bert.gguf", mode="embed")
    texts = ["the time", "how many people", "water"]
    found = answer(engine, "embeddings", input=texts)
    with mullama.Model(tiny / "bert.gguf") as bert, bert.create_context(n_ctx=256, embeddings=True, n_threads=1) as context:
        for text, entry in zip(texts, found["data"], strict=True):
            context.encode(bert.tokenize(text, add_special=True))
            vector = np.array(context.sequence_embeddings())
            assert entry["embedding"] == pytest.approx(vector / np.linalg.norm(vector), abs=1e-5)
    packed = answer(engine, "embeddings", input="the time", encoding_format="base64")["data"][0]["embedding"]
    raw = base64.b64decode(packed)
    assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(found["data"][0]["embedding"], abs=1e-6)
    short = answer(engine, "embeddings", input="the time", dimensions=8)["data"][0]["embedding"]
    assert len(short) == 8
    assert math.hypot(*short) == pytest.approx(1, abs=1e-5)
    first = found["data"][0]["embedding"][:8]
    assert short == pytest.approx(np.array(first) / np.linalg.norm(first), abs=1e-5)
    n_tokens = sum(len(answer(engine, "tokenize", content=text, add_special=True)["tokens"]) for text in texts)
    assert found["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ({"response_format": {"type": "regex", "regex": "[0-9]{3}-[a-f]+"}}, lambda text: __import__("re").fullmatch("[0-9]{3}-[a-f]+", text)),
        ({"response_format": {"type": "choice", "choices": ["the of", "and \"x\"\n"]}}, lambda text: text in ("the of", "and \"x\"\n")),
        ({"grammar": 'root ::= ("the" | "of") " " [0-9]'}, lambda text: text[:-1] in ("the ", "of ")),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object", "properties": {"n": {"enum": [1, 2]}, "b": {"type": "boolean"}}, "required": ["n", "b"]}}}},
            lambda text: json.loads(text)["n"] in (1, 2) and json.loads(text)["b"] in (True, False),
        ),
    ],
    ids=["regex", "choice", "grammar", "schema"],
)
@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_answers_keep_to_their_constraint(engine, route, constraint, holds):
    body = {"messages": user("the")} if route == "chat/completions" else {"prompt": "the"}
    for seed in range(3):
        choice = answer(engine, route, **body, **constraint, max_tokens=100, temperature=1, seed=seed)["choices"][0]
        text = choice["message"]["content"] if route == "chat/completions" else choice["text"]
        assert choice["finish_reason"] == "stop"
        assert holds(text), text
