"""Functions as tools: what the model is told of them, and the rounds in which it calls them."""

from __future__ import annotations

import enum
import json
import re
import types
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Literal

from ._runtime import Record
from .generated.errors import ArgumentError, ErrorCode

ToolErrors = Literal["tell", "raise"]
MAX_ROUNDS = 8

Schema = dict[str, Any]
PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    dict: {"type": "object"},
    list: {"type": "array"},
}


class ToolRun(Record):
    """A call that the model made, and what came of it."""

    __slots__ = {  # noqa: RUF023  # the order of the constructor
        "id": "The call's name for its result.",
        "name": "The function.",
        "arguments": "As the model gave them, parsed; the text itself where it is no JSON.",
        "result": "What the function returned; None where it failed.",
        "error": "Why there is no result: an unknown name, arguments that do not fit, or what the function raised.",
    }
    id: str
    name: str
    arguments: Any
    result: Any
    error: BaseException | None


class Tool:
    """A function with its definition: name, description and the JSON schema of its parameters, from hints and docstring."""

    def __init__(self, function: Callable[..., Any]) -> None:
        import inspect  # slow to load, and only programs with tools need it

        self.function = function
        self.name: str = getattr(function, "__name__", type(function).__name__)
        try:
            signature = inspect.signature(function)
            hints = typing.get_type_hints(function, include_extras=True)
        except (TypeError, ValueError, NameError) as error:
            raise TypeError(f"the tool {self.name} cannot be described: {error}") from None
        summary, described = _docstring(function)
        self.hints: dict[str, Any] = {}
        properties: Schema = {}
        required = []
        for name, parameter in signature.parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(
                    f"the tool {self.name} has the parameter {parameter}, which a model cannot give by name"
                )
            if name not in hints:
                raise TypeError(f"the tool {self.name} needs a type hint for its parameter {name}")
            self.hints[name] = hints[name]
            properties[name] = _schema(hints[name], f"{self.name}.{name}")
            if name in described:
                properties[name] = {**properties[name], "description": described[name]}
            if parameter.default is parameter.empty:
                required.append(name)
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        self.definition = {
            "type": "function",
            "function": {"name": self.name, "description": summary, "parameters": schema},
        }

    def bind(self, arguments: Any) -> dict[str, Any]:
        """The arguments as the function takes them. Raises TypeError or ValueError where they do not fit."""
        if not isinstance(arguments, dict):
            raise TypeError(f"{self.name} takes an object of arguments, not {json.dumps(arguments)[:60]}")
        unknown = arguments.keys() - self.hints.keys()
        if unknown:
            raise TypeError(
                f"{self.name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(self.hints)}"
            )
        required = self.definition["function"]["parameters"]["required"]  # type: ignore[index]
        missing = [name for name in required if name not in arguments]
        if missing:
            raise TypeError(f"{self.name} lacks the argument {', '.join(missing)}")
        return {name: _converted(value, self.hints[name], name) for name, value in arguments.items()}


class Tools:
    """The functions of a request, and the rounds in which they are called."""

    def __init__(self, body: dict[str, Any], tools: list[Any], max_rounds: int, errors: ToolErrors) -> None:
        if max_rounds < 1:
            raise ArgumentError(f"max_rounds is {max_rounds}; it must be at least 1", ErrorCode.INVALID_ARGUMENT)
        choice = body.get("tool_choice")
        if max_rounds == 1 and (choice == "required" or isinstance(choice, Mapping)):
            raise ArgumentError(
                "max_rounds is 1, but tool_choice requires a call; it must be at least 2: one to call, one to answer",
                ErrorCode.INVALID_ARGUMENT,
            )
        if body.get("n") not in (None, 1):
            raise ArgumentError(f"n is {body['n']!r}; where tools are functions it must be 1", ErrorCode.INVALID_ARGUMENT)
        if errors not in ("tell", "raise"):
            raise ArgumentError(f'tool_errors is {errors!r}; it must be "tell" or "raise"', ErrorCode.INVALID_ARGUMENT)
        own = [Tool(tool) if callable(tool) else tool for tool in tools]
        self._functions = {tool.name: tool for tool in own if isinstance(tool, Tool)}
        definitions = [tool.definition if isinstance(tool, Tool) else tool for tool in own]
        self._body = body
        body |= {"tools": definitions, "messages": list(body["messages"])}
        self._errors = errors
        self._max = max_rounds
        self._round = 1
        #: Whether this round is the last one that max_rounds allows, so that the model could not call.
        self.reached_max_rounds = False
        self._end_calls()

    @classmethod
    def among(cls, body: dict[str, Any], max_rounds: int, errors: ToolErrors) -> Tools | None:
        """None where a request has no functions among its tools."""
        tools = body.get("tools")
        if tools is None or isinstance(tools, (str, dict)):
            return None
        tools = list(tools)
        body["tools"] = tools
        return cls(body, tools, max_rounds, errors) if any(map(callable, tools)) else None

    @property
    def body(self) -> dict[str, Any]:
        """The request of this round."""
        return self._body

    def _calls(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The calls of an answer, where all are of our functions: others are the caller's to make."""
        message = answer["choices"][0]["message"]
        calls: list[dict[str, Any]] = message.get("tool_calls") or []
        is_cut_off = answer["choices"][0].get("finish_reason") == "length"  # in the midst of a call
        if not calls or is_cut_off or self._round == self._max:
            return []
        named = {call["function"]["name"] for call in calls}
        given = {tool["function"]["name"] for tool in self._body["tools"]}
        if named & (given - self._functions.keys()):
            return []
        self._body["messages"].append({**message, "tool_calls": [_readable(call) for call in calls]})
        return calls

    def rounds(self, answer: dict[str, Any]) -> Iterator[ToolRun]:
        """Calls what the answer asks for, and makes the next request; nothing where it is the last one."""
        from inspect import iscoroutine

        calls = self._calls(answer)
        for call in calls:
            tool, arguments, error = self._prepared(call)
            result = None
            if tool and error is None:
                try:
                    result = tool.function(**tool.bind(arguments))
                    if iscoroutine(result):
                        result.close()
                        raise TypeError(f"{tool.name} is async; use the async methods of the engine")
                except Exception as raised:
                    error = raised
            yield self._done(call, arguments, result, error)
        self._next_round(calls)

    async def rounds_async(self, answer: dict[str, Any]) -> AsyncIterator[ToolRun]:
        """As `rounds`; async functions are awaited."""
        from inspect import isawaitable

        calls = self._calls(answer)
        for call in calls:
            tool, arguments, error = self._prepared(call)
            result = None
            if tool and error is None:
                try:
                    result = tool.function(**tool.bind(arguments))
                    if isawaitable(result):
                        result = await result
                except Exception as raised:
                    error = raised
            yield self._done(call, arguments, result, error)
        self._next_round(calls)

    def _prepared(self, call: dict[str, Any]) -> tuple[Tool | None, Any, Exception | None]:
        name, text = call["function"]["name"], call["function"]["arguments"]
        tool = self._functions.get(name)
        error: Exception | None = None
        if tool is None:
            error = LookupError(f"there is no function {name}; there is {', '.join(self._functions)}")
        try:
            return tool, json.loads(text), error
        except ValueError as mistake:
            return tool, text, error or ValueError(f"the arguments of {name} are no JSON: {mistake}")

    def _done(self, call: dict[str, Any], arguments: Any, result: Any, error: Exception | None) -> ToolRun:
        if error is not None and self._errors == "raise":
            raise error
        content = f"error: {error}" if error is not None else result
        if not isinstance(content, str):
            try:
                content = json.dumps(content, ensure_ascii=False, default=_plain)
            except (TypeError, ValueError) as mistake:
                raise TypeError(
                    f"what {call['function']['name']} returned cannot be told to the model: {mistake}"
                ) from None
        self._body["messages"].append({"role": "tool", "tool_call_id": call.get("id") or "", "content": content})
        return ToolRun(call.get("id") or "", call["function"]["name"], arguments, result, error)

    def _next_round(self, calls: list[dict[str, Any]]) -> None:
        if calls:
            self._round += 1
            if self._body.get("tool_choice") not in (None, "none"):
                self._body["tool_choice"] = "auto"  # a call that is required each time would never end
            self._end_calls()

    def _end_calls(self) -> None:
        """In the last round the model has to answer."""
        if self._round == self._max and self._body.get("tool_choice") in (None, "auto"):
            self._body["tool_choice"] = "none"
            self.reached_max_rounds = True


def _readable(call: dict[str, Any]) -> dict[str, Any]:
    """A call as it may be sent back: templates read the arguments, so what is no JSON is left out."""
    try:
        json.loads(call["function"]["arguments"])
    except ValueError:
        return {**call, "function": {**call["function"], "arguments": "{}"}}
    return call


def _plain(value: Any) -> Any:
    import dataclasses

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


# Hints to schemas, and values to what hints say


def _schema(hint: Any, where: str) -> Schema:
    import dataclasses

    if hint in PLAIN if isinstance(hint, typing.Hashable) else False:
        return dict(PLAIN[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        text = next((one for one in arguments[1:] if isinstance(one, str)), None)
        return {**_schema(arguments[0], where), **({"description": text} if text else {})}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, where) for one in arguments]}
    if origin in (list, set, frozenset) or (origin is tuple and arguments[1:] == (...,)):
        return {"type": "array", "items": _schema(arguments[0], where)}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema(arguments[1], where)}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if hasattr(hint, "model_json_schema"):  # pydantic
        schema: Schema = hint.model_json_schema()
        return schema
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint):
        fields = typing.get_type_hints(hint)
        if typing.is_typeddict(hint):
            required = [name for name in fields if name in hint.__required_keys__]
        else:
            missing = dataclasses.MISSING
            needed = [one.name for one in dataclasses.fields(hint) if one.default is one.default_factory is missing]
            required = [name for name in fields if name in needed]
        properties = {name: _schema(one, f"{where}.{name}") for name, one in fields.items()}
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    raise TypeError(
        f"{where} has the type {hint}, which has no JSON schema; use str, int, float, bool, list, dict, "
        "Literal, an enum, a dataclass, a TypedDict or a pydantic model"
    )


def _converted(value: Any, hint: Any, where: str) -> Any:
    """A JSON value as the hint says. Raises TypeError or ValueError where it does not fit."""
    import dataclasses

    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is typing.Annotated:
        return _converted(value, arguments[0], where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} must be one of {', '.join(map(repr, arguments))}, not {value!r:.60}")
        return value
    if origin in (typing.Union, types.UnionType):
        for one in arguments:
            try:
                return _converted(value, one, where)
            except (TypeError, ValueError):
                continue
        raise TypeError(f"{where} is {value!r:.60}, which is none of {hint}")
    if origin in (list, set, frozenset, tuple) and isinstance(value, list):
        return origin(_converted(one, arguments[0], f"{where}[{index}]") for index, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: _converted(one, arguments[1], f"{where}.{name}") for name, one in value.items()}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if hasattr(hint, "model_validate"):
        return hint.model_validate(value)
    if (dataclasses.is_dataclass(hint) or typing.is_typeddict(hint)) and isinstance(value, dict):
        fields = typing.get_type_hints(hint)
        unknown = value.keys() - fields.keys()
        if unknown:
            raise TypeError(f"{where} has no field {', '.join(sorted(unknown))}")
        return hint(**{name: _converted(one, fields[name], f"{where}.{name}") for name, one in value.items()})
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise TypeError(f"{where} is {value!r:.60}; it must be {getattr(hint, '__name__', hint)}")


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """What stands above the sections of a docstring, and the texts of its parameters (Google's and Sphinx' forms)."""
    import inspect

    doc = inspect.getdoc(function) or ""
    described = {name: " ".join(text.split()) for name, text in re.findall(r":param (?:\w+ )?(\w+):\s*(.+)", doc)}
    summary = re.split(
        r"\n\s*(?:Args|Arguments|Parameters|Returns|Raises|Yields):\s*\n|\n\s*:(?:param|returns?|raises)", doc
    )[0]
    section = re.search(r"(?:^|\n)\s*(?:Args|Arguments|Parameters):\s*\n((?:[ \t]+.*\n?|\n)*)", doc)
    if section:
        for name, text in re.findall(
            r"^[ \t]+(\w+)(?: ?\([^)]*\))?:[ \t]*((?:.+(?:\n(?![ \t]+\w+(?: ?\([^)]*\))?:)[ \t]+.+)*)?)",
            section[1],
            re.M,
        ):
            described[name] = " ".join(text.split())
    return " ".join(summary.split()), described
