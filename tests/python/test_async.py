"""The async twins, and asyncio's own cancellation.

How soon a cancel takes effect is read off the memory of the context (which positions were evaluated), never off a clock.
"""

from __future__ import annotations

import asyncio
import contextlib

import mullama
import pytest
from mullama import FinishReason, Status
from tiny_models import spm_vocabulary

PROMPT = "the people"
GREEDY = {"temperature": 0.0}
N_LONG, N_UBATCH = 1500, 16


@pytest.fixture
def slow(smollm):
    """A context whose prefill of `long` takes long, in many ubatches."""
    with smollm.create_context(n_ctx=2048, n_ubatch=N_UBATCH, n_threads=1) as context:
        yield context


@pytest.fixture
def long(smollm):
    return smollm.tokenize("the people of the world ") * (N_LONG // 5)


async def test_every_blocking_call_has_a_twin_with_the_same_result(tiny, context):
    expected = context.generate(PROMPT, max_tokens=20, **GREEDY)
    shares = []
    async with await mullama.Model.load_async(tiny / "llama.gguf", progress=shares.append) as model:
        assert shares[-1] == 1.0
        async with await model.create_context_async(n_ctx=256, n_threads=1) as other:
            assert await other.generate_async(PROMPT, max_tokens=20, **GREEDY) == expected
            async with other.stream(PROMPT, max_tokens=20, **GREEDY) as stream:
                assert "".join([piece async for piece in stream]) == expected
            async with other.stream_async(PROMPT, max_tokens=20, **GREEDY) as stream:
                assert "".join([piece async for piece in stream]) == expected
            async with other.start_generation(PROMPT, max_tokens=20, **GREEDY) as generation:
                assert "".join([event.text async for event in generation]) == expected
            async with other.start_generation(PROMPT, max_tokens=20, **GREEDY) as generation:
                assert await generation.prepare_async() == Status.ITEM
                generation.accept(generation.choose())
                assert await generation.run_async() == Status.DONE
                assert generation.text() == expected


async def test_decode_and_states_have_twins(context, fresh, tmp_path):
    tokens = [7, 30, 441, 442]
    context.decode(tokens)
    other = fresh()
    await other.decode_async(tokens)
    assert (other.logits() == context.logits()).all()
    state = await other.save_state_async()
    await other.save_state_file_async(tmp_path / "state", tokens)
    for restore in (other.load_state_async(state), other.load_state_file_async(tmp_path / "state")):
        other.memory_clear()
        assert await restore in (None, tokens)
        assert other.memory_max() == 3


async def test_errors_come_out_of_the_twins(tiny, context):
    with pytest.raises(mullama.FileError, match="missing"):
        await mullama.Model.load_async(tiny / "missing.gguf")
    with pytest.raises(mullama.VocabularyError):
        await context.decode_async([-1])
    with pytest.raises(mullama.ResourceError):
        await context.generate_async(tokens=[5] * 1000)


async def test_the_event_loop_runs_on_while_a_twin_works(slow, long):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await slow.decode_async(long[:300])
    counting.cancel()
    assert turns > 100


async def cancel_soon(coroutine):
    """Cancels a task shortly after its start; it has ended when this returns."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_decode_leaves_the_sequence_as_it_was(smollm, slow, long):
    slow.decode(long[:5])
    slow.reset_timings()
    await cancel_soon(slow.decode_async(long))
    assert slow.memory_max() == 4
    assert slow.timings.n_prefill < N_LONG
    answer = await slow.generate_async("The capital of France is", max_tokens=8, **GREEDY)
    with smollm.create_context(n_ctx=256, n_threads=1, n_ubatch=N_UBATCH) as other:
        assert answer == other.generate("The capital of France is", max_tokens=8, **GREEDY)


@pytest.mark.parametrize("way", ["generate", "stream", "next", "prepare"])
async def test_a_cancelled_prefill_keeps_whole_ubatches_that_the_next_call_reuses(smollm, slow, long, way):
    async def first_piece():
        return await anext(aiter(slow.stream(tokens=long)))

    generation = slow.start_generation(tokens=long)
    await cancel_soon(
        {
            "generate": lambda: slow.generate_async(tokens=long),
            "stream": first_piece,
            "next": generation.next_async,
            "prepare": generation.prepare_async,
        }[way]()
    )
    generation.close()
    evaluated = slow.memory_max() + 1
    assert evaluated % N_UBATCH == 0 and evaluated < N_LONG
    short = long[: max(evaluated, 20)]
    with slow.start_generation(tokens=short, max_tokens=8, **GREEDY) as again:
        await again.run_async()
        assert again.result.n_reused == min(evaluated, len(short) - 1)
        with smollm.create_context(n_ctx=2048, n_threads=1, n_ubatch=N_UBATCH) as other:
            assert again.text() == other.generate(tokens=short, max_tokens=8, **GREEDY)


async def test_a_cancel_takes_effect_before_the_next_ubatch(slow, long):
    with slow.start_generation(tokens=long) as generation:
        assert await generation.prepare_async(timeout=0) == Status.WAITING
        assert slow.memory_max() == N_UBATCH - 1
        generation.cancel()
        assert await generation.prepare_async() == Status.CANCELLED
        assert slow.memory_max() == N_UBATCH - 1


async def test_a_cancelled_answer_ends_within_a_token(slow):
    pieces = []

    async def answer():
        async with slow.stream("Once upon a time", max_tokens=-1, ignore_eos=True) as stream:
            try:
                async for piece in stream:
                    pieces.append(piece)
                    if len(pieces) == 3:
                        asyncio.current_task().cancel()
            finally:
                results.append(stream.result)

    results = []
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(answer())
    assert len(pieces) == 3
    assert results[0].n_generated <= 5 and results[0].finish_reason == FinishReason.CANCELLED
    assert (await slow.generate_async("Once upon a time", max_tokens=4)).result.n_generated == 4


async def test_a_cancelled_load_stops_and_the_next_one_works(tiny):
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    shares = []

    def progress(share):
        shares.append(share)
        loop.call_soon_threadsafe(reached.set)

    task = asyncio.create_task(mullama.Model.load_async(tiny / "other.gguf", progress=progress))
    await reached.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        (await task).close()  # the file is small: the load may have ended before
    async with await mullama.Model.load_async(tiny / "other.gguf") as model:
        assert model.n_vocab == len(spm_vocabulary())


async def test_eight_contexts_at_once_answer_as_each_does_alone(llama, fresh):
    prompts = [f"the people {word}" for word in ("of", "and", "to", "in", "is", "that", "it", "was")]
    expected = [fresh().generate(prompt, max_tokens=40, **GREEDY) for prompt in prompts]
    contexts = [fresh() for _ in prompts]
    found = await asyncio.gather(
        *(context.generate_async(prompt, max_tokens=40, **GREEDY) for context, prompt in zip(contexts, prompts, strict=True))
    )
    assert found == expected
