"""Files cut off at 50 lengths are refused, whatever the cut goes through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mutate
import pytest


@pytest.mark.parametrize("model", ["minimal", "bert", "mamba"])
def test_a_truncated_file_is_an_invalid_model(model: str, tiny: Path, try_models: Callable) -> None:
    data = (tiny / f"{model}.gguf").read_bytes()
    outcomes = try_models(mutate.truncations(data))
    assert len(outcomes) == 50
    wrong = {title: outcome for title, outcome in outcomes.items() if not outcome.startswith("MODEL_INVALID ")}
    assert wrong == {}


def test_a_file_that_ends_within_its_header_says_so(tiny: Path, try_models: Callable) -> None:
    data = (tiny / "minimal.gguf").read_bytes()
    for length in (0, 3, 7):
        [outcome] = try_models([("short", data[:length])]).values()
        assert "fetch it again" in outcome or "not a GGUF file" in outcome


def test_the_last_byte_of_the_weights_counts(tiny: Path, try_models: Callable) -> None:
    data = (tiny / "minimal.gguf").read_bytes()
    outcomes = try_models([("whole", data), ("one byte less", data[:-1])])
    assert outcomes["whole"] == "works"
    assert "is not within the file bounds" in outcomes["one byte less"]
