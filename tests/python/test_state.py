"""Saved states: what is restored continues identically, and what is not whole or not ours is refused without harm."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import mullama
import numpy as np
import pytest
from mullama import ErrorCode

Fresh = Callable[..., mullama.Context]

TOKENS = [int(token) for token in np.random.RandomState(5).randint(8, 576, 50)]
N_MORE = 20

# The header of abi/src/saved_state.cpp: name, offset, format.
HEADER = {
    "magic": (0, "8s"),
    "version": (8, "<I"),
    "kind": (12, "<I"),
    "flags": (16, "<Q"),
    "shape": (24, "<Q"),
    "n_tokens": (32, "<Q"),
    "payload": (40, "<Q"),
    "checksum": (48, "<Q"),
}
HEADER_SIZE = 56


def continued(context: mullama.Context, sequence: int = 0) -> tuple[list[int], np.ndarray]:
    """Greedy tokens that follow, and the logits of the last."""
    tokens = []
    token = 100
    for _ in range(N_MORE):
        context.decode([token], sequence=sequence)
        token = int(context.logits().argmax())
        tokens.append(token)
    return tokens, context.logits()


def assert_continues(context: mullama.Context, expected: tuple[list[int], np.ndarray], sequence: int = 0) -> None:
    tokens, logits = continued(context, sequence)
    assert tokens == expected[0]
    np.testing.assert_array_equal(logits, expected[1])


@pytest.fixture
def expected(fresh: Fresh) -> tuple[list[int], np.ndarray]:
    """What follows TOKENS in a context that was never saved."""
    context = fresh()
    context.decode(TOKENS)
    return continued(context)


@pytest.fixture
def saved(fresh: Fresh) -> bytes:
    context = fresh()
    context.decode(TOKENS)
    return context.save_state()


# Whole and per sequence -----------------------------------------------------------------------------------------------


def test_a_restored_context_continues_token_for_token(context: mullama.Context, saved: bytes, expected: tuple) -> None:
    context.load_state(saved)
    assert context.memory_max() == len(TOKENS) - 1
    assert_continues(context, expected)


def test_restoring_replaces_what_was_there(context: mullama.Context, saved: bytes, expected: tuple) -> None:
    context.decode(TOKENS[::-1] * 2)
    context.load_state(saved)
    assert context.memory_max() == len(TOKENS) - 1
    assert_continues(context, expected)


def test_saving_changes_nothing(context: mullama.Context, expected: tuple) -> None:
    context.decode(TOKENS)
    first = context.save_state()
    assert context.save_state() == first
    assert_continues(context, expected)


def test_the_size_is_known_before(context: mullama.Context) -> None:
    empty = context.state_size()
    context.decode(TOKENS)
    assert context.state_size() > empty
    for sequence in (-1, 0):
        assert len(context.save_state(sequence)) == context.state_size(sequence)


def test_an_empty_context_can_be_saved_and_restored(context: mullama.Context, fresh: Fresh, expected: tuple) -> None:
    state = fresh().save_state()
    context.decode(TOKENS)
    context.load_state(state)
    assert context.memory_max() == -1
    context.decode(TOKENS)
    assert_continues(context, expected)


def test_one_sequence_goes_into_another(fresh: Fresh, expected: tuple) -> None:
    source, target = fresh(n_ctx=768, n_sequences=3), fresh(n_ctx=768, n_sequences=3)
    source.decode(TOKENS)
    target.decode(TOKENS[:7], sequence=0)
    target.load_state(source.save_state(0), 2)
    assert [target.memory_max(sequence) for sequence in range(3)] == [6, -1, len(TOKENS) - 1]
    assert_continues(target, expected, sequence=2)


def test_a_whole_context_keeps_all_its_sequences(fresh: Fresh) -> None:
    source, target = fresh(n_ctx=512, n_sequences=2), fresh(n_ctx=512, n_sequences=2)
    source.decode(TOKENS, sequence=0)
    source.decode(TOKENS[:10], sequence=1)
    target.load_state(source.save_state())
    assert [target.memory_max(sequence) for sequence in (0, 1)] == [len(TOKENS) - 1, 9]
    for sequence in (0, 1):
        assert_continues(target, continued(source, sequence), sequence)


def test_a_recurrent_state_continues_as_well(mamba: mullama.Model) -> None:
    for sequence in (-1, 0):
        with mamba.create_context(n_threads=1) as source, mamba.create_context(n_threads=1) as target:
            source.decode(TOKENS)
            target.load_state(source.save_state(sequence), sequence)
            assert_continues(target, continued(source))


def test_a_quantized_cache_is_restored_exactly(fresh: Fresh) -> None:
    options = {"type_k": "q8_0", "type_v": "q8_0", "flash_attention": "on"}
    source, target = fresh(**options), fresh(**options)
    source.decode(TOKENS)
    target.load_state(source.save_state())
    assert_continues(target, continued(source))


def test_a_restored_prefix_is_reused_by_a_generation(context: mullama.Context, fresh: Fresh, saved: bytes) -> None:
    context.load_state(saved)
    text = context.generate(tokens=TOKENS + [9], max_tokens=8, temperature=0)
    assert text.result.n_reused == len(TOKENS)
    assert text == fresh().generate(tokens=TOKENS + [9], max_tokens=8, temperature=0)


def test_restoring_drops_the_outputs(context: mullama.Context, saved: bytes) -> None:
    context.decode(TOKENS[:3])
    context.load_state(saved)
    with pytest.raises(mullama.InferenceError) as raised:
        context.logits()
    assert raised.value.code is ErrorCode.NO_OUTPUT


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_file_keeps_the_tokens_that_led_to_the_state(fresh: Fresh, tmp_path: Path, expected: tuple) -> None:
    source, target = fresh(), fresh()
    source.decode(TOKENS)
    source.save_state_file(tmp_path / "state", TOKENS)
    assert target.load_state_file(tmp_path / "state") == TOKENS
    assert_continues(target, expected)


def test_a_file_without_tokens_keeps_those_the_context_knows(fresh: Fresh, tmp_path: Path) -> None:
    source, target = fresh(), fresh()
    source.decode(TOKENS)
    source.save_state_file(tmp_path / "state")
    assert target.load_state_file(tmp_path / "state") == TOKENS


def test_a_file_of_one_sequence_goes_into_another(fresh: Fresh, tmp_path: Path, expected: tuple) -> None:
    source, target = fresh(n_ctx=512, n_sequences=2), fresh(n_ctx=512, n_sequences=2)
    source.decode(TOKENS)
    source.save_state_file(tmp_path / "state", sequence=0)
    target.load_state_file(tmp_path / "state", sequence=1)
    assert_continues(target, expected, sequence=1)


def test_the_name_of_a_file_may_be_of_any_characters(context: mullama.Context, tmp_path: Path) -> None:
    context.decode(TOKENS)
    path = tmp_path / "a b\u0301 世界 'quoted'.state"
    context.save_state_file(path)
    assert context.load_state_file(path) == TOKENS


# Bad states -----------------------------------------------------------------------------------------------------------


def assert_refused(context: mullama.Context, state: bytes, reason: str = "cannot be used", sequence: int = -1) -> None:
    with pytest.raises(mullama.FileError, match=reason) as raised:
        context.load_state(state, sequence)
    assert raised.value.code is ErrorCode.STATE_INVALID
    assert raised.value.message.startswith("the saved state cannot be used: ")


def assert_works(context: mullama.Context, expected: tuple) -> None:
    context.memory_clear()
    context.decode(TOKENS)
    assert_continues(context, expected)


def test_a_state_of_another_model_is_refused(tiny: Path, context: mullama.Context, expected: tuple) -> None:
    with mullama.Model(tiny / "other.gguf") as other, other.create_context(n_ctx=256, n_threads=1) as source:
        source.decode(TOKENS)
        state, sequence = source.save_state(), source.save_state(0)
    context.decode(TOKENS)
    assert_refused(context, state, "another model")
    assert_refused(context, sequence, "another model", 0)
    assert_continues(context, expected)


def test_a_state_of_another_cache_type_is_refused(fresh: Fresh, saved: bytes) -> None:
    assert_refused(fresh(type_k="q8_0", flash_attention="on"), saved, "other KV cache types")


def test_a_whole_state_and_one_of_a_sequence_are_not_mixed_up(context: mullama.Context, saved: bytes) -> None:
    context.decode(TOKENS)
    assert_refused(context, context.save_state(0), "holds one sequence; name the sequence")
    assert_refused(context, saved, "holds a whole context", 0)
    assert context.memory_max() == len(TOKENS) - 1


@pytest.mark.parametrize("sequence", [-1, 0])
def test_a_state_that_does_not_fit_is_refused(sequence: int, fresh: Fresh) -> None:
    large, small = fresh(n_ctx=1024), fresh(n_ctx=256)
    large.decode([9] * 700)
    assert_refused(small, large.save_state(sequence), "n_ctx", sequence)
    assert small.memory_max() == -1
    small.decode(TOKENS)


def test_a_cache_of_another_division_does_not_take_a_sequence(fresh: Fresh) -> None:
    source = fresh()
    source.decode(TOKENS)
    assert_refused(fresh(n_ctx=512, n_sequences=2), source.save_state(0), "n_sequences and unified_kv", 1)


def test_more_sequences_than_there_are_do_not_fit(fresh: Fresh) -> None:
    many = fresh(n_ctx=1024, n_sequences=4)
    for sequence in range(4):
        many.decode(TOKENS, sequence=sequence)
    few = fresh()
    assert_refused(few, many.save_state())
    few.decode(TOKENS)


@pytest.mark.parametrize("sequence", [-1, 0])
def test_a_truncated_state_is_refused_at_every_length(sequence: int, context: mullama.Context, expected: tuple) -> None:
    context.decode(TOKENS)
    state = context.save_state(sequence)
    lengths = [
        0,
        1,
        7,
        8,
        11,
        HEADER_SIZE - 1,
        HEADER_SIZE,
        HEADER_SIZE + 4,
        HEADER_SIZE + 4 * len(TOKENS),
        len(state) - 1,
    ]
    lengths += random.Random(0).sample(range(len(state)), 40)
    for length in lengths:
        assert_refused(context, state[:length], "truncated|damaged", sequence)
    assert_refused(context, state + b"\0", "not what its header says", sequence)
    assert_continues(context, expected)


@pytest.mark.parametrize("field", HEADER)
def test_every_field_of_the_header_counts(field: str, context: mullama.Context, saved: bytes, expected: tuple) -> None:
    offset, form = HEADER[field]
    size = struct.calcsize(form)
    [old] = struct.unpack_from(form, saved, offset)
    if isinstance(old, bytes):
        values = [b"\0" * 8, b"mullamaT", b"GGUF\3\0\0\0"]
    else:
        top = 1 << (8 * size)
        values = [value % top for value in (old + 1, old - 1, 0, top - 1, top // 2, top // 4, old ^ 1 << 40)]
    for value in values:
        changed = bytearray(saved)
        struct.pack_into(form, changed, offset, value)
        if bytes(changed) != saved:
            assert_refused(context, bytes(changed))
    assert_works(context, expected)


def test_flipped_bits_are_found(context: mullama.Context, saved: bytes, expected: tuple) -> None:
    chance = random.Random(1)
    for _ in range(200):
        changed = bytearray(saved)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        assert_refused(context, bytes(changed))
    assert_works(context, expected)


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 10_000, b"GGUF" * 100, bytes(range(256)) * 40], ids=lambda junk: f"{junk[:4]}"
)
def test_what_is_no_state_is_refused(junk: bytes, context: mullama.Context) -> None:
    assert_refused(context, junk, "less than its header|was not made by save_state")


def forged(state: bytes, change: Callable[[bytearray], None]) -> bytes:
    """A changed state whose checksum is right: what only llama.cpp's own checks can stop."""
    changed = bytearray(state)
    change(changed)
    value, mask = 14695981039346656037, (1 << 64) - 1
    for data in (changed[: HEADER_SIZE - 8], changed[HEADER_SIZE:]):
        whole = len(data) // 8 * 8
        for [word] in struct.iter_unpack("<Q", data[:whole]):
            value = (value ^ word) * 1099511628211 & mask
            value ^= value >> 32
        for byte in data[whole:]:
            value = (value ^ byte) * 1099511628211 & mask
    struct.pack_into("<Q", changed, HEADER_SIZE - 8, value)
    return bytes(changed)


@pytest.mark.parametrize("sequence", [-1, 0])
def test_damage_behind_a_right_checksum_is_an_error_or_a_usable_context(
    sequence: int, fresh: Fresh, expected: tuple
) -> None:
    context = fresh()
    context.decode(TOKENS[:4])
    state = context.save_state(sequence)
    assert forged(state, lambda _: None) == state, "the test computes the library's checksum"
    chance = random.Random(2)
    start = HEADER_SIZE + 4 * 4

    def damage(changed: bytearray) -> None:
        place = start + chance.randrange(min(len(changed) - start - 8, 400)) // 4 * 4
        struct.pack_into(
            "<I", changed, place, chance.choice([0, 1, 2, 255, 2**31 - 1, 2**31, 2**32 - 1, chance.getrandbits(32)])
        )

    for _ in range(100):
        try:
            context.load_state(forged(state, damage), sequence)
        except mullama.FileError as error:
            assert error.code is ErrorCode.STATE_INVALID
        else:
            context.memory_clear()
            context.decode(TOKENS[:4])
    assert_works(context, expected)


# Arguments ------------------------------------------------------------------------------------------------------------


def test_flags_are_for_single_sequences(context: mullama.Context) -> None:
    context.decode(TOKENS)
    with pytest.raises(mullama.ArgumentError, match="flags apply to the state of one sequence only"):
        context.save_state(flags="partial_only")
    with pytest.raises(mullama.ArgumentError, match="flags is 64; "):
        context.save_state(0, 64)
    assert len(context.save_state(0, "partial_only")) <= len(context.save_state(0))


@pytest.mark.parametrize("name", ["mamba", "lfm2", "gemma3"])
@pytest.mark.parametrize("to_file", [False, True], ids=["bytes", "file"])
def test_what_cannot_be_rolled_back_is_put_back_by_a_partial_state(
    name: str, to_file: bool, tiny: Path, tmp_path: Path
) -> None:
    options = {"n_ctx": 1024, "n_ubatch": 16, "n_threads": 1, "full_swa": False}
    tokens = TOKENS * 12  # past the cells that a window's cache has to spare
    with mullama.Model(tiny / f"{name}.gguf") as model:
        with model.create_context(**options) as other:
            other.decode(tokens)
            expected = continued(other)
        with model.create_context(**options) as context:
            context.decode(tokens)
            state = context.save_state(0, "partial_only")
            context.save_state_file(tmp_path / "state", sequence=0, flags="partial_only")
            assert len(state) <= context.state_size(0, "partial_only") <= context.state_size(0)
            assert len(state) < context.state_size(0) or name == "mamba"
            context.decode([9] * 300)
            if to_file:
                context.load_state_file(tmp_path / "state", sequence=0)
            else:
                context.load_state(state, 0)
            assert context.memory_remove(0, len(tokens))
            assert context.memory_max() == len(tokens) - 1
            found = continued(context)
            assert found[0] == expected[0]
            np.testing.assert_allclose(found[1], expected[1], atol=0.05)


def test_an_embedding_model_has_no_state(tiny: Path) -> None:
    with mullama.Model(tiny / "bert.gguf") as bert, bert.create_context(embeddings=True, n_threads=1) as context:
        for call in (context.save_state, lambda: context.load_state(b"x"), context.memory_max):
            with pytest.raises(mullama.ArgumentError, match="keeps no memory") as raised:
                call()
            assert raised.value.code is ErrorCode.UNSUPPORTED
