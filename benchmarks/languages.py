"""Every language beside C: the same model and the same loop in programs of their own, asked in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tools"))

import tiny_models
from measure import Figure, ratio_in_pairs

N_NEW = 128


@dataclass(frozen=True)
class Bounds:
    """What a language may cost: ratios to C for whole calls and streams, µs for a trivial call."""

    generate: float
    stream: float
    call_us: float


BOUNDS = {
    "python": Bounds(0.98, 0.97, 0.3),
    "node": Bounds(0.98, 0.95, 0.15),
    "go": Bounds(0.98, 0.97, 0.1),
    "php": Bounds(0.98, 0.97, 0.15),
    "cpp": Bounds(0.98, 0.97, 0.02),
}
TOKENIZE_OVER_C_US = 1.5
ENGINE_TOKENS, HANDED_OVER_US = 64, 30  # of a streamed chat
HANDED_OVER_RUNS = 5  # for each pair of the other figures: they are short


def build(root: Path, prefix: Path) -> dict[str, list[str]]:
    """Compiles what must be compiled, into build/bench; gives each language's command, C first."""
    programs, out = root / "benchmarks" / "languages", root / "build" / "bench"
    out.mkdir(parents=True, exist_ok=True)
    library = prefix / "lib"
    os.environ["MULLAMA_LIBRARY"] = str(library / "libmullama.so")  # for those that load it themselves: Node and PHP
    linked = [f"-I{prefix / 'include'}", f"-L{library}", f"-Wl,-rpath,{library}", "-lmullama"]
    c, cpp, go = (str(out / name) for name in ("c", "cpp", "go"))
    subprocess.run(["cc", "-O2", str(programs / "c" / "bench.c"), "-o", c, *linked], check=True)
    subprocess.run(["c++", "-std=c++20", "-O2", str(programs / "cpp" / "bench.cpp"), "-o", cpp, *linked], check=True)
    places = {"PKG_CONFIG_PATH": str(library / "pkgconfig"), "CGO_LDFLAGS": f"-Wl,-rpath,{library}"}
    subprocess.run(["go", "build", "-o", go, "."], cwd=programs / "go", env={**os.environ, **places}, check=True)
    return {
        "c": [c],
        "python": [sys.executable, str(programs / "python" / "bench.py")],
        "node": ["node", str(programs / "node" / "bench.js")],
        "go": [go],
        "php": ["php", str(programs / "php" / "bench.php")],
        "cpp": [cpp],
    }


class Program:
    """A running program of benchmarks/languages; its README has the protocol."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, word: str) -> float:
        assert self._process.stdin and self._process.stdout  # piped above
        self._process.stdin.write(word + "\n")
        return float(self._process.stdout.readline())

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def compare(commands: dict[str, list[str]], model: str, threads: int, pairs: int) -> Iterator[Figure]:
    """Figures of every language among `commands` but C, which all are measured against."""
    with ExitStack() as stack:
        programs = {
            name: stack.enter_context(Program([*command, model, str(threads)])) for name, command in commands.items()
        }
        c = programs.pop("c")
        for name, program in programs.items():
            for word, bound in (("generate", BOUNDS[name].generate), ("stream", BOUNDS[name].stream)):
                ours = lambda word=word, program=program: N_NEW / program.ask(word)  # noqa: E731
                theirs = lambda word=word: N_NEW / c.ask(word)  # noqa: E731
                yield ratio_in_pairs(f"{name}: {word}", ours, theirs, bound, pairs, "tok/s", "C")
        tokenize_in_c = c.ask("tokenize") * 1e6
        for name, program in programs.items():
            call = program.ask("call") * 1e6
            yield Figure(f"{name}: trivial call", call, "µs", BOUNDS[name].call_us, f"C {c.ask('call') * 1e6:.3f} µs")
            over = program.ask("tokenize") * 1e6 - tokenize_in_c
            yield Figure(f"{name}: tokenize two words, over C", over, "µs", TOKENIZE_OVER_C_US, f"C {tokenize_in_c:.2f} µs")


def handed_over(commands: dict[str, list[str]], pairs: int) -> Iterator[Figure]:
    """What a token costs from the library to the caller's loop, over C: on a tiny model, where it is not lost in the evaluation."""
    pairs *= HANDED_OVER_RUNS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tiny_models.write_llama(folder / "llama.gguf")
        programs = {
            name: stack.enter_context(Program([*command, str(folder / "llama.gguf"), "1"])) for name, command in commands.items()
        }
        c = programs.pop("c")
        for name, program in programs.items():
            runs = [(program.ask("engine"), c.ask("engine")) for _ in range(pairs + 1)][1:]  # the first opens the engine
            ours, theirs = (statistics.median(times) / ENGINE_TOKENS * 1e6 for times in zip(*runs, strict=True))
            over = ours - theirs
            yield Figure(f"{name}: a token of a streamed chat, over C", over, "µs", HANDED_OVER_US, f"C {theirs:.1f} µs, {pairs} pairs")


def regenerating(root: Path) -> Figure:
    """Time of a whole check of the generator: every output of every target is made and compared."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "mullama_codegen"]
    subprocess.run(command, cwd=root / "codegen", check=True, stdout=subprocess.DEVNULL)
    return Figure("regenerate everything", time.perf_counter() - start, "s", 2, "codegen, all targets, both APIs")
