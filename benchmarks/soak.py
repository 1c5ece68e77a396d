"""Whether an engine keeps memory: short requests over many streams, a tenth of them cancelled, and the memory beside them.

`python benchmarks/soak.py [--requests N] [--svg FILE]` prints the figures, and fails where memory grew by more than
GROWTH_MB after the first WARM_UP requests. The model is a tiny one, so that a leak of a few bytes a request shows.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tools"))

import mullama
import tiny_models
from memory import MB, resident_bytes

N_REQUESTS = 20_000
N_STREAMS = 16
WARM_UP = 1_000  # requests until allocators and caches have their size
CANCELLED = 0.1
GROWTH_MB = 2.0
EVERY = 100  # requests between two samples


@dataclass
class Soak:
    samples: list[tuple[int, int]]  # requests done, resident bytes
    n_cancelled: int
    n_failed: int
    seconds: float

    @property
    def growth_mb(self) -> float:
        """The most that was held after the warm-up, over what was held at its end."""
        settled = next(size for done, size in self.samples if done >= WARM_UP)
        return (max(size for done, size in self.samples if done >= WARM_UP) - settled) / MB


def request_of(dice: random.Random) -> tuple[str, dict[str, object]]:
    """One of the kinds of requests that applications mix: chats and completions, streamed or not, free or constrained."""
    words = " ".join(dice.choices(tiny_models.WORDS, k=dice.randint(1, 12)))
    body: dict[str, object] = {"max_tokens": dice.randint(1, 8), "stream": dice.random() < 0.5, "seed": dice.randrange(1000)}
    if dice.random() < 0.2:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": {"enum": [1, 22, "the"]}}}
    if dice.random() < 0.5:
        return "completions", {"prompt": words, "stop": ["the of"], **body}
    return "chat/completions", {"messages": [{"role": "user", "content": words}], **body}


def soak(path: Path | str, n_requests: int, every: int = EVERY) -> Soak:
    lock = threading.Lock()
    result = Soak([], 0, 0, 0.0)
    done = 0

    def use(engine: mullama.Engine, number: int) -> None:
        nonlocal done
        dice = random.Random(number)
        while True:
            route, body = request_of(dice)
            cancels = dice.random() < CANCELLED
            failed = False
            try:
                with engine.request(route, body) as stream:
                    if cancels:
                        if body["stream"]:
                            stream.next()
                        stream.cancel()
                    for _ in stream:
                        pass
            except mullama.Error:
                failed = True
            with lock:
                if done >= n_requests:
                    return
                done += 1
                result.n_cancelled += cancels
                result.n_failed += failed
                if done % every == 0:
                    result.samples.append((done, resident_bytes()))

    started = time.monotonic()
    with mullama.Engine(path, n_ctx=256, n_slots=8, n_threads=1) as engine:
        threads = [threading.Thread(target=use, args=(engine, number)) for number in range(N_STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    result.seconds = time.monotonic() - started
    return result


def curve(result: Soak) -> str:
    """Resident memory over requests, as SVG."""
    width, height, left, bottom, top = 720, 300, 64, 44, 40
    most = max(done for done, _ in result.samples)
    sizes = [size / MB for _, size in result.samples]
    low, high = min(sizes) // 10 * 10, (max(sizes) // 10 + 1) * 10
    step = 10 if high - low <= 50 else 20

    def x(done: float) -> float:
        return left + (width - left - 16) * done / most

    def y(size: float) -> float:
        return top + (height - top - bottom) * (high - size) / (high - low)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="20" font-size="14">Resident memory of an engine: {most:,} requests over {N_STREAMS} streams, '
        f"{result.n_cancelled:,} cancelled</text>",
    ]
    for size in range(int(low), int(high) + 1, step):
        lines.append(f'<line x1="{left}" y1="{y(size):.1f}" x2="{width - 16}" y2="{y(size):.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{y(size) + 4:.1f}" text-anchor="end">{size} MB</text>')
    for fifth in range(6):
        done = most * fifth // 5
        lines.append(f'<text x="{x(done):.1f}" y="{height - bottom + 18}" text-anchor="middle">{done:,}</text>')
    lines.append(f'<text x="{(left + width) / 2}" y="{height - 8}" text-anchor="middle">requests</text>')
    lines.append(f'<line x1="{x(WARM_UP):.1f}" y1="{top}" x2="{x(WARM_UP):.1f}" y2="{height - bottom}" stroke="#999" stroke-dasharray="4 3"/>')
    lines.append(f'<text x="{x(WARM_UP) + 6:.1f}" y="{top + 12}">warm; {result.growth_mb:+.2f} MB from here</text>')
    points = " ".join(f"{x(done):.1f},{y(size / MB):.1f}" for done, size in result.samples)
    lines.append(f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>')
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=N_REQUESTS, help=f"more than {WARM_UP} (default: {N_REQUESTS})")
    parser.add_argument("--svg", type=Path, help="where the memory curve is written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(tiny_models.write_llama(Path(folder, "llama.gguf")), arguments.requests)
    print(f"{arguments.requests} requests in {result.seconds:.0f} s, {result.n_cancelled} cancelled, {result.n_failed} failed")
    print(f"{result.samples[-1][1] / MB:.1f} MB resident, {result.growth_mb:+.2f} MB after the first {WARM_UP} requests")
    if arguments.svg:
        arguments.svg.write_text(curve(result), encoding="utf-8")
    if result.n_failed or result.growth_mb > GROWTH_MB:
        raise SystemExit(f"error: no request may fail, and memory may grow by {GROWTH_MB} MB")


if __name__ == "__main__":
    main()
