"""Closed objects: every method of every class answers with CLOSED, and closing is safe at any moment, twice as well.

Methods and properties are found on the generated classes, so that a new one is tested from its first day on.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import mullama
import pytest
from mullama import ErrorCode

CLASSES = [mullama.Model, mullama.Context, mullama.Sampler, mullama.Generation, mullama.Log, mullama.Engine, mullama.Stream]
# They do nothing on a closed object: stopping what has stopped is no error.
SILENT = {"close", "cancel", "wake"}
# Known to the Python object alone.
PYTHON_ONLY = {"model", "context", "engine", "closed"}

ARGUMENTS = {
    "text": "x",
    "key": "general.name",
    "tokens": [1],
    "token": 1,
    "index": 0,
    "sequence": 0,
    "source": 0,
    "target": 0,
    "start": 0,
    "end": 1,
    "delta": 1,
    "divisor": 2,
    "n_threads": 1,
    "n_threads_batch": 1,
    "embeddings": True,
    "causal": True,
    "state": b"state",
    "path": "state",
    "messages": [{"role": "user", "content": "x"}],
    "logits": [0.0] * 576,
    "biases": [0.5],
    "k": 1,
    "grammar": 'root ::= "x"',
    "route": "props",
}


def members(kind: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(kind).items():
        if name[0] != "_" and name not in SILENT | PYTHON_ONLY and isinstance(member, (FunctionType, property)):
            yield name, member


def methods(kind: type) -> list[str]:
    return [name for name, member in members(kind) if isinstance(member, FunctionType)]


def properties(kind: type) -> list[str]:
    return [name for name, member in members(kind) if isinstance(member, property)]


@pytest.fixture
def handles(tiny: Path) -> Iterator[dict[type, mullama.binding._runtime.Handle]]:
    model = mullama.Model(tiny / "llama.gguf")
    context = model.create_context(n_ctx=64, n_threads=1)
    engine = mullama.Engine(tiny / "llama.gguf", n_ctx=64, n_slots=1, n_threads=1)
    made = [model, context, model.create_sampler(seed=1), context.start_generation("the", seed=1), mullama.open_log()]
    made += [engine, engine.request("props")]
    yield {type(handle): handle for handle in made}
    for handle in reversed(made):
        handle.close()


def call_of(handle: object, name: str, context: mullama.Context) -> Callable[[], object]:
    """The method with an argument of the right kind for every parameter that needs one."""
    method = getattr(handle, name)
    arguments = {}
    for parameter in inspect.signature(method).parameters.values():
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL:
            values = {**ARGUMENTS, "context": context}
            arguments[parameter.name] = values.get(parameter.name, 0.5)
    if name == "start_generation" or name in ("generate", "generate_async", "stream"):
        arguments["prompt"] = "the"

    def call() -> object:
        result = method(**arguments)
        if inspect.iscoroutine(result):
            return asyncio.run(result)
        return result

    return call


def assert_closed(call: Callable[[], object], kind: type) -> None:
    with pytest.raises(mullama.ArgumentError, match=f"the {kind.__name__.lower()} was closed") as raised:
        call()
    assert raised.value.code is ErrorCode.CLOSED


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CLASSES for name in methods(kind)])
def test_a_method_of_a_closed_object_says_so(kind: type, name: str, handles: dict) -> None:
    handle = handles[kind]
    handle.close()
    assert_closed(call_of(handle, name, handles[mullama.Context]), kind)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CLASSES for name in properties(kind)])
def test_a_property_of_a_closed_object_says_so(kind: type, name: str, handles: dict) -> None:
    handles[kind].close()
    assert_closed(lambda: getattr(handles[kind], name), kind)


def test_the_classes_have_the_methods_that_are_tested() -> None:
    counts = {kind.__name__: len(methods(kind)) + len(properties(kind)) for kind in CLASSES}
    assert all(count >= least for count, least in zip(counts.values(), (20, 40, 25, 10, 2, 8, 4), strict=True)), counts


@pytest.mark.parametrize("kind", CLASSES)
def test_closing_twice_and_cancelling_a_closed_object_do_nothing(kind: type, handles: dict) -> None:
    handle = handles[kind]
    for _ in range(2):
        handle.close()
        assert handle.closed
        if hasattr(handle, "cancel"):
            handle.cancel()
    assert repr(handle) == f"<{kind.__name__} closed>"


@pytest.mark.parametrize("kind", CLASSES)
def test_many_threads_may_close_at_once(kind: type, handles: dict) -> None:
    threads = [threading.Thread(target=handles[kind].close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_closing_in_any_order_is_safe(handles: dict) -> None:
    for kind in (mullama.Model, mullama.Sampler, mullama.Context, mullama.Generation):
        handles[kind].close()


def test_a_generation_needs_its_context_open(handles: dict) -> None:
    handles[mullama.Context].close()
    with pytest.raises(mullama.ArgumentError, match="the context was closed") as raised:
        handles[mullama.Generation].run()
    assert raised.value.code is ErrorCode.CLOSED


def test_a_generation_needs_its_sampler_open(handles: dict) -> None:
    generation = handles[mullama.Context].start_generation("the", sampler=handles[mullama.Sampler])
    handles[mullama.Sampler].close()
    with pytest.raises(mullama.ArgumentError, match="the sampler was closed"):
        generation.run()
    generation.close()


def test_a_closed_sampler_is_no_argument(handles: dict) -> None:
    handles[mullama.Sampler].close()
    generation = None
    with pytest.raises(mullama.ArgumentError, match="the sampler was closed"):
        generation = handles[mullama.Context].start_generation("the", sampler=handles[mullama.Sampler])
        generation.run()
    if generation is not None:
        generation.close()


# While something runs -------------------------------------------------------------------------------------------------


class Worker(threading.Thread):
    """Runs a call and keeps what became of it."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self.call = call
        self.outcome: object = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.call()
        except mullama.Error as error:
            self.outcome = error.code


@pytest.fixture
def endless(tiny: Path) -> Iterator[mullama.Context]:
    """A context on which generations do not end by themselves."""
    with mullama.Model(tiny / "llama.gguf") as model:
        context = model.create_context(n_ctx=512, n_ubatch=32, n_threads=1)
        yield context
        context.close()


ENDLESS = {"max_tokens": -1, "ignore_eos": True, "overflow": "shift", "seed": 1}


@pytest.mark.parametrize("what", ["context", "generation", "model"])
def test_closing_while_a_generation_runs_ends_it(what: str, endless: mullama.Context) -> None:
    generation = endless.start_generation("the water", **ENDLESS)
    worker = Worker(generation.run)
    time.sleep(0.2)
    assert worker.is_alive()
    start = time.monotonic()
    if what == "model":
        endless.model.close()
        time.sleep(0.1)
        assert worker.is_alive(), "what stands on the model keeps it"
        generation.cancel()
    else:
        {"context": endless, "generation": generation}[what].close()
    worker.join(10)
    assert not worker.is_alive() and time.monotonic() - start < 5
    assert worker.outcome in (ErrorCode.CLOSED, mullama.Status.CANCELLED)
    generation.close()


def test_closing_a_context_ends_a_decode(tiny: Path) -> None:
    with mullama.Model(tiny / "llama.gguf") as model:
        context = model.create_context(n_ctx=65536, n_ubatch=32, n_threads=1)
        worker = Worker(lambda: context.decode([9] * 60000))
        time.sleep(0.2)
        assert worker.is_alive()
        start = time.monotonic()
        context.close()
        assert time.monotonic() - start < 2
        worker.join(10)
        assert worker.outcome is ErrorCode.CANCELLED


def test_cancelling_a_generation_twice_ends_it_once(endless: mullama.Context) -> None:
    generation = endless.start_generation("the water", **ENDLESS)
    worker = Worker(generation.run)
    time.sleep(0.1)
    generation.cancel()
    generation.cancel()
    worker.join(10)
    assert worker.outcome is mullama.Status.CANCELLED
    assert generation.result.finish_reason is mullama.FinishReason.CANCELLED
    generation.cancel()
    assert generation.run() is mullama.Status.CANCELLED
    generation.close()
    assert endless.generate("the", max_tokens=2, seed=1).result.n_generated == 2, "the context is not cancelled"


def test_closing_a_log_wakes_its_reader() -> None:
    log = mullama.open_log()
    worker = Worker(log.next)
    time.sleep(0.1)
    log.close()
    worker.join(5)
    assert not worker.is_alive()
    assert worker.outcome in (None, ErrorCode.CLOSED)


def test_two_calls_at_once_on_one_context_are_refused(endless: mullama.Context) -> None:
    generation = endless.start_generation("the water", **ENDLESS)
    worker = Worker(generation.run)
    busy = False
    end = time.monotonic() + 60  # a busy machine may start the worker late
    while not busy and time.monotonic() < end:
        try:
            endless.memory_max()
        except mullama.ResourceError as error:
            assert error.code is ErrorCode.BUSY
            busy = True
    generation.cancel()
    worker.join(10)
    generation.close()
    assert busy
