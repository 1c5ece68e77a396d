"""A chat template is a program out of a file: one that loops or calls itself is an error of the template, not the end of the process."""

from __future__ import annotations

import json
import subprocess
import sys

import mullama
import pytest
from ask import answer, user
from healthy import Healthy

TWICE = "{% for i in range(60) %}{% set ns.x = "
RUN_AWAY = {
    "a long loop": ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"),
    "a list of everything": ("{% for i in range(1000000000) %}{% endfor %}", r"range\(1000000000\)"),
    "many lists": ("{% for i in range(100000) %}{% set x = range(100000) %}{% endfor %}", "MB|steps"),
    "a macro that calls itself": ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "levels deep"),
    "a text that doubles": ("{% set ns = namespace(x='ab') %}" + TWICE + "ns.x ~ ns.x %}{% endfor %}", "256 MB"),
    "a text that is repeated": ("{{ 'ab' * 1000000000000 }}", "256 MB"),
    "a text that is replaced by longer ones": ("{% set ns = namespace(x='aa') %}" + TWICE + "ns.x.replace('a', ns.x) %}{% endfor %}", "256 MB"),
    "a text that is indented": ("{{ 'ab\\nab' | indent(100000000000) }}", "256 MB"),
    "a text that is cut into pieces": ("{% set x = 'a ' * 1000000 %}{{ x.split(' ') | length }}", "256 MB"),
    "a list that is joined": ("{% set x = 'a' * 1000000 %}{{ range(1000) | join(x) }}", "256 MB"),
    "a text that is written for ever": ("{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x }}{% endfor %}", "256 MB"),
    "a list that doubles": ("{% set ns = namespace(x=[1]) %}" + TWICE + "ns.x + ns.x %}{% endfor %}", "MB|steps"),
    "a list that holds another twice": ("{% set ns = namespace(x=[1]) %}" + TWICE + "[ns.x, ns.x] %}{% endfor %}{{ ns.x }}", "MB|steps"),
    "a tuple that holds another twice": ("{% set ns = namespace(x=(1, 2)) %}" + TWICE + "(ns.x, ns.x) %}{% endfor %}{{ ns.x == ns.x }}", "MB|steps"),
    "a list that is within others": ("{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}", "400 deep"),
    "an object in itself": ("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns | tojson }}", "into itself"),
    "an object in an object in itself": ("{% set ns = namespace() %}{% set ns.a = {'b': [ns]} %}{{ ns | tojson }}", "into itself"),
    "a list in itself": ("{% set x = [] %}{% set y = x.append(x) %}{{ x }}", "into itself"),
    "a division by nothing": ("{{ 5 is divisibleby(0) }}", "divide by 0"),
    "a selection that divides by nothing": ("{{ [5] | select('divisibleby', 0) | list }}", "divide by 0"),
    "numbers and texts in an order": ("{{ [3, '10', 2, '9'] | sort }}", "cannot sort"),
}


@pytest.mark.parametrize("name", RUN_AWAY)
def test_it_cannot_be_opened_and_the_streams_beside_it_stay_the_same_to_the_byte(open_engine, watched, name):
    source, message = RUN_AWAY[name]
    with watched.beside(), pytest.raises(mullama.Error, match=message) as caught:
        open_engine(chat_template=source + "x")
    assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("name", ["a list of everything", "a macro that calls itself", "a text that doubles", "an object in itself", "a division by nothing"])
def test_it_cannot_be_applied(llama, name):
    source, message = RUN_AWAY[name]
    with pytest.raises(mullama.Error, match=message) as caught:
        llama.apply_chat_template(user("the"), chat_template=source + "x")
    assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED


@pytest.mark.parametrize("name", ["a macro that calls itself", "a text that doubles", "an object in itself", "a division by nothing"])
def test_a_message_that_sets_it_off_harms_only_its_request(open_engine, name):
    source, message = RUN_AWAY[name]
    engine = open_engine(chat_template="{% if messages[0].content == 'bad' %}" + source + "{% endif %}the", max_buffered=8)
    streams = Healthy(engine)
    for _ in range(2):
        with streams.beside(), pytest.raises(mullama.Error, match=message) as caught:
            answer(engine, "chat/completions", messages=user("bad"))
        assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED
        found = answer(engine, "chat/completions", messages=user("good"), max_tokens=2, ignore_eos=True)
        assert found["usage"]["completion_tokens"] == 2


# They take all the steps that there are, with little memory.
SLOW = ("a long loop", "many lists")

# Run by another process, so that its memory is that of the templates alone.
GROWTH = """
import json, resource, sys
import mullama
model, sources = sys.argv[1], json.load(sys.stdin)
with mullama.Model(model) as model:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for source in sources:
        try:
            model.apply_chat_template([{"role": "user", "content": "the"}], chat_template=source)
        except mullama.Error:
            pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_none_of_them_takes_much_memory(tiny):
    sources = [source + "x" for name, (source, _) in RUN_AWAY.items() if name not in SLOW]
    run = subprocess.run([sys.executable, "-c", GROWTH, tiny / "llama.gguf"], input=json.dumps(sources), capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 1_500_000  # KB


def test_a_large_message_is_written(engine):
    text = "the of <|im_end|> and " * 20_000
    assert text in answer(engine, "apply-template", messages=user(text))["prompt"]


def test_long_chats_are_written(engine):
    messages = [message for _ in range(2000) for message in (*user("the"), {"role": "assistant", "content": "of"})]
    assert answer(engine, "apply-template", messages=[*messages, *user("and")])["prompt"].count("<|im_end|>") == 4001
