"""The targets: each is a package here with `NAME`, `supports` (feature words) and `files(api) -> {path: content}`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol

from .. import features
from ..api import Api
from ..messages import Messages


class Target(Protocol):
    NAME: str
    supports: frozenset[str]

    def files(self, api: Api) -> dict[str, str]:
        """Every output for one API: path relative to the repository → content."""


def names() -> list[str]:
    """All targets, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def outputs(api: Api, target_names: list[str]) -> dict[str, str]:
    """The outputs of some targets for one API. Raises SpecError where a target lacks a feature that the API uses."""
    messages, files = Messages(), {}
    targets: list[Target] = [importlib.import_module(f"{__name__}.{name}") for name in target_names]
    for target in targets:
        for word, place in features.used(api).items():
            if word not in target.supports:
                messages.add(place, "", f'the target {target.NAME} does not support "{word}"')
    messages.raise_if_any()
    for target in targets:
        files.update(target.files(api))
    return files
