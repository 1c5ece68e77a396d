"""Fields that llama.cpp would drop in silence: each is honoured, or refused by its name."""

from __future__ import annotations

import mullama
import pytest
from ask import answer, user

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
# Without a place for tools; with a place, but without a form for calls.
PLAIN = "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}[assistant]"
SHOWN = "{% if tools %}[tools]{{ tools | tojson }}{% endif %}" + PLAIN


def refused(engine, message, **asked):
    with pytest.raises(mullama.Error, match=message) as caught:
        answer(engine, "chat/completions", messages=user("the"), tools=[TOOL], max_tokens=2, **asked)
    assert caught.value.code == mullama.ErrorCode.UNSUPPORTED


def honoured(engine, **asked):
    assert answer(engine, "chat/completions", messages=user("the"), max_tokens=2, ignore_eos=True, **asked)["usage"]["completion_tokens"] == 2


def test_tools_that_the_template_does_not_show_are_refused(open_engine):
    engine = open_engine(chat_template=PLAIN)
    assert engine.props().tools == "none"
    for choice in ("auto", "required"):
        refused(engine, "tools cannot be honoured: the chat template has no place for tools", tool_choice=choice)
    honoured(engine, tool_choice="none", tools=[TOOL])
    honoured(engine, tools=[])


def test_a_call_that_is_required_is_refused_where_there_is_no_form_for_it(open_engine):
    engine = open_engine(chat_template=SHOWN)
    assert engine.props().tools == "shown"
    refused(engine, "tool_choice cannot be honoured: the chat template has no form for calls", tool_choice="required")
    honoured(engine, tools=[TOOL])


def test_a_chatml_template_without_tools_gets_their_form(engine):
    assert engine.props().tools == "chatml"
    assert "<tools>" in engine.apply_template(user("the"), tools=[TOOL]).prompt


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("responses", {"input": "the", "logprobs": True}, "logprobs"),
        ("responses", {"input": "the", "top_logprobs": 2}, "top_logprobs"),
        ("messages", {"messages": user("the"), "timings_per_token": True}, "timings_per_token"),
        ("messages", {"messages": user("the"), "return_progress": True}, "return_progress"),
    ],
)
def test_what_a_route_cannot_give_is_refused(engine, route, body, field):
    with pytest.raises(mullama.ArgumentError, match=field):
        answer(engine, route, **body)


def test_a_response_can_be_sent_back_as_it_came(engine):
    first = answer(engine, "responses", input="how many people", max_output_tokens=6, temperature=0, ignore_eos=True)
    text = first["output"][0]["content"][0]["text"]
    again = answer(engine, "responses", input=[*user("how many people"), *first["output"], *user("and who")], max_output_tokens=6, temperature=0)
    by_hand = [*user("how many people"), {"role": "assistant", "content": text}, *user("and who")]
    assert again["output"][0]["content"] == answer(engine, "responses", input=by_hand, max_output_tokens=6, temperature=0)["output"][0]["content"]
    assert again["usage"]["input_tokens"] == len(answer(engine, "apply-template", messages=by_hand)["tokens"])
