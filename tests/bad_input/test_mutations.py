"""Damaged and absurd models: each is refused with a reason or works, and never ends the process.

A file that loads is also used: a context, a decode, a generation, a state. Which outcome a mutation has is llama.cpp's
affair (a bit flip in a weight may well work); that there is one within a minute is ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import mutate
import pytest
import rewrite

# What a file may be refused with. INTERNAL is not among them: on another thread the same check would be a crash.
REFUSALS = {"MODEL_INVALID", "MODEL_UNSUPPORTED", "OUT_OF_MEMORY", "UNSUPPORTED", "INVALID_ARGUMENT", "CONTEXT_FULL"}
MODELS = ["minimal", "bert", "mamba"]


def assert_survived(outcomes: dict[str, str], at_least_refused: int, at_least_working: int) -> None:
    wrong = {title: outcome for title, outcome in outcomes.items() if outcome.split()[0] not in REFUSALS | {"works"}}
    assert wrong == {}
    silent = [title for title, outcome in outcomes.items() if "gave no reason" in outcome]
    assert silent == []
    counts = Counter(outcome == "works" for outcome in outcomes.values())
    assert counts[False] >= at_least_refused
    assert counts[True] >= at_least_working, "the files were not used at all"


@pytest.mark.parametrize("model", MODELS)
def test_500_mutations_are_refused_or_work(model: str, tiny: Path, try_models: Callable) -> None:
    outcomes = try_models(mutate.mutations((tiny / f"{model}.gguf").read_bytes()))
    assert len(outcomes) == 500
    assert_survived(outcomes, at_least_refused=300, at_least_working=50)


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_in_every_type_is_refused_or_works(
    model: str, tiny: Path, tmp_path_factory: pytest.TempPathFactory, try_models: Callable
) -> None:
    scratch = tmp_path_factory.mktemp("scratch") / "model.gguf"
    outcomes = try_models(rewrite.in_other_types(tiny / f"{model}.gguf", scratch))
    assert_survived(outcomes, at_least_refused=50, at_least_working=50)
    for title, outcome in outcomes.items():
        if title.startswith("blk.0.attn_norm.weight as "):
            assert "blk.0.attn_norm.weight" in outcome and "nothing can compute with" in outcome


@pytest.mark.parametrize("model", MODELS)
def test_every_absurd_value_in_the_metadata_is_refused_or_works(
    model: str, tiny: Path, tmp_path_factory: pytest.TempPathFactory, try_models: Callable
) -> None:
    scratch = tmp_path_factory.mktemp("scratch") / "model.gguf"
    outcomes = try_models(rewrite.with_absurd_values(tiny / f"{model}.gguf", scratch))
    assert_survived(outcomes, at_least_refused=50, at_least_working=20)


def test_a_metadata_override_can_be_as_absurd_as_a_file(tiny: Path) -> None:
    import mullama

    for override in ("llama.attention.layer_norm_rms_epsilon=float:-1", "llama.rope.dimension_count=int:31"):
        with pytest.raises(mullama.FileError) as refused:
            mullama.Model(tiny / "llama.gguf", kv_overrides=override)
        assert refused.value.code is mullama.ErrorCode.MODEL_INVALID
