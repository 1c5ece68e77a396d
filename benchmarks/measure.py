"""How figures are taken: two things in turn, many times, because the machine's speed drifts within a minute."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table. A ratio is better when larger, everything else when smaller."""

    name: str
    value: float
    unit: str  # "ratio" for ratios
    bound: float | None
    reference: str  # the line measured beside it

    @property
    def is_met(self) -> bool | None:
        if self.bound is None:
            return None
        return self.value >= self.bound if self.unit == "ratio" else self.value <= self.bound

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "is_met": self.is_met}


def ratio_in_pairs(
    name: str, ours: Callable[[], float], reference: Callable[[], float], bound: float, pairs: int, unit: str, label: str
) -> Figure:
    """The median of the ratios of `pairs` runs, each of ours beside one of the reference; both give a speed in `unit`."""
    ours()  # warm: page cache, first allocations
    reference()
    runs = []
    for pair in range(pairs):
        # Alternating who is first keeps a drift of the machine's speed out of the ratio.
        if pair % 2:
            theirs, own = reference(), ours()
        else:
            own, theirs = ours(), reference()
        runs.append((own, theirs))
    ratio = statistics.median(own / theirs for own, theirs in runs)
    own = statistics.median(own for own, _ in runs)
    theirs = statistics.median(theirs for _, theirs in runs)
    return Figure(name, ratio, "ratio", bound, f"{own:.1f} against {label} {theirs:.1f} {unit}, {pairs} pairs")


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def microseconds_per_call(call: Callable[[], object], calls: int = 20_000, rounds: int = 7) -> float:
    """The fastest round: interruptions only ever add."""

    def one_round() -> float:
        repeat = range(calls)
        start = time.perf_counter()
        for _ in repeat:
            call()
        return time.perf_counter() - start

    return min(one_round() for _ in range(rounds)) / calls * 1e6


def llama_bench(program: str, model: str, threads: int, *, prompt: int, generate: int) -> float:
    """Tokens per second of one llama-bench run."""
    command = [program, "-m", model, "-t", str(threads), "-p", str(prompt), "-n", str(generate), "-r", "1", "-o", "json"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(json.loads(output)[0]["avg_ts"])
