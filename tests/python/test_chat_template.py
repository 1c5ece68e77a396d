"""Messages to a prompt: against an independent rendering by the jinja2 package, and over llama.cpp's whole collection."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jinja2
import mullama
import pytest
import tiny_models
from mullama import ErrorCode
from mullama.build.library import Library

CHECKOUT = Path(__file__).resolve().parents[2]
N_TEMPLATES = 70

CHAT = [
    {"role": "user", "content": "Hello <you>, {{ 7 * 7 }}"},
    {"role": "assistant", "content": "Good morning, 世界"},
    {"role": "user", "content": "Bye"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a place.",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
]


def rendered(template: str, **variables: object) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(template).render(variables)


def collection() -> dict[str, Path]:
    source = os.environ.get("MULLAMA_TEST_SOURCE") or Library(CHECKOUT).source()
    return {path.stem: path for path in sorted(Path(source, "models/templates").glob("*.jinja"))}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "collected" in metafunc.fixturenames:
        paths = collection()
        metafunc.parametrize("collected", paths.values(), ids=paths.keys())


# The model's own template ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("n_messages", [1, 2, 3])
def test_the_prompt_is_what_jinja2_renders(n_messages: int, end: bool, llama: mullama.Model) -> None:
    messages = CHAT[:n_messages]
    found = llama.apply_chat_template(messages, add_generation_prompt=end)
    expected = rendered(tiny_models.CHAT_TEMPLATE, messages=messages, add_generation_prompt=end)
    assert found["prompt"] == expected


def test_the_prompt_of_a_real_model_is_what_jinja2_renders(smollm: mullama.Model) -> None:
    template = smollm.chat_template()
    for messages in (CHAT, [{"role": "system", "content": "Be brief."}, *CHAT]):
        expected = rendered(template, messages=messages, add_generation_prompt=True)
        assert smollm.apply_chat_template(messages)["prompt"] == expected


def test_the_start_of_the_answer_is_the_end_of_the_prompt(llama: mullama.Model) -> None:
    found = llama.apply_chat_template(CHAT)
    assert found["generation_prompt"] == "<|im_start|>assistant\n"
    assert found["prompt"].endswith(found["generation_prompt"])
    assert found["supports_thinking"] is False
    assert found["stops"] == []


def test_tools_reach_the_template(llama: mullama.Model) -> None:
    prompt = llama.apply_chat_template(CHAT, tools=TOOLS)["prompt"]
    first_line = prompt.split("Tools: ")[1].split("<|im_end|>")[0]
    [tool] = json.loads(first_line)
    assert tool["function"] == TOOLS[0]["function"]
    assert "Tools:" not in llama.apply_chat_template(CHAT)["prompt"]


def test_content_in_text_parts_is_joined(llama: mullama.Model) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    prompt = llama.apply_chat_template([{"role": "user", "content": parts}])["prompt"]
    assert prompt.startswith("<|im_start|>user\none\ntwo<|im_end|>")


def test_messages_may_be_json_text(llama: mullama.Model) -> None:
    assert llama.apply_chat_template(json.dumps(CHAT)) == llama.apply_chat_template(CHAT)


def test_concurrent_first_uses_of_a_template_agree(tiny: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with mullama.Model(tiny / "llama.gguf") as model, ThreadPoolExecutor(8) as threads:
        prompts = list(threads.map(lambda _: model.apply_chat_template(CHAT)["prompt"], range(16)))
    assert set(prompts) == {rendered(tiny_models.CHAT_TEMPLATE, messages=CHAT, add_generation_prompt=True)}


# Another template -----------------------------------------------------------------------------------------------------


def test_a_template_of_the_callers_replaces_the_models(llama: mullama.Model) -> None:
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    found = llama.apply_chat_template(CHAT, chat_template=template)["prompt"]
    assert found == rendered(template, messages=CHAT)
    assert llama.apply_chat_template(CHAT)["prompt"].startswith("<|im_start|>"), "the model's own is still there"


def test_arguments_are_variables_of_the_template(llama: mullama.Model) -> None:
    template = "{{ tone }} {{ nested.list[1] }} {{ flag }}{% for m in messages %}{{ m.content }}{% endfor %}"
    arguments = {"tone": 'kind "quoted"', "nested": {"list": [1, 2]}, "flag": True}
    found = llama.apply_chat_template(CHAT, chat_template=template, template_arguments=arguments)["prompt"]
    assert found == rendered(template, messages=CHAT, **arguments)


def test_thinking_can_be_switched_off_where_the_template_has_a_switch(llama: mullama.Model) -> None:
    template = collection()["Qwen-Qwen3-0.6B"].read_text()
    on = llama.apply_chat_template(CHAT, chat_template=template)
    off = llama.apply_chat_template(CHAT, chat_template=template, enable_thinking=False)
    assert on["supports_thinking"]
    assert off["prompt"] == on["prompt"] + "<think>\n\n</think>\n\n"


def test_a_long_expression_is_still_read(llama: mullama.Model) -> None:
    assert llama.apply_chat_template(CHAT, chat_template="{{ 1" + " + 1" * 450 + " }}")["prompt"] == "451"
    nested = "{% if true %}" * 400 + "deep" + "{% endif %}" * 400
    assert llama.apply_chat_template(CHAT, chat_template=nested)["prompt"] == "deep"


def test_a_template_can_imply_texts_that_end_the_answer(llama: mullama.Model) -> None:
    template = collection()["poolside-Laguna-XS.2"].read_text()
    assert llama.apply_chat_template(CHAT, chat_template=template)["stops"] == ["</assistant>"]


def test_a_template_may_carry_bos_which_tokenizing_adds_already(llama: mullama.Model) -> None:
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    prompt = llama.apply_chat_template(CHAT[2:], chat_template=template)["prompt"]
    tokens = llama.tokenize(prompt, parse_special=True)
    assert tokens.count(llama.special_tokens.bos) == 1


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ 1 +", "does not parse"),
        ("{% for %}", "does not parse"),
        ("{% bogus %}", "Unknown statement: bogus"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages | bogus }}", "bogus"),
    ],
)
def test_a_template_that_fails_says_why(template: str, reason: str, llama: mullama.Model) -> None:
    with pytest.raises(mullama.VocabularyError, match=reason) as raised:
        llama.apply_chat_template(CHAT, chat_template=template)
    assert raised.value.code is ErrorCode.TEMPLATE_FAILED
    assert "std::exception" not in str(raised.value)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "not a list of at least one"),
        ({}, "not a list of at least one"),
        ("[1]", "messages"),
        ('[{"content": "x"}]', "role"),
        ("[{]", "is not JSON"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "image_url|unsupported"),
    ],
)
def test_messages_of_another_form_are_refused(messages: object, reason: str, llama: mullama.Model) -> None:
    with pytest.raises(mullama.ArgumentError, match=reason) as raised:
        llama.apply_chat_template(messages)
    assert raised.value.code is ErrorCode.INVALID_JSON


@pytest.mark.parametrize(
    "option", [{"tools": "{"}, {"tools": [1]}, {"template_arguments": [1]}, {"template_arguments": "x"}]
)
def test_options_that_are_not_their_json_are_refused_by_name(option: dict, llama: mullama.Model) -> None:
    with pytest.raises(mullama.ArgumentError, match=f"chat_options.{next(iter(option))}") as raised:
        llama.apply_chat_template(CHAT, **option)
    assert raised.value.code is ErrorCode.INVALID_JSON


def test_a_model_without_template_needs_one(tiny: Path) -> None:
    with mullama.Model(tiny / "bert.gguf") as bert:
        with pytest.raises(mullama.VocabularyError, match="has no chat template") as raised:
            bert.apply_chat_template(CHAT)
        assert raised.value.code is ErrorCode.NO_TEMPLATE
        assert bert.apply_chat_template(CHAT, chat_template="{{ messages[2].content }}")["prompt"] == "Bye"


# The collection -------------------------------------------------------------------------------------------------------


def test_no_template_of_the_collection_is_missing() -> None:
    assert len(collection()) == N_TEMPLATES


def test_a_template_of_the_collection_renders_a_chat(collected: Path, llama: mullama.Model) -> None:
    source = collected.read_text(encoding="utf-8")
    first = llama.apply_chat_template(CHAT, chat_template=source)
    assert llama.apply_chat_template(CHAT, chat_template=source) == first
    prompt = first["prompt"]
    assert prompt.endswith(first["generation_prompt"])
    positions = [prompt.find(message["content"]) for message in CHAT]
    assert -1 not in positions and positions == sorted(positions)


def test_a_template_of_the_collection_takes_tools(collected: Path, llama: mullama.Model) -> None:
    def outcome() -> object:
        try:
            return llama.apply_chat_template(CHAT, chat_template=collected.read_text(encoding="utf-8"), tools=TOOLS)
        except mullama.Error as error:
            assert error.code in (ErrorCode.TEMPLATE_FAILED, ErrorCode.UNSUPPORTED) and len(error.message) > 40
            return error.message

    first = outcome()
    assert outcome() == first
