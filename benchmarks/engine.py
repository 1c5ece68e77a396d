"""Measures the engine: many streams at once against llama.cpp's own batched benchmark and its server, and what a request costs."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import mullama
from measure import Figure, llama_bench, ratio_in_pairs, seconds

PROMPT, NEW = 128, 64  # tokens of each stream
LIMITS = {"max_tokens": NEW, "ignore_eos": True, "temperature": 0, "cache_prompt": False}
SCHEMA = {
    "type": "object",
    "properties": {"words": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 40}},
    "required": ["words"],
}


def prompts(count: int) -> list[list[int]]:
    """Different from the first token on, so that nothing can be shared."""
    return [[(7 * stream + 13 * place) % 40_000 + 100 for place in range(PROMPT)] for stream in range(count)]


def engine_speed(engine: mullama.Engine, count: int) -> float:
    """Tokens per second, prompts and answers together, of streams that one thread reads."""

    def read() -> None:
        streams = {}
        for prompt in prompts(count):
            stream = engine.request("completions", {"prompt": prompt, "stream": True, **LIMITS})
            streams[stream.id] = stream
        while streams:
            for id_ in engine.wait():
                if id_ in streams and _drained(streams[id_]):
                    streams.pop(id_).close()

    return count * (PROMPT + NEW) / seconds(read)


def _drained(stream: mullama.Stream) -> bool:
    try:
        while stream.next(0) is not None:
            pass
    except TimeoutError:
        return False
    return True


def batched_speed(program: str, model: str, threads: int, count: int) -> float:
    """The same of llama-batched-bench: total tokens per second."""
    context = count * (PROMPT + NEW)
    command = [program, "-m", model, "-t", str(threads), "-c", str(context), "-b", "512", "-ub", "512"]
    command += ["-npp", str(PROMPT), "-ntg", str(NEW), "-npl", str(count), "--output-format", "jsonl"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    row = json.loads([line for line in output.splitlines() if line.startswith("{")][-1])
    return float(row["speed"])


class LlamaServer:
    """A llama-server with as many slots, on a free port; each stream is read by a thread of its own."""

    def __init__(self, program: str, model: str, threads: int, count: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        command = [program, "-m", model, "-t", str(threads), "-c", str(count * 512), "-np", str(count), "-b", "512", "-ub", "512"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([*command, "--port", str(port)], stdout=quiet, stderr=quiet)
        self._count = count
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self._url}/health").close()
                return
            except OSError:
                time.sleep(0.1)  # until it listens; nothing is measured yet
        raise TimeoutError(f"{program} does not answer")

    def speed(self) -> float:
        def read(prompt: list[int]) -> None:
            body = {"prompt": prompt, "stream": True, **LIMITS, "n_predict": NEW}
            request = urllib.request.Request(f"{self._url}/completion", json.dumps(body).encode())
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request) as answer:
                for _ in answer:
                    pass

        def all_at_once() -> None:
            threads = [threading.Thread(target=read, args=(prompt,)) for prompt in prompts(self._count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return self._count * (PROMPT + NEW) / seconds(all_at_once)

    def __enter__(self) -> LlamaServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.wait()


def first_token(engine: mullama.Engine, prompt: list[int]) -> float:
    """Seconds from the request to its first token."""
    start = time.perf_counter()
    with engine.request("completions", {"prompt": prompt, "max_tokens": 2, "ignore_eos": True, "temperature": 0, "stream": True}) as stream:
        stream.next()
        return time.perf_counter() - start


def decode_speed(engine: mullama.Engine, **fields: object) -> float:
    """Tokens per second of one answer, as llama.cpp counts them: from the first token on."""
    answer = engine.complete([1], max_tokens=NEW, temperature=0, cache_prompt=False, **fields)  # type: ignore[arg-type]
    return answer.timings.predicted_per_second if answer.timings else 0.0


def stream_decode_speed(engine: mullama.Engine) -> float:
    return decode_speed(engine, ignore_eos=True)


def cached_prefix(model: str, threads: int, pairs: int) -> Figure:
    """A 2,000-token prompt that is in the cache but for its last token, against a prompt of 20 tokens."""
    with mullama.Engine(model, n_ctx=2048, n_slots=2, n_threads=threads) as engine:
        long = [(13 * place) % 40_000 + 100 for place in range(2000)]
        first_token(engine, long)
        ratios = []
        for pair in range(pairs):
            short = [(17 * place + 101 * (pair + 1)) % 40_000 + 100 for place in range(20)]
            ratios.append(first_token(engine, long) / first_token(engine, short))
    ratio = statistics.median(ratios)
    return Figure("first token, 2,000 tokens cached", ratio, "times as long", 1.2, f"a prompt of 20 tokens, {pairs} pairs")


def figures(model: str, tools: Path, threads: int, pairs: int, servers: list[str]) -> Iterator[Figure]:
    batched = str(tools / "llama-batched-bench")
    with mullama.Engine(model, n_ctx=512, n_slots=8, n_threads=threads) as engine:
        yield ratio_in_pairs(
            "engine, 8 streams",
            lambda: engine_speed(engine, 8),
            lambda: batched_speed(batched, model, threads, 8),
            0.93,
            pairs,
            "tok/s",
            "llama-batched-bench",
        )
    for server in [str(tools / "llama-server"), *servers]:
        for count in (8, 32):
            label = f"llama-server {'with our flags' if server == str(tools / 'llama-server') else 'by default'}"
            with (
                mullama.Engine(model, n_ctx=512, n_slots=count, n_threads=threads) as engine,
                LlamaServer(server, model, threads, count) as other,
            ):
                ours: Callable[[], float] = lambda: engine_speed(engine, count)  # noqa: E731, B023
                yield ratio_in_pairs(f"engine, {count} streams", ours, other.speed, 1.10, pairs, "tok/s", label)
    with mullama.Engine(model, n_ctx=512, n_slots=1, n_threads=threads) as engine:
        bench = str(tools / "llama-bench")
        yield ratio_in_pairs(
            "engine, 1 stream decode",
            lambda: stream_decode_speed(engine),
            lambda: llama_bench(bench, model, threads, prompt=0, generate=NEW),
            0.95,
            pairs,
            "tok/s",
            "llama-bench tg64",
        )
        yield ratio_in_pairs(
            "engine, schema-constrained decode",
            lambda: decode_speed(engine, json_schema=SCHEMA),
            lambda: stream_decode_speed(engine),
            0.93,
            pairs,
            "tok/s",
            "free decode",
        )
    yield cached_prefix(model, threads, pairs)
