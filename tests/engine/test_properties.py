"""Random requests, read, cancelled, dropped and closed at random: nothing hangs, nothing is left over."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mullama
import pytest
from ask import answer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HANGS_AFTER = 120  # seconds, on any machine

# The same examples on every run: a failure in them is one of the commit, not of the day.
STEADY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def no_deadlock() -> Iterator[None]:
    """Shows where every thread is, and ends the process, when a test hangs."""
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def nothing_left_over() -> Iterator[None]:
    gc.collect()
    before = mullama.live_objects()
    yield
    gc.collect()
    assert mullama.live_objects() == before


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

GENERATION: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans(),
    "max_tokens": st.integers(1, 12),
    "n": st.integers(1, 4),
    "stop": TEXT | st.lists(TEXT, max_size=3),
    "seed": st.integers(-1, 2**32 - 1),
    "temperature": st.floats(0, 3),
    "top_k": st.integers(0, 50),
    "top_p": st.floats(0, 1),
    "min_p": st.floats(0, 1),
    "typical_p": st.floats(0, 1),
    "top_n_sigma": st.floats(-1, 5),
    "mirostat": st.integers(0, 2),
    "xtc_probability": st.floats(0, 1),
    "repeat_penalty": st.floats(0.5, 2),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "dry_multiplier": st.floats(0, 2),
    "samplers": st.lists(st.sampled_from(["top_k", "top_p", "min_p", "temperature", "xtc", "dry", "penalties", "luck"]), max_size=4),
    "logit_bias": st.dictionaries(st.integers(0, 700).map(str), st.floats(-100, 100) | st.just(False), max_size=3),
    "ignore_eos": st.booleans(),
    "cache_prompt": st.booleans(),
    "priority": st.integers(-5, 5),
    "deadline_ms": st.integers(1, 5000),
    "id_slot": st.integers(-1, 4),
    "grammar": st.sampled_from(["root ::= [a-z ]+", 'root ::= "é" | "€"', "root ::= (", 'root ::= root "a"']),
    "response_format": st.sampled_from([{"type": "json_object"}, {"type": "choice", "choices": ["a", "b"]}, {"type": "regex", "regex": "[0-9]+"}, {"type": "xml"}]),
}
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool", "nobody"]), "content": TEXT | ANY})
TOOL = st.fixed_dictionaries({"type": st.just("function"), "function": st.fixed_dictionaries({"name": TEXT, "parameters": ANY})})
PROMPT = TEXT | st.lists(TEXT, min_size=1, max_size=3) | st.lists(st.integers(-1, 700), max_size=6)
ROUTES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "completions": {**GENERATION, "prompt": PROMPT, "logprobs": st.integers(0, 5)},
    "chat/completions": {**GENERATION, "messages": st.lists(MESSAGE, max_size=4), "tools": st.lists(TOOL, max_size=2), "tool_choice": st.sampled_from(["auto", "none", "required"])},
    "responses": {"input": TEXT | ANY, "max_output_tokens": st.integers(1, 8), "stream": st.booleans(), "instructions": TEXT},
    "messages": {"messages": st.lists(MESSAGE, max_size=3), "max_tokens": st.integers(1, 8), "stream": st.booleans(), "system": TEXT},
    "infill": {**GENERATION, "input_prefix": TEXT, "input_suffix": TEXT},
    "tokenize": {"content": TEXT, "add_special": st.booleans(), "with_pieces": st.booleans()},
    "detokenize": {"tokens": st.lists(st.integers(-1, 700), max_size=8)},
    "apply-template": {"messages": st.lists(MESSAGE, max_size=4)},
    "embeddings": {"input": TEXT},
    "rerank": {"query": TEXT, "documents": st.lists(TEXT)},
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A route and a body: mostly fields that exist, with values that mostly fit."""
    route = draw(st.sampled_from(sorted(ROUTES)))
    fields = ROUTES[route]
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=6, unique=True))
    needed = [name for name in ("prompt", "messages", "input", "content", "tokens", "input_prefix", "input_suffix", "query", "documents") if name in fields]
    body = {name: draw(fields[name]) for name in [*needed, *names]}
    if draw(st.integers(0, 4)) == 0:
        body[draw(st.sampled_from(sorted(fields)) | TEXT)] = draw(ANY)
    return route, body


@settings(STEADY, max_examples=300)
@given(request=requests())
def test_any_request_is_answered_or_refused_with_a_typed_error(engine, request):
    route, body = request
    body = {"max_tokens": 8, **body} if "max_tokens" in ROUTES[route] else body
    try:
        with engine.request(route, body) as stream:
            events = [event.data for event in stream]
    except mullama.Error as error:
        assert error.code not in (mullama.ErrorCode.INTERNAL, mullama.ErrorCode.OUT_OF_MEMORY), f"{error}: {json.dumps(body)}"
        assert str(error)
    else:
        assert events
        assert all(isinstance(event, dict | list) for event in events)


def test_the_engine_is_as_it_was_after_them(engine):
    whole = answer(engine, "completions", prompt="the", max_tokens=4, temperature=0, ignore_eos=True)
    assert whole["usage"]["completion_tokens"] == 4
    info = engine.info
    assert (info.n_running, info.n_queued, info.n_streams) == (0, 0, 0)


ACTIONS = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 60), st.booleans()),
    st.tuples(st.sampled_from(["next", "poll", "cancel", "close", "drop", "drain"]), st.integers(0, 5)),
    st.just(("wait",)),
    st.just(("wake",)),
    st.just(("close engine",)),
)


@settings(STEADY, max_examples=60)
@given(actions=st.lists(ACTIONS, min_size=3, max_size=25), cancels_slow_readers=st.booleans())
def test_whatever_is_done_with_streams_in_whatever_order_nothing_is_left_over(tiny: Path, actions, cancels_slow_readers):
    with nothing_left_over():
        engine = mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=2, n_threads=1, max_queued=3, max_buffered=4, full_buffer="cancel" if cancels_slow_readers else "wait")
        streams: list[mullama.Stream] = []
        for name, *arguments in actions:
            with contextlib.suppress(mullama.Error, TimeoutError):
                if name == "ask":
                    streams.append(engine.request("completions", {"prompt": "the", "max_tokens": arguments[0], "stream": arguments[1], "ignore_eos": True}))
                elif name == "wait":
                    engine.wait(20)
                elif name == "wake":
                    engine.wake()
                elif name == "close engine":
                    engine.close()
                elif streams:
                    stream = streams[arguments[0] % len(streams)]
                    if name == "next":
                        stream.next(timeout=1)
                    elif name == "poll":
                        stream.next(timeout=0)
                    elif name == "cancel":
                        stream.cancel()
                    elif name == "close":
                        stream.close()
                    elif name == "drop":
                        streams.remove(stream)
                    else:
                        for _ in stream:
                            pass
                    del stream
        engine.close()
        # What is left can be read to its end, which comes at once.
        for stream in streams:
            with contextlib.suppress(mullama.Error):
                for _ in stream:
                    pass
        streams.clear()
        stream = None
        del engine


FIELDS: dict[str, list[Any]] = {
    "max_tokens": [1, 3, 20, 200], "temperature": [0, 0.7, 2], "n": [1, 2, 3], "stream": [True, False], "stop": ["the", ["of", "é"]], "ignore_eos": [True, False], "logprobs": [1, 5],
    "priority": [-5, 0, 5], "deadline_ms": [1, 50, 10_000], "cache_prompt": [True, False], "grammar": ["root ::= [a-z ]+", "root ::= ("], "logit_bias": [{"5": -100}, {"99999": 1}],
    "prompt": ["the of", ["a", "b"], [1, 5, 9], "x" * 3000, ""], "unknown": [1],
}  # fmt: skip


def random_body(dice: random.Random) -> dict[str, object]:
    body: dict[str, object] = {"prompt": "the"}
    for name in dice.sample(sorted(FIELDS), dice.randint(0, 6)):
        body[name] = dice.choice(FIELDS[name])
    return body


def use(engine: mullama.Engine, dice: random.Random) -> None:
    """Twenty requests, each ended in one of the ways in which programs end them."""
    for _ in range(20):
        with contextlib.suppress(mullama.Error, TimeoutError):
            stream = engine.request("completions", random_body(dice))
            end = dice.choice(["read", "cancel", "drop", "close", "some"])
            if end == "read":
                for _ in stream:
                    pass
            elif end == "some":
                for _ in range(dice.randint(1, 5)):
                    stream.next(timeout=1)
            elif end == "cancel":
                time.sleep(dice.random() / 50)  # a random place in the request's life, and no more than that
                stream.cancel()
                while stream.next() is not None:
                    pass
            if end != "drop":
                stream.close()


@pytest.mark.parametrize("closes", [False, True], ids=["left to end", "closed in the midst"])
@pytest.mark.parametrize("full_buffer", ["wait", "cancel"])
def test_threads_that_end_their_requests_at_random_times(tiny, full_buffer, closes):
    with nothing_left_over():
        engine = mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=3, n_threads=1, max_queued=20, max_buffered=8, full_buffer=full_buffer)
        threads = [threading.Thread(target=use, args=(engine, random.Random(f"{full_buffer} {number}")), daemon=True) for number in range(6)]
        for thread in threads:
            thread.start()
        if closes:
            # Some requests have been answered by then, and the most are still to come.
            while answer(engine, "metrics")["tokens_predicted_total"] < 50:
                time.sleep(0.001)
            engine.close()
        for thread in threads:
            thread.join()
        if not closes:
            while any(slot["is_processing"] for slot in answer(engine, "slots")):
                time.sleep(0.001)
            info = engine.info
            assert (info.n_running, info.n_queued, info.n_streams) == (0, 0, 0)
            assert answer(engine, "completions", prompt="the", max_tokens=2, ignore_eos=True)["usage"]["completion_tokens"] == 2
        engine.close()
        threads.clear()
        del engine, thread
