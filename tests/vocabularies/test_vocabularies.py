"""Every line of llama.cpp's own tokenizer tests, through the binding: 15 vocabularies, 708 texts, exact ids.

They lie in the llama.cpp source beside each vocabulary: texts in NAME.gguf.inp, parted by a separator, and their ids, a
line each, in NAME.gguf.out. The texts end with a separator, so the last one is empty and has no ids.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import mullama
import pytest
from mullama.build.library import Library

CHECKOUT = Path(__file__).resolve().parents[2]
SEPARATOR = "\n__ggml_vocab_test__\n"
N_VOCABULARIES = 15
N_TEXTS = 708


@cache
def vocabularies() -> dict[str, Path]:
    """The vocabularies that come with texts and ids, by name."""
    source = os.environ.get("MULLAMA_TEST_SOURCE") or Library(CHECKOUT).source()
    models = Path(source, "models")
    return {path.name.removesuffix(".gguf.inp"): path.with_suffix("") for path in sorted(models.glob("*.gguf.inp"))}


def texts_and_ids(vocabulary: Path) -> list[tuple[str, list[int]]]:
    # Read as bytes: the texts hold carriage returns, which must not become line breaks.
    texts = Path(f"{vocabulary}.inp").read_bytes().decode().split(SEPARATOR)
    # Some files have no separator at their end, and all have a line break there: then one line is left over, empty.
    lines = Path(f"{vocabulary}.out").read_text(encoding="ascii").split("\n")
    return [(text, [int(id_) for id_ in line.split()]) for text, line in zip(texts, lines, strict=False)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vocabulary" in metafunc.fixturenames:
        paths = vocabularies()
        metafunc.parametrize("vocabulary", paths.values(), ids=paths.keys())


def test_every_text_has_the_expected_ids(vocabulary: Path) -> None:
    with mullama.Model(str(vocabulary), vocab_only=True) as model:
        wrong = [
            (text, expected, found)
            for text, expected in texts_and_ids(vocabulary)
            if (found := list(model.tokenize(text, add_special=False, parse_special=False))) != expected
        ]
    assert wrong == []


def test_no_vocabulary_and_no_text_is_missing() -> None:
    assert len(vocabularies()) == N_VOCABULARIES
    assert sum(len(texts_and_ids(path)) for path in vocabularies().values()) == N_TEXTS
