"""A stream that includes its answer: the last event is what the same request gives without a stream, and the pieces are its parts."""

from __future__ import annotations

import json
from typing import Any

import mullama
import pytest
import tiny_models
from ask import answer, events, user

# The vocabulary's other control tokens mark thinking and calls: what marks them in a real model is one token too.
START, END = "<|fim_prefix|>", "<|fim_suffix|>"
THINKING = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content %}" + START + "\n{{ message.reasoning_content }}\n" + END + "\n\n{% endif %}"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n" + START + "\n{% endif %}"
)
CALL = "<|fim_middle|>"
CALLING = (
    "{% if tools %}<|im_start|>system\n<tools>\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}</tools><|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}" + CALL + '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}' + END + "\n{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOL = {"name": "look_up", "description": "Looks a word up.", "parameters": {"type": "object", "properties": {"word": {"enum": ["the", "of"]}, "n": {"enum": [1, 2]}}, "required": ["word", "n"]}}
FUNCTION = {"tools": [{"type": "function", "function": TOOL}], "tool_choice": "required", "parallel_tool_calls": False}

# What differs between two answers to one request: names, and what time and cache have to do with.
OWN = {"id", "call_id", "created", "created_at", "completed_at", "timings", "cached_tokens", "cache_read_input_tokens", "input_tokens"}


def without_own(value: Any, *, about: bool = False) -> Any:
    """What must be the same; `about` makes numbers equal to those that differ by how tokens were put into batches."""
    if isinstance(value, dict):
        return {key: without_own(entry, about=about) for key, entry in value.items() if key not in OWN}
    if isinstance(value, list):
        return [without_own(entry, about=about) for entry in value]
    return pytest.approx(value, abs=0.02) if about and isinstance(value, float) else value


def pair(engine: Any, route: str, **body: Any) -> tuple[list[Any], Any]:
    """The pieces of a stream, and the whole answer at its end, which is checked against the request without a stream."""
    body = {"temperature": 0, **body}
    alone = answer(engine, route, **body)
    *pieces, whole = events(engine, route, stream_options={"include_answer": True}, **body)
    assert without_own(whole) == without_own(alone, about=True)
    assert whole["usage"] == pieces[-1]["usage"]
    assert whole["timings"] == pieces[-1]["timings"]
    assert whole["timings"]["predicted_n"] > 0
    return pieces, whole


def joined_chat(pieces: list[Any], index: int = 0) -> dict[str, Any]:
    """The message that OpenAI's own clients make of the chunks."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": [], "logprobs": []}
    for piece in pieces:
        for choice in piece["choices"]:
            if choice["index"] != index:
                continue
            if choice.get("logprobs"):
                message["logprobs"] += choice["logprobs"]["content"]
            if choice["finish_reason"]:
                message["finish_reason"] = choice["finish_reason"]
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name) or ""
            for call in delta.get("tool_calls", []):
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append({"id": call["id"], "type": "function", "function": {"name": call["function"]["name"], "arguments": ""}})
                message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"].get("arguments", "")
    return message


@pytest.fixture(scope="module")
def thinking(tiny):
    with mullama.Engine(tiny / "llama.gguf", n_ctx=0, n_slots=2, n_threads=1, chat_template=THINKING) as engine:
        yield engine


@pytest.fixture(scope="module")
def calling(tiny):
    with mullama.Engine(tiny / "llama.gguf", n_ctx=0, n_slots=2, n_threads=1, chat_template=CALLING) as engine:
        yield engine


@pytest.fixture(scope="module")
def eager(calling) -> dict[str, Any]:
    """What makes the model call at once and end behind the call: left to itself it talks on."""
    marks = {text: calling_token(calling, text) for text in (CALL, "</s>", "<|im_end|>")}
    return {"logit_bias": {str(marks[CALL]): 50, str(marks["</s>"]): 80, str(marks["<|im_end|>"]): 80}}


def calling_token(engine: mullama.Engine, text: str) -> int:
    (token,) = answer(engine, "tokenize", content=text)["tokens"]
    return token


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 13, 21, 34])
def test_chats_and_completions(engine, limit):
    pieces, whole = pair(engine, "chat/completions", messages=user("how many people"), max_tokens=limit, ignore_eos=True)
    assert joined_chat(pieces)["content"] == whole["choices"][0]["message"]["content"]
    assert whole["object"] == "chat.completion"
    assert {piece["id"] for piece in pieces} == {whole["id"]}
    pieces, whole = pair(engine, "completions", prompt="the of and", max_tokens=limit, ignore_eos=True, stop=["him was not there"])
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == whole["choices"][0]["text"]
    assert whole["object"] == "text_completion"


def test_a_stop_text(engine):
    text = answer(engine, "completions", prompt="time made his", max_tokens=12, temperature=0)["choices"][0]["text"]
    pieces, whole = pair(engine, "completions", prompt="time made his", max_tokens=12, stop=text.split()[3], logprobs=1)
    choice = whole["choices"][0]
    assert choice["finish_reason"] == pieces[-1]["choices"][0]["finish_reason"] == "stop"
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == choice["text"]


def test_several_prompts_and_answers_with_log_probabilities(engine):
    body = {"prompt": ["time made his", "the of"], "n": 2, "max_tokens": 9, "logprobs": 2, "ignore_eos": True}
    pieces, whole = pair(engine, "completions", **body)
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2, 3]
    for choice in whole["choices"]:
        own = [piece["choices"][0] for piece in pieces if piece["choices"][0]["index"] == choice["index"]]
        assert "".join(one["text"] for one in own) == choice["text"]
        for name, values in choice["logprobs"].items():
            assert [value for one in own if one["logprobs"] for value in one["logprobs"][name]] == values, name
        assert choice["logprobs"]["text_offset"][0] == 0
        assert len(choice["logprobs"]["tokens"]) > 0


def test_log_probabilities_of_a_chat_lose_no_token(engine):
    # The stop text is held back at its start again and again, as are characters of several tokens.
    body = {"messages": user("the of and"), "max_tokens": 40, "logprobs": True, "top_logprobs": 2, "ignore_eos": True, "stop": ["e the out him! no"]}
    pieces, whole = pair(engine, "chat/completions", **body)
    assert joined_chat(pieces)["logprobs"] == whole["choices"][0]["logprobs"]["content"]


def test_the_calls_of_tools_keep_their_ids(calling, eager):
    pieces, whole = pair(calling, "chat/completions", messages=user("the"), max_tokens=200, **FUNCTION, **eager)
    choice = whole["choices"][0]
    message = joined_chat(pieces)
    assert message["tool_calls"] == choice["message"]["tool_calls"]
    assert message["finish_reason"] == choice["finish_reason"] == "tool_calls"
    arguments = json.loads(message["tool_calls"][0]["function"]["arguments"])
    assert set(arguments) == {"word", "n"}


@pytest.mark.parametrize("limit", range(1, 60, 3))
def test_calls_that_break_off(calling, eager, limit):
    pieces, whole = pair(calling, "chat/completions", messages=user("the"), max_tokens=limit, **FUNCTION, **eager)
    message = joined_chat(pieces)
    assert message["tool_calls"] == whole["choices"][0]["message"].get("tool_calls", [])
    assert message["content"] == (whole["choices"][0]["message"]["content"] or "")


BUDGET = {"reasoning_budget_tokens": 6, "ignore_eos": True}


def test_reasoning(thinking):
    pieces, whole = pair(thinking, "chat/completions", messages=user("the"), max_tokens=40, **BUDGET)
    message = whole["choices"][0]["message"]
    assert message["reasoning_content"]
    assert message["content"]
    joined = joined_chat(pieces)
    assert joined["reasoning_content"] == message["reasoning_content"]
    assert joined["content"] == message["content"]


def test_responses(engine, thinking, calling, eager):
    for one, body in ((engine, {}), (thinking, BUDGET)):
        pieces, whole = pair(one, "responses", input="how many people", max_output_tokens=40, **body)
        assert whole["object"] == "response"
        assert pieces[-1]["type"] == "response.completed"
        done = pieces[-1]["response"]
        assert [item["id"] for item in done["output"]] == [item["id"] for item in whole["output"]]
        assert done["id"] == whole["id"]
        assert done["usage"] == whole["usage"]
        text = "".join(piece["delta"] for piece in pieces if piece["type"] == "response.output_text.delta")
        assert whole["output"][-1]["content"][0]["text"] == text
        if body:
            thought = "".join(piece["delta"] for piece in pieces if piece["type"] == "response.reasoning_text.delta")
            assert whole["output"][0]["content"][0]["text"] == thought
    tool = {"type": "function", **TOOL}
    pieces, whole = pair(calling, "responses", input="the", tools=[tool], tool_choice="required", parallel_tool_calls=False, max_output_tokens=200, **eager)
    call = next(item for item in whole["output"] if item["type"] == "function_call")
    assert call == next(piece["item"] for piece in pieces if piece["type"] == "response.output_item.done" and piece["item"]["type"] == "function_call")


def test_messages(engine, thinking, calling, eager):
    for one in (engine, thinking):
        body = {"thinking": {"type": "enabled", "budget_tokens": 6}, "ignore_eos": True} if one is thinking else {}
        pieces, whole = pair(one, "messages", messages=user("how many people"), max_tokens=40, **body)
        assert whole["type"] == "message"
        blocks: dict[int, str] = {}
        for piece in pieces:
            if piece["type"] == "content_block_delta":
                delta = piece["delta"]
                blocks[piece["index"]] = blocks.get(piece["index"], "") + delta.get("text", "") + delta.get("thinking", "")
        assert [blocks[index] for index in sorted(blocks)] == [block.get("text") or block.get("thinking") for block in whole["content"]]
        assert len(whole["content"]) == (2 if body else 1)
    tool = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}
    choice = {"type": "any", "disable_parallel_tool_use": True}
    pieces, whole = pair(calling, "messages", messages=user("the"), tools=[tool], tool_choice=choice, max_tokens=200, **eager)
    call = next(block for block in whole["content"] if block["type"] == "tool_use")
    start = next(piece["content_block"] for piece in pieces if piece["type"] == "content_block_start" and piece["content_block"]["type"] == "tool_use")
    assert start["id"] == call["id"]
    assert json.loads("".join(piece["delta"].get("partial_json", "") for piece in pieces if piece["type"] == "content_block_delta")) == call["input"]
    assert whole["stop_reason"] == "tool_use"


def test_a_stop_sequence_of_a_message_is_told(engine):
    text = answer(engine, "messages", messages=user("how many people"), max_tokens=12, temperature=0)["content"][0]["text"]
    stop = text.split()[3]
    pieces, whole = pair(engine, "messages", messages=user("how many people"), max_tokens=12, stop_sequences=[stop])
    assert (whole["stop_reason"], whole["stop_sequence"]) == ("stop_sequence", stop)
    assert next(piece["delta"] for piece in pieces if piece["type"] == "message_delta") == {"stop_reason": "stop_sequence", "stop_sequence": stop}


def test_infill(engine):
    pieces, whole = pair(engine, "infill", input_prefix="the of ", input_suffix=" people", max_tokens=9, ignore_eos=True)
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == whole["choices"][0]["text"]


def test_without_a_stream_the_answer_is_the_only_event(engine):
    whole = answer(engine, "completions", prompt="the", max_tokens=3, stream_options={"include_answer": True})
    assert whole["object"] == "text_completion"


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
def test_answers_that_begin_with_a_part_of_a_character_are_opened_once(engine, limit):
    first = tiny_models.spm_vocabulary().byte("😀".encode()[0])
    body = {"max_tokens": limit, "logit_bias": {str(first): 12}, "temperature": 0}
    if limit >= 4:
        assert answer(engine, "completions", prompt="the", **body)["choices"][0]["text"].startswith("😀")
    pieces = events(engine, "chat/completions", messages=user("the"), **body)
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert sum("role" in piece["choices"][0]["delta"] for piece in pieces[:-1]) == 1
    assert [piece["type"] for piece in events(engine, "messages", messages=user("the"), **body)].count("message_start") == 1
    body["max_output_tokens"] = body.pop("max_tokens")
    kinds = [piece["type"] for piece in events(engine, "responses", input="the", **body)]
    assert kinds.count("response.created") == kinds.count("response.output_item.added") == 1


def test_times_of_each_event_where_they_are_asked_for(engine):
    body = {"prompt": "the of and", "max_tokens": 5, "ignore_eos": True, "temperature": 0}
    pieces = events(engine, "completions", timings_per_token=True, **body)
    counts = [piece["timings"]["predicted_n"] for piece in pieces]
    assert counts == sorted(counts)
    assert counts[-1] == 5
