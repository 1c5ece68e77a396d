"""Measures the promises: speed against llama.cpp's own benchmark program, every language against C, the cost of a call, of
an import, of memory.

Prints a table and writes it as JSON and SVG to `bench-results/`. Run as `./x bench [--pairs N] [--peers] [--build]`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import engine
import languages
import memory
import mullama
import peers
from measure import Figure, llama_bench, microseconds_per_call, ratio_in_pairs, seconds
from mullama.models import resolve

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench-results"
TWO_WORDS = "Hello world"


def decode_speed(context: mullama.Context, start: list[int], **options: object) -> float:
    """Tokens per second of a whole `generate` call of 128 tokens from an empty memory, as llama-bench's tg128."""
    context.memory_clear()
    return 128 / seconds(lambda: context.generate(tokens=start, max_tokens=128, ignore_eos=True, **options))


def prefill_speed(context: mullama.Context, tokens: list[int]) -> float:
    context.memory_clear()
    return len(tokens) / seconds(lambda: context.decode(tokens))


def stream_speed(context: mullama.Context, start: list[int]) -> float:
    context.memory_clear()
    return 128 / seconds(lambda: list(context.stream(tokens=start, max_tokens=128, ignore_eos=True, temperature=0)))


def speeds(model_path: str, bench: str, threads: int, pairs: int) -> Iterator[Figure]:
    model = mullama.Model(model_path)
    context = model.create_context(n_ctx=1024, n_threads=threads)
    start = [model.special_tokens.bos]
    prompt = [token % 1000 + 100 for token in range(512)]

    def tg128() -> float:
        return llama_bench(bench, model_path, threads, prompt=0, generate=128)

    def pp512() -> float:
        return llama_bench(bench, model_path, threads, prompt=512, generate=0)

    def greedy() -> float:
        return decode_speed(context, start, temperature=0)

    yield ratio_in_pairs("greedy decode, 128 tokens", greedy, tg128, 0.97, pairs, "tok/s", "llama-bench tg128")
    default = lambda: decode_speed(context, start)  # noqa: E731
    yield ratio_in_pairs("default sampler chain", default, tg128, 0.95, pairs, "tok/s", "llama-bench tg128")
    prefill = lambda: prefill_speed(context, prompt)  # noqa: E731
    yield ratio_in_pairs("prefill, 512 tokens", prefill, pp512, 0.97, pairs, "tok/s", "llama-bench pp512")
    stream = lambda: stream_speed(context, start)  # noqa: E731
    yield ratio_in_pairs("stream piece by piece", stream, greedy, 0.98, pairs, "tok/s", "generate")
    context.close()

    trivial = microseconds_per_call(lambda: model.n_vocab)
    empty = microseconds_per_call(lambda: None)
    yield Figure("trivial call", trivial - empty, "µs", 0.3, "model.n_vocab, less an empty Python call")
    tokenize = microseconds_per_call(lambda: model.tokenize(TWO_WORDS))
    yield Figure("tokenize two words", tokenize, "µs", 4, f"{TWO_WORDS!r}; llama-cpp-python 25 µs (design, measured before)")
    model.close()


def import_time() -> Figure:
    def run(code: str) -> float:
        return min(seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True)) for _ in range(15)) * 1e3

    # The names load on first use: only with one of them in hand is the import whole.
    bare, ours = run("pass"), run("import mullama; mullama.Model")
    subprocess.run([sys.executable, "-c", "import mullama, sys; mullama.Model; assert 'numpy' not in sys.modules"], check=True)
    return Figure("import mullama over bare Python", ours - bare, "ms", 60, f"{ours:.0f} ms against {bare:.0f} ms; NumPy not imported")


def build_times() -> Iterator[Figure]:
    """A cold build without ccache in an empty folder, and a rebuild after touching one file of the shim."""
    source = os.environ["MULLAMA_TEST_SOURCE"]
    with tempfile.TemporaryDirectory() as folder:
        configure = ["cmake", "-G", "Ninja", "-S", str(ROOT / "abi"), "-B", folder, f"-DMULLAMA_LLAMA_CPP={source}"]
        configure += ["-DCMAKE_C_COMPILER_LAUNCHER=env", "-DCMAKE_CXX_COMPILER_LAUNCHER=env"]
        build = ["cmake", "--build", folder, "--target", "mullama"]
        quiet = {"stdout": subprocess.DEVNULL, "check": True}
        cold = seconds(lambda: (subprocess.run(configure, **quiet), subprocess.run(build, **quiet)))
        yield Figure("cold build, no ccache", cold / 60, "min", 9, f"{os.cpu_count()} cores")
        touched = ROOT / "abi" / "src" / "generation.cpp"
        touched.touch()
        yield Figure("rebuild after touching one shim file", seconds(lambda: subprocess.run(build, **quiet)), "s", 20, touched.name)


def table(figures: list[Figure]) -> str:
    marks = {True: "met", False: "MISSED", None: ""}
    rows = [
        f"| {f.name} | {f.value:.3f} {f.unit} | {'≥' if f.unit == 'ratio' else '≤'} {f.bound:g} | {marks[f.is_met]} | {f.reference} |"
        for f in figures
    ]
    return "\n".join(["| what | measured | bound | | beside it |", "|---|---|---|---|---|", *rows])


def svg(figures: list[Figure]) -> str:
    """The ratios as bars, with their bounds as marks."""
    ratios = [figure for figure in figures if figure.unit == "ratio"]
    lines = []
    for row, figure in enumerate(ratios):
        y = 30 + 34 * row
        colour = "#2a7" if figure.is_met else "#c43"
        lines.append(f'<text x="8" y="{y + 15}">{figure.name}</text>')
        lines.append(f'<rect x="210" y="{y}" width="{figure.value * 300:.0f}" height="20" fill="{colour}"/>')
        lines.append(f'<line x1="{210 + figure.bound * 300:.0f}" x2="{210 + figure.bound * 300:.0f}" y1="{y - 3}" y2="{y + 23}" stroke="#333"/>')
        lines.append(f'<text x="{218 + figure.value * 300:.0f}" y="{y + 15}">{figure.value:.3f}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{40 + 34 * len(ratios)}" font-family="sans-serif" font-size="13">'
    return "\n".join([head, '<text x="8" y="18">mullama over llama.cpp, same build, same run</text>', *lines, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="pairs of runs for each ratio (default 7)")
    parser.add_argument("--only-languages", action="store_true", help="compare the languages with C, and nothing else")
    parser.add_argument("--only-engine", action="store_true", help="measure the engine, and nothing else")
    parser.add_argument(
        "--llama-server", action="append", default=[], metavar="PATH", help="another llama-server to compare with, one of llama.cpp's default build"
    )
    parser.add_argument("--peers", action="store_true", help="also compare with llama-cpp-python, compiled from the same source")
    parser.add_argument("--build", action="store_true", help="also time a cold build and a rebuild")
    arguments = parser.parse_args()
    model_path = str(resolve("smollm2:135m"))
    bench = str(Path(os.environ["MULLAMA_TEST_TOOLS"]) / "llama-bench")
    threads = os.cpu_count() or 1

    figures: list[Figure] = []

    def take(found: Iterable[Figure]) -> None:
        for figure in found:
            figures.append(figure)
            print(f"{figure.name}: {figure.value:.3f} {figure.unit} ({figure.reference})", flush=True)

    if not arguments.only_languages and not arguments.only_engine:
        take(speeds(model_path, bench, threads, arguments.pairs))
        take([import_time()])
        overhead, growth = memory.overhead_mb(model_path), memory.growth_mb(model_path)
        take([Figure("resident memory over what is reported", overhead, "MB", 40, "model, KV cache and compute buffers as reported")])
        take([Figure("1,000 times open, 4 tokens, close: growth", growth, "MB", 4, "resident memory after the first 50")])
    if not arguments.only_languages:
        take(engine.figures(model_path, Path(bench).parent, threads, arguments.pairs, arguments.llama_server))
    if not arguments.only_engine:
        commands = languages.build(ROOT, Path(os.environ["MULLAMA_TEST_PREFIX"]))
        take(languages.compare(commands, model_path, threads, arguments.pairs))
        take(languages.handed_over(commands, arguments.pairs))
        take([languages.regenerating(ROOT)])
    if arguments.peers:
        take(peers.compare(ROOT, model_path, threads, arguments.pairs))
    if arguments.build:
        take(build_times())

    print("\n" + table(figures))
    RESULTS.mkdir(exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "time": time.strftime("%Y-%m-%d %H:%M")}
    (RESULTS / "bench.json").write_text(json.dumps({"machine": machine, "figures": [f.as_json() for f in figures]}, indent=2) + "\n")
    (RESULTS / "bench.svg").write_text(svg(figures))
    missed = statistics.fmean([f.is_met is False for f in figures]) > 0
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
