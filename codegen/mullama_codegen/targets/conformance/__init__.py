"""The conformance target: for each language a table that says how a case calls each function of the ABI.

A case names functions, parameters and results as the description does; only these tables know what a language calls
them. A language joins with a module here that has `files(calls) -> {path: content}` and one template.
"""

from __future__ import annotations

from ...api import Api
from ..python import supports as supports
from . import c, cpp, go, node, php, python
from .calls import Calls

NAME = "conformance"
FOLDER = "tests/conformance"
LANGUAGES = (c, cpp, go, node, php, python)


def files(api: Api) -> dict[str, str]:
    """The tables of the library's own API; the fixture's has its own tests."""
    if api.folder != "abi":
        return {}
    calls = Calls(api)
    outputs: dict[str, str] = {}
    for language in LANGUAGES:
        outputs |= {f"{FOLDER}/{path}": content for path, content in language.files(calls).items()}
    return outputs
