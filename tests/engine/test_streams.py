"""Streams: who is named when, what a slow reader holds, how requests are cancelled, and how an engine ends."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import mullama
import pytest
from ask import ENDLESS, answer, events, user


def until(condition: Any, seconds: float = 20) -> None:
    """Waits for something that the engine's own thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def busy_slots(engine: mullama.Engine) -> int:
    return sum(slot["is_processing"] for slot in answer(engine, "slots"))


def test_a_stream_that_waits_for_its_reader_loses_nothing(open_engine):
    engine = open_engine(max_buffered=4)
    expected = answer(engine, "completions", **ENDLESS)["choices"][0]["text"]
    with engine.request("completions", {**ENDLESS, "stream": True}) as stream:
        until(lambda: stream.info.paused)
        assert stream.info.n_buffered <= 8  # what one step adds is all that can exceed the bound
        # Others go on meanwhile.
        assert answer(engine, "completions", prompt="the", max_tokens=3)["usage"]["completion_tokens"] == 3
        text = "".join(event.data["choices"][0]["text"] for event in stream)
    assert text == expected


@pytest.mark.parametrize("limit", range(1, 40))
def test_a_stream_is_the_whole_answer_wherever_it_is_cut(engine, limit):
    # Byte tokens leave characters unfinished, and a stop text that never comes is held back at its start.
    body = {**ENDLESS, "max_tokens": limit, "stop": ["him was not there", "e the out him! no"]}
    whole = answer(engine, "completions", **body)["choices"][0]
    pieces = events(engine, "completions", **body)
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == whole["text"]
    assert pieces[-1]["choices"][0]["finish_reason"] == whole["finish_reason"] == "length"


def test_a_reader_that_does_not_read_is_cancelled_where_that_was_chosen(open_engine):
    engine = open_engine(max_buffered=4, full_buffer="cancel")
    with engine.request("completions", {**ENDLESS, "stream": True}) as stream:
        until(lambda: stream.info.state == mullama.StreamState.CANCELLED)
        assert stream.next() is None
        until(lambda: busy_slots(engine) == 0)


def test_cancelling_frees_the_slot_while_generating(open_engine):
    engine = open_engine(n_slots=1)
    with engine.request("completions", {**ENDLESS, "stream": True}) as stream:
        stream.next()
        stream.cancel()
        assert stream.next() is None
        assert stream.info.state == mullama.StreamState.CANCELLED
        until(lambda: busy_slots(engine) == 0)


def test_cancelling_frees_the_slot_in_a_prefill(open_engine):
    engine = open_engine(n_slots=1, n_ctx=512, n_batch=16, n_ubatch=16)
    with engine.request("completions", {"prompt": [5] * 500, "max_tokens": 1}) as stream:
        until(lambda: stream.info.state == mullama.StreamState.PREFILL)
        stream.cancel()
        until(lambda: busy_slots(engine) == 0)
        assert answer(engine, "metrics")["prompt_tokens_total"] < 500


def test_cancelling_ends_a_request_that_waits_for_a_slot(open_engine):
    engine = open_engine(n_slots=1)
    with engine.request("completions", {**ENDLESS, "stream": True}) as first:
        waiting = [engine.request("completions", {"prompt": "the", "max_tokens": 1}) for _ in range(3)]
        for stream in waiting:
            stream.cancel()
            assert stream.next() is None
        assert engine.info.n_queued == 0
        assert sum(1 for _ in first) > 100  # it was not disturbed
        for stream in waiting:
            stream.close()


def test_dropping_a_stream_frees_its_slot(open_engine):
    engine = open_engine(n_slots=1)
    stream = engine.request("completions", {**ENDLESS, "stream": True})
    stream.next()
    del stream
    until(lambda: busy_slots(engine) == 0)


def test_one_more_than_may_wait_is_refused(open_engine):
    engine = open_engine(n_slots=1, max_queued=2)
    streams = [engine.request("completions", {**ENDLESS, "stream": True}) for _ in range(4)]  # 1 runs, 1 is next, 2 wait
    with pytest.raises(mullama.ResourceError, match="2 requests wait") as caught:
        engine.request("completions", ENDLESS)
    assert caught.value.code == mullama.ErrorCode.BUSY
    # What needs no slot is answered all the same.
    assert answer(engine, "tokenize", content="the")["tokens"]
    for stream in streams:
        stream.close()


def test_a_higher_priority_comes_first(open_engine):
    engine = open_engine(n_slots=1)
    done: list[str] = []
    with engine.request("completions", {**ENDLESS, "stream": True}) as running, engine.request("completions", ENDLESS):
        names = [("low", -1), ("first", 0), ("second", 0), ("high", 5)]
        streams = {name: engine.request("completions", {"prompt": "the", "max_tokens": 1, "priority": priority}) for name, priority in names}
        running.cancel()
        ids = {stream.id: name for name, stream in streams.items()}
        while len(done) < 4:
            done += [ids[one] for one in engine.wait(20000) if one in ids]
        for stream in streams.values():
            stream.close()
    assert done == ["high", "first", "second", "low"]


def test_a_request_that_needs_several_slots_is_not_starved(open_engine):
    engine = open_engine(n_slots=2)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            answer(engine, "completions", prompt="the", max_tokens=4, ignore_eos=True)

    threads = [threading.Thread(target=keep_busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert len(answer(engine, "completions", prompt="of", max_tokens=4, n=2)["choices"]) == 2
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_request_that_is_not_done_in_time_fails(open_engine):
    engine = open_engine(n_slots=1)
    with engine.request("completions", {**ENDLESS, "deadline_ms": 20}) as stream, pytest.raises(mullama.Error, match="deadline_ms of 20") as caught:
        stream.next()
    assert caught.value.code == mullama.ErrorCode.DEADLINE
    until(lambda: busy_slots(engine) == 0)


def test_streams_are_named_when_they_have_something_and_only_once(open_engine):
    engine = open_engine(n_slots=2)
    with engine.request("completions", {**ENDLESS, "stream": True}) as first, engine.request("tokenize", {"content": "the"}) as second:
        named: set[int] = set()
        while named != {first.id, second.id}:
            named.update(engine.wait(20000))
        assert engine.wait(0) == []  # nobody has taken anything since
        while first.info.state != mullama.StreamState.FINISHED:
            time.sleep(0.001)
        assert engine.wait(0) == []
        assert second.next() is not None
        assert second.next() is None
        assert sum(1 for _ in first) > 100


def test_one_thread_serves_many_streams(open_engine):
    engine = open_engine(n_slots=4, max_queued=100)
    streams = {}
    for number in range(60):
        stream = engine.request("completions", {"prompt": [5 + number], "max_tokens": 6, "ignore_eos": True, "stream": True, "temperature": 0})
        streams[stream.id] = stream
    last: dict[int, Any] = {}
    while len(last) < len(streams) or any(last.values()):
        for one in engine.wait(20000):
            while True:
                try:
                    event = streams[one].next(timeout=0)
                except TimeoutError:
                    break
                last[one] = event
                if event is None:
                    break
    for stream in streams.values():
        assert stream.info.state == mullama.StreamState.FINISHED
        stream.close()


def test_waking_ends_all_waits_and_no_later_one(engine):
    returned, starting = [], threading.Barrier(4)

    def wait() -> None:
        starting.wait()
        returned.append(engine.wait())

    waiters = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    starting.wait()
    time.sleep(0.1)  # until they are in it
    engine.wake()
    for waiter in waiters:
        waiter.join(10)
    assert returned == [[], [], []]
    begin = time.monotonic()
    assert engine.wait(50) == [] and time.monotonic() - begin > 0.04
    engine.wake()
    engine.wake()
    assert engine.wait() == []  # nobody was in it


def test_event_loops_of_several_threads_share_an_engine(open_engine):
    """Each stream is read by the loop of its own thread, and none of them waits in vain."""
    engine = open_engine(n_slots=4, max_buffered=2)
    texts: dict[int, list[str]] = {}

    async def read(number: int) -> str:
        stream = await engine.complete_async("the", max_tokens=1 + number % 7, temperature=0, ignore_eos=True, stream=True)
        return "".join([piece.text async for piece in stream])

    async def read_many() -> list[str]:
        return list(await asyncio.wait_for(asyncio.gather(*(read(number) for number in range(40))), 120))

    def run(thread: int) -> None:
        texts[thread] = asyncio.run(read_many())

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(130)
    assert len(texts) == 3 and texts[0] == texts[1] == texts[2] and all(texts[0])


def test_waking_ends_a_wait(engine):
    threading.Timer(0.05, engine.wake).start()
    begun = time.monotonic()
    while engine.wait(20000):
        pass
    assert time.monotonic() - begun < 10


def test_closing_cancels_what_runs(open_engine):
    engine = open_engine(n_slots=1)
    streams = [engine.request("completions", {**ENDLESS, "stream": True}) for _ in range(3)]
    streams[0].next()
    engine.close()
    for stream in streams:
        while stream.next() is not None:
            pass
        assert stream.info.state == mullama.StreamState.CANCELLED
    with pytest.raises(mullama.ArgumentError) as caught:
        engine.request("props")
    assert caught.value.code == mullama.ErrorCode.CLOSED


def test_closing_wakes_a_reader_and_a_waiter(open_engine):
    engine = open_engine(n_slots=1, max_buffered=2)
    ended: list[Any] = []

    def wait() -> None:
        try:
            while True:
                engine.wait()
        except mullama.ArgumentError as error:
            ended.append(error.code)

    with engine.request("completions", {**ENDLESS, "stream": True}) as holder, engine.request("completions", ENDLESS) as stream:
        until(lambda: holder.info.paused)  # and keeps the only slot
        threads = [threading.Thread(target=wait), threading.Thread(target=lambda: ended.append(stream.next()))]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        assert ended == []
        engine.close()
        for thread in threads:
            thread.join(20)
    assert sorted(ended, key=str) == [mullama.ErrorCode.CLOSED, None]


def test_draining_finishes_what_runs_and_takes_nothing_new(open_engine):
    engine = open_engine(n_slots=1)
    streams = [engine.request("completions", {"prompt": "the", "max_tokens": 40, "ignore_eos": True}) for _ in range(3)]
    assert engine.drain(20000)
    assert engine.info.state == mullama.EngineState.DRAINING
    with pytest.raises(mullama.ArgumentError, match="drained"):
        engine.request("completions", ENDLESS)
    assert [stream.next().data["usage"]["completion_tokens"] for stream in streams] == [40, 40, 40]
    for stream in streams:
        stream.close()


def test_a_stream_outlives_the_variable_of_its_engine(open_engine, tiny):
    engine = mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=1, n_threads=1)
    stream = engine.request("chat/completions", {"messages": user("the"), "max_tokens": 3})
    del engine
    assert stream.next().data["usage"]["completion_tokens"] == 3
    stream.close()


def test_the_load_can_be_watched_and_stopped(tiny):
    seen: list[float] = []
    mullama.Engine(tiny / "llama.gguf", n_ctx=256, progress=lambda fraction: seen.append(fraction)).close()
    assert seen == sorted(seen)
    assert seen[-1] == 1
    with pytest.raises(mullama.Error) as caught:
        mullama.Engine(tiny / "llama.gguf", n_ctx=256, progress=lambda fraction: False)
    assert caught.value.code == mullama.ErrorCode.CANCELLED
