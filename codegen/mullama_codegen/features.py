"""Which features of the description language an API uses; a target that lacks one of them cannot be generated."""

from __future__ import annotations

from collections.abc import Iterator

from .api import Api, Value


def used(api: Api) -> dict[str, str]:
    """Feature word → the first place that uses it."""
    places: dict[str, str] = {}
    for word, place in _words(api):
        places.setdefault(word, place)
    return places


def _words(api: Api) -> Iterator[tuple[str, str]]:
    for area in api.areas:
        at = f"{area.source}: "
        for enum in area.enums:
            yield ("flags" if enum.is_flags else "enum"), at + enum.name
        for struct in area.structs:
            yield ("options" if struct.is_options else "struct"), at + struct.name
            for value in struct.fields:
                place = f"{at}{struct.name}.{value.name}"
                yield from _value_words(value, place)
                if value.type.kind == "options":
                    yield "nested_options", place
                if value.type.kind == "handle":
                    yield "handle_in_options", place
        for callback in area.callbacks:
            yield "callback", at + callback.name
            for value in callback.params:
                yield from _value_words(value, f"{at}{callback.name}.{value.name}")
        for handle in area.handles:
            yield "handle", at + handle.name
            yield handle.thread, at + handle.name
            if handle.keeps_alive:
                yield "keeps_alive", at + handle.name
        for one in area.objects:
            yield "object", at + one.name
        for route in area.routes:
            yield "route", at + route.name
        for function in area.functions:
            place = at + function.name
            for word in (
                "static",
                "constructor",
                "property",
                "blocking",
                "any_thread",
                "run_of",
                "text_generation",
                "deprecated",
            ):
                if getattr(function, word):
                    yield word, place
            if function.stream_of:
                yield "stream", place
            for value in (*function.params, *((function.returns,) if function.returns else ())):
                yield from _value_words(value, place)


def _value_words(value: Value, place: str) -> Iterator[tuple[str, str]]:
    yield value.type.kind, place
    if value.nullable:
        yield "nullable", place
    if value.unset is not None:
        yield "unset", place
