"""Functions as tools: their definitions, the calls, the rounds and their bound, errors, streams, event loops."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import families
import mullama
import pytest
from ask import user
from mullama.binding._tools import Tool, Tools

LIMITS: dict[str, Any] = {"max_tokens": 120, "temperature": 0, "tool_choice": "required", "parallel_tool_calls": False}


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


@dataclass
class Place:
    city: str
    country: str = "here"


class Span(TypedDict):
    days: int


def weather(place: Place, when: Span, unit: Unit = Unit.KELVIN, names: list[str] | None = None, exact: bool = False) -> str:
    """Tells the weather.

    As far as it is known.

    Args:
        place: Where,
            in one line or two.
        when (Span): How far ahead.

    Returns:
        A sentence.
    """
    return f"{place.city} {place.country} {when['days']} {unit.value} {names} {exact}"


def test_a_function_is_described_by_its_hints_and_docstring() -> None:
    assert Tool(weather).definition == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather. As far as it is known.",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
                        "required": ["city"],
                        "additionalProperties": False,
                        "description": "Where, in one line or two.",
                    },
                    "when": {
                        "type": "object",
                        "properties": {"days": {"type": "integer"}},
                        "required": ["days"],
                        "additionalProperties": False,
                        "description": "How far ahead.",
                    },
                    "unit": {"enum": ["celsius", "kelvin"]},
                    "names": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
                    "exact": {"type": "boolean"},
                },
                "required": ["place", "when"],
                "additionalProperties": False,
            },
        },
    }


def test_arguments_arrive_as_the_hints_say() -> None:
    tool = Tool(weather)
    given = {"place": {"city": "Ulm"}, "when": {"days": 2}, "unit": "celsius", "names": ["a"]}
    assert tool.function(**tool.bind(given)) == "Ulm here 2 celsius ['a'] False"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "takes an object"),
        ({}, "lacks the argument place, when"),
        ({"place": {"city": "Ulm"}, "when": {"days": 2}, "speed": 1}, "has no parameter speed"),
        ({"place": {"city": 3}, "when": {"days": 2}}, "place.city is 3; it must be str"),
        ({"place": {"city": "Ulm", "x": 1}, "when": {"days": 2}}, "place has no field x"),
        ({"place": {"city": "Ulm"}, "when": {"days": "2"}}, "when.days is '2'; it must be int"),
        ({"place": {"city": "Ulm"}, "when": {"days": True}}, "when.days is True; it must be int"),
        ({"place": {"city": "Ulm"}, "when": {"days": 2}, "unit": "feet"}, "'feet' is not a valid Unit"),
        ({"place": {"city": "Ulm"}, "when": {"days": 2}, "names": [1]}, "names is"),
    ],
)
def test_arguments_that_do_not_fit(given: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Tool(weather).bind(given)


def test_functions_that_cannot_be_tools() -> None:
    def untyped(x) -> None: ...  # type: ignore[no-untyped-def]

    def variadic(*x: int) -> None: ...

    def odd(x: complex) -> None: ...

    for function, message in ((untyped, "needs a type hint"), (variadic, "cannot give by name"), (odd, "no JSON schema")):
        with pytest.raises(TypeError, match=message):
            Tool(function)


def test_annotations_describe_and_sphinx_docstrings_do_too() -> None:
    def paint(colour: Annotated[Literal["red", "blue"], "What colour."], coats: float) -> None:
        """Paints.

        :param coats: How often.
        """

    properties = Tool(paint).definition["function"]["parameters"]["properties"]  # type: ignore[index]
    assert properties["colour"] == {"enum": ["red", "blue"], "description": "What colour."}
    assert properties["coats"] == {"type": "number", "description": "How often."}


# Rounds


LONGER = ["llama.context_length=int:4096"]


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[mullama.Engine]:
    """Definitions of tools take room."""
    with mullama.Engine(tiny / "llama.gguf", n_ctx=4096, n_slots=2, n_threads=1, kv_overrides=LONGER) as engine:
        yield engine


class Switch:
    """A lamp whose switch the model has."""

    def __init__(self) -> None:
        self.states: list[bool] = []

    def turn(self, on: bool) -> str:
        """Turns the lamp on or off."""
        self.states.append(on)
        return f"the lamp is {'on' if on else 'off'}"


def test_the_rounds_run_until_the_model_answers(engine: mullama.Engine) -> None:
    lamp = Switch()
    answer = engine.chat(user("the of"), tools=[lamp.turn], **LIMITS)
    assert len(lamp.states) == len(answer.tool_runs) >= 1
    run = answer.tool_runs[0]
    assert run.name == "turn" and run.arguments == {"on": lamp.states[0]} and run.error is None
    assert run.result == f"the lamp is {'on' if lamp.states[0] else 'off'}"
    assert answer.finish_reason != "tool_calls"


def test_calls_of_plain_definitions_are_the_callers(engine: mullama.Engine) -> None:
    definition = Tool(Switch().turn).definition
    answer = engine.chat(user("the of"), tools=[definition], **LIMITS)  # type: ignore[list-item]
    assert answer.finish_reason == "tool_calls" and answer.tool_runs == ()
    assert answer.tool_calls[0].function.name == "turn"
    assert isinstance(json.loads(answer.tool_calls[0].function.arguments)["on"], bool)


NAMED = {"type": "function", "function": {"name": "turn"}}


@pytest.mark.parametrize(
    ("max_rounds", "given", "sent", "reached"),
    [
        (3, None, [None, None, "none"], True),
        (3, "auto", ["auto", "auto", "none"], True),
        (3, "required", ["required", "auto", "none"], True),
        (2, "required", ["required", "none"], True),
        (2, NAMED, [NAMED, "none"], True),
        (1, None, ["none"], True),
        (1, "auto", ["none"], True),
        (1, "none", ["none"], False),  # as the caller wanted it
        (8, "none", ["none"], False),
        (8, "required", ["required", *["auto"] * 6, "none"], True),
    ],
)
def test_a_model_that_calls_as_often_as_it_may_has_to_answer_in_the_last_round(max_rounds: int, given: Any, sent: list[Any], reached: bool) -> None:
    lamp = Switch()
    body = {"messages": user("the"), "tools": [lamp.turn], **({"tool_choice": given} if given else {})}
    tools = Tools.among(body, max_rounds, "tell")
    assert tools is not None
    call = {"id": "a", "type": "function", "function": {"name": "turn", "arguments": '{"on": true}'}}
    choices, runs = [], 0
    while True:
        choices.append(tools.body.get("tool_choice"))
        message = {"role": "assistant", "content": "done"} if choices[-1] == "none" else {"role": "assistant", "tool_calls": [call]}
        assert tools.reached_max_rounds == (reached and choices[-1] == "none")
        if not (made := list(tools.rounds({"choices": [{"message": message}]}))):
            break
        runs += len(made)
    assert choices == sent and runs == len(lamp.states) == len(sent) - 1


def test_the_answer_of_the_last_round_says_so(engine: mullama.Engine) -> None:
    lamp = Switch()
    answer = engine.chat(user("the of"), tools=[lamp.turn], max_rounds=2, **LIMITS)
    assert answer.reached_max_rounds and len(answer.tool_runs) == len(lamp.states) == 1
    assert answer.text and answer.tool_calls == []
    stream = engine.chat(user("the of"), tools=[lamp.turn], max_rounds=2, stream=True, **LIMITS)
    seen = [(len(stream.tool_runs), stream.reached_max_rounds) for _ in stream]
    assert seen[0] == (0, False) and seen[-1] == (1, True)
    assert stream.answer().reached_max_rounds and stream.answer().text == answer.text
    assert not engine.chat(user("the of"), tools=[lamp.turn], **LIMITS).reached_max_rounds
    assert not engine.chat(user("the of"), max_tokens=2).reached_max_rounds


async def test_the_last_round_in_an_event_loop(engine: mullama.Engine) -> None:
    lamp = Switch()
    answer = await engine.chat_async(user("the of"), tools=[lamp.turn], max_rounds=2, **LIMITS)
    assert answer.reached_max_rounds and len(lamp.states) == 1
    stream = await engine.chat_async(user("the of"), tools=[lamp.turn], max_rounds=2, stream=True, **LIMITS)
    assert not stream.reached_max_rounds
    assert (await stream).text == answer.text and stream.reached_max_rounds


def test_one_round_is_an_answer_without_calls(engine: mullama.Engine) -> None:
    lamp = Switch()
    answer = engine.chat(user("the of"), tools=[lamp.turn], max_rounds=1, **{**LIMITS, "tool_choice": "auto"})
    assert answer.reached_max_rounds and answer.text and lamp.states == []
    for choice in ("required", NAMED):
        with pytest.raises(mullama.ArgumentError, match="max_rounds is 1, but tool_choice requires a call"):
            engine.chat(user("the of"), tools=[lamp.turn], max_rounds=1, **{**LIMITS, "tool_choice": choice})
    with pytest.raises(mullama.ArgumentError, match="max_rounds is 0"):
        engine.chat(user("the of"), tools=[lamp.turn], max_rounds=0, **LIMITS)


def test_functions_are_called_for_one_answer(engine: mullama.Engine) -> None:
    lamp = Switch()
    with pytest.raises(mullama.ArgumentError, match="n is 2; where tools are functions it must be 1"):
        engine.chat(user("the of"), tools=[lamp.turn], n=2, **LIMITS)
    assert engine.chat(user("the of"), tools=[lamp.turn], n=1, max_rounds=1, **{**LIMITS, "tool_choice": "auto"}).text


def test_the_last_round_keeps_to_the_schema_of_the_answer(engine: mullama.Engine) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "sure", "schema": schema}}
    lamp = Switch()
    for max_rounds, choice in ((2, "required"), (1, "auto")):
        fields = {**LIMITS, "tool_choice": choice}
        answer = engine.chat(user("the of"), tools=[lamp.turn], max_rounds=max_rounds, response_format=form, **fields)  # type: ignore[arg-type]
        assert answer.reached_max_rounds and len(answer.tool_runs) == max_rounds - 1
        assert set(json.loads(answer.text)) == {"sure"}


def test_calls_and_results_are_seen_where_no_call_may_be_made(engine: mullama.Engine) -> None:
    """The template has no form for them, and none for the role `tool`."""
    definition = Tool(Switch().turn).definition
    call = {"id": "a", "type": "function", "function": {"name": "turn", "arguments": '{"on": true}'}}
    said = [*user("the of"), {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "it is on"}]
    called = '<tool_call>\n{"name": "turn", "arguments": {"on": true}}\n</tool_call>'
    told = "<tool_response>\nit is on\n</tool_response>"
    shown = engine.apply_template(said, tools=[definition]).prompt  # type: ignore[list-item]
    assert "<tools>" in shown and called in shown and told in shown
    assert engine.apply_template(said, tools=[definition], tool_choice="none").prompt == shown  # type: ignore[list-item]
    without = engine.apply_template(said).prompt
    assert called in without and told in without and "<tools>" not in without and "<|im_start|>system" not in without
    assert "<|im_start|>system\nbe brief<|im_end|>\n" in engine.apply_template([{"role": "system", "content": "be brief"}, *said]).prompt


def test_an_answer_that_may_hold_no_call_holds_none_as_text(bytes_model: Path) -> None:
    """The model is made to write what a call begins with, wherever it can."""
    definition = Tool(Switch().turn).definition
    with mullama.Engine(bytes_model, chat_template=families.templates()["Qwen-Qwen2.5-7B-Instruct"], n_ctx=0, n_threads=1) as engine:
        (tag,) = engine.tokenize("<tool_call>", parse_special=True).tokens
        eager: dict[str, Any] = {"logit_bias": {str(tag): 100}, "max_tokens": 12, "temperature": 0, "ignore_eos": True}
        assert "<tool_call>" in engine.chat(user("the"), **eager).text
        answer = engine.chat(user("the"), tools=[definition], tool_choice="none", **eager)  # type: ignore[list-item]
        assert answer.usage.completion_tokens == 12 and "<tool_call>" not in answer.text


def test_what_a_function_raises_is_told_or_raised(engine: mullama.Engine) -> None:
    def turn(on: bool) -> str:
        raise OSError("the lamp is broken")

    answer = engine.chat(user("the of"), tools=[turn], **LIMITS)
    assert isinstance(answer.tool_runs[0].error, OSError) and answer.tool_runs[0].result is None
    with pytest.raises(OSError, match="the lamp is broken"):
        engine.chat(user("the of"), tools=[turn], tool_errors="raise", **LIMITS)
    with pytest.raises(mullama.ArgumentError, match='"tell" or "raise"'):
        engine.chat(user("the of"), tools=[turn], tool_errors="ignore", **LIMITS)  # type: ignore[call-overload]


def test_what_the_model_is_told() -> None:
    body: dict[str, Any] = {"messages": user("the"), "tools": [Switch().turn], "tool_choice": "required"}
    tools = Tools.among(body, 8, "tell")
    assert tools is not None
    calls = [
        {"id": "a", "type": "function", "function": {"name": "turn", "arguments": '{"on": true}'}},
        {"id": "b", "type": "function", "function": {"name": "turn", "arguments": '{"on": 1}'}},
        {"id": "c", "type": "function", "function": {"name": "twist", "arguments": "{}"}},
        {"id": "d", "type": "function", "function": {"name": "turn", "arguments": "{"}},
    ]
    message = {"role": "assistant", "tool_calls": calls}
    runs = list(tools.rounds({"choices": [{"message": message}]}))
    assert [type(run.error).__name__ for run in runs] == ["NoneType", "TypeError", "LookupError", "ValueError"]
    assert tools.body["messages"][1]["tool_calls"][:3] == calls[:3]
    assert tools.body["messages"][1]["tool_calls"][3]["function"]["arguments"] == "{}"  # templates read it
    told = {one["tool_call_id"]: one["content"] for one in tools.body["messages"][2:]}
    assert told["a"] == "the lamp is on"
    assert told["b"] == "error: on is 1; it must be bool"
    assert told["c"] == "error: there is no function twist; there is turn"
    assert told["d"].startswith("error: the arguments of turn are no JSON")
    assert tools.body["tool_choice"] == "auto"
    assert list(tools.rounds({"choices": [{"message": {"role": "assistant", "content": "done"}}]})) == []


def test_calls_that_were_cut_off_are_not_made(engine: mullama.Engine) -> None:
    lamp = Switch()
    answer = engine.chat(user("the of"), tools=[lamp.turn], **{**LIMITS, "max_tokens": 6})
    assert answer.finish_reason == "length" and answer.tool_runs == () and lamp.states == []


def test_streams_run_tools_between_their_pieces(engine: mullama.Engine) -> None:
    lamp = Switch()
    stream = engine.chat(user("the of"), tools=[lamp.turn], stream=True, **LIMITS)
    seen = [len(stream.tool_runs) for _ in stream]
    assert seen[0] == 0 and seen[-1] == len(lamp.states) >= 1
    assert stream.answer().tool_runs == stream.tool_runs
    assert stream.answer().text == engine.chat(user("the of"), tools=[lamp.turn], **LIMITS).text


async def test_async_functions_are_awaited(engine: mullama.Engine) -> None:
    lamp = Switch()

    async def turn(on: bool) -> str:
        """Turns the lamp on or off."""
        return lamp.turn(on)

    answer = await engine.chat_async(user("the of"), tools=[turn], **LIMITS)
    assert len(lamp.states) == len(answer.tool_runs) >= 1
    stream = await engine.chat_async(user("the of"), tools=[turn], stream=True, **LIMITS)
    assert (await stream).text == answer.text
    told = engine.chat(user("the of"), tools=[turn], **LIMITS).tool_runs[0].error
    assert "turn is async" in str(told)


def test_a_call_may_be_bound_to_a_schema_as_well(engine: mullama.Engine) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"], "additionalProperties": False}
    answer = engine.chat(
        user("the of"),
        tools=[Switch().turn],
        response_format={"type": "json_schema", "json_schema": {"name": "sure", "schema": schema}},
        **LIMITS,
    )
    assert answer.tool_runs
    assert set(json.loads(answer.text)) == {"sure"}
