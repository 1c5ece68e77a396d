"""Numbers outside of what the description allows, for every number it has: generated from abi/spec/*.yaml.

So an option that someone adds is tested from its first day on, in Python's spelling, by its name in the message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mullama
import pytest
import yaml
from mullama import ErrorCode

SPEC = Path(__file__).resolve().parents[2] / "abi" / "spec"
NOT_NUMBERS = (math.nan, math.inf, -math.inf)
LIMITS = {"i32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1)}

Call = Callable[[mullama.Model, str, float], object]


def areas() -> Iterator[dict[str, Any]]:
    for name in yaml.safe_load((SPEC / "api.yaml").read_text())["areas"]:
        yield yaml.safe_load((SPEC / f"{name}.yaml").read_text())


def with_context(call: Callable[[mullama.Context, dict], object]) -> Call:
    def run(model: mullama.Model, name: str, value: float) -> None:
        with model.create_context(n_ctx=64, n_threads=1) as context:
            call(context, {name: value})

    return run


# How each options struct reaches the library from Python.
CALLS: dict[str, Call] = {
    "context_options": lambda model, name, value: model.create_context(**{name: value}),
    "sampler_options": lambda model, name, value: model.create_sampler(**{name: value}),
    "generate_options": with_context(lambda context, options: context.start_generation("the", **options)),
    "engine_options": lambda model, name, value: mullama.Engine("missing.gguf", **{name: value}),
    "decode_options": with_context(lambda context, options: context.decode([1], **options)),
}
WITHOUT_NUMBERS = {"chat_options", "batch"}
IN_OTHER_TESTS = {"model_options"}


def wrong_values(field: dict[str, Any]) -> list[float]:
    """Values that the description excludes, as far as they can be passed at all."""
    low, high, unset = field.get("min"), field.get("max"), field.get("unset")
    if field["type"] == "f32":
        wrong = [] if field.get("finite") is False else [*NOT_NUMBERS]
        wrong += [low - 0.001, low - 1e30] if low is not None else []
        wrong += [high + 0.001, 1e30] if high is not None else []
        return wrong
    wrong = [low - 1, low - 1000] if low is not None else []
    wrong += [high + 1, high + 1000] if high is not None else []
    least, most = LIMITS[field["type"]]
    return [value for value in wrong if least <= value <= most and value != unset]


def option_cases() -> Iterator[tuple[str, str, float]]:
    for area in areas():
        for struct, options in area.get("options", {}).items():
            for name, field in options["fields"].items():
                if struct in CALLS and field["type"] in ("f32", *LIMITS):
                    yield from ((struct, name, value) for value in wrong_values(field))


def step_cases() -> Iterator[tuple[str, str, float]]:
    for area in areas():
        for function, description in area.get("functions", {}).items():
            if function.startswith("sampler_add_"):
                for name, field in description.get("params", {}).items():
                    if field["type"] in ("f32", *LIMITS):
                        yield from ((function, name, value) for value in wrong_values(field))


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[mullama.Model]:
    with mullama.Model(tiny / "llama.gguf") as model:
        yield model


def assert_refused(call: Callable[[], object], name: str) -> None:
    with pytest.raises(mullama.ArgumentError) as raised:
        call()
    assert raised.value.code in (ErrorCode.INVALID_ARGUMENT, ErrorCode.OUT_OF_RANGE)
    assert name in raised.value.message, "the message names the number"


def test_every_options_struct_is_covered() -> None:
    structs = {struct for area in areas() for struct in area.get("options", {})}
    assert structs == CALLS.keys() | WITHOUT_NUMBERS | IN_OTHER_TESTS


@pytest.mark.parametrize(("struct", "name", "value"), list(option_cases()))
def test_an_option_outside_of_its_range_is_refused_by_name(
    struct: str, name: str, value: float, model: mullama.Model
) -> None:
    assert_refused(lambda: CALLS[struct](model, name, value), name)


@pytest.mark.parametrize(("function", "name", "value"), list(step_cases()))
def test_a_sampler_step_outside_of_its_range_is_refused_by_name(
    function: str, name: str, value: float, model: mullama.Model
) -> None:
    parameters = next(area for area in areas() if area["area"] == "sampler")["functions"][function]["params"]
    valid = {"f32": 0.5, "i32": 10, "u32": 10, "size": 1}
    arguments = {other: valid[field["type"]] for other, field in parameters.items() if field["type"] in valid}
    with model.create_sampler_chain() as chain:
        add = getattr(chain, function.removeprefix("sampler_"))
        assert_refused(lambda: add(**arguments | {name: value}), name)
        assert chain.names() == [], "nothing was added"
        add(**arguments)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_penalty_that_divides_is_above_zero(value: float, model: mullama.Model) -> None:
    assert_refused(lambda: model.create_sampler(repeat_penalty=value), "repeat")
    with model.create_sampler_chain() as chain:
        assert_refused(lambda: chain.add_penalties(repeat=value), "repeat")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bias_is_a_number_or_a_ban(value: float, model: mullama.Model) -> None:
    assert_refused(lambda: model.create_sampler(bias_tokens=[1], biases=[value]), "bias 0")
    with model.create_sampler(bias_tokens=[1], biases=[-math.inf]) as sampler:
        assert sampler.apply([0.0] * model.n_vocab)[1] == -math.inf


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 3.5e38])
def test_input_embeddings_are_finite(value: float, model: mullama.Model) -> None:
    rows = [0.1] * 128
    rows[70] = value
    with model.create_context(n_ctx=64, n_threads=1) as context:
        assert_refused(lambda: context.decode_batch(embeddings=rows), "embeddings[70]")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_numbers_are_refused(value: float, model: mullama.Model) -> None:
    logits = [0.0] * model.n_vocab
    logits[100] = value
    with model.create_sampler(seed=1) as sampler:
        for call in (sampler.choose, sampler.apply):
            assert_refused(lambda call=call: call(logits), "logits hold NaN or infinity")


def test_logits_of_minus_infinity_only_leave_nothing_to_choose(model: mullama.Model) -> None:
    with model.create_sampler(seed=1) as sampler:
        assert_refused(lambda: sampler.choose([-math.inf] * model.n_vocab), "every logit is minus infinity")


@pytest.mark.parametrize("count", [0, 1, 575, 577])
def test_there_are_as_many_logits_as_tokens(count: int, model: mullama.Model) -> None:
    with model.create_sampler(seed=1) as sampler:
        assert_refused(lambda: sampler.choose([0.0] * count), f"there are {count} logits; the vocabulary has 576")


@pytest.mark.parametrize("option", ["top_p", "min_keep", "seed", "temperature"])
def test_what_is_no_number_is_a_type_error_by_name(option: str, model: mullama.Model) -> None:
    with pytest.raises(TypeError, match=f"{option} must be"):
        model.create_sampler(**{option: "0.5"})


@pytest.mark.parametrize(("option", "value"), [("top_k", 2**31), ("seed", 2**32), ("seed", -1), ("min_keep", -(2**40))])
def test_a_number_beyond_its_type_is_refused_by_name(option: str, value: int, model: mullama.Model) -> None:
    assert_refused(lambda: model.create_sampler(**{option: value}), option)
