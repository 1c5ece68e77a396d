"""A chat template is a program out of a file: one that loops or calls itself is an error of the template, not the end of the process."""

from __future__ import annotations

import mullama
import pytest
from ask import answer, user

RUN_AWAY = {
    "a long loop": ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"),
    "a list of everything": ("{% for i in range(1000000000) %}{% endfor %}", r"range\(1000000000\)"),
    "many lists": ("{% for i in range(100000) %}{% set x = range(100000) %}{% endfor %}", "steps"),
    "a macro that calls itself": ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "levels deep"),
}


@pytest.mark.parametrize("name", RUN_AWAY)
def test_it_cannot_be_opened(open_engine, name):
    source, message = RUN_AWAY[name]
    with pytest.raises(mullama.Error, match=message) as caught:
        open_engine(chat_template=source + "x")
    assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED


@pytest.mark.parametrize("name", ["a list of everything", "a macro that calls itself"])
def test_it_cannot_be_applied(llama, name):
    source, message = RUN_AWAY[name]
    with pytest.raises(mullama.Error, match=message) as caught:
        llama.apply_chat_template(user("the"), chat_template=source + "x")
    assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED


def test_a_message_that_sets_it_off_harms_only_its_request(open_engine):
    source = "{% if messages[0].content == 'bad' %}" + RUN_AWAY["a macro that calls itself"][0] + "{% endif %}the"
    engine = open_engine(chat_template=source)
    for _ in range(2):
        with pytest.raises(mullama.Error, match="levels deep") as caught:
            answer(engine, "chat/completions", messages=user("bad"))
        assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED
        found = answer(engine, "chat/completions", messages=user("good"), max_tokens=2, ignore_eos=True)
        assert found["usage"]["completion_tokens"] == 2


def test_long_chats_are_written(engine):
    messages = [message for _ in range(2000) for message in (*user("the"), {"role": "assistant", "content": "of"})]
    assert answer(engine, "apply-template", messages=[*messages, *user("and")])["prompt"].count("<|im_end|>") == 4001
