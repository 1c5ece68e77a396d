"""How much memory a process takes beside what the library reports, and how much it keeps when all is closed.

Each figure is taken in a process of its own: `python benchmarks/memory.py overhead|growth MODEL [ROUNDS]` prints it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MB = 1024 * 1024
WARM_UP = 50  # rounds until allocators and caches have their size


def resident_bytes() -> int:
    """Memory of this process that lies in RAM now."""
    if sys.platform == "linux":
        import resource

        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    import os

    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())])) * 1024


def overhead(path: str) -> int:
    """Resident bytes over those of bare Python and model + KV cache + compute buffers as reported, with all of it used.

    A small ubatch, because of a large one's compute buffer most pages are never touched, which would hide the rest.
    """
    bare = resident_bytes()
    import mullama

    with mullama.Model(path) as model, model.create_context(n_ctx=512, n_ubatch=32) as context:
        tokens = range(0, model.n_vocab, model.n_vocab // context.n_ctx)[: context.n_ctx - 64]
        context.generate(tokens=list(tokens), max_tokens=-1, ignore_eos=True)
        usage = context.memory_usage()
        return resident_bytes() - bare - (usage.model + usage.context + usage.compute)


def growth(path: str, rounds: int) -> int:
    """Bytes that stay behind after so many times opening, generating 4 tokens and closing."""
    import mullama

    before = 0
    for number in range(WARM_UP + rounds):
        if number == WARM_UP:
            before = resident_bytes()
        with mullama.Model(path) as model, model.create_context(n_ctx=256, n_threads=1) as context:
            context.generate("the", max_tokens=4, ignore_eos=True)
    return resident_bytes() - before


def measured(*arguments: str) -> float:
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) / MB


def overhead_mb(path: Path | str) -> float:
    return measured("overhead", str(path))


def growth_mb(path: Path | str, rounds: int = 1000) -> float:
    return measured("growth", str(path), str(rounds))


if __name__ == "__main__":
    what, model_path, *times = sys.argv[1:]
    print(overhead(model_path) if what == "overhead" else growth(model_path, int(times[0])))
