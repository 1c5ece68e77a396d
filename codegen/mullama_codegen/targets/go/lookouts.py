"""Streams that their parent names when they have something: one goroutine waits in C for all who read them.

The runtime is bindings/go/internal/threads. Without it each goroutine that waits for a stream would hold a thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...api import Api, Function, Handle


@dataclass(frozen=True)
class Lookout:
    """What a handle with named streams has."""

    streams: str  # the handle of the streams
    wait: Function  # gives the ids of streams that have something
    wake: Function  # makes it return
    id: Function  # of a stream


def lookouts(api: Api) -> dict[str, Lookout]:
    """Those of an API, by the handle that names: it has `wait`, its streams have `id`."""
    found = (_lookout(api, handle) for handle in api.handles.values() if handle.keeps_alive)
    return {one.wait.on: one for one in found if one}


def _lookout(api: Api, handle: Handle) -> Lookout | None:
    methods = {(function.on, function.method): function for function in api.functions}
    wait, number = methods.get((handle.keeps_alive, "wait")), methods.get((handle.name, "id"))
    is_stream = any(function.on == handle.name and function.stream_of for function in api.functions)
    if not (is_stream and wait and number and wait.returns and number.returns):
        return None
    if wait.returns.type.kind != "span" or wait.returns.type.item != number.returns.type.kind or len(wait.params) != 1:
        return None
    wake = next(function for function in api.functions if function.name == wait.cancel)
    return Lookout(handle.name, wait, wake, number)
