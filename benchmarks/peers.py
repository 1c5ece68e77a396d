"""Other Python bindings of llama.cpp beside ours: the same model, the same run; llama-cpp-python has the same source (its own distribution)."""

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


# The same of a binding of llama.cpp's server; its wheel has a llama.cpp of about the same age.
XLLAMACPP = "2026.10.11549"
SERVER_PEER = """
import json, sys, time
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], 512, 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
server = xllamacpp.Server(params)
for line in sys.stdin:
    request, start = json.loads(line), time.perf_counter()
    server.handle_completions(request)
    print(json.dumps(time.perf_counter() - start), flush=True)
"""


class Peer:
    """A running program on another binding, which is installed once into the cache folder; llama-cpp-python is compiled then."""

    def __init__(self, package: str, version: str, program: str, model_path: str, threads: int) -> None:
        folder = cache.folder() / "peers" / f"{package}-{version}"
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            print(f"installing {package} {version} (may take minutes, once)", flush=True)
            venv.create(folder, with_pip=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", f"{package}=={version}"], check=True)
            (folder / "installed").touch()
        command = [str(python), "-c", program, model_path, str(threads)]
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
    pin = read_pin(root / "abi" / "llama_cpp.toml")
    peer = Peer(pin.package, pin.version, PEER, model_path, threads)
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
        streams = compare_engine(peer, model_path, threads, pairs)
    peer.close()
    return [speed, tokenize, *streams]


def compare_engine(peer: Peer, model_path: str, threads: int, pairs: int) -> list[Figure]:
    """One completion of 64 tokens through the engine, from the request to its answer."""
    request = {"prompt": [1], "n_predict": 64, "ignore_eos": True, "temperature": 0, "cache_prompt": False}
    other = Peer("xllamacpp", XLLAMACPP, SERVER_PEER, model_path, threads)
    with mullama.Engine(model_path, n_ctx=512, n_slots=1, n_threads=threads) as engine:

        def ours() -> float:
            return 64 / seconds(lambda: engine.complete([1], max_tokens=64, ignore_eos=True, temperature=0, cache_prompt=False))

        def with_server() -> float:
            return 64 / float(other.ask(**request))  # type: ignore[arg-type]

        def with_python() -> float:
            return 64 / peer.ask(do="generate", tokens=[1], count=64)["seconds"]  # type: ignore[index]

        found = [
            ratio_in_pairs("engine, 1 stream", ours, with_server, 1.03, pairs, "tok/s", "xllamacpp"),
            ratio_in_pairs("engine, 1 stream", ours, with_python, 1.25, pairs, "tok/s", "llama-cpp-python"),
        ]
    other.close()
    return found
