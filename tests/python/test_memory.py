"""Memory: what the process takes beside what the library reports, and what stays behind when all is closed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import memory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="resident memory is read from /proc or ps")


def test_a_thousand_times_open_generate_close_leaves_nothing_behind(tiny):
    assert memory.growth_mb(tiny / "llama.gguf") <= 4


def test_little_memory_is_used_beside_model_cache_and_compute_buffers():
    from mullama.models import resolve

    # Less than nothing would mean that what is reported was not in use: the vocabulary alone takes some.
    assert 4 <= memory.overhead_mb(resolve("smollm2:135m")) <= 40


def test_the_reported_memory_adds_up(smollm):
    with smollm.create_context(n_ctx=1024) as context:
        total = context.memory_usage()
        parts = [context.memory_buffer(index) for index in range(context.memory_buffer_count)]
        assert total.model == sum(part.model for part in parts) > 80e6
        assert total.context == sum(part.context for part in parts)
        assert total.compute == sum(part.compute for part in parts) > 0
        # 30 layers, 3 KV heads of 64, keys and values in 2 bytes.
        assert total.context == 1024 * 30 * 3 * 64 * 2 * 2
