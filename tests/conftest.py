"""What all tests share: the modules of tests/tools, and the tiny models, written once a session."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# The tests' matrices are small: more threads than one would wait for each other longer than they compute.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent / "tools"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that `tiny_models.py` lists."""
    import tiny_models

    folder = tmp_path_factory.mktemp("tiny")
    tiny_models.write_all(folder)
    return folder
