"""Products of matrices in Q4_1 have the bits of ggml's own, whatever the number of columns (abi/src/ggml/gemm_q4_1.cpp)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def test_every_value_of_a_product_is_the_dot_product_of_its_row_and_column() -> None:
    run = subprocess.run([Path(os.environ["MULLAMA_TEST_TOOLS"]) / "gemm-test"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout
    assert int(run.stdout) > 10_000
