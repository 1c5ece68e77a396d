"""Gets a model by name or path, fetching and loading it with progress on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..models import resolve
from . import show

if TYPE_CHECKING:
    from .. import Model


def load(name_or_path: str, **options: Any) -> Model:
    import mullama

    with show.Bar("download", is_bytes=True) as bar:
        path = resolve(name_or_path, show.note, bar)
    with show.Bar("load") as bar:
        model = mullama.Model(str(path), progress=lambda fraction: bar(fraction, 1.0), **options)
    for warning in model.warnings():
        show.note(warning)
    return model
