"""The command `mullama`. Nothing heavy is imported before a command needs it, so that --help answers at once."""

from __future__ import annotations

import io
import os
import sys

import typer

from ..problem import Problem
from .info import info
from .pull import pull
from .run import run

app = typer.Typer(
    help="Runs language models on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(pull)
app.command()(info)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"mullama {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit."),
) -> None:
    pass


def main() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an answer goes on past a character that the terminal does not know
    try:
        app()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # there the reader has seen enough
            where = f"{error.filename}: " if error.filename else ""
            print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        # Without this, Python complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if not _is_expected(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _is_expected(error: Exception) -> bool:
    """Whether the error's own text is all that a user needs. The binding may not be loaded, and is not for this."""
    binding = sys.modules.get("mullama.binding")
    return isinstance(error, Problem) or (binding is not None and isinstance(error, binding.Error))
