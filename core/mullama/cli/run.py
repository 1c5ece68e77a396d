"""`mullama run`: answers one prompt, or talks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from ..models import DEFAULT_MODEL
from ..problem import Problem
from . import show
from .loading import load

if TYPE_CHECKING:
    from .. import Context, GenerationResult

Message = dict[str, str]

# The exit code of a command that Ctrl-C ended: 128 and the signal's number.
INTERRUPTED = 130

# What to say when an answer is not whole.
UNFINISHED = {
    "LENGTH": "cut at the limit of new tokens; --max-tokens sets it",
    "CONTEXT_FULL": "cut because the context is full; --ctx sets its size",
    "CANCELLED": "stopped",
}


def run(
    model: str = typer.Argument(DEFAULT_MODEL, help="A short name, or the path of a GGUF file."),
    prompt: str | None = typer.Argument(None, help="What to say. Text piped in is put behind it. Without either: a chat."),
    system: str | None = typer.Option(None, help="What the model is told before the prompt."),
    raw: bool = typer.Option(False, "--raw", help="Go on from the prompt as it is, without the chat template."),
    max_tokens: int | None = typer.Option(None, help="Upper bound on new tokens; -1: until the end."),
    stop: list[str] = typer.Option([], help="A text that ends the answer; may be given several times."),
    temperature: float | None = typer.Option(None, help="Divides the logits; 0: always the most likely token."),
    top_k: int | None = typer.Option(None, help="Keep the k most likely tokens."),
    top_p: float | None = typer.Option(None, help="Keep the most likely tokens that together reach this probability."),
    min_p: float | None = typer.Option(None, help="Drop tokens less likely than this part of the most likely one."),
    repeat_penalty: float | None = typer.Option(None, help="Makes tokens that occurred less likely; 1: off."),
    seed: int | None = typer.Option(None, help="Makes the choice of tokens repeatable."),
    ctx: int | None = typer.Option(None, help="Tokens the context holds; 0: as many as the model was trained with."),
    threads: int | None = typer.Option(None, help="Threads to compute with."),
    gpu_layers: int | None = typer.Option(None, help="Layers to keep in GPU memory; -1: all."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show counts and speed at the end."),
) -> None:
    """Answer a prompt with a model, or start a chat."""
    prompt = _with_piped_text(prompt)
    if prompt is None and raw:
        raise Problem("--raw needs a prompt")
    options = _given(
        max_tokens=max_tokens,
        stop=stop or None,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repeat_penalty=repeat_penalty,
        seed=seed,
    )
    with load(model, **_given(n_gpu_layers=gpu_layers)) as loaded:
        if not raw and loaded.chat_template() is None:
            show.note("the model has no chat template: going on from the prompt as it is")
            raw = True
        with loaded.create_context(**_given(n_ctx=ctx, n_threads=threads)) as context:
            for warning in context.warnings():
                show.note(warning)
            messages: list[Message] = [{"role": "system", "content": system}] if system else []
            if prompt is None:
                _chat(context, messages, options, verbose)
                return
            messages.append({"role": "user", "content": prompt})
            request = {"prompt": prompt} if raw else {"messages": messages}
            _, result = _answer(context, request, options, verbose)
            if result.finish_reason.name == "CANCELLED":
                raise typer.Exit(INTERRUPTED)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the library's own defaults stand for the others."""
    return {name: value for name, value in options.items() if value is not None}


def _with_piped_text(prompt: str | None) -> str | None:
    if sys.stdin is None or sys.stdin.isatty():
        return prompt
    try:
        piped = sys.stdin.buffer.read().decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Problem(f"the text piped in is not UTF-8 (at byte {error.start}): convert it first, as with iconv") from error
    return "\n\n".join(part for part in (prompt, piped) if part) or None


def _chat(context: Context, messages: list[Message], options: dict[str, Any], verbose: bool) -> None:
    """Reads and answers until the input ends. What came of an answer that was stopped stays in the talk."""
    show.note("Ctrl-C stops an answer, Ctrl-D leaves")
    while True:
        try:
            text = input(">>> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if text.strip():
            messages.append({"role": "user", "content": text})
            answer, _ = _answer(context, {"messages": messages}, options, verbose)
            messages.append({"role": "assistant", "content": answer})


def _answer(
    context: Context, request: dict[str, Any], options: dict[str, Any], verbose: bool
) -> tuple[str, GenerationResult]:
    """Prints an answer as it comes. Ctrl-C ends it, and is seen in the result."""
    pieces: list[str] = []
    with context.stream(**request, **options) as stream:
        try:
            for piece in stream:
                pieces.append(piece)
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            stream.cancel()
        finally:
            print(flush=True)
    _report(stream.result, verbose)
    return "".join(pieces), stream.result


def _report(result: GenerationResult, verbose: bool) -> None:
    if result.n_dropped:
        show.note(f"{result.n_dropped} tokens of the prompt did not fit and were left out")
    if reason := UNFINISHED.get(result.finish_reason.name):
        show.note(reason)
    if verbose:
        prefilled = result.n_prompt - result.n_reused
        show.note(f"prefill {_speed(prefilled, result.prefill_ms)}, {result.n_reused} tokens reused")
        show.note(f"decode {_speed(result.n_generated, result.decode_ms)}")


def _speed(tokens: int, milliseconds: float) -> str:
    rate = f", {1000 * tokens / milliseconds:.1f} tokens per second" if milliseconds > 0 else ""
    return f"{tokens} tokens in {milliseconds / 1000:.2f} s{rate}"
