"""Grammars let through the same tokens with abi/src/elf/grammar_mask.cpp as with llama.cpp's own function: all of a vocabulary,
at every step of many answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mullama.build.library import Library

CHECKOUT = Path(__file__).resolve().parents[2]
# A byte-level vocabulary of 50,000 tokens, one of SentencePiece with bytes as tokens, one of 130,000 with other special tokens.
VOCABULARIES = ["ggml-vocab-gpt-2", "ggml-vocab-llama-spm", "ggml-vocab-llama-bpe"]
GRAMMARS = [
    r'''root ::= "{" ws "\"a\":" ws [-]? [0-9]+ ("," ws string)* "}"
ws ::= [ \t\n]{0,3}
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" ["\\bfnrt/]){0,12} "\""''',
    'root ::= "yes" | "no" | "maybe" root?',
    'root ::= [^a-z]{1,9} "!"',
    "root ::= .+",
    'root ::= [à-ü€-₿]+ | "日本" [語国]*',
    'root ::= [^é日]+ "é"',
    r'root ::= ([a-zA-Z] | [0-9] | "_"){0,12} ":" [\U0001F600-\U0001F64F]',
    'root ::= !<[5]> [a-z]* <[7]>',
]


@pytest.mark.skipif(sys.platform != "linux", reason="the masks are made here only where the linker can send calls to them")
@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_token_is_let_through_or_not_as_by_llama_cpp(name: str) -> None:
    source = os.environ.get("MULLAMA_TEST_SOURCE") or Library(CHECKOUT).source()
    command = [Path(os.environ["MULLAMA_TEST_TOOLS"]) / "grammar-mask", Path(source, "models", f"{name}.gguf")]
    grammars = "".join(f"{grammar}\0" for grammar in GRAMMARS)
    run = subprocess.run(command, input=grammars, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout
    assert int(run.stdout) > 100
