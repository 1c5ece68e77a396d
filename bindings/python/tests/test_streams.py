"""Streams: iteration, waiting, cancelling, Ctrl-C, texts, and the async twins."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import os
import signal
import threading
import time

import fixture_binding as fixture
import pytest

FOREVER = 2**30


@pytest.fixture
def store():
    with fixture.Store("numbers") as store:
        yield store


@contextlib.contextmanager
def ctrl_c_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        yield
    timer.join()
    assert time.monotonic() - start < seconds + 1


def test_a_stream_is_an_iterator(store):
    countdown = store.start_count(3)
    assert countdown.store is store
    assert [tick.number for tick in countdown] == [3, 2, 1, 0]
    assert list(countdown) == []
    assert countdown.next() is None
    assert countdown.text() == "3 2 1 0 "
    assert (countdown.result.n_ticks, countdown.result.cancelled) == (4, False)


def test_events_stay_as_they_were(store):
    first, second, *_ = store.start_count(3)
    assert (first.text, second.text) == ("3 ", "2 ")


def test_waiting_may_have_a_limit(store):
    countdown = store.start_count(3, delay_ms=300)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        countdown.next(timeout=0.15)
    assert 0.1 < time.monotonic() - start < 0.29
    with pytest.raises(TimeoutError):
        countdown.next(timeout=0)
    assert countdown.run(timeout=0.01) is fixture.Status.WAITING
    assert countdown.next().number == 3


def test_cancelling_from_another_thread_ends_the_loop(store):
    countdown = store.start_count(FOREVER, delay_ms=1)
    threading.Timer(0.05, countdown.cancel).start()
    assert 1 <= len(list(countdown)) < 1000
    assert countdown.result.cancelled
    assert countdown.run() is fixture.Status.CANCELLED


def test_a_stream_that_fails_raises_and_the_store_goes_on(store):
    countdown = store.start_count(5, fail_at=3)
    seen = []
    with pytest.raises(fixture.InferenceError):
        seen.extend(tick.number for tick in countdown)
    assert store.count_text(1) == "1 0 "


def test_run_works_to_the_end(store):
    countdown = store.start_count(2)
    assert countdown.run() is fixture.Status.DONE
    assert countdown.text() == "2 1 0 "


def test_use_after_close(store):
    countdown = store.start_count(2)
    countdown.close()
    with pytest.raises(fixture.ArgumentError):
        next(countdown)
    with pytest.raises(fixture.ArgumentError):
        countdown.run()
    countdown.cancel()


def test_closing_ends_a_loop_in_another_thread(store):
    countdown = store.start_count(FOREVER, delay_ms=5)
    errors = []

    def work():
        try:
            for _ in countdown:
                pass
        except fixture.Error as error:
            errors.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(0.05)
    countdown.close()
    worker.join(5)
    assert not worker.is_alive()
    assert all(error.code is fixture.ErrorCode.CLOSED for error in errors)


def test_ctrl_c_cancels_what_runs(store):
    countdown = store.start_count(FOREVER, delay_ms=20)
    with ctrl_c_after(0.1):
        list(countdown)
    assert countdown.result.cancelled
    countdown = store.start_count(FOREVER, delay_ms=20)
    with ctrl_c_after(0.1):
        countdown.run()
    assert countdown.result.cancelled
    with ctrl_c_after(0.1):
        store.start_count(FOREVER, delay_ms=60_000).next(timeout=30)
    with ctrl_c_after(0.1):
        store.count_text(FOREVER, delay_ms=20)
    with ctrl_c_after(0.1):
        list(store.count_pieces(FOREVER, delay_ms=20))
    assert store.count_text(1) == "1 0 "


# Texts


def test_the_whole_text_is_a_str_with_its_figures(store):
    text = store.count_text(3)
    assert text == "3 2 1 0 " and isinstance(text, str)
    assert text.result.n_ticks == 4
    assert text.upper() == text


def test_the_whole_text_leaves_nothing_behind(store):
    before = fixture.live_objects()
    store.count_text(3)
    with pytest.raises(fixture.InferenceError):
        store.count_text(3, fail_at=1)
    assert fixture.live_objects() == before


def test_a_failed_text_is_closed_although_its_error_lives(store):
    with pytest.raises(fixture.InferenceError) as error:
        store.count_text(3, fail_at=1)
    generations = [entry.frame.f_locals["generation"] for entry in error.traceback if "generation" in entry.locals]
    assert [generation.closed for generation in generations] == [True]


def test_pieces(store):
    stream = store.count_pieces(3)
    assert list(stream) == ["3 ", "2 ", "1 ", "0 "]
    assert stream.result.n_ticks == 4 and not stream.result.cancelled
    assert list(stream) == []


def test_leaving_the_loop_frees_the_generation(store):
    before = fixture.live_objects()
    for piece in store.count_pieces(FOREVER):
        assert piece
        break
    gc.collect()
    assert fixture.live_objects() == before


def test_a_closed_stream_keeps_its_figures(store):
    before = fixture.live_objects()
    with store.count_pieces(FOREVER) as stream:
        next(stream)
    assert stream.result.cancelled and stream.result.n_ticks == 1
    assert list(stream) == []
    stream.close()
    del stream
    gc.collect()
    assert fixture.live_objects() == before


def test_cancelled_pieces_end_as_usual(store):
    stream = store.count_pieces(FOREVER)
    next(stream)
    stream.cancel()
    assert list(stream) == []
    assert stream.result.cancelled


def test_the_conveniences_show_their_arguments():
    expected = ["self", "start", "delay_ms", "fail_at"]
    for method in (fixture.Store.start_count, fixture.Store.count_text, fixture.Store.count_pieces):
        signature = inspect.signature(method)
        assert list(signature.parameters) == expected
        assert signature.parameters["delay_ms"].default == 0
        assert "delay_ms: Time before each item." in method.__doc__
    assert fixture.Store.count_text.__qualname__ == "Store.count_text"


def test_wrong_arguments_of_the_conveniences(store):
    with pytest.raises(TypeError, match="nonsense"):
        store.count_text(3, nonsense=1)
    with pytest.raises(fixture.ArgumentError, match="start"):
        store.count_text(-1)


# Async twins


async def test_a_stream_is_an_async_iterator(store):
    assert [tick.number async for tick in store.start_count(2)] == [2, 1, 0]


async def test_async_texts(store):
    text = await store.count_text_async(2)
    assert text == "2 1 0 " and text.result.n_ticks == 3
    assert [piece async for piece in store.count_pieces_async(2)] == ["2 ", "1 ", "0 "]
    assert [piece async for piece in store.count_pieces(1)] == ["1 ", "0 "]


async def test_streams_do_not_block_the_event_loop(store):
    async def count():
        return [tick.number async for tick in store.start_count(5, delay_ms=40)]

    start = time.monotonic()
    first, second = await asyncio.gather(count(), count())
    assert first == second == [5, 4, 3, 2, 1, 0]
    assert time.monotonic() - start < 0.4


async def test_cancelling_a_task_ends_its_generation(store):
    before = fixture.live_objects()
    for call in (
        lambda: store.count_text_async(FOREVER, delay_ms=1),
        lambda: store.start_count(FOREVER, delay_ms=1).run_async(),
        lambda: anext(store.count_pieces(FOREVER, delay_ms=60_000)),
        lambda: anext(store.start_count(FOREVER, delay_ms=60_000)),
    ):
        start = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(call(), 0.1)
        assert time.monotonic() - start < 1
        gc.collect()
        assert fixture.live_objects() == before, "the thread has left"


async def test_cancelling_a_task_cancels_its_call(store):
    async with store.open_cursor() as cursor:
        task = asyncio.create_task(cursor.wait_async())
        while not cursor.is_waiting():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not cursor.is_waiting()
        cursor.step()


async def test_a_twin_gives_the_result_and_the_error(store):
    async with store.open_cursor() as cursor:
        task = asyncio.create_task(cursor.wait_async())
        while not cursor.is_waiting():
            await asyncio.sleep(0.001)
        with pytest.raises(fixture.ResourceError):
            await cursor.wait_async()
        cursor.release()
        assert await task is None
    with pytest.raises(fixture.ArgumentError):
        await cursor.wait_async()


async def test_twins_run_in_the_context_of_their_task():
    from fixture_binding import _async

    name = contextvars.ContextVar("name")
    name.set("task")
    assert await _async.run(name.get) == "task"


async def test_twins_show_their_arguments():
    twin = fixture.Countdown.run_async
    assert inspect.iscoroutinefunction(twin)
    assert list(inspect.signature(twin).parameters) == ["self", "timeout"]
    assert twin.__qualname__ == "Countdown.run_async"
    assert twin.__doc__.startswith("Like `run`, without blocking the event loop")


async def test_leaving_an_async_loop_frees_the_generation(store):
    before = fixture.live_objects()
    async for _ in store.count_pieces(FOREVER):
        break
    gc.collect()
    assert fixture.live_objects() == before
