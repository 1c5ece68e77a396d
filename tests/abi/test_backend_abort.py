"""A check that fails inside llama.cpp, on the library's own objects: INTERNAL, and only the handle in use is lost."""

from __future__ import annotations

import os
from pathlib import Path

from commands import run


def test_a_failed_check_inside_llama_cpp_is_an_error_of_the_handle_in_use_alone(tiny):
    run(Path(os.environ["MULLAMA_TEST_TOOLS"]) / "backend-abort-test", tiny / "llama.gguf", timeout=300)
