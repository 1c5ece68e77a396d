"""A failed check on the engine's own thread ends its streams, not the process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


def test_a_failed_check_ends_every_stream_with_one_error_and_the_process_lives(tiny):
    tools = os.environ.get("MULLAMA_TEST_TOOLS")
    if not tools:
        pytest.skip("MULLAMA_TEST_TOOLS names the folder of engine-fault; run `./x pytest`")
    run = subprocess.run([Path(tools) / "engine-fault", tiny / "llama.gguf"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "a fault that the test injects" in run.stdout
    assert "Close it and open a new one." in run.stdout
