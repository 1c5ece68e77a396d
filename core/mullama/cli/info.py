"""`mullama info`: what a model file says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .loading import load

if TYPE_CHECKING:
    from rich.table import Table

LONGEST_VALUE = 200


def info(model: str = typer.Argument(..., help="A short name, or the path of a GGUF file.")) -> None:
    """Show a model's facts and metadata."""
    from rich.console import Console

    # On the processor and laid out as in the file: only numbers are read, nothing is computed.
    with load(model, n_gpu_layers=0, repack=False) as loaded:
        facts = loaded.info
        table = _table("model")
        for label, value in [
            ("description", facts.description),
            ("architecture", facts.architecture),
            ("format", facts.file_type),
            ("size", f"{facts.size / 1e6:,.1f} MB"),
            ("parameters", f"{facts.n_params:,}"),
            ("layers", f"{facts.n_layer:,}"),
            ("embedding width", f"{facts.n_embd:,}"),
            ("attention heads", f"{facts.n_head} ({facts.n_head_kv} for keys and values)"),
            ("training context", f"{facts.n_ctx_train:,} tokens"),
            ("vocabulary", f"{facts.n_vocab:,} tokens"),
            ("chat template", "yes" if loaded.chat_template() else "no"),
        ]:
            table.add_row(label, value)
        metadata = _table("metadata")
        for key, text in sorted(loaded.metadata().items()):
            metadata.add_row(key, text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…")
    console = Console()
    console.print(table, metadata, sep="\n")


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    return table
