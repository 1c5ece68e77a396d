"""The methods of an engine: typed answers, streams that also give the whole, and event loops without a thread for each stream."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mullama
import pytest
from ask import ENDLESS, answer, user
from media_files import png, url

GREEDY: dict[str, Any] = {"max_tokens": 12, "temperature": 0, "ignore_eos": True}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers differ only in their names and times."""
    passing = ("id", "created", "timings", "usage")
    return {k: v for k, v in one.items() if k not in passing} == {k: v for k, v in other.items() if k not in passing}


# Answers


def test_an_answer_has_its_fields_as_properties(engine: mullama.Engine) -> None:
    raw = answer(engine, "chat/completions", messages=user("the of"), **GREEDY)
    whole = engine.chat(user("the of"), **GREEDY)
    assert same(whole.raw, raw)
    assert whole.text == whole.choices[0].message.content == raw["choices"][0]["message"]["content"] != ""
    assert whole.finish_reason == "length"
    assert whole.usage.completion_tokens == 12
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 12
    assert whole.tool_calls == [] and whole.reasoning == "" and whole.truncation is None
    assert whole.tool_runs == ()
    assert whole == engine.chat(user("the of"), **GREEDY) or whole.raw["id"] != ""
    assert repr(whole) == f"ChatAnswer(text={whole.text!r}, reasoning='', finish_reason='length')"


def test_an_image_is_a_part_of_a_message(open_engine: Callable[..., mullama.Engine], tiny: Path) -> None:
    engine = open_engine(projector=str(tiny / "sees.gguf"))
    text: mullama.ContentPart = {"type": "text", "text": "how many "}
    image: mullama.ContentPart = {"type": "image_url", "image_url": {"url": url(png())}}
    with_image, without = (engine.chat([{"role": "user", "content": parts}], **GREEDY) for parts in ([text, image], [text]))
    assert (with_image.usage.prompt_tokens or 0) - (without.usage.prompt_tokens or 0) == 16
    bad: mullama.ContentPart = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(mullama.MediaError, match=r"messages\[0\]\.content\[0\]\.image_url\.url \(3 bytes\) is no image"):
        engine.chat([{"role": "user", "content": [bad]}])


def test_every_route_has_a_method(engine: mullama.Engine) -> None:
    assert engine.complete("the of", **GREEDY).text == answer(engine, "completions", prompt="the of", **GREEDY)["choices"][0]["text"]
    message = engine.message([{"role": "user", "content": "the"}], **GREEDY)
    assert message.content[0].text and message.stop_reason == "max_tokens" and message.usage.output_tokens == 12
    response = engine.respond("the", max_output_tokens=12, temperature=0, ignore_eos=True)
    assert response.output[0].content[0].text
    counted = engine.count_tokens([{"role": "user", "content": "the"}])
    assert counted.input_tokens == (message.usage.input_tokens or 0) + (message.usage.cache_read_input_tokens or 0)
    tokens = engine.tokenize("the of").tokens
    assert engine.detokenize(tokens).content.strip() == "the of"
    written = engine.apply_template(user("the"))
    assert written.prompt.endswith("assistant\n") or "the" in written.prompt
    assert len(written.tokens) == counted.input_tokens
    assert engine.props().total_slots == 4
    assert engine.metrics().tokens_predicted_total > 0


def test_vectors_and_scores(tiny: Path) -> None:
    with mullama.Engine(tiny / "bert.gguf", mode="embed", n_ctx=64, n_slots=2) as engine:
        two = engine.embed(["the of", "and"])
        assert [one.index for one in two.data] == [0, 1]
        assert two.first == two.data[0].embedding == engine.embed("the of").first
        assert two.usage.total_tokens == two.usage.prompt_tokens > 0


def test_a_field_that_does_not_exist_is_refused_by_its_name(engine: mullama.Engine) -> None:
    with pytest.raises(mullama.ArgumentError, match="the field temperatur does not exist here"):
        engine.chat(user("the"), temperatur=1)  # type: ignore[call-overload]
    with pytest.raises(mullama.ArgumentError, match="top_p is 3; it must be 0 to 1"):
        engine.chat(user("the"), top_p=3)
    with pytest.raises(TypeError, match="bytes cannot be written as JSON"):
        engine.chat([{"role": "user", "content": b"the"}])  # type: ignore[typeddict-item]


def test_what_is_iterable_is_a_list(engine: mullama.Engine) -> None:
    turns = ({"role": "user", "content": word} for word in ("the", "of"))
    assert engine.chat(turns, stop=("qqq",), **GREEDY).text == engine.chat([*user("the"), *user("of")], **GREEDY).text  # type: ignore[arg-type]


def test_an_answer_goes_back_into_a_conversation(engine: mullama.Engine) -> None:
    first = engine.chat(user("the"), **GREEDY)
    second = engine.chat([*user("the"), first.choices[0].message, *user("of")], **GREEDY)  # type: ignore[list-item]
    assert second.usage.cached_tokens > 0


# Streams


def test_pieces_joined_are_the_whole_answer(engine: mullama.Engine) -> None:
    stream = engine.chat(user("the of"), stream=True, **GREEDY)
    pieces = [piece.text for piece in stream]
    assert len(pieces) > 3
    whole = stream.answer()
    assert "".join(pieces) == whole.text == engine.chat(user("the of"), **GREEDY).text
    assert whole.usage.completion_tokens == 12


def test_a_stream_gives_the_whole_at_once_or_after_some_pieces(engine: mullama.Engine) -> None:
    expected = engine.chat(user("the of"), **GREEDY).text
    with engine.chat(user("the of"), stream=True, **GREEDY) as stream:
        assert stream.answer().text == expected
        assert stream.answer() is stream.answer()
    stream = engine.chat(user("the of"), stream=True, **GREEDY)
    next(pieces := iter(stream))
    assert stream.answer().text == expected
    assert list(pieces) == []


def test_leaving_the_loop_cancels(engine: mullama.Engine) -> None:
    before = engine.info.n_streams
    stream = engine.complete(ENDLESS["prompt"], stream=True, max_tokens=200, ignore_eos=True)
    for _ in stream:
        break
    assert engine.info.n_streams == before
    with pytest.raises(mullama.CancelledError):
        stream.answer()


def test_a_stream_that_is_forgotten_frees_its_slot(engine: mullama.Engine) -> None:
    before = engine.info.n_streams
    engine.complete("the", stream=True, max_tokens=200, ignore_eos=True)
    gc.collect()
    assert engine.info.n_streams == before


def test_cancelling_ends_the_loop(engine: mullama.Engine) -> None:
    stream = engine.complete("the", stream=True, max_tokens=200, ignore_eos=True)
    for count, _ in enumerate(stream):
        if count == 2:
            stream.cancel()
    with pytest.raises(mullama.CancelledError, match="before its answer was complete"):
        stream.answer()


# Event loops


async def test_awaiting_an_answer(engine: mullama.Engine) -> None:
    whole = await engine.chat_async(user("the of"), **GREEDY)
    assert same(whole.raw, engine.chat(user("the of"), **GREEDY).raw)
    stream = await engine.chat_async(user("the of"), stream=True, **GREEDY)
    assert "".join([piece.text async for piece in stream]) == whole.text
    assert (await stream).text == whole.text
    assert (await await_twice(engine)).text == whole.text


async def await_twice(engine: mullama.Engine) -> mullama.ChatAnswer:
    stream = await engine.chat_async(user("the of"), stream=True, **GREEDY)
    return await stream


async def test_errors_come_out_of_the_await(engine: mullama.Engine) -> None:
    with pytest.raises(mullama.ResourceError) as caught:
        await engine.complete_async("the of " * 300)
    assert caught.value.code == mullama.ErrorCode.CONTEXT_FULL


async def test_leaving_an_async_loop_cancels(engine: mullama.Engine) -> None:
    stream = await engine.complete_async("the", stream=True, max_tokens=200, ignore_eos=True)
    async for _ in stream:
        break
    stream.close()
    with pytest.raises(mullama.CancelledError):
        await stream


async def test_a_cancelled_task_cancels_its_request(engine: mullama.Engine) -> None:
    before = engine.info.n_streams
    task = asyncio.create_task(engine.complete_async("the", max_tokens=200, ignore_eos=True))
    while engine.info.n_streams == before:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(1000):  # one that was being sent is dropped when it has been
        if engine.info.n_streams == before:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the request goes on")


async def test_a_closed_engine_ends_what_is_awaited(open_engine: Callable[..., mullama.Engine]) -> None:
    engine = open_engine()
    stream = await engine.complete_async("the", stream=True, max_tokens=200, ignore_eos=True)
    pieces = stream.__aiter__()
    await pieces.__anext__()
    await asyncio.to_thread(engine.close)
    with pytest.raises((mullama.Error, StopAsyncIteration)):
        for _ in range(300):
            await pieces.__anext__()


async def test_32_requests_at_once_give_what_they_give_alone(engine: mullama.Engine) -> None:
    prompts = ["the", "of", "and", "to"] * 8
    alone = {prompt: engine.complete(prompt, **GREEDY).text for prompt in set(prompts)}
    answers = await asyncio.gather(*(engine.complete_async(prompt, **GREEDY) for prompt in prompts))
    assert [one.text for one in answers] == [alone[prompt] for prompt in prompts]


async def test_a_thousand_open_streams_take_two_threads(open_engine: Callable[..., mullama.Engine]) -> None:
    engine = open_engine(max_queued=1000)
    await engine.complete_async("the", max_tokens=1)
    before = threading.active_count()
    most = before
    done = 0

    async def read(number: int) -> None:
        nonlocal most, done
        stream = await engine.complete_async("the of", stream=True, max_tokens=2, ignore_eos=True)
        async for _ in stream:
            most = max(most, threading.active_count())
        done += 1

    await asyncio.gather(*(read(number) for number in range(1000)))
    assert done == 1000
    assert most - before <= 2


# Every field of every request, with values of a wrong type


def wrong_values() -> list[tuple[str, str, Any]]:
    import yaml

    spec = yaml.safe_load((Path(__file__).parents[2] / "abi/spec/routes.yaml").read_text(encoding="utf-8"))
    wrong: dict[str, list[Any]] = {
        "bool": ["true", 2, [], {}],
        "i64": ["1", 1.5, True, [], {}, 1e300],
        "f64": ["1", True, [], {}],
        "str": [1, True, [], {}],
        "list": ["text", 1, True, {}],
        "map": ["text", 1, True, []],
        "object": ["text", 1, True, []],
    }
    found = []
    for route in spec["routes"].values():
        if "request" not in route:
            continue
        one = spec["objects"][route["request"]]
        parts = [one, *(spec["objects"][name] for name in one.get("includes", ()))]
        for name, field in ((name, field) for part in parts for name, field in part.get("fields", {}).items()):
            word = field["type"]
            if "|" in word or word == "json":
                continue
            kind = word.partition("<")[0]
            values = wrong.get(kind, wrong["object"])
            bounds = [field[key] + step for key, step in (("min", -1), ("max", 1)) if key in field]
            found += [(route["route"], name, value) for value in [*values, *bounds]]
    return found


NEEDED: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": user("the")},
    "apply-template": {"messages": user("the")},
    "messages": {"messages": user("the")},
    "messages/count_tokens": {"messages": user("the")},
    "completions": {"prompt": "the"},
    "responses": {"input": "the"},
    "infill": {"input_prefix": "the", "input_suffix": "of"},
    "embeddings": {"input": "the"},
    "rerank": {"query": "the", "documents": ["of"]},
    "tokenize": {"content": "the"},
    "detokenize": {"tokens": [1]},
}


def test_a_wrong_value_in_any_field_is_refused_with_its_name(engine: mullama.Engine, tiny: Path) -> None:
    cases = wrong_values()
    assert len(cases) > 1500
    with (
        mullama.Engine(tiny / "bert.gguf", mode="embed", n_ctx=64) as embedder,
        mullama.Engine(tiny / "bert.gguf", mode="rerank", n_ctx=64) as reranker,
    ):
        engines = {"embeddings": embedder, "rerank": reranker}
        taken = []
        for route, name, value in cases:
            body = {**NEEDED[route], name: value}
            try:
                engines.get(route, engine).request(route, json.dumps(body)).close()
                taken.append((route, name, value))
            except mullama.Error as error:
                assert name in str(error) or "cannot be" in str(error), (route, name, value, str(error))
        assert taken == []
