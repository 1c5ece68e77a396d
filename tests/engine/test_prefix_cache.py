"""A prompt's beginning that a slot holds already is not evaluated again: asserted on exact counts."""

from __future__ import annotations

from typing import Any

import mullama
import pytest
from ask import answer, user

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
N_TURNS = 20


class Conversation:
    """Turns whose text and tokens are one: every token of this model is a byte, or a token of the template."""

    def __init__(self, engine: mullama.Engine, subject: str):
        self.engine = engine
        self.subject = subject
        self.messages: list[dict[str, str]] = []
        self.n_held = 0  # tokens that the slot holds: all but the last one said, which was chosen and not evaluated

    def turn(self, number: int, **options: Any) -> None:
        self.messages += user(f"{self.subject}, question {number}")
        prompt = answer(self.engine, "apply-template", messages=self.messages)["tokens"]
        body = {"messages": self.messages, "max_tokens": 5, "grammar": "root ::= [a-z]{9}", **options}
        whole = answer(self.engine, "chat/completions", **body)
        said = whole["choices"][0]["message"]["content"]
        assert len(said) == 5
        timings, usage = whole["timings"], whole["usage"]
        assert (timings["cache_n"], timings["prompt_n"], timings["predicted_n"]) == (self.n_held, len(prompt) - self.n_held, 5)
        assert usage["prompt_tokens"] == len(prompt)
        assert usage["completion_tokens"] == 5
        assert usage["prompt_tokens_details"]["cached_tokens"] == self.n_held
        self.n_held = len(prompt) + 4
        self.messages.append({"role": "assistant", "content": said})


def test_each_turn_of_a_chat_prefills_only_what_is_new(bytes_model):
    with mullama.Engine(bytes_model, chat_template=TEMPLATE, n_ctx=4096, n_slots=1, n_threads=1) as engine:
        conversation = Conversation(engine, "of bread")
        for number in range(N_TURNS):
            conversation.turn(number)
        n_new = conversation.n_held - 4 * N_TURNS
        metrics = answer(engine, "metrics")
        assert metrics["prompt_tokens_total"] == n_new
        assert metrics["tokens_predicted_total"] == 5 * N_TURNS


def test_conversations_in_turn_keep_a_slot_each(bytes_model):
    with mullama.Engine(bytes_model, chat_template=TEMPLATE, n_ctx=4096, n_slots=3, n_threads=1) as engine:
        # Other from the first word on, or they would share the beginning that one of them has evaluated.
        conversations = [Conversation(engine, subject) for subject in ("anchors and ships", "bread and butter", "coal and fire")]
        for slot, conversation in enumerate(conversations):
            conversation.n_held = 0
            conversation.turn(0, id_slot=slot, cache_prompt=False)
        for number in range(1, N_TURNS):
            for conversation in conversations:
                conversation.turn(number)


def test_without_the_cache_all_is_evaluated(bytes_model):
    with mullama.Engine(bytes_model, chat_template=TEMPLATE, n_ctx=4096, n_slots=1, n_threads=1) as engine:
        conversation = Conversation(engine, "of bread")
        for number in range(3):
            conversation.turn(number, cache_prompt=False)
            conversation.n_held = 0


def test_an_edited_turn_is_evaluated_from_the_edit_on(bytes_model):
    with mullama.Engine(bytes_model, chat_template=TEMPLATE, n_ctx=4096, n_slots=1, n_threads=1) as engine:
        conversation = Conversation(engine, "of bread")
        for number in range(5):
            conversation.turn(number)
        before = answer(engine, "apply-template", messages=conversation.messages[:-1])["tokens"]
        conversation.messages = [*conversation.messages[:4], *user("of wine, question 2")]
        after = answer(engine, "apply-template", messages=conversation.messages)["tokens"]
        n_shared = next(place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
        conversation.messages.pop()
        conversation.subject, conversation.n_held = "of wine", n_shared
        conversation.turn(2)


@pytest.mark.parametrize("n_shared", [1, 40, 299])
def test_a_prompt_that_is_held_whole_is_evaluated_by_its_last_token(bytes_model, n_shared):
    with mullama.Engine(bytes_model, n_ctx=4096, n_slots=1, n_threads=1) as engine:
        prompt = list(range(200, 200 + 50)) * 6
        answer(engine, "completions", prompt=prompt, max_tokens=1)
        again = answer(engine, "completions", prompt=prompt, max_tokens=1)["timings"]
        assert (again["cache_n"], again["prompt_n"]) == (299, 1)
        other = answer(engine, "completions", prompt=[*prompt[:n_shared], 199], max_tokens=1)["timings"]
        assert (other["cache_n"], other["prompt_n"]) == (n_shared, 1)
