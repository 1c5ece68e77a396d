"""Chat templates rendered by Jinja2 itself, in the environment for which their authors wrote them: that of transformers."""

from __future__ import annotations

import copy
import datetime
import json
from typing import Any

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment


class _Generation(Extension):
    """{% generation %}: a mark for training, without effect on the text."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        next(parser.stream)
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True))


class Refused(Exception):
    """The template itself refused the messages."""


def _raise(message: str) -> None:
    raise Refused(message)


def _tojson(value: Any, indent: int | None = None, separators: Any = None, sort_keys: bool = False, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


_ENVIRONMENT = _environment()


def render(template: str, body: dict[str, Any]) -> str:
    """The prompt for a body of the chat API, with the arguments of calls as the objects that transformers makes of them."""
    variables = copy.deepcopy(body)
    for message in variables["messages"]:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    variables |= variables.pop("chat_template_kwargs", {})
    variables["date_string"] = datetime.datetime.now().strftime("%d %b %Y")
    return _ENVIRONMENT.from_string(template).render(
        **variables, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )
