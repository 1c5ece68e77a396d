"""Options of an engine whose work shows in answers and counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gguf
import mullama
import numpy as np
import pytest
import rewrite
from ask import ENDLESS, answer

PROMPT = [5 + i % 90 for i in range(100)]
GREEDY = {"temperature": 0, "max_tokens": 16, "ignore_eos": True}


def text(found: Any) -> str:
    return found["choices"][0]["text"]


def test_without_context_shift_an_answer_ends_where_the_context_does(open_engine):
    found = answer(open_engine(), "completions", prompt=PROMPT, max_tokens=400, ignore_eos=True)
    assert found["choices"][0]["finish_reason"] == "length"
    assert 150 <= found["usage"]["completion_tokens"] <= 156


def test_with_context_shift_an_answer_goes_on(open_engine):
    engine = open_engine(context_shift=True)
    assert engine.warnings() == []
    found = answer(engine, "completions", prompt=PROMPT, max_tokens=400, ignore_eos=True, temperature=0)
    assert found["usage"]["completion_tokens"] == 400
    # The prompt itself must fit all the same.
    with pytest.raises(mullama.Error, match="256 tokens") as caught:
        answer(engine, "completions", prompt=[5] * 256)
    assert caught.value.code == mullama.ErrorCode.CONTEXT_FULL


def test_one_cache_for_all_slots_answers_the_same_and_gives_each_its_tokens(open_engine, engine):
    unified = open_engine(unified_kv=True)
    assert unified.info.n_ctx == 256
    assert text(answer(unified, "completions", prompt=PROMPT, **GREEDY)) == text(answer(engine, "completions", prompt=PROMPT, **GREEDY))
    body = {"prompt": PROMPT, "max_tokens": 150, "ignore_eos": True}
    streams = [unified.request("completions", body) for _ in range(4)]  # 1,000 of the 1,024 tokens of all
    assert [stream.next().data["usage"]["completion_tokens"] for stream in streams] == [150] * 4
    for stream in streams:
        stream.close()


def drained(log: mullama.Log) -> list[str]:
    lines = []
    while True:
        try:
            lines.append(log.next(timeout=0).text)
        except TimeoutError:
            return lines


def test_a_cache_for_all_slots_is_one_stream_of_the_cache(open_engine):
    lines = {}
    for unified in (False, True):
        with mullama.open_log() as log:
            open_engine(unified_kv=unified)
            lines[unified] = [line for line in drained(log) if "kv_unified" in line]
    assert lines[False] and lines[True]
    assert all("false" in line for line in lines[False])
    assert all("true" in line for line in lines[True])


def test_files_are_named_by_texts_and_by_path_objects(open_engine, tiny):
    adapter, model = tiny / "lora.gguf", tiny / "llama.gguf"
    for given in (adapter, str(adapter), [adapter], (one for one in [adapter]), [os.fsencode(adapter).decode()]):
        (only,) = answer(open_engine(lora=given, draft_model=model, n_slots=1), "lora-adapters")
        assert only["path"] == str(adapter)
    for options in ({"lora": 5}, {"lora": [5]}, {"lora": [os.fsencode(adapter)]}, {"draft_model": 5}, {"projector": b"x"}, {"control_vectors": [None]}):
        with pytest.raises(TypeError, match=rf"{next(iter(options))}.* must be a"):
            open_engine(**options)
    for name in ("projector", "draft_model"):
        with pytest.raises(mullama.FileError, match="missing"):
            open_engine(**{name: tiny / "missing.gguf"})


@pytest.fixture
def adapted(open_engine, tiny) -> mullama.Engine:
    return open_engine(lora=[str(tiny / "lora.gguf")])


def scaled(scale: float) -> list[dict[str, float]]:
    return [{"id": 0, "scale": scale}]


def test_scales_of_adapters_are_those_of_the_engine_until_they_are_changed(adapted, engine):
    plain = text(answer(engine, "completions", prompt=PROMPT, **GREEDY))
    one = text(answer(adapted, "completions", prompt=PROMPT, **GREEDY))
    assert one != plain
    # The same prompt lies in a slot, evaluated with the scale of before: none of it may be used.
    assert answer(adapted, "lora-adapters")[0]["scale"] == 1
    engine_wide = adapted.request("lora-adapters", scaled(0))
    assert engine_wide.next().data == {"success": True}
    engine_wide.close()
    assert answer(adapted, "lora-adapters")[0]["scale"] == 0
    found = answer(adapted, "completions", prompt=PROMPT, **GREEDY)
    assert text(found) == plain
    again = answer(adapted, "completions", prompt=PROMPT, **GREEDY)
    assert text(again) == plain
    assert again["timings"]["cache_n"] == 99


def test_scales_of_adapters_per_request(adapted, engine):
    plain = text(answer(engine, "completions", prompt=PROMPT, **GREEDY))
    one = text(answer(adapted, "completions", prompt=PROMPT, **GREEDY))
    for _ in range(2):
        assert text(answer(adapted, "completions", prompt=PROMPT, lora=scaled(0), id_slot=0, **GREEDY)) == plain
        assert text(answer(adapted, "completions", prompt=PROMPT, id_slot=0, **GREEDY)) == one
        assert text(answer(adapted, "completions", prompt=PROMPT, lora=scaled(1), id_slot=0, **GREEDY)) == one


def test_prompts_that_left_their_slot_come_back_where_there_is_memory_for_them(open_engine, tiny):
    for size, cached in ((0, 0), (16, 99)):
        engine = open_engine(n_slots=1, prompt_cache=size)
        answer(engine, "completions", prompt=PROMPT, **GREEDY)
        answer(engine, "completions", prompt=[100 - token for token in PROMPT], **GREEDY)
        assert answer(engine, "completions", prompt=PROMPT, **GREEDY)["timings"]["cache_n"] == cached
    (warning,) = open_engine(n_slots=1, prompt_cache=16, lora=[str(tiny / "lora.gguf")]).warnings()
    assert "prompt_cache is off" in warning


def test_control_vectors_change_what_is_said(open_engine, engine, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "vector.gguf", "controlvector")
    writer.add_tensor("direction.1", np.random.RandomState(0).normal(size=64).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    vector = {"control_vectors": [str(tmp_path / "vector.gguf")]}
    plain = text(answer(engine, "completions", prompt=PROMPT, **GREEDY))
    assert text(answer(open_engine(**vector, control_vector_scales=[0.0]), "completions", prompt=PROMPT, **GREEDY)) == plain
    assert text(answer(open_engine(**vector, control_vector_scales=[20.0]), "completions", prompt=PROMPT, **GREEDY)) != plain


def test_the_seed_of_the_engine_is_that_of_requests_without_one(open_engine):
    def said(engine: mullama.Engine, **body: Any) -> str:
        return text(answer(engine, "completions", prompt="the", max_tokens=24, temperature=2, ignore_eos=True, cache_prompt=False, **body))

    one, other, free = open_engine(seed=7), open_engine(seed=8), open_engine()
    assert said(one) == said(one) == said(free, seed=7)
    assert said(one) != said(other)
    assert len({said(free) for _ in range(4)}) > 1


def test_a_deadline_counts_while_the_request_waits_for_a_slot(open_engine):
    engine = open_engine(n_slots=1, max_buffered=2)
    with engine.request("completions", {**ENDLESS, "stream": True}) as holder:  # is not read, and keeps the slot
        with engine.request("completions", {**ENDLESS, "deadline_ms": 30}) as stream, pytest.raises(mullama.Error) as caught:
            stream.next()
        assert caught.value.code == mullama.ErrorCode.DEADLINE
        holder.cancel()


def test_a_model_that_writes_nothing_is_refused(open_engine):
    with pytest.raises(mullama.Error, match="open the engine with mode embed") as caught:
        open_engine("bert.gguf")
    assert caught.value.code == mullama.ErrorCode.UNSUPPORTED
    engine = open_engine("bert.gguf", mode="embed")
    for route, body in (("chat/completions", {"messages": [{"role": "user", "content": "x"}]}), ("completions", {"prompt": "x"}), ("rerank", {"query": "x", "documents": ["y"]})):
        with pytest.raises(mullama.Error, match="mode") as caught:
            answer(engine, route, **body)
        assert caught.value.code == mullama.ErrorCode.UNSUPPORTED


def test_a_model_without_a_head_for_scores_is_told(open_engine):
    assert any("no head for scores" in warning for warning in open_engine("bert.gguf", mode="rerank").warnings())
    assert not any("no head" in warning for warning in open_engine("bert.gguf", mode="embed").warnings())


@pytest.fixture(scope="module")
def long(tiny, tmp_path_factory) -> Path:
    """The tiny llama with room for 4,096 tokens."""
    path = tmp_path_factory.mktemp("long") / "llama.gguf"
    rewrite.write(tiny / "llama.gguf", path, values={"llama.context_length": (gguf.GGUFValueType.UINT32, 4096)})
    return path


@pytest.mark.parametrize("chunk", [64, 128])
def test_a_long_prefill_does_not_stall_a_running_stream(long, chunk):
    with mullama.Engine(long, n_ctx=4096, n_slots=2, n_threads=1, prefill_chunk=chunk, max_buffered=4096) as engine:
        n_answer, n_prompt = 1800, 2000
        running = engine.request("completions", {"prompt": [5], "max_tokens": n_answer, "ignore_eos": True, "temperature": 0, "stream": True})
        running.next()
        answer(engine, "completions", prompt=PROMPT * (n_prompt // 100), max_tokens=1)
        assert running.info.state == mullama.StreamState.GENERATING  # it outlives the other
        found = [event.data for event in running][-1]
        assert found["usage"]["completion_tokens"] == n_answer
        running.close()
        metrics = answer(engine, "metrics")
        n_steps = metrics["n_decode_total"]
        n_shared = round(metrics["n_busy_slots_per_decode"] * n_steps) - n_steps
        # Every step has given the stream a token: none was a step of the prefill alone. And the prefill took a chunk at a time.
        assert n_steps == n_answer
        assert n_shared >= n_prompt // (chunk + 1)
