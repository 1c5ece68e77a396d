"""Every field of every request and of what requests hold, from the description: wrong types and numbers beyond all bounds, beside streams."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mullama
import pytest
from ask import answer, user

sys.path.insert(0, str(Path(__file__).parents[2] / "codegen"))

from mullama_codegen.api import ObjectField, Shape
from mullama_codegen.build import load_api

API = load_api(Path(__file__).parents[2] / "abi" / "spec")

# The least that each route needs.
NEEDED: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": user("the"), "max_tokens": 2},
    "apply-template": {"messages": user("the")},
    "messages": {"messages": user("the"), "max_tokens": 2},
    "messages/count_tokens": {"messages": user("the")},
    "completions": {"prompt": "the", "max_tokens": 2},
    "responses": {"input": "the", "max_output_tokens": 2},
    "infill": {"input_prefix": "the", "input_suffix": "of", "max_tokens": 2},
    "embeddings": {"input": "the"},
    "rerank": {"query": "the", "documents": ["of"]},
    "tokenize": {"content": "the"},
    "detokenize": {"tokens": [1]},
}
# The least that an object within a request needs, or what is wrong inside it is not looked at.
SKELETONS: dict[str, dict[str, Any]] = {
    "message": {"role": "user", "content": "the"},
    "anthropic_message": {"role": "user", "content": "the"},
    "content_part": {"type": "text", "text": "the"},
    "tool": {"type": "function", "function": {"name": "f"}},
    "tool_function": {"name": "f"},
    "tool_call": {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    "called_function": {"name": "f", "arguments": "{}"},
    "anthropic_tool": {"name": "f", "input_schema": {"type": "object"}},
    "response_format": {"type": "json_object"},
    "lora_scale": {"id": 0, "scale": 1},
    "extra_file": {"filename": "f", "text": "the"},
}
# What is not looked into: a field that is another API's name for one of the route, and one that the engine here cannot honour.
WHOLLY_REFUSED = {
    "messages": ("response_format", "speculative"),
    "messages/count_tokens": ("response_format", "speculative"),
    **dict.fromkeys(("chat/completions", "completions", "infill", "responses", "apply-template"), ("speculative",)),
}
# What takes any value of JSON says by itself what it does not take.
FREE = {"str", "bool", "i64", "f64", "list", "map", "object"}
EXAMPLES: dict[str, list[Any]] = {"str": ["x"], "bool": [True], "i64": [7], "f64": [0.5], "list": [[]], "map": [{}]}
NUMBERS = [-1.7e308, -1e39, -(2**63), -1, -0.5, 2**31, 2**53 + 1, 2**63, 2**64 - 1, 1e39, 1.7e308]


def kinds(shape: Shape) -> set[str]:
    if shape.kind == "union":
        return set().union(*map(kinds, shape.items))
    if shape.kind == "json":
        return FREE
    # A number may be written as a whole one, and a whole one as 7.0. An object is a map with known names.
    return {"i64", "f64"} if shape.kind == "f64" else {"map"} if shape.kind in ("map", "object") else {shape.kind}


def inner(shape: Shape) -> Iterator[tuple[str, bool]]:
    """The objects that a value may be or hold, and whether it holds them in a list."""
    for one in shape.items if shape.kind == "union" else (shape,):
        if one.kind == "object":
            yield one.name, False
        elif one.kind == "list" and one.item.kind == "object":
            yield one.item.name, True


def places(name: str, body: dict[str, Any], path: str = "", seen: tuple[str, ...] = ()) -> Iterator[tuple[str, ObjectField, Any]]:
    """Each field with its path, and what makes a body with a value in it."""
    for field in API.objects[name].fields:
        at = f"{path}{field.name}"
        yield at, field, lambda value, field=field: {**body, field.name: value}
        for other, listed in inner(field.shape):
            if other in seen:
                continue
            for deeper, last, fill in places(other, SKELETONS.get(other, {}), f"{at}[0]." if listed else f"{at}.", (*seen, other)):
                yield deeper, last, lambda value, fill=fill, listed=listed, field=field: {**body, field.name: [fill(value)] if listed else fill(value)}


def bodies(route: str, request: str, values: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for path, field, fill in places(request, NEEDED[route]):
        for value in values(field):
            yield path, value, fill(value)


def refused_as(route: str, path: str) -> str:
    """The part of a path that the message names."""
    whole = [name for name in WHOLLY_REFUSED.get(route, ()) if path.startswith(f"{name}.")]
    return whole[0] if whole else path


def wrong(field: ObjectField) -> list[Any]:
    taken = kinds(field.shape)
    return [] if taken >= FREE else [value for kind, examples in EXAMPLES.items() if kind not in taken for value in examples]


def numbers(field: ObjectField) -> list[Any]:
    if not kinds(field.shape) & {"i64", "f64"}:
        return []
    return NUMBERS + [bound + step for bound, step in ((field.min, -1), (field.max, 1)) if bound is not None]


@pytest.fixture(scope="module")
def engines(tiny: Path, watched: Any) -> Iterator[dict[str, mullama.Engine]]:
    with (
        mullama.Engine(tiny / "bert.gguf", mode="embed", n_ctx=64, n_threads=1) as embedder,
        mullama.Engine(tiny / "bert.gguf", mode="rerank", n_ctx=64, n_threads=1) as reranker,
    ):
        yield {route: {"embeddings": embedder, "rerank": reranker}.get(route, watched.engine) for route in NEEDED}


ROUTES = {route.route: route.request for route in API.routes if route.request}


def test_there_is_a_body_for_each_route():
    assert ROUTES.keys() == NEEDED.keys()
    assert sum(1 for route, request in ROUTES.items() for _ in bodies(route, request, wrong)) > 2000


@pytest.mark.parametrize("route", ROUTES)
def test_a_value_of_a_wrong_type_in_any_field_is_refused_with_its_path(engines, watched, route):
    with watched.beside():
        for path, value, body in bodies(route, ROUTES[route], wrong):
            if path.endswith("tool_calls[0].function.arguments") and isinstance(value, dict):
                continue  # templates take an object where the APIs have a text of JSON
            with pytest.raises(mullama.Error) as caught:
                answer(engines[route], route, **body)
            assert caught.value.code == mullama.ErrorCode.INVALID_ARGUMENT, (path, value, str(caught.value))
            assert refused_as(route, path) in str(caught.value), (path, value, str(caught.value))


@pytest.mark.parametrize("route", ROUTES)
def test_numbers_beyond_all_bounds_are_refused_with_their_path_or_harmless(engines, watched, route):
    with watched.beside():
        for path, value, body in bodies(route, ROUTES[route], numbers):
            try:
                answer(engines[route], route, **body)
            except mullama.Error as error:
                assert error.code in (mullama.ErrorCode.INVALID_ARGUMENT, mullama.ErrorCode.UNSUPPORTED, mullama.ErrorCode.DEADLINE), (path, value, str(error))
                assert refused_as(route, path).removesuffix(".scale") in str(error) or error.code == mullama.ErrorCode.UNSUPPORTED, (path, value, str(error))
