"""Ctrl-C while the library works, and the end of the process while a thread generates: in processes of their own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap

import pytest

LIMIT_S = 300  # only a hang takes as long

BEGIN = """
import sys, threading
import mullama
from mullama.models import resolve

N_UBATCH = 768  # long enough that Ctrl-C comes while the first one is evaluated
PATH = resolve("smollm2:135m")
GREEDY = {"temperature": 0.0, "max_tokens": 8}

def ready():
    print("ready", flush=True)

def answer(context):
    return context.generate("The capital of France is", **GREEDY)

model = mullama.Model(PATH)
context = model.create_context(n_ctx=2048, n_ubatch=N_UBATCH, n_threads=1)
expected = answer(context)
context.memory_clear()
long = (model.tokenize("the people of the world ") * 400)[: 2 * N_UBATCH]
interrupted = False
"""
END = """
assert interrupted
context.memory_clear()
assert answer(context) == expected
print("good")
sys.exit(7)
"""


@pytest.fixture
def child():
    """Starts processes that run a script; none of them outlives its test."""
    started = []

    def start(script: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", textwrap.dedent(script)]
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def interrupt(child):
    """Sends Ctrl-C once a script is ready; it must come through it, answer correctly, and choose its own exit code."""

    def run(script: str) -> None:
        process = child(BEGIN + textwrap.dedent(script) + END)
        assert process.stdout.readline() == "ready\n", process.communicate(timeout=LIMIT_S)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)  # until it is inside the library
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, out, err) == (7, "good\n", "")

    return run


def test_ctrl_c_stops_a_load_in_its_progress_callback(interrupt):
    interrupt(
        """
        def progress(share):
            if share > 0 and not shares:
                shares.append(share)
                ready()
                threading.Event().wait()
        shares = []
        try:
            mullama.Model(PATH, progress=progress)
        except KeyboardInterrupt:
            interrupted = shares[0] < 1
        mullama.Model(PATH).close()
        """
    )


def test_ctrl_c_stops_a_load_without_callback(child):
    """In its midst, as llama.cpp's own log tells. A signal that comes between two loads is sent once more."""
    script = """
        log = mullama.open_log()
        while not interrupted:
            ready()
            try:
                while True:
                    mullama.Model(PATH, use_mmap=False, check_tensors=True).close()
            except KeyboardInterrupt:
                interrupted = "cancelled model load" in "".join(lines())
    """
    lines = """
def lines():
    while True:
        try:
            yield log.next(timeout=0).text
        except TimeoutError:
            return
"""
    process = child(BEGIN + lines + textwrap.dedent(script) + END)
    for attempt in range(20):
        if process.stdout.readline() != "ready\n":
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2 + attempt / 50)
        process.send_signal(signal.SIGINT)
    else:
        pytest.fail("of twenty signals none stopped a load in its midst")
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out, err) == (7, "", "")


@pytest.mark.parametrize(
    "call",
    [
        "context.generate(tokens=long)",
        "list(context.stream(tokens=long))",
        "context.start_generation(tokens=long).next()",
        "context.start_generation(tokens=long).prepare()",
    ],
)
def test_ctrl_c_stops_a_prefill_with_the_ubatch_it_comes_in(interrupt, call):
    """The first of two is evaluated and kept, the second is never begun."""
    interrupt(
        f"""
        ready()
        try:
            {call}
        except KeyboardInterrupt:
            interrupted = context.memory_max() + 1 == N_UBATCH
        """
    )


@pytest.mark.parametrize("call", ["decode(long)", "decode_batch(tokens=long)"])
def test_ctrl_c_stops_a_decode_in_the_midst_of_a_ubatch(interrupt, call):
    """Not even the first of two is finished: a batch would keep it, and both would count it."""
    interrupt(
        f"""
        n_before = context.timings.n_prefill
        ready()
        try:
            context.{call}
        except KeyboardInterrupt:
            interrupted = context.memory_max() == -1 and context.timings.n_prefill < n_before + N_UBATCH
        """
    )


@pytest.mark.parametrize(
    ("start", "go_on"),
    [
        ("stream = context.stream('Once', max_tokens=-1, ignore_eos=True)", "for piece in stream: pass"),
        ("generation = context.start_generation('Once', max_tokens=-1, ignore_eos=True)", "generation.run()"),
        ("pass", "context.generate('Once', max_tokens=-1, ignore_eos=True)"),
    ],
    ids=["stream", "run", "generate"],
)
def test_ctrl_c_stops_an_answer(interrupt, start, go_on):
    interrupt(
        f"""
        {start}
        ready()
        try:
            {go_on}
        except KeyboardInterrupt:
            interrupted = context.memory_max() + 1 < context.n_ctx
        """
    )


def test_ctrl_c_ends_asyncio_run_and_what_it_awaited(interrupt):
    interrupt(
        """
        import asyncio
        async def main():
            ready()
            await context.generate_async(tokens=long)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            interrupted = context.memory_max() == -1  # in the midst of the first ubatch
        """
    )


def test_ctrl_c_may_come_at_any_moment_and_again_and_again(child):
    """Here too while the thread of a decode is about to start, and while a stopped decode is waited for."""
    script = """
        import signal

        def on_signal(*_):
            if armed:
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, on_signal)
        for _ in range(30):
            armed = True
            try:
                try:
                    ready()
                    context.decode(long)
                finally:
                    armed = False  # signals that come late find nothing to stop
            except KeyboardInterrupt:
                armed = False
            context.memory_clear()  # BUSY if something ran on
            print("clear", flush=True)
        sys.stdin.readline()  # until the last signal is sent
        interrupted = True
    """
    process = child(BEGIN + textwrap.dedent(script) + END)
    for number in range(30):
        assert process.stdout.readline() == "ready\n", process.communicate(timeout=LIMIT_S)
        for _ in range(1 + number % 2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(number / 3000)
            process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "clear\n", process.communicate(timeout=LIMIT_S)
    assert process.communicate("\n", timeout=LIMIT_S) == ("good\n", "") and process.returncode == 7


def test_an_uncaught_ctrl_c_ends_the_process_as_python_does(child):
    for delay in range(6):
        process = child(BEGIN + "ready()\ncontext.decode(long)")
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay / 2000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == -signal.SIGINT
        assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("daemon", [True, False])
def test_the_process_can_end_while_a_thread_generates(child, daemon):
    """Twenty times each: a daemon thread is stopped in the middle, any other is waited for."""
    script = f"""
        import sys, threading
        import mullama
        from mullama.models import resolve

        context = mullama.Model(resolve("smollm2:135m")).create_context(n_ctx=512, n_threads=2)
        started = threading.Event()

        def work():
            n_tokens = -1 if {daemon} else 5
            for piece in context.stream("Once", max_tokens=n_tokens, ignore_eos=True, overflow="shift"):
                started.set()

        threading.Thread(target=work, daemon={daemon}).start()
        started.wait()
        sys.exit(7)
    """
    for _ in range(20):
        process = child(script)
        assert process.communicate(timeout=LIMIT_S) == ("", "") and process.returncode == 7


def test_the_process_can_end_with_everything_open(child, tiny):
    script = f"""
        import mullama

        model = mullama.Model({str(tiny / "llama.gguf")!r})
        context = model.create_context(n_ctx=256)
        sampler = model.create_sampler()
        stream = context.stream("the people", sampler=sampler)
        next(stream)
        generation = context.start_generation("the people")
        generation.next()
        kept = [generation]
        kept.append(kept)
    """
    process = child(script)
    assert process.communicate(timeout=LIMIT_S) == ("", "") and process.returncode == 0
