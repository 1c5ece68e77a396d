"""All the chat templates of the llama.cpp tree: what they write, and what the engine reads in what models answer."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import families
import jinja_reference
import mullama
import pytest
from ask import answer, user

WEATHER = {
    "name": "get_weather",
    "description": "tells the weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "a town"}}, "required": ["city"]},
}
TOOLS = [{"type": "function", "function": WEATHER}]
REPLY = {"role": "assistant", "content": "first reply"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Reykjavik"}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "call12345", "content": "stormy outside"}
THOUGHT = {"reasoning_content": "I ponder"}

CONVERSATIONS: dict[str, dict[str, Any]] = {
    "chat": {"messages": [*user("first question"), REPLY, *user("second question")]},
    "system": {"messages": [{"role": "system", "content": "be brief"}, *user("first question")]},
    "tools": {"messages": user("first question"), "tools": TOOLS},
    "call and result": {"messages": [*user("first question"), CALL, RESULT], "tools": TOOLS},
    "thought before a call": {"messages": [*user("first question"), {**CALL, **THOUGHT}, RESULT], "tools": TOOLS},
    "thought before a reply": {"messages": [*user("first question"), {**REPLY, **THOUGHT}, *user("second question")]},
}

# Where llama.cpp means to write something else than Jinja2 would, and texts that have to be there all the same.
CALLED = ["first question", "get_weather", "Reykjavik", "stormy outside"]
ADAPTED: dict[tuple[str, str], list[str]] = {
    # Its tools go by another name than that of the API: they are written in the form of other ChatML models.
    ("HuggingFaceTB-SmolLM3-3B", "tools"): ["first question", "get_weather", "tells the weather", "a town"],
    ("HuggingFaceTB-SmolLM3-3B", "call and result"): CALLED,
    ("HuggingFaceTB-SmolLM3-3B", "thought before a call"): CALLED,
    # Its variables `functions` and `datetime` are llama.cpp's to give.
    **{("fireworks-ai-llama-3-firefunction-v2", name): ["first question"] for name in CONVERSATIONS},
    # The template has no system role, or no role for results: they go where it has a place.
    ("google-gemma-2-2b-it", "system"): ["be brief", "first question"],
    ("google-gemma-4-31B-it-interleaved", "call and result"): CALLED,
    ("google-gemma-4-31B-it-interleaved", "thought before a call"): [*CALLED, "I ponder"],
    # The thought is given under the name that the template has for it.
    ("LFM2.5-8B-A1B", "thought before a call"): [*CALLED, "I ponder"],
    ("mistralai-Ministral-3-14B-Reasoning-2512", "thought before a call"): [*CALLED, "[THINK]I ponder[/THINK]"],
    ("mistralai-Ministral-3-14B-Reasoning-2512", "thought before a reply"): ["[THINK]I ponder[/THINK]first reply"],
    ("openai-gpt-oss-120b", "thought before a call"): [*CALLED, "<|channel|>analysis<|message|>I ponder<|end|>"],
    # The template knows no thoughts. (llama.cpp loses the reply beside one: it makes parts of both, which are not known either.)
    ("unsloth-mistral-Devstral-Small-2507", "thought before a reply"): ["first question", "second question"],
    # Jinja2 cannot render these.
    **{("llama-cpp-deepseek-r1", name): ["get_weather"] for name in ("tools", "call and result", "thought before a call")},
    **{("meetkai-functionary-medium-v3.1", name): ["get_weather"] for name in ("tools", "call and result", "thought before a call")},
    **{("meetkai-functionary-medium-v3.2", name): CALLED for name in ("call and result", "thought before a call")},
}


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_a_conversation_is_written_as_jinja_writes_it(family, conversation):
    body = {**CONVERSATIONS[conversation], "chat_template_kwargs": {"enable_thinking": True}}
    if family.name in families.WITHOUT_TOOLS and "tools" in body:
        with pytest.raises(mullama.Error, match="no place for tools"):
            answer(family.engine, "apply-template", **body)
        return
    if (family.name, conversation) in ADAPTED:
        prompt = answer(family.engine, "apply-template", **body)["prompt"]
        assert [text for text in ADAPTED[family.name, conversation] if text not in prompt] == []
        return
    try:
        expected = jinja_reference.render(family.template, body)
    except jinja_reference.Refused as refused:
        with pytest.raises(mullama.Error, match=str(refused)[:20]) as caught:
            answer(family.engine, "apply-template", **body)
        assert caught.value.code == mullama.ErrorCode.TEMPLATE_FAILED
        return
    day = datetime.date.today()
    prompt = answer(family.engine, "apply-template", **body)["prompt"]
    if prompt != expected and day != datetime.date.today():  # some templates write the date
        expected = jinja_reference.render(family.template, body)
    assert prompt == expected


SAID = json.loads(Path(__file__).with_name("said.json").read_text(encoding="utf-8"))
TEXTS: list[dict[str, Any]] = SAID["texts"]


def body_of(said: dict[str, Any]) -> dict[str, Any]:
    body = {"messages": user("Hey there!"), "parallel_tool_calls": False, **said.get("body", {})}
    if "tools" in body:
        body["tools"] = [{"type": "function", "function": SAID["tools"][name]} for name in body["tools"]]
    return body


@pytest.fixture(scope="module")
def heard(bytes_model: Path) -> list[dict[str, Any]]:
    """What the engine makes of each text (parse.cpp)."""
    tools = os.environ.get("MULLAMA_TEST_TOOLS")
    if not tools or not families.SOURCE:
        pytest.skip("MULLAMA_TEST_TOOLS and MULLAMA_TEST_SOURCE name the folders of engine-parse and llama.cpp; run `./x pytest`")
    templates = families.templates()
    lines = [json.dumps({"template": templates[said["template"]], "body": body_of(said), "text": said["text"]}) for said in TEXTS]
    run = subprocess.run([Path(tools) / "engine-parse", bytes_model], input="\n".join(lines) + "\n", capture_output=True, text=True, encoding="utf-8", timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    return [json.loads(line) for line in run.stdout.splitlines()]


# What llama.cpp reads only for a model without an end token: there its analysis of the template finds the ids of calls.
UNREAD = {said["text"] for said in TEXTS if said["template"].startswith("Mistral-Small-3.2") and "[CALL_ID]" in said["text"]}


def simplified(message: dict[str, Any], begun: dict[str, Any] | None = None) -> dict[str, Any]:
    """Without space at the ends and the form of arguments, which are llama.cpp's choice, and without what was `begun`."""

    def text(name: str) -> str:
        whole = message.get(name, "")
        return whole.removeprefix((begun or {}).get(name, "")).strip()

    def arguments(written: str) -> Any:
        try:
            return json.loads(written)
        except ValueError:
            return None  # broken off

    calls = [(call["name"], arguments(call["arguments"])) for call in message.get("tool_calls", [])]
    return {"content": text("content"), "reasoning_content": text("reasoning_content"), "tool_calls": calls}


@pytest.mark.parametrize("number", range(len(TEXTS)), ids=[f"{said['template']}-{number}" for number, said in enumerate(TEXTS)])
def test_what_a_model_says_becomes_its_message_whole_and_wherever_the_stream_is_cut(heard, number):
    said, found = TEXTS[number], heard[number]
    assert "error" not in found, found["error"]
    messages = body_of(said)["messages"]
    begun = messages[-1] if "continue_final_message" in said.get("body", {}) else None
    expected = simplified(said["message"], begun)
    if said["text"] in UNREAD:
        expected = {"content": said["text"], "reasoning_content": "", "tool_calls": []}
    if said.get("unfinished"):
        assert simplified(found["unfinished"]) == expected
    else:
        assert simplified(found["whole"]) == expected
        assert simplified(found["streamed"]) == expected
        ids = [call["id"] for call in found["whole"]["tool_calls"]]
        given = [call["id"] for call in said["message"].get("tool_calls", []) if "id" in call]
        assert all(ids)
        assert ids == given or not given or said["text"] in UNREAD
    assert found["differences"] == []
