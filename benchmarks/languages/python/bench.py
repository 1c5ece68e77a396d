"""The Python program of the comparison between languages; the protocol stands in benchmarks/languages/README.md."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable

import mullama

N_NEW = 128


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def per_call(call: Callable[[], object], calls: int) -> float:
    """The fastest of five rounds: interruptions only ever add."""

    def one_round() -> None:
        for _ in range(calls):
            call()

    return min(seconds(one_round) for _ in range(5)) / calls


def main() -> None:
    model = mullama.Model(sys.argv[1])
    context = model.create_context(n_ctx=1024, n_threads=int(sys.argv[2]))
    prompt = [model.special_tokens.bos]
    options = {"tokens": prompt, "max_tokens": N_NEW, "temperature": 0.0, "ignore_eos": True}

    def stream() -> None:
        for _ in context.stream(**options):  # type: ignore[arg-type]
            pass

    @functools.cache
    def engine() -> mullama.Engine:
        return mullama.Engine(sys.argv[1], n_ctx=1024, n_slots=1, n_threads=int(sys.argv[2]))

    def chat() -> None:
        turn = [{"role": "user", "content": "Say hello."}]
        for _ in engine().chat(turn, max_tokens=64, temperature=0, ignore_eos=True, stream=True):  # type: ignore[arg-type]
            pass

    for line in sys.stdin:
        context.memory_clear()
        word = line.strip()
        if word == "generate":
            took = seconds(lambda: context.generate(**options))  # type: ignore[arg-type]
        elif word == "stream":
            took = seconds(stream)
        elif word == "engine":
            engine()
            took = seconds(chat)
        elif word == "call":
            took = per_call(lambda: model.n_vocab, 100_000) - per_call(lambda: None, 100_000)
        else:
            took = per_call(lambda: model.tokenize("Hello world"), 2_000)
        print(took, flush=True)


main()
