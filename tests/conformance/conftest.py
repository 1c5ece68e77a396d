"""What the conformance tests share: the cases, the files they load, and where results go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "python")]

import expand  # noqa: E402
import files  # noqa: E402

Report = Callable[[dict[str, str]], None]


@pytest.fixture(scope="session")
def case_files(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """The folder of the files that files.py lists."""
    folder = tmp_path_factory.mktemp("conformance") / "files"
    files.write_all(folder, tiny)
    return folder


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory, tiny: Path, case_files: Path) -> Callable[[str], expand.Places]:
    """The places of one language's run."""
    return lambda language: expand.Places(tiny, case_files, tmp_path_factory.mktemp(f"scratch-{language}"))


@pytest.fixture(scope="session")
def report() -> Report:
    """Adds a line to LANGUAGE.jsonl in the folder MULLAMA_CONFORMANCE_RESULTS, if that is set; each run starts anew."""
    folder = os.environ.get("MULLAMA_CONFORMANCE_RESULTS")
    begun: set[str] = set()

    def add(line: dict[str, str]) -> None:
        if not folder:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        language = line["language"]
        with (Path(folder) / f"{language}.jsonl").open("a" if language in begun else "w", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        begun.add(language)

    return add
