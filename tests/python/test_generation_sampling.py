"""How a generation chooses: seeds, chains with a history, presets, the order of the steps, grammars and JSON schemas."""

from __future__ import annotations

import json
import re

import mullama
import pytest
from tiny_models import spm_vocabulary

VOCABULARY = spm_vocabulary()
PROMPT = "the people"
UNSET = 2**32 - 1


def tokens_of(context, prompt=PROMPT, **options):
    with context.start_generation(prompt, **{"max_tokens": 24, **options}) as generation:
        generation.run()
        return generation.tokens(), generation.result


# Seeds


def test_a_seed_gives_the_same_tokens_again_and_others_give_others(context):
    drawn = {seed: tokens_of(context, seed=seed) for seed in range(8)}
    assert len({tuple(tokens) for tokens, _ in drawn.values()}) == 8
    for seed, (tokens, result) in drawn.items():
        assert result.seed == seed
        assert tokens_of(context, seed=seed)[0] == tokens


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"xtc_probability": 0.5, "xtc_threshold": 0.05},
        {"mirostat": 1},
        {"mirostat": 2},
        {"adaptive_target": 0.3},
        {"dynatemp_range": 0.5, "top_k": 0},
    ],
    ids=str,
)
def test_without_a_seed_one_is_drawn_and_the_result_tells_it(context, sampling):
    (one, first), (two, second) = (tokens_of(context, **sampling) for _ in range(2))
    assert first.seed != second.seed and UNSET not in (first.seed, second.seed)
    assert one != two
    assert tokens_of(context, seed=first.seed, **sampling)[0] == one


def test_greedy_choice_leaves_nothing_to_chance(context):
    assert tokens_of(context, temperature=0.0)[1].seed == UNSET


# Chains of one's own


def test_a_chain_is_used_as_it_is_and_keeps_its_history(llama, context):
    def chain():
        chain = llama.create_sampler_chain()
        chain.add_penalties(last_n=-1, presence=1000.0)
        chain.add_greedy()
        return chain

    with chain() as used, chain() as other:
        first, _ = tokens_of(context, sampler=used)
        assert tokens_of(context, sampler=other)[0] == first
        second, _ = tokens_of(context, sampler=used)
        assert len(set(first + second)) == 48  # nothing twice, over both
        used.reset()
        assert tokens_of(context, sampler=used)[0] == first


def test_penalties_from_options_see_the_prompt_and_those_of_a_given_chain_do_not(llama, context):
    # The most likely word behind this prompt is made a part of it.
    favourite = tokens_of(context, temperature=0.0)[0][0]
    penalties = {"presence_penalty": 1000.0, "repeat_last_n": -1, "temperature": 0.0}
    prompt = [favourite, *llama.tokenize(PROMPT)[1:]]
    with context.start_generation(tokens=prompt, max_tokens=30, **penalties) as generation:
        generation.run()
        assert not set(generation.tokens()) & set(prompt)
    with llama.create_sampler(bias_tokens=prompt, biases=[50.0] * len(prompt), **penalties) as chain:
        assert tokens_of(context, sampler=chain)[0][0] in prompt


def test_a_chain_continues_its_random_numbers(llama, context):
    with llama.create_sampler(seed=6) as chain, llama.create_sampler(seed=6) as other:
        first, result = tokens_of(context, sampler=chain)
        assert result.seed == 6
        second, _ = tokens_of(context, sampler=chain)
        assert tokens_of(context, sampler=other)[0] == first != second
        assert first == tokens_of(context, seed=6)[0]


def test_a_chain_of_another_vocabulary_is_refused(context, tiny):
    with mullama.Model(tiny / "minimal.gguf") as other, other.create_sampler() as sampler:
        message = f"{other.n_vocab} tokens, the context has {len(VOCABULARY)}"
        with pytest.raises(mullama.ArgumentError, match=message):
            context.generate(PROMPT, sampler=sampler)


def test_a_closed_chain_is_refused_and_a_chain_closed_meanwhile_ends_in_an_error(llama, context):
    sampler = llama.create_sampler()
    with context.start_generation(PROMPT, sampler=sampler) as generation:
        generation.next()
        sampler.close()
        with pytest.raises(mullama.ArgumentError, match="sampler was closed"):
            generation.next()
    with pytest.raises(mullama.ArgumentError, match="sampler was closed"):
        context.generate(PROMPT, sampler=sampler)


# Presets and order


def test_presets_are_settings_to_pass_on(context):
    def of(preset):
        return mullama.get_sampler_settings(preset)._asdict()

    assert tokens_of(context, **of("greedy"))[0] == tokens_of(context, temperature=0.0)[0]
    assert tokens_of(context, seed=5, **of("balanced"))[0] == tokens_of(context, seed=5)[0]
    kinds = {
        preset: {tokens_of(context, seed=seed, max_tokens=1, **of(preset))[0][0] for seed in range(60)}
        for preset in ("greedy", "precise", "balanced", "creative")
    }
    assert 1 == len(kinds["greedy"]) <= len(kinds["precise"]) < len(kinds["balanced"]) < len(kinds["creative"])


def test_a_step_left_out_of_the_order_is_left_out(llama, context):
    greedy, _ = tokens_of(context, temperature=0.0)
    assert tokens_of(context, seed=1, top_k=1)[0] == greedy
    assert tokens_of(context, seed=1, top_k=1, order=["min_p", "temperature"])[0] != greedy
    with llama.create_sampler(order=["temperature", "min_p", "top_k"]) as chain:
        assert chain.names() == ["temp", "min-p", "top-k", "dist"]


def test_the_order_of_the_steps_decides(context):
    """Behind a high temperature min-p keeps nearly everything, before it only what the model finds likely."""
    options = {"temperature": 50.0, "min_p": 0.2, "top_k": 0, "top_p": 1.0, "max_tokens": 1}
    likely, all_of_them = (
        {tokens_of(context, seed=seed, order=order, **options)[0][0] for seed in range(60)}
        for order in (["min_p", "temperature"], ["temperature", "min_p"])
    )
    assert len(likely) < len(all_of_them) / 2


@pytest.mark.parametrize(("order", "message"), [(["top_x"], '"top_x"'), (["top_k", "top_k"], "twice")])
def test_an_order_that_makes_no_sense_is_an_error(context, order, message):
    with pytest.raises(mullama.ArgumentError, match=message):
        context.generate(PROMPT, order=order)


# Grammars

GRAMMAR = r"""
root   ::= "date: " year "-" month " by " name
year   ::= ("19" | "20") [0-9] [0-9]
month  ::= "0" [1-9] | "1" [0-2]
name   ::= [A-Z] [a-z]{2,6}
"""
DATE = r"date: (19|20)\d\d-(0[1-9]|1[0-2]) by [A-Z][a-z]{2,6}"


@pytest.mark.parametrize("seed", range(20))
def test_text_follows_a_grammar_to_its_end(context, seed):
    text = context.generate(PROMPT, grammar=GRAMMAR, seed=seed, temperature=1.5, max_tokens=100)
    assert re.fullmatch(DATE, text), text
    assert text.result.finish_reason == mullama.FinishReason.STOP


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["cat", "dog"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "kind", "tags"],
    "additionalProperties": False,
}


def assert_valid(value):
    assert list(value) == ["name", "age", "kind", "tags"]
    assert isinstance(value["name"], str) and len(value["name"]) <= 8
    assert type(value["age"]) is int and 0 <= value["age"] <= 150
    assert value["kind"] in ("cat", "dog")
    assert 1 <= len(value["tags"]) <= 3 and all(type(tag) is bool for tag in value["tags"])


@pytest.mark.parametrize("seed", range(20))
def test_text_follows_a_json_schema(context, seed):
    text = context.generate(PROMPT, json_schema=SCHEMA, seed=seed, temperature=1.5, max_tokens=-1)
    assert_valid(json.loads(text))
    assert text.result.finish_reason == mullama.FinishReason.STOP


def test_a_greedy_choice_follows_a_grammar_too(context):
    assert re.fullmatch(DATE, context.generate(PROMPT, grammar=GRAMMAR, temperature=0.0, max_tokens=100))


def test_the_real_model_answers_in_the_shape_of_a_schema_and_of_a_grammar(smollm):
    with smollm.create_context(n_ctx=512) as context:
        messages = [{"role": "user", "content": "Describe a pet as JSON with name, age, kind and tags."}]
        for seed in range(3):
            assert_valid(json.loads(context.generate(messages=messages, json_schema=SCHEMA, seed=seed)))
        answer = context.generate("Is Paris in France? Answer:", grammar='root ::= " "? ("yes" | "no")', temperature=0)
        assert answer.strip() in ("yes", "no")


def test_a_grammar_sees_the_answer_and_not_the_prompt(context):
    assert context.generate("zzz 99", grammar='root ::= "the" " "? "people"', seed=1).replace(" ", "") == "thepeople"


def test_a_token_that_the_grammar_forbids_cannot_be_forced(context):
    with context.start_generation(PROMPT, grammar=GRAMMAR, seed=1) as generation:
        generation.prepare()
        with pytest.raises(mullama.VocabularyError, match="grammar"):
            generation.accept(VOCABULARY.id("▁people"))
        generation.run()
        assert re.fullmatch(DATE, generation.text())


def test_grammar_and_schema_exclude_each_other(context):
    with pytest.raises(mullama.ArgumentError, match="exclude"):
        context.generate(PROMPT, grammar=GRAMMAR, json_schema=SCHEMA)
