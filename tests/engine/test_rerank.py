"""Reranking: the scores are those of a context that evaluates one pair at a time, and the order is theirs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mullama
import pytest
import tiny_models
from ask import answer

QUERY = "how many people"
DICE = random.Random(3)
DOCUMENTS = [" ".join(DICE.choices(tiny_models.WORDS, k=DICE.randint(1, 40))) for _ in range(24)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_bert(tmp_path_factory.mktemp("reranker") / "reranker.gguf", reranks=True)


@pytest.fixture(scope="module")
def engine(path: Path) -> Iterator[mullama.Engine]:
    with mullama.Engine(path, mode="rerank", n_ctx=128, n_slots=4, n_threads=1, flash_attention="off") as engine:
        yield engine


@pytest.fixture(scope="module")
def scores(path: Path) -> dict[str, float]:
    """Of each document for the query, one evaluation each; without flash attention, which rounds to half precision."""
    with mullama.Model(path) as model, model.create_context(n_ctx=128, embeddings=True, pooling="rank", n_threads=1, flash_attention="off") as context:

        def score(document: str) -> float:
            # [CLS] query [SEP] document; llama.cpp ends it with [SEP] only where the vocabulary asks for an end token.
            parts = [model.tokenize(text, add_special=False, parse_special=False) for text in (QUERY, document)]
            start, end = model.tokenize("", add_special=True)
            context.encode([start, *parts[0], end, *parts[1]])
            (found,) = context.sequence_embeddings()
            return found

        return {document: score(document) for document in DOCUMENTS}


def reranked(engine: mullama.Engine, documents: list[str] = DOCUMENTS, **body: Any) -> list[dict[str, Any]]:
    return answer(engine, "rerank", query=QUERY, documents=documents, **body)["results"]


def test_scores_are_those_of_a_single_evaluation_and_finite(engine, scores):
    found = {DOCUMENTS[entry["index"]]: entry["relevance_score"] for entry in reranked(engine)}
    assert len(set(scores.values())) == len(DOCUMENTS)
    assert found == pytest.approx(scores, abs=1e-4)
    assert all(map(math.isfinite, found.values()))


def test_the_best_come_first(engine, scores):
    expected = sorted(range(len(DOCUMENTS)), key=lambda index: -scores[DOCUMENTS[index]])
    assert [entry["index"] for entry in reranked(engine)] == expected


def test_the_order_of_the_documents_does_not_matter(engine, scores):
    expected = sorted(DOCUMENTS, key=lambda document: -scores[document])
    for seed in range(3):
        shuffled = random.Random(seed).sample(DOCUMENTS, len(DOCUMENTS))
        assert [shuffled[entry["index"]] for entry in reranked(engine, shuffled)] == expected


def test_equal_documents_have_equal_scores(engine, scores):
    found = reranked(engine, [DOCUMENTS[0]] * 6)
    assert sorted(entry["index"] for entry in found) == list(range(6))
    assert [entry["relevance_score"] for entry in found] == pytest.approx([scores[DOCUMENTS[0]]] * 6, abs=1e-4)


@pytest.mark.parametrize("top_n", [1, 5, len(DOCUMENTS), 1000])
def test_top_n_are_the_first_of_all(engine, top_n):
    whole = reranked(engine)
    found = reranked(engine, top_n=top_n)
    assert [entry["index"] for entry in found] == [entry["index"] for entry in whole[:top_n]]


def test_documents_are_returned_where_that_was_asked_for(engine):
    assert all("document" not in entry for entry in reranked(engine))
    for entry in reranked(engine, return_documents=True, top_n=7):
        assert entry["document"] == {"text": DOCUMENTS[entry["index"]]}


def test_usage_counts_query_and_document_for_each_pair(engine, path):
    with mullama.Model(path) as model:
        n_each = [len(model.tokenize(QUERY, add_special=False)) + len(model.tokenize(document, add_special=False)) + 2 for document in DOCUMENTS]
    usage = answer(engine, "rerank", query=QUERY, documents=DOCUMENTS)["usage"]
    assert usage == {"prompt_tokens": sum(n_each), "total_tokens": sum(n_each)}


def test_special_tokens_in_a_document_are_text(engine):
    plain, typed = answer(engine, "rerank", query=QUERY, documents=["the time"])["usage"], answer(engine, "rerank", query=QUERY, documents=["the [SEP] time"])["usage"]
    assert typed["prompt_tokens"] == plain["prompt_tokens"] + 5  # [ s e p ]


def test_a_document_that_does_not_fit_is_named(engine):
    with pytest.raises(mullama.Error, match=r"documents\[1\] with the query has") as caught:
        answer(engine, "rerank", query=QUERY, documents=["the", "the " * 200])
    assert caught.value.code == mullama.ErrorCode.CONTEXT_FULL
