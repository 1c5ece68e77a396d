"""Generating whole, piece by piece and step by step: the same tokens and the same text each way, and how it ends."""

from __future__ import annotations

import gc

import mullama
import numpy as np
import pytest
from mullama import FinishReason, Status
from tiny_models import spm_vocabulary

VOCABULARY = spm_vocabulary()
PROMPT = "the people"
GREEDY = {"temperature": 0.0}


def argmax_loop(context, tokens, count):
    """The plainest generation there is: decode, take the largest logit, decode that."""
    chosen = []
    context.memory_clear()
    context.decode(tokens)
    for _ in range(count):
        chosen.append(int(np.argmax(context.logits())))
        context.decode(chosen[-1:])
    return chosen


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def generated(generation):
    """The tokens of a generation run to its end."""
    with generation:
        generation.run()
        return generation.tokens()


def test_greedy_tokens_equal_a_plain_loop_of_decode_and_argmax(llama, context, fresh):
    for prompt in ("the people", "hello world", "it was"):
        expected = argmax_loop(fresh(), llama.tokenize(prompt), 60)
        assert generated(context.start_generation(prompt, max_tokens=60, **GREEDY)) == expected


def test_greedy_tokens_of_the_real_model_equal_a_plain_loop_of_decode_and_argmax(smollm):
    prompt = "The capital of France is"
    with smollm.create_context(n_ctx=256) as context, smollm.create_context(n_ctx=256) as other:
        expected = argmax_loop(other, smollm.tokenize(prompt), 24)
        generation = context.start_generation(prompt, max_tokens=24, ignore_eos=True, **GREEDY)
        assert generated(generation) == expected
        assert "Paris" in smollm.detokenize(expected)


@pytest.mark.parametrize("sampling", [GREEDY, {"seed": 3}], ids=["greedy", "by chance"])
def test_whole_text_pieces_and_run_are_the_same(context, sampling):
    whole = context.generate(PROMPT, max_tokens=50, **sampling)
    with context.stream(PROMPT, max_tokens=50, **sampling) as stream:
        pieces = list(stream)
    with context.start_generation(PROMPT, max_tokens=50, **sampling) as generation:
        assert generation.run() == Status.DONE
        assert generation.text() == whole
    with context.start_generation(PROMPT, max_tokens=50, **sampling) as generation:
        assert "".join(event.text for event in generation) == whole
    assert "".join(pieces) == whole
    assert len(pieces) > 20 and all(pieces)
    assert stream.result.n_generated == whole.result.n_generated == 50


def test_a_generation_prepared_and_accepted_by_hand_equals_next(context):
    options = {"max_tokens": 30, "seed": 8, "stop": "him that"}
    with context.start_generation(PROMPT, **options) as generation:
        expected = list(generation)
    found = []
    with context.start_generation(PROMPT, **options) as generation:
        while generation.prepare() == Status.ITEM:
            found.append(generation.accept(generation.choose()))
        assert generation.result.finish_reason == FinishReason.LENGTH
        assert generation.text() == "".join(event.text for event in expected)
    assert found == expected


def test_tokens_chosen_with_numpy_equal_the_same_choice_in_a_plain_loop(llama, context, fresh):
    def draw(random, logits):
        return int(random.choice(len(logits), p=np.exp(log_softmax(logits))))

    random, other, chosen = np.random.default_rng(5), fresh(), []
    other.decode(llama.tokenize(PROMPT))
    for _ in range(25):
        chosen.append(draw(random, other.logits()))
        other.decode(chosen[-1:])

    random = np.random.default_rng(5)
    with context.start_generation(PROMPT, max_tokens=25) as generation:
        while generation.prepare() == Status.ITEM:
            generation.accept(draw(random, generation.logits()))
        assert generation.tokens() == chosen


def test_finish_ends_with_stop_and_gives_the_text_held_back(context):
    with context.start_generation(PROMPT, stop="was moon") as generation:
        for token in (VOCABULARY.id("▁they"), VOCABULARY.id("▁was")):
            assert generation.prepare() == Status.ITEM
            generation.accept(token)
        assert generation.text() == " they "
        assert generation.finish().text == "was"
        assert generation.text() == " they was"
        assert generation.result.finish_reason == FinishReason.STOP
        assert generation.prepare() == Status.DONE
        with pytest.raises(mullama.InferenceError, match="ended"):
            generation.accept(5)


def test_steps_out_of_order_are_errors_and_break_nothing(context):
    expected = context.generate(PROMPT, max_tokens=5, **GREEDY)
    with context.start_generation(PROMPT, max_tokens=5, **GREEDY) as generation:
        for step in (generation.logits, generation.choose, lambda: generation.accept(5)):
            with pytest.raises(mullama.InferenceError) as error:
                step()
            assert error.value.code == mullama.ErrorCode.NO_OUTPUT
        generation.prepare()
        with pytest.raises(mullama.VocabularyError, match=f"0 to {len(VOCABULARY) - 1}"):
            generation.accept(len(VOCABULARY))
        generation.run()
        assert generation.text() == expected


@pytest.mark.parametrize("count", [0, 1, 7])
def test_max_tokens_bounds_the_new_tokens(context, count):
    unbounded = context.generate(PROMPT, max_tokens=20, **GREEDY)
    text = context.generate(PROMPT, max_tokens=count, **GREEDY)
    assert text.result.n_generated == count
    assert text.result.finish_reason == FinishReason.LENGTH
    assert unbounded.startswith(text) and (text == "") == (count == 0)


def test_max_tokens_of_minus_one_goes_on_until_the_context_is_full(llama, context):
    n_prompt = len(llama.tokenize(PROMPT))
    text = context.generate(PROMPT, max_tokens=-1, **GREEDY)
    assert text.result.finish_reason == FinishReason.CONTEXT_FULL
    # The last token needs no place: nothing follows it.
    assert text.result.n_generated == context.n_ctx - n_prompt + 1
    assert context.memory_max() == context.n_ctx - 1


def test_the_end_token_of_the_model_ends_the_text(context):
    end = VOCABULARY.id("</s>")
    text = context.generate(PROMPT, bias_tokens=[end], biases=[1000.0])
    assert text == "" and text.result.finish_reason == FinishReason.STOP and text.result.n_generated == 1
    assert text.result.stop_text is None


def test_ignore_eos_never_chooses_an_end_token(llama, context):
    end = VOCABULARY.id("</s>")
    plain = context.generate(PROMPT, max_tokens=20, **GREEDY)
    text = context.generate(
        PROMPT, max_tokens=20, ignore_eos=True, bias_tokens=[end], biases=[1000.0], repeat_penalty=1.0, **GREEDY
    )
    assert text == plain and text.result.n_generated == 20


@pytest.mark.parametrize("own", [False, True], ids=["options", "sampler"])
def test_ignore_eos_leaves_the_logits_as_the_model_gave_them(llama, context, fresh, own):
    end = VOCABULARY.id("</s>")
    other = fresh()
    other.decode(llama.tokenize(PROMPT))
    expected = other.logits()
    biased = {"bias_tokens": [end], "biases": [1000.0], **GREEDY}
    sampler = llama.create_sampler(**biased) if own else None
    with context.start_generation(PROMPT, ignore_eos=True, **({"sampler": sampler} if own else biased)) as generation:
        generation.prepare()
        assert np.isfinite(expected[end])
        np.testing.assert_array_equal(generation.logits(), expected)
        assert generation.choose() != end
        np.testing.assert_array_equal(context.logits(), expected)


def test_where_only_ends_are_left_to_choose_ignore_eos_is_an_error(context):
    end = VOCABULARY.id("</s>")
    with pytest.raises(mullama.Error, match="leave no token to choose"):
        context.generate(PROMPT, ignore_eos=True, grammar='root ::= ""', **GREEDY)
    assert context.generate(PROMPT, max_tokens=1, bias_tokens=[end], biases=[1000.0], **GREEDY).result.n_generated == 1


def test_stop_tokens_end_the_text_and_are_not_shown(context):
    with context.start_generation(PROMPT, max_tokens=20, **GREEDY) as generation:
        generation.run()
        tokens, whole = generation.tokens(), generation.text()
    stop = VOCABULARY.id("▁him")
    text = context.generate(PROMPT, max_tokens=20, stop_tokens=[stop, VOCABULARY.id("▁your")], **GREEDY)
    assert text == whole[: whole.index(" him")]
    assert text.result.finish_reason == FinishReason.STOP
    assert text.result.n_generated == tokens.index(stop) + 1


def test_echo_gives_the_prompt_first_as_it_was_written(context):
    plain = context.generate(PROMPT, max_tokens=12, **GREEDY)
    assert context.generate(PROMPT, max_tokens=12, echo=True, **GREEDY) == PROMPT + plain
    with context.stream(PROMPT, max_tokens=12, echo=True, **GREEDY) as stream:
        assert next(stream) == PROMPT
        assert "".join(stream) == plain


def test_echo_shows_special_tokens_of_the_prompt(context):
    prompt = "<|im_start|>,!<|im_end|>"
    text = context.generate(prompt, max_tokens=0, echo=True, parse_special=True)
    assert text.replace(" ", "") == prompt  # SentencePiece sees a space behind each of them


def test_log_probabilities_are_those_of_the_model(llama, context, fresh):
    with context.start_generation(PROMPT, max_tokens=12, seed=4, logprobs=5) as generation:
        events = list(generation)
    tokens = [event.token for event in events]
    prompt = llama.tokenize(PROMPT)
    other = fresh()
    other.decode([*prompt, *tokens], outputs="all")
    for event, logits in zip(events, other.all_logits()[len(prompt) - 1 :], strict=False):
        expected = log_softmax(logits)
        best = np.argsort(-expected, kind="stable")[:5]
        assert event.logprob == pytest.approx(expected[event.token], abs=1e-4)
        assert list(event.top_tokens) == best.tolist()
        assert list(event.top_logprobs) == pytest.approx(expected[best], abs=1e-4)
        assert list(event.top_logprobs) == sorted(event.top_logprobs, reverse=True)
    assert any(event.token != event.top_tokens[0] for event in events)


def test_log_probabilities_are_taken_before_biases_and_ignored_end_tokens(context):
    end = VOCABULARY.id("</s>")
    with context.start_generation(PROMPT, logprobs=100, ignore_eos=True, bias_tokens=[9], biases=[500.0]) as generation:
        generation.prepare()
        event = generation.accept(generation.choose())
    context.memory_clear()
    context.decode(context.model.tokenize(PROMPT))
    expected = log_softmax(context.logits())
    assert event.token == 9
    assert event.logprob == pytest.approx(expected[9], abs=1e-4)
    assert np.isfinite(expected[end])


@pytest.mark.parametrize(("logprobs", "count"), [(None, 0), (0, 0), (3, 3)])
def test_as_many_top_tokens_as_asked_for(context, logprobs, count):
    with context.start_generation(PROMPT, logprobs=logprobs, max_tokens=1) as generation:
        event = generation.next()
    assert len(event.top_tokens) == len(event.top_logprobs) == count
    assert (event.logprob == 0) == (logprobs is None)


def test_messages_are_written_with_the_chat_template(llama, context):
    messages = [{"role": "user", "content": "the people"}]
    prompt = "<|im_start|>user\nthe people<|im_end|>\n<|im_start|>assistant\n"
    with context.start_generation(messages=messages, max_tokens=10, **GREEDY) as generation:
        generation.run()
        assert generation.prompt_tokens() == llama.tokenize(prompt, parse_special=True)
        answer = generation.text()
    assert answer == context.generate(prompt, parse_special=True, max_tokens=10, **GREEDY)


def test_an_answer_to_messages_ends_where_the_real_model_ends_its_turn(smollm):
    with smollm.create_context(n_ctx=512) as context:
        messages = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
        answer = context.generate(messages=messages, max_tokens=100, **GREEDY)
        assert "Paris" in answer and "<|im_end|>" not in answer
        assert answer.result.finish_reason == FinishReason.STOP


@pytest.mark.parametrize("given", [{}, {"prompt": "a", "tokens": [5]}, {"prompt": "a", "messages": []}])
def test_exactly_one_kind_of_prompt_is_wanted(context, given):
    with pytest.raises(mullama.ArgumentError, match="exactly one"):
        context.generate(**given)


def test_a_cancelled_generation_says_so_and_gives_what_it_had(context):
    with context.start_generation(PROMPT, stop="was moon", **GREEDY) as generation:
        texts = [generation.next().text for _ in range(2)]
        generation.cancel()
        generation.cancel()
        texts += [event.text for event in generation]
        assert generation.run() == Status.CANCELLED
        assert generation.result.finish_reason == FinishReason.CANCELLED
        assert "".join(texts) == generation.text() == " they was"


def test_a_generation_can_be_worked_through_in_slices_of_time(context):
    prompt = [VOCABULARY.id("▁the")] * 200
    context_options = {"max_tokens": 20, **GREEDY}
    expected = context.generate(tokens=prompt, **context_options)
    with context.start_generation(tokens=prompt, reuse_prefix=False, **context_options) as generation:
        steps = 0
        while generation.run(timeout=0) == Status.WAITING:
            steps += 1
        assert steps >= 19 and generation.text() == expected


def test_next_raises_when_the_time_is_over_before_the_prompt_is_evaluated(fresh):
    context = fresh(n_ubatch=16)
    with context.start_generation(tokens=[VOCABULARY.id("▁the")] * 100, **GREEDY) as generation:
        with pytest.raises(TimeoutError):
            generation.next(timeout=0)
        assert context.memory_max() == 15
        assert generation.next().text


def test_a_closed_generation_refuses_every_call(context):
    generation = context.start_generation(PROMPT)
    generation.close()
    generation.close()
    for call in (generation.next, generation.run, generation.text, generation.tokens, generation.prepare):
        with pytest.raises(mullama.ArgumentError) as error:
            call()
        assert error.value.code == mullama.ErrorCode.CLOSED
    generation.cancel()


def test_leaving_a_stream_early_frees_its_generation(context):
    gc.collect()
    before = mullama.live_objects()
    with context.stream(PROMPT) as stream:
        next(stream)
    assert list(stream) == [] and stream.result.finish_reason == FinishReason.CANCELLED
    del stream
    gc.collect()
    assert mullama.live_objects() == before
