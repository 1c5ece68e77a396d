"""Handles: closing, freeing, lifetimes, threads and callbacks."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import fixture_binding as fixture
import numpy as np
import pytest


@pytest.fixture
def store():
    with fixture.Store("numbers", "a note") as store:
        for key, text in (("one", "1"), ("three", ""), ("two", "zwei")):
            store.put(key, text)
        yield store


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_class_has_methods_properties_and_a_short_representation(store):
    assert (store.name, store.count, store.find("two"), store.find("four")) == ("numbers", 3, "zwei", None)
    assert repr(store) == "<Store count=3>"
    info = store.info
    assert (info.name, info.note, info.count, info.sizes) == ("numbers", "a note", 3, [1, 0, 4])


def test_static_methods_make_objects():
    with fixture.Store.from_keys(["a", "b"]) as store:
        assert type(store) is fixture.Store
        assert store.count == 2 and store.info.note is None


def test_closing_twice_is_fine_and_use_afterwards_fails(store):
    cursor = store.open_cursor()
    store.close()
    store.close()
    assert store.closed and repr(store) == "<Store closed>"
    for use in (lambda: store.find("one"), lambda: store.info, lambda: store.put("a"), lambda: store.import_(store)):
        with pytest.raises(fixture.ArgumentError) as error:
            use()
        assert error.value.code is fixture.ErrorCode.CLOSED
    assert cursor.step() == "one", "what was made from it lives on"
    cursor.close()


def test_functions_that_cannot_fail_say_that_the_object_is_closed(store):
    cursor = store.open_cursor()
    store.close()
    cursor.close()
    for use in (lambda: store.count, lambda: store.name, cursor.is_waiting):
        with pytest.raises(fixture.ArgumentError, match="was closed") as error:
            use()
        assert error.value.code is fixture.ErrorCode.CLOSED
    cursor.cancel()


def test_zero_from_an_open_object_is_zero():
    with fixture.Store("empty") as store:
        assert store.count == 0 and store.find("a") is None


def test_an_object_keeps_its_parent():
    store = fixture.Store("parent")
    store.put("key")
    cursor = store.open_cursor()
    assert cursor.store is store
    clone = cursor.clone()
    assert clone.store is store
    del store
    gc.collect()
    assert clone.step() == "key"


def test_forgotten_objects_are_freed():
    before = fixture.live_objects()
    fixture.Store("a").open_cursor()
    gc.collect()
    assert fixture.live_objects() == before


def test_a_failed_constructor_leaves_nothing():
    before = fixture.live_objects()
    with pytest.raises(fixture.ArgumentError):
        fixture.Store("\ud800")
    with pytest.raises(TypeError):
        fixture.Store(5)
    assert fixture.live_objects() == before


def test_a_result_that_may_be_absent(store):
    assert store.find_cursor("four") is None
    with store.find_cursor("one") as cursor:
        assert cursor.step() == "three"
        assert cursor.step() == "two"
        assert cursor.step() is None


def test_handles_as_arguments(store):
    with fixture.Store.from_keys(["four"]) as other, fixture.Store.from_keys(["five"]) as third:
        store.import_(other)
        assert store.count == 4
        store.import_(other, third)
        assert store.count == 5
        with pytest.raises(TypeError, match="other must be a Store, not str"):
            store.import_("four")
        with store.open_cursor() as cursor, pytest.raises(TypeError, match="other must be a Store, not Cursor"):
            store.import_(cursor)
        other.close()
        with pytest.raises(fixture.ArgumentError):
            store.import_(other)


def test_handles_cannot_be_copied_pickled_or_made_from_nothing(store):
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a Store cannot be copied or pickled"):
            spread(store)
    with pytest.raises(TypeError, match="a Cursor comes from `Store.open_cursor`"):
        fixture.Cursor()


def test_a_deprecated_function_warns_the_caller(store):
    with pytest.warns(DeprecationWarning, match="Store.count") as warnings:
        assert store.size() == 3
    assert warnings[0].filename == __file__


def test_borrowed_floats_are_copied_unless_a_view_is_asked_for(store):
    with store.open_cursor() as cursor:
        own = cursor.floats(4)
        view = cursor.floats(3, copy=False)
        assert own.tolist() == [0, 1, 2, 3] and view.tolist() == [0, 1, 2]
        own[0] = 5
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 5
        assert isinstance(view, np.ndarray) and cursor.floats(0).shape == (0,)


def test_a_view_outlives_the_names_of_its_owner():
    view = fixture.Store("a").open_cursor().floats(1000, copy=False)
    gc.collect()
    assert view.sum() == 499_500
    del view


# Callbacks


def test_a_callback_sees_each_entry(store):
    seen = []
    assert store.visit(lambda index, key, kind: seen.append((index, key, kind))) == 3
    assert seen == [(0, "one", 0), (1, "three", 1), (2, "two", 0)]
    assert seen[1][2] is fixture.EntryKind.EMPTY


@pytest.mark.parametrize(("answer", "goes_on"), [(None, True), (True, True), (1, True), (False, False), (0, False)])
def test_only_false_stops(store, answer, goes_on):
    if goes_on:
        assert store.visit(lambda *_: answer) == 3
    else:
        with pytest.raises(fixture.CancelledError, match="stopped at entry 0"):
            store.visit(lambda *_: answer)


def test_what_a_callback_raises_comes_out_with_its_traceback(store):
    def visitor(index, key, kind):
        if index == 1:
            raise LookupError(key)

    with pytest.raises(LookupError, match="three") as error:
        store.visit(visitor)
    assert "visitor" in [entry.name for entry in error.traceback]
    assert store.count == 3


def test_a_callback_may_call_the_library(store):
    found = []
    store.visit(lambda index, key, kind: found.append(store.find(key)))
    assert found == ["1", "", "zwei"]


def test_a_constructor_with_a_callback():
    parts = []
    with fixture.Store("a", listener=parts.append):
        assert parts == [0.0, 1.0]

    def listener(part):
        raise KeyboardInterrupt

    before = fixture.live_objects()
    with pytest.raises(KeyboardInterrupt):
        fixture.Store("a", listener=listener)
    gc.collect()
    assert fixture.live_objects() == before


# Threads


def test_a_second_thread_gets_busy_at_once(store):
    with store.open_cursor() as cursor:
        waiter = threading.Thread(target=cursor.wait)
        waiter.start()
        wait_until(cursor.is_waiting)
        with pytest.raises(fixture.ResourceError) as error:
            cursor.step()
        assert error.value.code is fixture.ErrorCode.BUSY
        cursor.release()
        waiter.join(5)
        assert not waiter.is_alive()
        assert cursor.step() == "one"


def test_closing_ends_a_call_of_another_thread(store):
    cursor = store.open_cursor()
    raised = []

    def wait():
        try:
            cursor.wait()
        except fixture.Error as error:
            raised.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(cursor.is_waiting)
    cursor.close()
    waiter.join(5)
    assert not waiter.is_alive() and cursor.closed
    assert isinstance(raised[0], (fixture.CancelledError, fixture.ArgumentError))


def test_a_shared_object_serves_many_threads(store):
    def work(number):
        for i in range(200):
            store.put(f"{number}-{i}", str(i))
            assert store.find(f"{number}-{i}") == str(i)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count == 803


def test_a_thread_inside_the_library_does_not_crash_the_end_of_the_program():
    script = """
        import atexit, threading, time
        atexit.register(lambda: print("closed:", cursor.closed, countdown.closed))  # runs after those of the binding
        import fixture_binding as fixture
        cursor = fixture.Store("a").open_cursor()
        countdown = cursor.store.start_count(2**30, delay_ms=1)
        threading.Thread(target=cursor.wait, daemon=True).start()
        threading.Thread(target=countdown.run, daemon=True).start()
        while not cursor.is_waiting():
            time.sleep(0.001)
        print("end")
    """
    folder = fixture.__path__[0].rpartition("fixture_binding")[0]
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "end\nclosed: True True\n"), done.stderr


def test_ctrl_c_reaches_a_callback(store):
    def visitor(index, key, kind):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        store.visit(visitor)
    assert store.visit(lambda *_: None) == 3
