"""What the ABI tests share: the two APIs, and the fixture's build."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "codegen")]

from commands import ROOT, need, run  # noqa: E402
from mullama_codegen.api import Api  # noqa: E402
from mullama_codegen.build import load_api  # noqa: E402


@pytest.fixture(scope="session", params=["abi", "abi/fixture"])
def api(request: pytest.FixtureRequest) -> Api:
    return load_api(ROOT / request.param / "spec")


@pytest.fixture(scope="session")
def build_fixture(tmp_path_factory: pytest.TempPathFactory):
    """Builds libfixture and its C test program with a sanitizer ("" for none); gives the build folder."""
    built: dict[str, Path] = {}

    def build(sanitizer: str = "") -> Path:
        if sanitizer not in built:
            folder = tmp_path_factory.mktemp("fixture")
            cmake = need("cmake")
            run(
                cmake,
                "-S",
                ROOT / "abi/fixture",
                "-B",
                folder,
                f"-DFIXTURE_SANITIZE={sanitizer}",
                "-DCMAKE_BUILD_TYPE=Debug",
            )
            run(cmake, "--build", folder, "--parallel", str(os.cpu_count() or 1))
            built[sanitizer] = folder
        return built[sanitizer]

    return build
