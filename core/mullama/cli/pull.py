"""`mullama pull`: fetches a model, so that it is there when it is needed."""

from __future__ import annotations

import typer

from ..models import DEFAULT_MODEL, alias_named
from ..models import pull as pull_model
from . import show


def pull(name: str = typer.Argument(DEFAULT_MODEL, help="The model's short name.")) -> None:
    """Fetch a model and print where it is kept."""
    alias = alias_named(name)
    with show.Bar(alias.file, is_bytes=True) as bar:
        typer.echo(pull_model(alias, show.note, bar))
