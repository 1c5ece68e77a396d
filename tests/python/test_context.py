"""Evaluating tokens: however they are cut, spread over sequences or given as embeddings, the answer is the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import mullama
import numpy as np
import pytest
import rewrite
import tiny_models
from gguf import GGUFReader, GGUFValueType
from mullama import ErrorCode

Fresh = Callable[..., mullama.Context]

TOKENS = [int(token) for token in np.random.RandomState(0).randint(8, 576, 60)]
OTHERS = [int(token) for token in np.random.RandomState(1).randint(8, 576, 40)]
# Another order of float additions, by another cut into batches or another kernel.
ROUNDING = {"rtol": 1e-3, "atol": 2e-3}
# The same in another layout of the cache, where flash attention sums in 16 bits. Other tokens move logits by about 5.
LAYOUT = {"rtol": 1e-2, "atol": 0.1}


def assert_close(found: np.ndarray, expected: np.ndarray, **tolerance: float) -> None:
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, **(tolerance or ROUNDING))


def decoded(context: mullama.Context, tokens: list[int], **options: object) -> np.ndarray:
    context.decode(tokens, outputs="all", **options)
    return context.all_logits()


@pytest.fixture(scope="module")
def expected(llama: mullama.Model) -> np.ndarray:
    """Logits of every position of TOKENS, evaluated at once."""
    with llama.create_context(n_ctx=256, n_threads=1) as context:
        return decoded(context, TOKENS)


@pytest.fixture(scope="module")
def bert(tiny: Path) -> Iterator[mullama.Model]:
    with mullama.Model(tiny / "bert.gguf") as model:
        yield model


def write_qwen2vl(path: Path) -> None:
    """The tiny llama as a model whose positions have four dimensions."""
    vocabulary = tiny_models.spm_vocabulary()
    writer = gguf.GGUFWriter(path, "qwen2vl")
    tiny_models._add_llama_metadata(writer, "tiny qwen2vl", 2, 64, 2, 1, 128, np.float32)
    tiny_models._add_spm_metadata(writer, vocabulary)
    writer.add_rope_dimension_sections([8, 4, 4, 0])
    tensors = tiny_models._llama_tensors(tiny_models._Weights(4, np.float32), len(vocabulary), 2, 64, 2, 1, 128)
    for layer in range(2):
        for name, width in {"attn_q": 64, "attn_k": 32, "attn_v": 32}.items():
            tensors[f"blk.{layer}.{name}.bias"] = np.zeros(width, np.float32)
    tiny_models._write(writer, tensors)


# What a context is ----------------------------------------------------------------------------------------------------


def test_a_context_has_what_was_asked_for(llama: mullama.Model) -> None:
    options = {"n_ctx": 512, "n_batch": 64, "n_ubatch": 16, "n_sequences": 2, "n_threads": 2, "n_threads_batch": 3}
    with llama.create_context(**options, type_k="q8_0", flash_attention="on") as context:
        info = context.info
        assert {name: getattr(info, name) for name in options} == options
        assert info.n_ctx_sequence == 256, "each sequence has an equal part"
        assert (info.type_k, info.type_v) == (mullama.KvType.Q8_0, mullama.KvType.F16)
        assert info.pooling is mullama.Pooling.NONE
        assert info.can_shift is True and info.embeddings is False
        assert context.n_ctx == 512
        assert context.model is llama


def test_sequences_of_a_unified_cache_share_all_of_it(llama: mullama.Model) -> None:
    with llama.create_context(n_ctx=512, n_sequences=2, unified_kv=True, n_threads=1) as context:
        assert context.info.n_ctx_sequence == 512


def test_n_ctx_of_zero_is_the_models_own(llama: mullama.Model) -> None:
    with llama.create_context(n_ctx=0, n_threads=1) as context:
        assert context.n_ctx == llama.info.n_ctx_train


def test_a_context_longer_than_the_training_warns(llama: mullama.Model) -> None:
    with llama.create_context(n_ctx=256, n_threads=1) as context:
        assert not [warning for warning in context.warnings() if "n_ctx_train" in warning and ">" in warning]
    with llama.create_context(n_ctx=1024, n_threads=1) as context:
        assert [warning for warning in context.warnings() if "n_ctx_train (512)" in warning]


def test_a_size_that_is_rounded_up_is_told(llama: mullama.Model) -> None:
    with llama.create_context(n_ctx=64, n_threads=1) as context:
        assert context.n_ctx == 256
        assert context.warnings() == ["n_ctx is 256, not 64 as asked for"]


def test_a_ubatch_is_never_larger_than_a_batch(llama: mullama.Model) -> None:
    with llama.create_context(n_ctx=256, n_batch=32, n_ubatch=512, n_threads=1) as context:
        assert (context.info.n_batch, context.info.n_ubatch) == (32, 32)


# Decoding -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_batch", "n_ubatch"), [(8, 8), (32, 8), (32, 32), (512, 512)])
def test_the_cut_into_batches_does_not_matter(n_batch: int, n_ubatch: int, fresh: Fresh, expected: np.ndarray) -> None:
    assert_close(decoded(fresh(n_batch=n_batch, n_ubatch=n_ubatch), TOKENS), expected)


def test_several_decodes_go_on_where_the_last_one_ended(context: mullama.Context, expected: np.ndarray) -> None:
    rows = [decoded(context, TOKENS[first : first + 7]) for first in range(0, len(TOKENS), 7)]
    assert_close(np.concatenate(rows), expected)
    assert (context.memory_min(), context.memory_max()) == (0, len(TOKENS) - 1)


def test_outputs_are_all_the_last_or_none(context: mullama.Context, expected: np.ndarray) -> None:
    context.decode(TOKENS, outputs="all")
    assert context.n_outputs == len(TOKENS)
    context.memory_clear()
    context.decode(TOKENS)
    assert context.n_outputs == 1
    assert_close(context.all_logits()[0], expected[-1])
    context.memory_clear()
    context.decode(TOKENS, outputs="none")
    assert context.n_outputs == 0
    with pytest.raises(mullama.InferenceError, match="gave no outputs") as raised:
        context.logits()
    assert raised.value.code is ErrorCode.NO_OUTPUT


def test_logits_are_found_by_entry_or_from_the_end(context: mullama.Context) -> None:
    context.decode_batch(tokens=TOKENS[:5], outputs=[0, 1, 0, 1, 1])
    rows = context.all_logits()
    assert rows.shape == (3, context.model.n_vocab)
    for index, row in {1: 0, 3: 1, 4: 2, -1: 2, -2: 1, -3: 0}.items():
        np.testing.assert_array_equal(context.logits(index), rows[row])
    for index, code in {0: "NO_OUTPUT", 2: "NO_OUTPUT", 5: "OUT_OF_RANGE", -4: "OUT_OF_RANGE"}.items():
        with pytest.raises(mullama.Error) as raised:
            context.logits(index)
        assert raised.value.code.name == code


def test_outputs_of_several_batches_are_numbered_through(fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(n_batch=8, n_ubatch=8)
    wanted = [index % 11 == 3 for index in range(len(TOKENS))]
    context.decode_batch(tokens=TOKENS, outputs=wanted)
    entries = [index for index, output in enumerate(wanted) if output]
    assert_close(context.all_logits(), expected[entries])
    for entry in entries:
        assert_close(context.logits(entry), expected[entry])


def test_a_view_of_the_logits_is_the_librarys_own_memory(context: mullama.Context) -> None:
    context.decode(TOKENS[:3])
    view, copy = context.logits(copy=False), context.logits()
    np.testing.assert_array_equal(view, copy)
    assert not view.flags.writeable and not view.flags.owndata
    kept = copy.copy()
    context.decode(TOKENS[3:5])
    np.testing.assert_array_equal(copy, kept)


def test_a_failed_decode_leaves_the_sequence_as_it_was(context: mullama.Context, expected: np.ndarray) -> None:
    context.decode(TOKENS[:20])
    with pytest.raises(mullama.VocabularyError, match="token 2 is 576; the vocabulary has ids 0 to 575"):
        context.decode([1, 2, 576])
    with pytest.raises(mullama.ResourceError, match="lies outside the context of 256 tokens") as raised:
        context.decode([1] * 300)
    assert raised.value.code is ErrorCode.CONTEXT_FULL
    assert context.memory_max() == 19
    assert_close(decoded(context, TOKENS[20:]), expected[20:])


def test_a_context_can_be_filled_to_its_last_token(context: mullama.Context) -> None:
    context.decode([9] * 255)
    context.decode([9])
    assert context.memory_max() == 255
    with pytest.raises(mullama.ResourceError) as raised:
        context.decode([9])
    assert raised.value.code is ErrorCode.CONTEXT_FULL


# Several sequences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unified", [False, True])
def test_sequences_in_one_batch_do_not_see_each_other(unified: bool, fresh: Fresh, expected: np.ndarray) -> None:
    alone = decoded(fresh(), OTHERS)
    context = fresh(n_sequences=2, n_ctx=512, unified_kv=unified)
    n = len(OTHERS)
    mixed = [token for pair in zip(TOKENS[:n], OTHERS, strict=True) for token in pair]
    context.decode_batch(tokens=mixed, sequences=[0, 1] * n, outputs=[1] * len(mixed))
    assert_close(context.all_logits()[0::2], expected[:n], **LAYOUT)
    assert_close(context.all_logits()[1::2], alone, **LAYOUT)
    assert [context.memory_max(sequence) for sequence in (0, 1)] == [n - 1, n - 1]


def test_an_entry_may_belong_to_several_sequences(fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(n_sequences=2, unified_kv=True)
    prefix, first, second = TOKENS[:10], TOKENS[10:14], OTHERS[:4]
    context.decode_batch(tokens=prefix, sequences=[0, 1] * 10, sequence_counts=[2] * 10)
    assert_close(decoded(context, first, sequence=0), expected[10:14])
    assert_close(decoded(context, second, sequence=1), decoded(fresh(), prefix + second)[10:])


def test_positions_may_be_given(context: mullama.Context, expected: np.ndarray) -> None:
    context.decode_batch(tokens=TOKENS[:10], positions=range(10))
    assert_close(decoded(context, TOKENS[10:], position=10), expected[10:])
    with pytest.raises(mullama.ArgumentError, match="already ends at 60") as raised:
        context.decode([1], position=30)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


# Embeddings -----------------------------------------------------------------------------------------------------------


def test_input_embeddings_stand_for_the_tokens_they_are_rows_of(
    tiny: Path, context: mullama.Context, expected: np.ndarray
) -> None:
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(tiny / "llama.gguf").tensors}
    rows = tensors["token_embd.weight"][TOKENS]
    context.decode_batch(embeddings=rows, outputs=[1] * len(TOKENS))
    assert_close(context.all_logits(), expected)


def test_input_embeddings_are_cut_into_batches_too(tiny: Path, fresh: Fresh, expected: np.ndarray) -> None:
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(tiny / "llama.gguf").tensors}
    context = fresh(n_batch=16, n_ubatch=16)
    context.decode_batch(embeddings=tensors["token_embd.weight"][TOKENS])
    assert_close(context.logits(), expected[-1])


def test_input_embeddings_have_the_positions_of_text_in_a_vision_model(tmp_path: Path) -> None:
    """Such a model has four positions an embedding; a caller gives one."""
    path = tmp_path / "qwen2vl.gguf"
    write_qwen2vl(path)
    rows = next(tensor.data for tensor in GGUFReader(path).tensors if tensor.name == "token_embd.weight")
    with mullama.Model(path) as model, model.create_context(n_ctx=256, n_ubatch=16, n_threads=1) as context:
        assert model.info.rope_type is mullama.RopeType.MROPE
        by_token = decoded(context, TOKENS)
        context.memory_clear()
        context.decode_batch(embeddings=rows[TOKENS], outputs=[1] * len(TOKENS))
        assert_close(context.all_logits(), by_token)


def test_a_bert_pools_the_mean_of_its_tokens_embeddings(bert: mullama.Model) -> None:
    tokens = bert.tokenize("the water was not made by people")
    with bert.create_context(embeddings=True, pooling="none", n_threads=1) as context:
        context.decode(tokens, outputs="all")
        each = context.all_embeddings()
        assert each.shape == (len(tokens), bert.info.n_embd_out)
        np.testing.assert_array_equal(context.embeddings(2), each[2])
        np.testing.assert_array_equal(context.embeddings(), each[-1])
    pooled = {"unspecified": each.mean(axis=0), "mean": each.mean(axis=0), "cls": each[0], "last": each[-1]}
    for pooling, vector in pooled.items():
        with bert.create_context(embeddings=True, pooling=pooling, n_threads=1) as context:
            context.decode(tokens)
            assert_close(context.sequence_embeddings(), vector, rtol=1e-4, atol=1e-5)
            with pytest.raises(mullama.InferenceError, match="ask for those of the sequence"):
                context.all_embeddings()


def test_a_classifier_scores_each_of_its_labels(bert: mullama.Model, tiny: Path, tmp_path: Path) -> None:
    random = np.random.RandomState(6)
    n_embd, labels = bert.info.n_embd, ["no", "yes", "maybe"]
    dense, head = random.randn(n_embd, n_embd).astype(np.float32), random.randn(3, n_embd).astype(np.float32)
    bias, head_bias = random.randn(n_embd).astype(np.float32), random.randn(3).astype(np.float32)
    values = {
        "bert.pooling_type": (GGUFValueType.UINT32, mullama.Pooling.RANK),
        "bert.classifier.output_labels": (GGUFValueType.ARRAY, labels),
    }
    tensors = {"cls.weight": dense, "cls.bias": bias, "cls.output.weight": head, "cls.output.bias": head_bias}
    rewrite.write(tiny / "bert.gguf", tmp_path / "rank.gguf", values=values, tensors=tensors)
    tokens = bert.tokenize("the water")
    with bert.create_context(embeddings=True, pooling="cls", n_threads=1) as context:
        context.decode(tokens)
        first = context.sequence_embeddings()
    with mullama.Model(tmp_path / "rank.gguf") as model, model.create_context(embeddings=True, n_threads=1) as context:
        assert [model.class_label(index) for index in range(model.info.n_classes)] == labels
        assert context.info.pooling is mullama.Pooling.RANK
        context.decode(tokens)
        scores = context.sequence_embeddings()
    assert_close(scores, head @ np.tanh(dense @ first + bias) + head_bias, rtol=1e-4, atol=1e-4)


def test_sequences_of_one_batch_have_an_embedding_each(bert: mullama.Model) -> None:
    texts = ["the water", "people made words", "no"]
    with bert.create_context(embeddings=True, n_sequences=3, n_threads=1) as context:
        alone = []
        for text in texts:
            context.decode(bert.tokenize(text))
            alone.append(context.sequence_embeddings())
        tokens = [bert.tokenize(text) for text in texts]
        sequences = [number for number, ids in enumerate(tokens) for _ in ids]
        context.decode_batch(
            tokens=[token for ids in tokens for token in ids],
            sequences=sequences,
            positions=[p for ids in tokens for p in range(len(ids))],
        )
        for sequence, vector in enumerate(alone):
            assert_close(context.sequence_embeddings(sequence), vector, rtol=1e-4, atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 0.1


def test_encode_and_decode_of_an_embedding_model_agree(bert: mullama.Model) -> None:
    tokens = bert.tokenize("the water")
    with bert.create_context(embeddings=True, n_threads=1) as context:
        context.decode(tokens)
        vector = context.sequence_embeddings()
        context.encode(tokens)
        assert_close(context.sequence_embeddings(), vector, rtol=1e-5, atol=1e-6)


def test_an_embedding_model_has_no_logits(bert: mullama.Model) -> None:
    with bert.create_context(n_threads=1) as context:
        context.decode([5, 6, 7])
        for call in (context.logits, context.all_logits):
            with pytest.raises(mullama.InferenceError, match="embedding models and encoders have none") as raised:
                call()
            assert raised.value.code is ErrorCode.NO_OUTPUT


def test_a_decoder_reads_what_its_encoder_made(tiny: Path) -> None:
    with mullama.Model(tiny / "t5.gguf") as model, model.create_context(n_ctx=256, n_threads=1) as context:
        start = [model.info.decoder_start_token]

        def after(text: str) -> np.ndarray:
            context.memory_clear()
            context.encode(model.tokenize(text))
            with pytest.raises(mullama.InferenceError, match="encoders have none"):
                context.logits()
            context.decode(start)
            return context.logits()

        first, other = after("the water"), after("people made words")
        assert np.abs(first - other).max() > 0.1
        assert_close(after("the water"), first)
        answer = context.generate(tokens=start, max_tokens=8, temperature=0)
        assert answer.result.n_generated == 8


def test_a_decoder_without_anything_encoded_is_refused_and_works_afterwards(tiny: Path) -> None:
    with mullama.Model(tiny / "t5.gguf") as model, model.create_context(n_ctx=256, n_threads=1) as context:
        calls = [
            lambda: context.decode([1]),
            lambda: context.decode_batch(tokens=[1, 2]),
            lambda: context.generate("the water"),
        ]
        for call in calls:
            with pytest.raises(mullama.ArgumentError, match="call encode with the text's tokens first") as raised:
                call()
            assert raised.value.code is ErrorCode.UNSUPPORTED
        context.encode(model.tokenize("the water"))
        context.decode([model.info.decoder_start_token])
        assert context.logits().any()


def test_a_decoder_cannot_read_what_is_pooled(tiny: Path) -> None:
    options = {"n_ctx": 256, "n_threads": 1, "embeddings": True, "pooling": "mean"}
    with mullama.Model(tiny / "t5.gguf") as model, model.create_context(**options) as context:
        context.encode(model.tokenize("the water"))
        assert context.sequence_embeddings().any()
        with pytest.raises(mullama.ArgumentError, match="in a context with pooling none"):
            context.decode([model.info.decoder_start_token])


def test_a_generating_model_gives_embeddings_when_switched_on(context: mullama.Context, expected: np.ndarray) -> None:
    context.decode(TOKENS[:5])
    with pytest.raises(mullama.InferenceError, match="switch them on with set_embeddings") as raised:
        context.embeddings()
    assert raised.value.code is ErrorCode.NO_OUTPUT
    context.memory_clear()
    context.set_embeddings(True)
    context.decode(TOKENS[:5], outputs="all")
    assert context.all_embeddings().shape == (5, 64)
    context.set_embeddings(False)
    assert_close(decoded(context, TOKENS[5:]), expected[5:])


@pytest.mark.parametrize("n_tokens", [129, 400])
def test_positions_without_a_learned_embedding_are_refused(n_tokens: int, bert: mullama.Model) -> None:
    with bert.create_context(embeddings=True, n_ctx=512, n_threads=1) as context:
        context.decode([7] * 128)
        for call in (context.decode, context.encode):
            with pytest.raises(mullama.ResourceError, match="outside the 128 positions that the model knows") as raised:
                call([7] * n_tokens)
            assert raised.value.code is ErrorCode.CONTEXT_FULL
        with pytest.raises(mullama.ResourceError):
            context.decode([7], position=128)
        with pytest.raises(mullama.ArgumentError):
            context.decode_batch(tokens=[7], positions=[-1])
        assert context.info.n_ctx_sequence == 128


# Memory ---------------------------------------------------------------------------------------------------------------


def test_what_was_removed_can_be_done_again(context: mullama.Context, expected: np.ndarray) -> None:
    context.decode(TOKENS)
    assert context.memory_remove(0, 25)
    assert context.memory_max() == 24
    assert_close(decoded(context, TOKENS[25:]), expected[25:])


def test_a_removed_middle_is_not_seen_any_more(context: mullama.Context, expected: np.ndarray) -> None:
    context.decode(TOKENS[:20])
    context.memory_remove(0, 5, 15)
    assert (context.memory_min(), context.memory_max()) == (0, 19)
    assert np.abs(decoded(context, TOKENS[20:21])[0] - expected[20]).max() > 0.1


def test_a_copied_sequence_goes_on_alone(fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(n_sequences=2, n_ctx=512)
    context.decode(TOKENS[:30])
    context.memory_copy(0, 1)
    assert context.memory_max(1) == 29
    changed = decoded(context, OTHERS[:5], sequence=1)
    assert_close(decoded(context, TOKENS[30:]), expected[30:])
    context.memory_remove(1, 30)
    assert_close(decoded(context, TOKENS[30:], sequence=1), expected[30:])
    assert np.abs(changed[0] - expected[30]).max() > 0.1


def test_part_of_a_sequence_is_copied_in_a_unified_cache_only(fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(n_sequences=2, unified_kv=True)
    context.decode(TOKENS[:30])
    context.memory_copy(0, 1, 0, 20)
    assert context.memory_max(1) == 19
    assert_close(decoded(context, TOKENS[20:], sequence=1), expected[20:])
    divided = fresh(n_sequences=2)
    divided.decode(TOKENS[:30])
    with pytest.raises(mullama.ArgumentError, match="unified_kv") as raised:
        divided.memory_copy(0, 1, 0, 20)
    assert raised.value.code is ErrorCode.UNSUPPORTED


def test_keeping_one_sequence_forgets_the_others(fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(n_sequences=3, n_ctx=768)
    for sequence in range(3):
        context.decode(TOKENS[:10], sequence=sequence)
    context.memory_keep(1)
    assert [context.memory_max(sequence) for sequence in range(3)] == [-1, 9, -1]
    assert_close(decoded(context, TOKENS[10:], sequence=1), expected[10:])


def test_shifting_moves_the_positions(context: mullama.Context, expected: np.ndarray) -> None:
    """All positions moved alike: with rotary embeddings only distances count."""
    context.decode(TOKENS[:30])
    context.memory_shift(0, 0, -1, 100)
    assert (context.memory_min(), context.memory_max()) == (100, 129)
    assert_close(decoded(context, TOKENS[30:]), expected[30:], **LAYOUT)


def test_shifting_a_part_closes_a_gap(context: mullama.Context, fresh: Fresh) -> None:
    context.decode(TOKENS[:30])
    context.memory_remove(0, 0, 10)
    context.memory_shift(0, 10, -1, -10)
    assert (context.memory_min(), context.memory_max()) == (0, 19)
    with pytest.raises(mullama.ArgumentError, match="would make it negative") as raised:
        context.memory_shift(0, 5, -1, -6)
    assert raised.value.code is ErrorCode.OUT_OF_RANGE


def test_dividing_halves_the_positions(context: mullama.Context) -> None:
    context.decode(TOKENS[:40])
    context.memory_divide(0, 0, -1, 4)
    assert (context.memory_min(), context.memory_max()) == (0, 9)
    context.decode([9])
    assert context.memory_max() == 10


def test_clearing_forgets_everything(fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(n_sequences=2, n_ctx=512)
    for data in (False, True):
        context.decode(OTHERS, sequence=0)
        context.decode(OTHERS, sequence=1)
        context.memory_clear(data=data)
        assert [context.memory_min(s) for s in (0, 1)] == [context.memory_max(s) for s in (0, 1)] == [-1, -1]
    assert_close(decoded(context, TOKENS), expected)


def test_all_sequences_can_be_removed_at_once(fresh: Fresh) -> None:
    context = fresh(n_sequences=2, n_ctx=512)
    context.decode(OTHERS, sequence=0)
    context.decode(OTHERS, sequence=1)
    context.memory_remove(-1, 10)
    assert [context.memory_max(sequence) for sequence in (0, 1)] == [9, 9]


def test_a_recurrent_memory_cannot_go_back_or_shift(mamba: mullama.Model) -> None:
    with mamba.create_context(n_ctx=64, n_threads=1) as context:
        context.decode(TOKENS[:20])
        assert context.memory_remove(0, 10) is False
        assert context.memory_max() == 19
        assert context.memory_remove(0) is True
        assert context.memory_max() == -1
        assert context.memory_can_shift() == context.info.can_shift


def test_a_recurrent_model_has_no_end_of_its_context(mamba: mullama.Model) -> None:
    with mamba.create_context(n_ctx=64, n_ubatch=16, n_threads=1) as context:
        context.decode([9] * 200)
        assert context.memory_max() == 199
        assert np.isfinite(context.logits()).all()


# Settings -------------------------------------------------------------------------------------------------------------


def test_the_number_of_threads_does_not_change_the_answer(context: mullama.Context, expected: np.ndarray) -> None:
    for n_threads in (2, 1):
        context.set_threads(n_threads, n_threads)
        assert (context.info.n_threads, context.info.n_threads_batch) == (n_threads, n_threads)
        context.memory_clear()
        assert_close(decoded(context, TOKENS), expected)


def test_attention_to_all_tokens_lets_the_first_see_the_last(context: mullama.Context, expected: np.ndarray) -> None:
    context.set_causal_attention(False)
    seen = decoded(context, TOKENS)
    assert np.abs(seen[0] - expected[0]).max() > 0.1
    context.memory_clear()
    context.set_causal_attention(True)
    assert_close(decoded(context, TOKENS), expected)


def test_attention_to_all_tokens_needs_them_in_one_ubatch(fresh: Fresh) -> None:
    context = fresh(n_batch=32, n_ubatch=16)
    context.set_causal_attention(False)
    with pytest.raises(mullama.ArgumentError, match="one ubatch of 16") as raised:
        context.decode(TOKENS[:17])
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_flash_attention_computes_the_same(fresh: Fresh) -> None:
    on, off, auto = (decoded(fresh(flash_attention=mode), TOKENS) for mode in ("on", "off", "auto"))
    assert_close(on, off, **LAYOUT)
    assert_close(auto, on, **LAYOUT)


@pytest.mark.parametrize(("kind", "error"), [("f32", 0.02), ("bf16", 0.1), ("q8_0", 0.1), ("q5_1", 0.5), ("q4_0", 1.0)])
def test_a_smaller_kv_cache_costs_little_accuracy(kind: str, error: float, fresh: Fresh, expected: np.ndarray) -> None:
    context = fresh(type_k=kind, type_v=kind, flash_attention="on")
    difference = decoded(context, TOKENS) - expected
    assert np.sqrt(np.mean(difference**2)) < error
    assert difference.any() or kind == "f32", "flash attention reads F32 as F16"


def test_a_smaller_kv_cache_takes_less_memory(fresh: Fresh) -> None:
    usage = {
        kind: fresh(type_k=kind, type_v=kind, flash_attention="on").memory_usage().context
        for kind in ("f32", "f16", "q8_0")
    }
    assert usage["f32"] == 2 * usage["f16"]
    assert usage["q8_0"] / usage["f16"] == pytest.approx(8.5 / 16)


def test_quantized_values_need_flash_attention(llama: mullama.Model) -> None:
    with pytest.raises(mullama.ArgumentError, match="flash|Flash") as raised:
        llama.create_context(type_v="q8_0", flash_attention="off")
    assert raised.value.code is ErrorCode.UNSUPPORTED


def test_attention_of_embeddings_can_be_asked_for(fresh: Fresh, expected: np.ndarray) -> None:
    whole = decoded(fresh(attention="non_causal", embeddings=True), TOKENS)
    assert np.abs(whole[0] - expected[0]).max() > 0.1
    assert_close(decoded(fresh(attention="causal", embeddings=True), TOKENS), expected)


def test_the_base_of_rope_changes_far_positions(fresh: Fresh, expected: np.ndarray) -> None:
    based = decoded(fresh(rope_freq_base=500.0), TOKENS)
    assert np.abs(based[-1] - expected[-1]).max() > 0.05
    assert_close(based[0], expected[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"yarn_ext_factor": 0.3},
        {"yarn_beta_fast": 4.0},
        {"yarn_beta_slow": 3.0},
        {"yarn_original_n_ctx": 64},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_each_setting_of_yarn_takes_effect(changed: dict, fresh: Fresh, expected: np.ndarray) -> None:
    yarn = {"rope_scaling": "yarn", "rope_freq_scale": 0.25, "yarn_original_n_ctx": 512}
    scaled, other = (decoded(fresh(**options), TOKENS)[-1] for options in (yarn, {**yarn, **changed}))
    assert np.abs(scaled - expected[-1]).max() > 0.05
    assert np.abs(other - scaled).max() > 0.01


def test_an_attention_factor_that_yarn_overrides_is_reported(fresh: Fresh, expected: np.ndarray) -> None:
    factor = {"yarn_attn_factor": 1.5}
    assert [line for line in fresh(**factor, rope_scaling="yarn").warnings() if "yarn_attn_factor is ignored" in line]
    context = fresh(**factor)
    assert not [line for line in context.warnings() if "yarn_attn_factor" in line]
    assert np.abs(decoded(context, TOKENS)[-1] - expected[-1]).max() > 0.05


def test_rope_scaling_changes_far_positions(fresh: Fresh, expected: np.ndarray) -> None:
    scaled = decoded(fresh(rope_scaling="linear", rope_freq_scale=0.25), TOKENS)
    assert np.abs(scaled[-1] - expected[-1]).max() > 0.05
    assert_close(scaled[0], expected[0])


# Figures --------------------------------------------------------------------------------------------------------------


def test_timings_count_what_was_evaluated(context: mullama.Context) -> None:
    context.reset_timings()
    context.decode(TOKENS)
    for token in OTHERS[:5]:
        context.decode([token])
    timings = context.timings
    assert (timings.n_prefill, timings.n_decode) == (len(TOKENS), 5)
    assert timings.prefill_ms > 0 and timings.decode_ms > 0
    assert 0 <= timings.n_graphs_reused <= 6
    context.reset_timings()
    assert context.timings.n_prefill <= 1  # llama.cpp counts at least one, to divide by it


def test_memory_is_the_sum_of_its_buffers(context: mullama.Context) -> None:
    total = context.memory_usage()
    buffers = [context.memory_buffer(index) for index in range(context.memory_buffer_count)]
    assert total.buffer == "total" and all(buffer.buffer for buffer in buffers)
    for kind in ("model", "context", "compute"):
        assert getattr(total, kind) == sum(getattr(buffer, kind) for buffer in buffers)
    assert total.model >= context.model.info.size
    assert total.context == 256 * 2 * 2 * 32 * 2, "256 cells, 2 layers, K and V, 32 wide, 2 bytes"
    assert total.compute > 0
    with pytest.raises(mullama.ArgumentError) as raised:
        context.memory_buffer(len(buffers))
    assert raised.value.code is ErrorCode.OUT_OF_RANGE


# Cancelling -----------------------------------------------------------------------------------------------------------


def test_cancelling_stops_a_decode_and_undoes_it(llama: mullama.Model, expected: np.ndarray) -> None:
    with llama.create_context(n_ctx=65536, n_ubatch=32, n_threads=1) as context:
        context.decode(TOKENS[:20])
        outcome: list[object] = []

        def work() -> None:
            try:
                context.decode([9] * 60000)
                outcome.append("done")
            except mullama.Error as error:
                outcome.append(error.code)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.3)
        start = time.monotonic()
        context.cancel()
        thread.join(30)
        assert outcome == [ErrorCode.CANCELLED]
        assert time.monotonic() - start < 2
        assert context.memory_max() == 19
        assert_close(decoded(context, TOKENS[20:]), expected[20:])


def test_a_cancel_while_nothing_runs_is_forgotten(context: mullama.Context, expected: np.ndarray) -> None:
    context.cancel()
    context.cancel()
    assert_close(decoded(context, TOKENS), expected)
