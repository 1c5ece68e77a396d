"""What a generation leaves in the context's memory and finds there: prefixes, overflow, several sequences, other hands."""

from __future__ import annotations

import mullama
import numpy as np
import pytest
from mullama import FinishReason, Status
from tiny_models import spm_vocabulary

VOCABULARY = spm_vocabulary()
BOS = VOCABULARY.id("<s>")
GREEDY = {"temperature": 0.0}


def words(count, seed=0):
    """As many seeded word tokens, behind BOS."""
    return [BOS, *np.random.RandomState(seed).randint(440, len(VOCABULARY), count - 1).tolist()]


def complete(context, tokens, count=8, **options):
    """Greedy tokens that follow `tokens`, and the result."""
    with context.start_generation(tokens=tokens, **{"max_tokens": count, **GREEDY, **options}) as generation:
        generation.run()
        return generation.tokens(), generation.result


# The longest prefix is reused


def test_a_prompt_that_goes_on_from_the_last_answer_is_evaluated_from_there(context, fresh):
    prompt = words(30)
    answer, first = complete(context, prompt)
    assert first.n_reused == 0 and first.n_prompt == 30
    longer = [*prompt, *answer, *words(5, seed=1)[1:]]
    found, result = complete(context, longer)
    assert result.n_reused == 30 + 7  # the last token of an answer is not evaluated
    assert result.n_prompt == len(longer)
    assert found == complete(fresh(), longer)[0]


def test_the_same_prompt_again_evaluates_its_last_token_only(context, fresh):
    prompt = words(30)
    expected, _ = complete(context, prompt)
    found, result = complete(context, prompt)
    assert result.n_reused == 29 and found == expected


def test_a_shorter_prompt_reuses_all_but_its_last_token_and_forgets_the_rest(context, fresh):
    prompt = words(30)
    complete(context, prompt)
    found, result = complete(context, prompt[:10])
    assert result.n_reused == 9
    assert found == complete(fresh(), prompt[:10])[0]
    assert context.memory_max() == 10 + 7 - 1


def test_a_prompt_that_diverges_is_reused_up_to_there(context, fresh):
    prompt, other = words(30), words(30, seed=2)
    complete(context, prompt)
    diverging = prompt[:12] + other[12:]
    found, result = complete(context, diverging)
    assert result.n_reused == 12
    assert found == complete(fresh(), diverging)[0]


def test_nothing_is_reused_where_it_is_not_wanted(context):
    expected, _ = complete(context, words(30))
    found, result = complete(context, words(30), reuse_prefix=False)
    assert result.n_reused == 0 and found == expected


def test_what_was_decoded_by_hand_is_reused_and_what_was_removed_is_not(context, fresh):
    prompt = words(30)
    context.decode(prompt[:20])
    assert complete(context, prompt)[1].n_reused == 20
    context.memory_remove(0, 15)
    found, result = complete(context, prompt)
    assert result.n_reused == 15 and found == complete(fresh(), prompt)[0]
    context.memory_clear()
    assert complete(context, prompt)[1].n_reused == 0


def test_positions_that_were_shifted_by_hand_are_not_taken_for_a_prefix(context, fresh):
    prompt = words(30)
    context.decode(prompt)
    context.memory_remove(0, 5, 10)
    context.memory_shift(0, 10, -1, -5)
    changed = prompt[:5] + prompt[10:]
    found, result = complete(context, changed)
    assert result.n_reused == 5 and found == complete(fresh(), changed)[0]


def test_a_restored_state_is_no_prefix_of_another_prompt(context, fresh):
    context.decode(words(30))
    state = context.save_state()
    context.memory_clear()
    other = words(30, seed=2)
    context.decode(other)
    context.load_state(state)
    found, result = complete(context, other)
    assert result.n_reused <= 1 and found == complete(fresh(), other)[0]


# Overflow


def test_a_prompt_over_the_context_is_an_error_that_names_both_numbers(context):
    context.generate("the people", max_tokens=3)
    for count in (257, 1000):
        with pytest.raises(mullama.ResourceError, match=rf"\b{count} tokens.*\b256\b") as error:
            complete(context, words(count))
        assert error.value.code == mullama.ErrorCode.CONTEXT_FULL
    assert context.memory_max() > 0  # what was there still is


def test_a_prompt_that_fills_the_context_still_gets_one_token(context):
    tokens, result = complete(context, words(256))
    assert len(tokens) == 1 and result.finish_reason == FinishReason.CONTEXT_FULL and result.n_dropped == 0


@pytest.mark.parametrize(
    ("policy", "start", "dropped"),
    [
        ({"overflow": "truncate_start"}, 1, 300 - 216),
        ({"overflow": "truncate_start", "n_keep": 20}, 20, 300 - 216),
        ({"overflow": "truncate_middle"}, 108, 300 - 216),
        ({"overflow": "truncate_middle", "n_keep": 150}, 150, 300 - 216),
        ({"overflow": "shift", "n_keep": 20}, 20, 300 - 216),
        ({"overflow": "shift"}, 1, 300 - 216),
        ({"overflow": "truncate_start", "max_tokens": -1}, 1, 300 - 128),
        ({"overflow": "truncate_start", "max_tokens": 200}, 1, 300 - 128),
    ],
    ids=str,
)
def test_truncation_drops_as_much_as_the_answer_needs_and_says_so(context, fresh, policy, start, dropped):
    """The answer gets max_tokens, here 40, or half of the context at most; BOS stays."""
    prompt = words(300)
    remaining = prompt[:start] + prompt[start + dropped :]
    with context.start_generation(tokens=prompt, **{"max_tokens": 40, **GREEDY, **policy}) as generation:
        assert generation.prompt_tokens() == remaining
        assert generation.result.n_dropped == dropped and generation.result.n_prompt == len(remaining)
        for _ in range(10):
            generation.next()
        assert generation.tokens() == complete(fresh(), remaining, 10)[0]


def test_a_prompt_that_fits_is_not_truncated(context):
    assert complete(context, words(256), 5, overflow="truncate_start")[1].n_dropped == 0


def test_keeping_more_than_fits_is_an_error(context):
    with pytest.raises(mullama.ArgumentError, match="n_keep is 250"):
        complete(context, words(300), overflow="truncate_start", n_keep=250)


def test_shifting_forgets_the_older_half_and_goes_on_past_the_context(context):
    prompt = words(200)
    tokens, result = complete(context, prompt, 400, overflow="shift", n_keep=10)
    assert len(tokens) == 400 and result.finish_reason == FinishReason.LENGTH
    # 599 positions are needed; each shift frees half of the 246 behind the first 10.
    assert result.n_shifted == 3 * 123
    assert context.memory_max() + 1 == 599 - result.n_shifted
    assert context.memory_min() == 0


def test_after_a_shift_the_text_follows_from_what_is_left(llama, context):
    """With the memory cut by hand in the same way, a plain loop gives the same tokens."""
    prompt = words(250)
    found, result = complete(context, prompt, 60, overflow="shift", n_keep=16)
    with llama.create_context(n_ctx=256, n_threads=1) as other:
        other.decode(prompt)
        expected = []
        for _ in range(60):
            expected.append(int(np.argmax(other.logits())))
            if other.memory_max() + 1 == 256:
                other.memory_remove(0, 16, 16 + 120)
                other.memory_shift(0, 16 + 120, -1, -120)
            other.decode(expected[-1:])
    assert result.n_shifted == 120 and found == expected


@pytest.mark.parametrize("n_keep", [0, 1])
def test_shifting_spares_bos_as_truncation_does(llama, context, n_keep):
    prompt = words(250)
    found, result = complete(context, prompt, 60, overflow="shift", n_keep=n_keep)
    assert result.n_shifted == 127  # half of the 255 positions behind BOS
    with llama.create_context(n_ctx=256, n_threads=1) as other:
        other.decode(prompt)
        expected = []
        for _ in range(60):
            expected.append(int(np.argmax(other.logits())))
            if other.memory_max() + 1 == 256:
                other.memory_remove(0, 1, 1 + 127)
                other.memory_shift(0, 1 + 127, -1, -127)
            other.decode(expected[-1:])
    assert found == expected
    assert complete(context, prompt)[1].n_reused == 1  # BOS is still there


def test_a_prompt_without_bos_is_shifted_from_its_first_token_on(context):
    prompt = words(251)[1:]
    _, result = complete(context, prompt, 60, overflow="shift")
    assert result.n_shifted == 128
    assert complete(context, prompt)[1].n_reused == 0


def test_after_a_shift_only_the_kept_start_serves_as_a_prefix(context, fresh):
    prompt = words(250)
    complete(context, prompt, 60, overflow="shift", n_keep=16)
    found, result = complete(context, prompt)
    assert result.n_reused == 16
    assert found[:6] == complete(fresh(), prompt)[0][:6]


# Several sequences, and other hands on the context


def test_generations_that_take_turns_on_two_sequences_each_equal_the_one_alone(fresh):
    prompts = words(20, seed=3), words(25, seed=4)
    expected = [complete(fresh(), prompt, 20)[0] for prompt in prompts]
    context = fresh(n_ctx=512, n_sequences=2)
    generations = [
        context.start_generation(tokens=prompt, max_tokens=20, sequence=sequence, **GREEDY)
        for sequence, prompt in enumerate(prompts)
    ]
    for _ in range(20):
        for generation in generations:
            assert generation.next()
    assert [generation.tokens() for generation in generations] == expected


def test_logits_that_another_generation_replaced_are_made_again(fresh):
    prompts = words(20, seed=3), words(25, seed=4)
    expected = [complete(fresh(), prompt, 10)[0] for prompt in prompts]
    context = fresh(n_ctx=512, n_sequences=2)
    one, other = (
        context.start_generation(tokens=prompt, max_tokens=10, sequence=sequence, **GREEDY)
        for sequence, prompt in enumerate(prompts)
    )
    for _ in range(10):
        assert one.prepare() == Status.ITEM
        assert other.prepare() == Status.ITEM
        with pytest.raises(mullama.InferenceError, match="prepare again"):
            one.logits()
        other.accept(other.choose())
        assert one.prepare() == Status.ITEM
        one.accept(one.choose())
    assert [one.tokens(), other.tokens()] == expected


@pytest.mark.parametrize(
    "disturb",
    [
        lambda context: context.memory_clear(),
        lambda context: context.memory_remove(0, 3),
        lambda context: context.decode([5]),
        lambda context: context.memory_shift(0, 4, -1, 1),
        lambda context: context.memory_copy(1, 0),
        lambda context: context.memory_keep(1),
        lambda context: context.load_state(context.save_state()),
        lambda context: context.generate("was", max_tokens=1),
    ],
    ids=["clear", "remove", "decode", "shift", "copy", "keep", "load state", "generate"],
)
def test_a_generation_whose_sequence_others_changed_says_so(fresh, disturb):
    context = fresh(n_ctx=512, n_sequences=2)
    with context.start_generation("the people", **GREEDY) as generation:
        before = generation.next().text
        disturb(context)
        with pytest.raises(mullama.ArgumentError, match="changed the generation's sequence"):
            generation.next()
        assert generation.text() == before
    assert context.generate("the people", max_tokens=5, **GREEDY) == fresh().generate(
        "the people", max_tokens=5, **GREEDY
    )


def test_a_change_of_another_sequence_does_not_disturb(fresh):
    expected = fresh().generate("the people", max_tokens=6, **GREEDY)
    context = fresh(n_ctx=512, n_sequences=2)
    with context.start_generation("the people", max_tokens=6, **GREEDY) as generation:
        generation.next()
        context.decode(words(5), sequence=1)
        context.memory_remove(1)
        generation.run()
        assert generation.text() == expected


def test_a_sequence_that_does_not_exist_is_an_error(context):
    with pytest.raises(mullama.ArgumentError, match="sequence 1 does not exist"):
        context.generate("the", sequence=1)


# Recurrent memory, which cannot go back


@pytest.fixture
def recurrent(mamba):
    with mamba.create_context(n_ctx=256, n_threads=1) as context:
        yield context


def test_a_recurrent_model_generates_what_a_plain_loop_gives(mamba, recurrent):
    prompt = words(20)
    found, _ = complete(recurrent, prompt, 20)
    with mamba.create_context(n_ctx=256, n_threads=1) as other:
        other.decode(prompt)
        expected = []
        for _ in range(20):
            expected.append(int(np.argmax(other.logits())))
            other.decode(expected[-1:])
    assert found == expected


def test_a_recurrent_model_reuses_what_it_can_go_on_from_and_starts_again_otherwise(mamba, recurrent):
    prompt = words(20)
    answer, _ = complete(recurrent, prompt)
    longer = [*prompt, *answer, *words(5, seed=1)[1:]]
    found, result = complete(recurrent, longer)
    assert result.n_reused == 27
    with mamba.create_context(n_ctx=256, n_threads=1) as other:
        assert found == complete(other, longer)[0]
        again, result = complete(recurrent, prompt)
        assert result.n_reused == 0 and again == answer


def test_a_recurrent_model_has_no_limit_of_length(recurrent):
    tokens, result = complete(recurrent, words(300), 10)
    assert len(tokens) == 10 and result.n_prompt == 300 and result.n_dropped == 0


# Memory that keeps a window or a state beside all tokens


def first_logits(context, tokens):
    """Logits of the first new token, and how many tokens of the prompt were reused for them."""
    with context.start_generation(tokens=tokens, **GREEDY) as generation:
        generation.prepare()
        return generation.logits(), generation.result.n_reused


@pytest.mark.parametrize("name", ["gemma3", "lfm2"])
@pytest.mark.parametrize("full_swa", [False, True])
def test_a_prefix_is_reused_only_where_the_memory_still_has_all_it_needs(tiny, name, full_swa):
    options = {"n_ctx": 1024, "n_ubatch": 16, "n_threads": 1, "full_swa": full_swa}
    with mullama.Model(tiny / f"{name}.gguf") as model, model.create_context(**options) as context:
        prompt = words(700)
        for length in (700, 690, 600, 300, 20):
            first_logits(context, prompt)
            longer = [*prompt[:length], 10]
            found, n_reused = first_logits(context, longer)
            with model.create_context(**options) as other:
                np.testing.assert_allclose(found, first_logits(other, longer)[0], atol=0.05, err_msg=str(length))
            assert n_reused in (0, length)
            if name == "gemma3" and (full_swa or length >= 600):
                assert n_reused == length


# A sliding window that is not kept whole

N_SWA = 16
WINDOWED = {"n_ctx": 1024, "n_ubatch": 16, "n_threads": 1, "full_swa": False}


@pytest.fixture(scope="module")
def gemma3(tiny):
    with mullama.Model(tiny / "gemma3.gguf") as model:
        yield model


def filled(model, count, **options):
    context = model.create_context(**{**WINDOWED, **options})
    context.decode(words(count))
    return context


def logits_of(context, token):
    context.decode([token])
    return context.logits().copy()


def test_what_the_sliding_window_still_needs_can_be_removed_and_no_more(gemma3):
    """Going back is possible to any position whose window is whole, and refused one position further."""
    with filled(gemma3, 700) as context:
        window_start = context.memory_min()
        assert 0 < window_start < 700 - N_SWA
        last_possible = window_start + N_SWA - 1  # it looks at itself and at the 15 positions before
        for start in (1, window_start, last_possible - 1):
            assert not context.memory_remove(0, start), start
            assert not context.memory_remove(-1, start), start
            assert (context.memory_min(), context.memory_max()) == (window_start, 699)
        assert context.memory_remove(0, last_possible)
        assert context.memory_max() == last_possible - 1
        found = logits_of(context, 10)
    with filled(gemma3, last_possible, full_swa=True) as whole:
        np.testing.assert_allclose(found, logits_of(whole, 10), atol=0.02)


def test_a_sliding_window_that_moved_on_does_not_hinder_other_removals(gemma3):
    with filled(gemma3, 700) as context:
        assert context.memory_remove(0, 700)  # nothing is there
        assert context.memory_remove(0, 100, 200)  # the end stays
        assert context.memory_remove(0)
        assert context.memory_max() == -1
        context.decode(words(100))
        assert context.memory_remove(0, 1)  # the window has not moved on yet
        assert context.memory_max() == 0


def test_a_front_that_was_removed_by_hand_is_not_missed(gemma3):
    with filled(gemma3, 700) as context:
        front = context.memory_min()
        assert context.memory_remove(0, 0, front)
        assert context.memory_remove(0, front + 1)
        assert context.memory_max() == front


def test_a_window_that_is_kept_whole_can_go_back_anywhere(gemma3):
    with filled(gemma3, 700, full_swa=True) as context:
        assert context.memory_remove(0, 20)
        found = logits_of(context, 10)
    with filled(gemma3, 20) as other:
        np.testing.assert_allclose(found, logits_of(other, 10), atol=0.02)


def test_part_of_a_sequence_is_copied_only_with_its_window(gemma3):
    with filled(gemma3, 700, n_sequences=2, unified_kv=True) as context:
        end = context.memory_min() + N_SWA - 1
        with pytest.raises(mullama.ArgumentError, match=f"sliding window in front of position {end - 1}"):
            context.memory_copy(0, 1, 0, end - 1)
        assert context.memory_max(1) == -1
        context.memory_copy(0, 1, 0, end)
        assert context.memory_max(1) == end - 1
        context.memory_copy(0, 1)


@pytest.mark.parametrize("full_swa", [True, False])
def test_a_decode_that_fails_on_the_way_goes_back_where_the_window_allows_it_and_else_tells(gemma3, full_swa):
    """1024 cells are shared, 700 taken: a decode of 400 tokens behind 100 others ends after 14 ubatches of 16."""
    prompt = words(500)
    with filled(gemma3, 100, n_sequences=2, unified_kv=True, full_swa=full_swa) as context:
        context.decode(words(700, seed=1), sequence=1)
        with pytest.raises(mullama.ResourceError, match="no room for 16 more tokens"):
            context.decode(prompt[100:])
        assert context.memory_max() == (99 if full_swa else 100 + 14 * 16 - 1)
        if not full_swa:
            assert not context.memory_remove(0, 100)
        context.memory_remove(1)
        found, result = complete(context, prompt)
        assert result.n_reused == (100 if full_swa else 100 + 14 * 16)
    with gemma3.create_context(**WINDOWED) as other:
        assert found == complete(other, prompt)[0]
