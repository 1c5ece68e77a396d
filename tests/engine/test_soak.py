"""A short soak: what `benchmarks/soak.py` does with 20,000 requests, with as many as show a leak of 2 KB in each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the system's allocator decides what stays resident; the bound was found with that of glibc")
def test_memory_stays_flat_over_many_short_requests(tmp_path):
    run = subprocess.run([sys.executable, SOAK, "--requests", "2000", "--svg", tmp_path / "curve.svg"], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 failed" in run.stdout
    assert (tmp_path / "curve.svg").read_text().count("polyline") == 1
