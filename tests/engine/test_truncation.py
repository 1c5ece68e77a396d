"""A prompt that does not fit: an error with the numbers, or cut in the way that the request asks for, and told."""

from __future__ import annotations

from typing import Any

import mullama
import pytest
from ask import answer, events, user

N_CTX = 256
LONG = [5 + i % 90 for i in range(400)]


def text(message: dict[str, Any]) -> str:
    return message["choices"][0]["text"]


def chat(n_turns: int, *, system: bool = True, words: str = "how many people") -> list[dict[str, str]]:
    messages = [{"role": "system", "content": "the time"}] if system else []
    for turn in range(n_turns):
        messages += [{"role": "user", "content": f"{words} {turn}"}, {"role": "assistant", "content": f"time made {turn}"}]
    return [*messages, *user("and who")]


def n_tokens(engine: mullama.Engine, messages: list[dict[str, str]]) -> int:
    return len(answer(engine, "apply-template", messages=messages)["tokens"])


@pytest.mark.parametrize("route", ["completions", "chat/completions"])
def test_unless_it_asks_a_prompt_that_does_not_fit_is_refused_with_the_numbers(engine, route):
    body = {"prompt": LONG} if route == "completions" else {"messages": chat(12)}
    n_prompt = 400 if route == "completions" else n_tokens(engine, chat(12))
    for asked in ({}, {"truncation": "disabled"}):
        with pytest.raises(mullama.Error, match=f"the prompt has {n_prompt} tokens, but a request can have {N_CTX}") as caught:
            answer(engine, route, **body, **asked)
        assert caught.value.code == mullama.ErrorCode.CONTEXT_FULL


@pytest.mark.parametrize(
    ("asked", "limit", "most"),
    [
        ("start", {}, N_CTX - N_CTX // 4),
        ("start", {"max_tokens": 10}, N_CTX - 10),
        ("start", {"max_tokens": 200}, N_CTX // 2),
        ({"strategy": "start", "reserve": 100}, {"max_tokens": 10}, N_CTX - 100),
    ],
)
def test_the_end_of_a_prompt_is_kept_with_room_for_the_answer(engine, asked, limit, most):
    body = {"temperature": 0, "ignore_eos": True, **limit}
    found = answer(engine, "completions", prompt=LONG, truncation=asked, **body)
    assert found["usage"]["prompt_tokens"] == most
    assert found["truncation"] == {"strategy": "start", "tokens_removed": 400 - most}
    assert text(found) == text(answer(engine, "completions", prompt=LONG[400 - most :], **body))


def test_the_middle_of_a_prompt_is_left_out(engine):
    body = {"temperature": 0, "ignore_eos": True, "max_tokens": 20}
    found = answer(engine, "completions", prompt=LONG, truncation="middle", **body)
    most = N_CTX - 20
    assert found["truncation"] == {"strategy": "middle", "tokens_removed": 400 - most}
    kept = LONG[: most // 2] + LONG[400 - most // 2 :]
    assert text(found) == text(answer(engine, "completions", prompt=kept, **body))


def test_a_token_that_begins_every_text_stays_in_front(engine, llama):
    prompt = "the of and " * 200
    tokens = list(llama.tokenize(prompt, add_special=True, parse_special=True))
    body = {"temperature": 0, "ignore_eos": True, "max_tokens": 20}
    found = answer(engine, "completions", prompt=prompt, truncation="start", **body)
    kept = [tokens[0], *tokens[len(tokens) - (N_CTX - 20) + 1 :]]
    assert text(found) == text(answer(engine, "completions", prompt=kept, **body))
    assert found["usage"]["prompt_tokens"] == N_CTX - 20


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("strategy", ["start", "middle"])
def test_no_character_is_cut_in_two(engine, llama, strategy, shift):
    # Each of these is four tokens in the tiny vocabulary.
    tokens = list(llama.tokenize("a" * shift + "😀" * 120, add_special=False, parse_special=False))
    n_first = len(tokens) - 480
    body = {"max_tokens": 20, "temperature": 0, "ignore_eos": True}
    found = answer(engine, "completions", prompt=tokens, truncation=strategy, **body)
    most = N_CTX - 20
    head = most // 2 if strategy == "middle" else 0
    tail = most - head
    if head:
        head -= (head - n_first) % 4
    tail -= tail % 4
    assert found["truncation"]["tokens_removed"] == len(tokens) - head - tail
    assert text(found) == text(answer(engine, "completions", prompt=tokens[:head] + tokens[len(tokens) - tail :], **body))


def test_several_prompts_are_cut_one_by_one(engine):
    found = answer(engine, "completions", prompt=[LONG, [5, 6], LONG[:300]], truncation="start", max_tokens=6)
    assert found["truncation"] == {"strategy": "start", "tokens_removed": 150 + 50, "tokens_removed_each": [150, 0, 50]}


def test_the_oldest_turns_are_left_out_and_the_system_stays(engine):
    messages = chat(12)
    body = {"temperature": 0, "ignore_eos": True, "max_tokens": 30}
    found = answer(engine, "chat/completions", messages=messages, truncation="oldest_messages", **body)
    cut = found["truncation"]
    removed = cut["messages_removed"]
    assert cut["strategy"] == "oldest_messages"
    assert removed > 0
    assert removed % 2 == 0
    kept = [messages[0], *messages[1 + removed :]]
    assert kept[1]["role"] == "user"
    assert found["usage"]["prompt_tokens"] == n_tokens(engine, kept) <= N_CTX - 30
    assert cut["tokens_removed"] == n_tokens(engine, messages) - n_tokens(engine, kept)
    # No more than was needed.
    assert n_tokens(engine, [messages[0], *messages[1 + removed - 2 :]]) > N_CTX - 30
    expected = answer(engine, "chat/completions", messages=kept, **body)
    assert found["choices"][0]["message"]["content"] == expected["choices"][0]["message"]["content"]


def test_what_fits_is_left_alone(engine):
    for strategy in ("start", "middle"):
        found = answer(engine, "completions", prompt=[5, 6, 7], truncation=strategy, max_tokens=2)
        assert found["truncation"] == {"strategy": strategy, "tokens_removed": 0}
    found = answer(engine, "chat/completions", messages=chat(1), truncation="oldest_messages", max_tokens=2)
    assert found["truncation"] == {"strategy": "oldest_messages", "tokens_removed": 0, "messages_removed": 0}


def test_a_turn_with_its_calls_and_results_leaves_as_a_whole(engine):
    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    turn = [*user("how many people " * 8), {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "time " * 30, "tool_call_id": "1"}, {"role": "assistant", "content": "made"}]
    messages = [*turn, *turn, *turn, *turn, *user("and who")]
    found = answer(engine, "chat/completions", messages=messages, truncation="oldest_messages", max_tokens=20)
    removed = found["truncation"]["messages_removed"]
    assert removed in (4, 8, 12, 16)
    assert found["usage"]["prompt_tokens"] == n_tokens(engine, messages[removed:])


def test_a_last_turn_that_does_not_fit_is_refused_with_the_numbers(engine):
    messages = [*chat(2), {"role": "assistant", "content": "time"}, *user("how many people " * 100)]
    n_last = n_tokens(engine, [messages[0], messages[-1]])
    with pytest.raises(mullama.Error, match=f"the last turn has {n_last} tokens .* a prompt can have 236 of the 256") as caught:
        answer(engine, "chat/completions", messages=messages, truncation="oldest_messages", max_tokens=20)
    assert caught.value.code == mullama.ErrorCode.CONTEXT_FULL


def test_it_is_told_at_the_end_of_a_stream_and_in_every_api(engine):
    body = {"messages": chat(12), "max_tokens": 8, "truncation": "oldest_messages", "temperature": 0, "ignore_eos": True}
    whole = answer(engine, "chat/completions", **body)
    assert whole["truncation"]["messages_removed"] > 0
    pieces = events(engine, "chat/completions", **body, stream_options={"include_answer": True})
    assert pieces[-1]["truncation"] == pieces[-2]["truncation"] == whole["truncation"]
    assert not any("truncation" in piece for piece in pieces[:-2])
    system, *messages = body.pop("messages")
    message = answer(engine, "messages", messages=messages, system=system["content"], **body)
    assert message["truncation"] == whole["truncation"]
    response = answer(engine, "responses", input=[system, *messages], truncation="auto", max_output_tokens=8, temperature=0)
    assert response["truncation"] == whole["truncation"]


@pytest.mark.parametrize(
    ("route", "body", "message"),
    [
        ("completions", {"prompt": "the", "truncation": "oldest_messages"}, "no messages"),
        ("completions", {"prompt": "the", "truncation": "end"}, 'truncation is "end"; it must be start, middle, or disabled'),
        ("chat/completions", {"messages": user("the"), "truncation": "auto"}, 'truncation is "auto"'),
        ("chat/completions", {"messages": user("the"), "truncation": {"reserve": 5}}, "truncation.strategy is missing"),
        ("chat/completions", {"messages": user("the"), "truncation": {"strategy": "start", "reserve": 0}}, "truncation.reserve is 0"),
        ("chat/completions", {"messages": user("the"), "truncation": {"strategy": "start", "keep": 1}}, "truncation.keep does not exist"),
        ("chat/completions", {"messages": user("the"), "truncation": 5}, "truncation is 5"),
        ("infill", {"input_prefix": "the", "input_suffix": "of", "truncation": "start"}, "truncation is not a field of this route"),
        ("messages/count_tokens", {"messages": user("the"), "truncation": "start"}, "truncation is not a field of this route"),
    ],
)
def test_what_cannot_be_honoured_is_refused(engine, route, body, message):
    with pytest.raises(mullama.ArgumentError, match=message):
        answer(engine, route, **body)
