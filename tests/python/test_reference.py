"""Greedy answers of the real model against llama.cpp's own `llama-completion` of the same build, token for token."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

N_TOKENS = 200
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n    ",
]


@pytest.fixture(scope="module")
def reference():
    """Text that llama-completion puts behind a prompt."""
    from mullama.models import resolve

    program = Path(os.environ["MULLAMA_TEST_TOOLS"]) / "llama-completion"

    def complete(prompt: str) -> str:
        arguments = ["-n", str(N_TOKENS), "-c", "512", "-t", "2", "--temp", "0", "-no-cnv", "--ignore-eos", "--seed", "1"]
        command = [program, "-m", resolve("smollm2:135m"), "-p", prompt, *arguments, "--no-display-prompt", "--simple-io"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        text = done.stdout.decode()
        assert text.endswith("\n\n")  # the program's own, behind the text
        return text[:-2]

    return complete


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_tokens_equal_those_of_llama_completion(smollm, reference, prompt):
    with smollm.create_context(n_ctx=512, n_threads=2) as context:
        text = context.generate(prompt, max_tokens=N_TOKENS, temperature=0.0, ignore_eos=True)
    assert text.result.n_generated == N_TOKENS
    expected = reference(prompt)
    assert smollm.tokenize(text, add_special=False) == smollm.tokenize(expected, add_special=False)
    assert text == expected
