"""Another Python binding of llama.cpp beside ours: the same source (its own distribution), the same model, the same run."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import mullama
from measure import Figure, microseconds_per_call, ratio_in_pairs, seconds
from mullama import cache
from mullama.build.pin import read_pin

PROMPTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):"]
TWO_WORDS = "Hello world"

# Runs in the peer's environment: one JSON request a line in, one answer a line out.
PEER = """
import json, sys, time
from llama_cpp import Llama
llama = Llama(sys.argv[1], n_ctx=1024, n_threads=int(sys.argv[2]), verbose=False)
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "tokenize":
        text, start = request["text"].encode(), time.perf_counter()
        for _ in range(2000):
            llama.tokenize(text)
        answer = (time.perf_counter() - start) / 2000 * 1e6
    else:
        llama.reset()
        start, tokens = time.perf_counter(), []
        for token in llama.generate(request["tokens"], temp=0.0):
            tokens.append(token)
            if len(tokens) == request["count"]:
                break
        answer = {"tokens": tokens, "seconds": time.perf_counter() - start}
    print(json.dumps(answer), flush=True)
"""


class LlamaCppPython:
    """A running llama-cpp-python, compiled once into the cache folder from the pinned source distribution."""

    def __init__(self, root: Path, model_path: str, threads: int) -> None:
        pin = read_pin(root / "abi" / "llama_cpp.toml")
        folder = cache.folder() / "peers" / f"{pin.package}-{pin.version}"
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            print(f"compiling {pin.package} {pin.version} (minutes, once)", flush=True)
            venv.create(folder, with_pip=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", f"{pin.package}=={pin.version}"], check=True)
            (folder / "installed").touch()
        command = [str(python), "-c", PEER, model_path, str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, **request: object) -> object:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def compare(root: Path, model_path: str, threads: int, pairs: int) -> list[Figure]:
    """Equal greedy tokens (ends the run if not), one stream's speed, and the cost of tokenizing."""
    peer = LlamaCppPython(root, model_path, threads)
    # Without flash attention, as the peer's default: the two round differently, and greedy decoding shows it.
    options = {"n_ctx": 1024, "n_threads": threads, "flash_attention": "off"}
    with mullama.Model(model_path) as model, model.create_context(**options) as context:  # type: ignore[arg-type]
        for prompt in PROMPTS:
            tokens = model.tokenize(prompt)
            theirs = peer.ask(do="generate", tokens=tokens, count=100)["tokens"]  # type: ignore[index]
            with context.start_generation(tokens=tokens, max_tokens=100, temperature=0, ignore_eos=True) as generation:
                generation.run()
                ours = generation.tokens()
            if ours != theirs:
                sys.exit(f"greedy tokens differ from llama-cpp-python for {prompt!r}:\n{ours}\n{theirs}")

        start = [model.special_tokens.bos]

        def decode() -> float:
            context.memory_clear()
            return 128 / seconds(lambda: context.generate(tokens=start, max_tokens=128, temperature=0, ignore_eos=True))

        def decode_there() -> float:
            return 128 / peer.ask(do="generate", tokens=start, count=128)["seconds"]  # type: ignore[index]

        speed = ratio_in_pairs("one stream", decode, decode_there, 1.0, pairs, "tok/s", "llama-cpp-python")
        cost = microseconds_per_call(lambda: model.tokenize(TWO_WORDS))
        theirs_cost = float(peer.ask(do="tokenize", text=TWO_WORDS))  # type: ignore[arg-type]
        words = f"{cost:.1f} against llama-cpp-python {theirs_cost:.1f} µs"
        tokenize = Figure("tokenize two words, times faster", theirs_cost / cost, "ratio", 1.0, words)
    peer.close()
    return [speed, tokenize]
