"""Rules for functions and handles: receivers, results, streams, lifetimes."""

from __future__ import annotations

from typing import Any

from ..load import RawArea
from .spec import Spec
from .values import SCALARS


def check(spec: Spec) -> None:
    for area, name, data, path in spec.things("functions"):
        _Function(spec, area, name, data, path).check()
    for area, name, data, path in spec.things("handles"):
        _handle(spec, area, name, data, path)


def _handle(spec: Spec, area: RawArea, name: str, data: dict[str, Any], path: str) -> None:
    makers = {
        key: function for key, function in spec.functions.items() if function.get("returns", {}).get("type") == name
    }
    if not makers:
        spec.messages.add(area.source, path, "no function returns it")
    keeps = data.get("keeps_alive")
    if keeps is None:
        return
    if keeps not in spec.handles or keeps == name:
        spec.messages.add(
            area.source, f"{path}.keeps_alive", f'unknown handle "{keeps}"' if keeps != name else "is the handle itself"
        )
        return
    for key, function in makers.items():
        given = {function.get("on"), *(param["type"] for param in function.get("params", {}).values())}
        if not given & {keeps, name}:
            spec.messages.add(area.source, f"{path}.keeps_alive", f"{key} returns a {name} but takes no {keeps}")
    constructors = [key for key, function in makers.items() if function.get("constructor")]
    for key in constructors[1:]:
        spec.messages.add(area.source, path, f"has two constructors, {constructors[0]} and {key}")


class _Function:
    """One function and everything that can be wrong with it."""

    def __init__(self, spec: Spec, area: RawArea, name: str, data: dict[str, Any], path: str) -> None:
        self.spec, self.source, self.name, self.data, self.path = spec, area.source, name, data, path

    def wrong(self, text: str, key: str = "") -> None:
        self.spec.messages.add(self.source, self.path + (f".{key}" if key else ""), text)

    def check(self) -> None:
        self._receiver()
        self._kind_of_method()
        self._params()
        self._result()
        self._errors()
        self._stream()
        self._text_generation()

    def _receiver(self) -> None:
        on = self.data.get("on")
        if on is None:
            for key in ("static", "constructor", "property", "any_thread", "stream_of", "run_of"):
                if self.data.get(key):
                    self.wrong("needs on", key)
        elif on not in self.spec.handles:
            self.wrong(f'unknown handle "{on}"', "on")
        elif not self.name.startswith(f"{on}_"):
            self.wrong(f"is on {on}, so its name must begin with {on}_")

    def _kind_of_method(self) -> None:
        data = self.data
        if data.get("constructor") and not (
            data.get("static") and data.get("returns", {}).get("type") == data.get("on")
        ):
            self.wrong("needs static, and the handle itself as its result", "constructor")
        if data.get("property") and data.get("params"):
            self.wrong("a property has no parameters", "property")
        if data.get("property") and "returns" not in data:
            self.wrong("a property needs a result", "property")

    def _params(self) -> None:
        first = ""
        for name, param in self.data.get("params", {}).items():
            may_be_left_out = param.get("optional") or param.get("nullable") or "default" in param or "unset" in param
            if may_be_left_out:
                first = first or name
            elif first:
                self.wrong(f"must be given, but stands behind {first}, which may be left out", f"params.{name}")

    def _result(self) -> None:
        if "errors" in self.data or "returns" not in self.data:
            return
        type_ = self.spec.type(self.data["returns"]["type"])
        if type_ and type_.kind not in (*SCALARS, "str"):
            self.wrong(f"needs errors: a {type_.kind} cannot be returned directly", "returns")
        if type_ and type_.kind == "str" and "borrowed" not in self.data["returns"]:
            self.wrong("needs borrowed until when, or errors: an owned text cannot be returned directly", "returns")

    def _errors(self) -> None:
        seen = set()
        for code in self.data.get("errors", ()):
            if code not in self.spec.codes:
                self.wrong(f'unknown error code "{code}"', "errors")
            if code in seen:
                self.wrong(f"{code} stands twice", "errors")
            seen.add(code)

    def _stream(self) -> None:
        data = self.data
        for key in ("stream_of", "run_of"):
            if key not in data:
                continue
            if "errors" not in data:
                self.wrong("needs errors", key)
            if "cancel" not in data:
                self.wrong("needs cancel: a stream must be stoppable", key)
            if "returns" in data or data.get("params"):
                self.wrong("has neither parameters nor a result of its own", key)
        if "stream_of" in data and self.spec.kinds.get(data["stream_of"]) != "struct":
            self.wrong(f'unknown struct "{data["stream_of"]}"', "stream_of")
        if "run_of" in data and data.get("on") not in _streams(self.spec):
            self.wrong(f"{data.get('on')} has no stream", "run_of")
        cancel = data.get("cancel")
        if cancel is not None:
            target = self.spec.functions.get(cancel)
            if target is None:
                self.wrong(f'unknown function "{cancel}"', "cancel")
            elif not target.get("any_thread") or target.get("params") or target.get("on") != data.get("on"):
                self.wrong(f"{cancel} must be on {data.get('on')}, for any_thread, and without parameters", "cancel")

    def _text_generation(self) -> None:
        """The conveniences use `next`, `run`, `cancel`, `text` and `result` of the stream."""
        if "text_generation" not in self.data:
            return
        streams = _streams(self.spec)
        handle = self.data.get("returns", {}).get("type")
        if handle not in streams:
            self.wrong("is for functions that return a handle with a stream", "text_generation")
            return
        if self.spec.fields(streams[handle]).get("text", {}).get("type") != "str":
            self.wrong(
                f'the items of the stream, {streams[handle]}, have no field text of type "str"', "text_generation"
            )
        for method, key in (
            ("next", "stream_of"),
            ("run", "run_of"),
            ("cancel", "any_thread"),
            ("text", "returns"),
            ("get_result", "property"),
        ):
            if not self.spec.functions.get(f"{handle}_{method}", {}).get(key):
                self.wrong(f"needs {handle}_{method} with {key}", "text_generation")


def _streams(spec: Spec) -> dict[str, str]:
    """Handles with a stream → the struct of their items."""
    return {
        function["on"]: function["stream_of"]
        for function in spec.functions.values()
        if "stream_of" in function and "on" in function
    }
