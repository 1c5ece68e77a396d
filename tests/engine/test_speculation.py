"""A draft model makes answers come sooner, and never different; requests can limit what is guessed, or do without."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mullama
import pytest
from ask import answer, user

BODY = {"prompt": "time made his", "max_tokens": 61, "temperature": 0, "ignore_eos": True, "cache_prompt": False}


@pytest.fixture(scope="module")
def twin(tiny) -> Iterator[mullama.Engine]:
    """The draft model is the model itself: every guess is right."""
    with mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=4, n_threads=1, draft_model=str(tiny / "llama.gguf"), draft_max=8) as engine:
        assert engine.warnings() == []
        yield engine


@pytest.fixture(scope="module")
def stranger(tiny) -> Iterator[mullama.Engine]:
    """The draft model has other weights: most guesses are wrong."""
    with mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=4, n_threads=1, draft_model=str(tiny / "other.gguf"), draft_max=8) as engine:
        yield engine


def text(found: Any) -> str:
    return found["choices"][0]["text"]


def test_guesses_never_change_an_answer(engine, twin, stranger):
    for prompt in ("time made his", "the of and", "how many people"):
        expected = text(answer(engine, "completions", **{**BODY, "prompt": prompt}))
        right = answer(twin, "completions", **{**BODY, "prompt": prompt})
        wrong = answer(stranger, "completions", **{**BODY, "prompt": prompt})
        assert text(right) == text(wrong) == expected
        assert right["timings"]["draft_n_accepted"] == right["timings"]["draft_n"] >= 40
        assert wrong["timings"]["draft_n_accepted"] < wrong["timings"]["draft_n"]


def test_many_at_once_and_chats_too(engine, stranger):
    prompts = ["time made his", "the of and", "how many people", "who has been", "water", "first"]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda prompt: text(answer(stranger, "completions", **{**BODY, "prompt": prompt})), prompts))
    assert found == [text(answer(engine, "completions", **{**BODY, "prompt": prompt})) for prompt in prompts]
    body = {"messages": user("how many"), "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    assert answer(stranger, "chat/completions", **body)["choices"] == answer(engine, "chat/completions", **body)["choices"]


def test_a_request_limits_its_guesses(twin):
    accepted = {}
    for n_max in (1, 2, 8):
        timings = answer(twin, "completions", **BODY, speculative={"n_max": n_max})["timings"]
        accepted[n_max] = timings["draft_n_accepted"]
        # Behind each guess stands a token of the model's own.
        assert accepted[n_max] <= 61 * n_max // (n_max + 1)
    assert accepted[1] < accepted[2] < accepted[8]
    assert answer(twin, "completions", **BODY)["timings"]["draft_n_accepted"] == accepted[8]


def test_a_request_does_without(twin, stranger):
    for engine in (twin, stranger):
        assert "draft_n" not in answer(engine, "completions", **BODY, speculative={"n_max": 0})["timings"]


def test_guesses_that_are_too_short_are_not_used(twin):
    body = {**BODY, "max_tokens": 4}  # the first comes of the prompt, and the last is never guessed
    assert answer(twin, "completions", **body)["timings"]["draft_n"] == 2
    assert "draft_n" not in answer(twin, "completions", **body, speculative={"n_min": 3})["timings"]


def test_a_slot_with_its_draft_is_saved_and_restored(twin, tiny, tmp_path):
    body = {**BODY, "prompt": [5 + i % 90 for i in range(100)], "id_slot": 2, "cache_prompt": True}
    found = answer(twin, "completions", **body)
    answer(twin, "slots", action="save", id_slot=2, path=str(tmp_path / "slot"))
    with mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=4, n_threads=1, draft_model=str(tiny / "llama.gguf"), draft_max=8) as other:
        answer(other, "slots", action="restore", id_slot=2, path=str(tmp_path / "slot"))
        again = answer(other, "completions", **body)
    assert text(again) == text(found)
    assert again["timings"]["cache_n"] == 99
    assert again["timings"]["draft_n_accepted"] == again["timings"]["draft_n"] >= 40


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n_max": 9}, "speculative.n_max is 9; it must be 0 to 8"),
        ({"n_max": -1}, "speculative.n_max is -1"),
        ({"n_min": 1.5}, "speculative.n_min is 1.5"),
        ({"p_min": 0.5}, "speculative.p_min .* engine_options.draft_p_min"),
        ({"type": "mtp"}, "speculative.type does not exist"),
        ([1], "speculative is"),
    ],
)
def test_what_cannot_be_honoured_is_refused(twin, asked, message):
    with pytest.raises(mullama.ArgumentError, match=message):
        answer(twin, "completions", **BODY, speculative=asked)


def test_without_a_draft_model_it_is_refused_by_its_name(engine):
    with pytest.raises(mullama.ArgumentError, match="speculative needs a model that guesses"):
        answer(engine, "completions", **BODY, speculative={"n_max": 2})
