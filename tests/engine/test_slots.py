"""What a slot holds can be saved to a file, restored and erased, and no bad file harms anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mullama
import pytest
from ask import ENDLESS, answer

PROMPT = [5 + i % 90 for i in range(120)]
BODY = {"prompt": PROMPT, "max_tokens": 12, "temperature": 0, "ignore_eos": True, "id_slot": 1}


def act(engine: mullama.Engine, action: str, path: Path | None = None, id_slot: int = 1) -> Any:
    return answer(engine, "slots", action=action, id_slot=id_slot, **({"path": str(path)} if path else {}))


def text(found: Any) -> str:
    return found["choices"][0]["text"]


@pytest.fixture
def saved(open_engine, tmp_path) -> tuple[Path, Any]:
    """The state of a slot behind an answer, and the answer."""
    engine = open_engine()
    found = answer(engine, "completions", **BODY)
    done = act(engine, "save", tmp_path / "slot.state")
    assert done["n_saved"] == 120 + 11  # the last token was chosen and not evaluated
    assert done["n_written"] == (tmp_path / "slot.state").stat().st_size
    engine.close()
    return tmp_path / "slot.state", found


def test_a_restored_slot_goes_on_where_it_was_saved(open_engine, saved):
    path, found = saved
    engine = open_engine()
    assert act(engine, "restore", path) == {"id_slot": 1, "path": str(path), "n_restored": 131, "n_read": path.stat().st_size}
    again = answer(engine, "completions", **BODY)
    assert text(again) == text(found)
    assert again["timings"]["cache_n"] == 119  # all but the last token of the prompt, whose logits are needed
    assert again["timings"]["prompt_n"] == 1


def test_an_erased_slot_holds_nothing(open_engine):
    engine = open_engine()
    first = answer(engine, "completions", **BODY)
    assert answer(engine, "completions", **BODY)["timings"]["cache_n"] == 119
    assert act(engine, "erase") == {"id_slot": 1, "n_erased": 131}
    again = answer(engine, "completions", **BODY)
    assert again["timings"]["cache_n"] == 0
    assert text(again) == text(first)


def test_the_state_goes_to_any_slot(open_engine, saved):
    path, found = saved
    engine = open_engine()
    act(engine, "restore", path, id_slot=3)
    again = answer(engine, "completions", **{**BODY, "id_slot": 3})
    assert (text(again), again["timings"]["cache_n"]) == (text(found), 119)


def test_an_action_waits_for_the_request_that_the_slot_works_on_and_comes_before_the_next(open_engine, tmp_path):
    engine = open_engine(n_slots=2)
    with engine.request("completions", {**ENDLESS, "id_slot": 0, "stream": True}) as running:
        running.next()
        # These wait for any slot, and the next one for this slot, behind the action.
        waiting = [engine.request("completions", {"prompt": "the", "max_tokens": 30, "ignore_eos": True}) for _ in range(3)]
        with engine.request("slots", {"action": "erase", "id_slot": 0}) as erase:
            assert act(engine, "save", tmp_path / "other", id_slot=1)["n_saved"] >= 0
            n_events = sum(1 for _ in running)
            assert n_events > 100  # it was not disturbed
            assert erase.next().data["n_erased"] > 150
    for stream in waiting:
        assert stream.next().data["usage"]["completion_tokens"] == 30
        stream.close()


def test_an_action_that_waits_can_be_cancelled(open_engine):
    engine = open_engine(n_slots=1)
    with engine.request("completions", {**ENDLESS, "stream": True}) as running:
        running.next()
        with engine.request("slots", {"action": "erase", "id_slot": 0}) as erase:
            erase.cancel()
            assert erase.next() is None
        assert sum(1 for _ in running) > 100
    assert answer(engine, "completions", **ENDLESS)["timings"]["cache_n"] > 0  # nothing was erased


def test_bad_files_are_refused_and_the_slots_stay_as_they_are(open_engine, saved, tmp_path, tiny):
    path, found = saved
    data = path.read_bytes()
    engine = open_engine()
    answer(engine, "completions", **BODY)
    with mullama.Model(tiny / "llama.gguf") as model, model.create_context(n_ctx=256) as context:
        context.decode([1, 2, 3])
        of_context = context.save_state(sequence=0)
    bad = {
        "less than its header": b"",
        "was not made by": b"GGUF" + data[4:],
        "truncated or damaged": data[:-5],
        "format version is 9": data[:8] + b"\x09" + data[9:],
        "checksum": data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
        "saved from a context": bytes(of_context),
    }
    for message, content in bad.items():
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(mullama.Error, match=message) as caught:
            act(engine, "restore", tmp_path / "bad")
        assert caught.value.code == mullama.ErrorCode.STATE_INVALID
    with pytest.raises(mullama.Error) as caught:
        act(engine, "restore", tmp_path / "missing")
    assert caught.value.code == mullama.ErrorCode.FILE_NOT_FOUND
    again = answer(engine, "completions", **BODY)
    assert (text(again), again["timings"]["cache_n"]) == (text(found), 119)


def test_a_state_of_another_model_or_shape_is_refused(open_engine, saved, tiny):
    path, _ = saved
    cases = [
        ({"name": "other.gguf"}, "another model"),
        ({"type_k": "q8_0"}, "other KV cache types"),
        ({"lora": [str(tiny / "lora.gguf")]}, "0 LoRA adapters"),
        ({"n_ctx": 128}, "131 tokens, but a request can have 128"),
    ]
    for options, message in cases:
        engine = open_engine(**options)
        with pytest.raises(mullama.Error, match=message) as caught:
            act(engine, "restore", path)
        assert caught.value.code == mullama.ErrorCode.STATE_INVALID


def test_a_context_refuses_the_state_of_a_slot(saved, llama):
    with llama.create_context(n_ctx=256) as context, pytest.raises(mullama.Error, match="a slot of an engine") as caught:
        context.load_state(saved[0].read_bytes(), sequence=0)
    assert caught.value.code == mullama.ErrorCode.STATE_INVALID


def test_a_file_that_cannot_be_written_is_an_error_of_the_file(engine, tmp_path):
    with pytest.raises(mullama.Error) as caught:
        act(engine, "save", tmp_path / "no" / "folder")
    assert caught.value.code == mullama.ErrorCode.FILE_UNWRITABLE


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "drop", "id_slot": 0}, 'action is "drop"'),
        ({"action": "save", "id_slot": 0}, "path is missing"),
        ({"action": "save", "path": "x"}, "id_slot is missing"),
        ({"action": "save", "id_slot": 4, "path": "x"}, "id_slot is 4; the engine has slots 0 to 3"),
        ({"action": "erase", "id_slot": -1}, "id_slot is -1"),
        ({"action": "erase", "id_slot": 0, "path": "x"}, "path is nothing that erase needs"),
        ({"action": "save", "id_slot": 0, "path": ""}, "path is empty"),
        ({"id_slot": 0}, 'action is ""'),
    ],
)
def test_what_is_not_clear_is_refused(engine, body, message):
    with pytest.raises(mullama.ArgumentError, match=message):
        answer(engine, "slots", **body)


def test_the_scales_of_adapters_travel_with_the_state(open_engine, tiny, tmp_path):
    lora = {"lora": [str(tiny / "lora.gguf")]}
    plain, scaled = ({**BODY, "lora": [{"id": 0, "scale": scale}]} for scale in (0.0, 1.0))
    engine = open_engine(**lora)
    found = answer(engine, "completions", **scaled)
    act(engine, "save", tmp_path / "slot")
    other = open_engine(**lora)
    act(other, "restore", tmp_path / "slot")
    assert answer(other, "completions", **scaled)["timings"]["cache_n"] == 119
    act(other, "restore", tmp_path / "slot")
    without = answer(other, "completions", **plain)
    assert without["timings"]["cache_n"] == 0
    assert text(without) != text(found)
    assert json.dumps(text(without)) == json.dumps(text(answer(open_engine(), "completions", **BODY)))
