"""The Python and C examples of the README and of the Python binding's README run as printed, and so do the programs of examples/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from printed import answer_in

ROOT = Path(__file__).resolve().parents[2]


def blocks(language: str, readme: str = "README.md") -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / readme).read_text(), re.MULTILINE | re.DOTALL)


PYTHON = blocks("python", "bindings/python/README.md")


def run(*command: str | Path, cwd: Path, given: str = "") -> str:
    done = subprocess.run(command, cwd=cwd, input=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file that the examples load."""
    from mullama.models import resolve

    (tmp_path / "model.gguf").symlink_to(resolve("smollm2:135m"))
    return tmp_path


@pytest.fixture
def compile_c(folder: Path):
    """Compiles as the README says, with pkg-config."""

    def compile_(source: str) -> Path:
        prefix = Path(os.environ["MULLAMA_TEST_PREFIX"])
        (folder / "example.c").write_text(source)
        environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
        flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "mullama"], env=environment, text=True)
        strict = ("-Wall", "-Wextra", "-Werror", f"-Wl,-rpath,{prefix / 'lib'}")
        run("cc", *strict, "example.c", "-o", "example", *flags.split(), cwd=folder)
        return folder / "example"

    return compile_


def test_a_model_answers_after_it_has_called_functions_and_keeps_to_the_schema(folder: Path) -> None:
    for key, examples in (("degrees", blocks("python")), ("city", PYTHON)):
        (example,) = (one for one in examples if "tools=[" in one)
        said = run(sys.executable, "-c", example, cwd=folder)
        assert isinstance(answer_in(said, key)["degrees"], int)


@pytest.mark.parametrize("example", blocks("python"), ids=["a context", "an engine", "tools"])
def test_the_readmes_python_examples_run_as_printed(example: str, folder: Path) -> None:
    assert len(run(sys.executable, "-c", example, cwd=folder)) > 30


@pytest.mark.parametrize("example", PYTHON, ids=[f"example {number}" for number in range(1, len(PYTHON) + 1)])
def test_every_example_of_the_python_readme_runs_as_printed(example: str, folder: Path) -> None:
    assert len(run(sys.executable, "-c", example, cwd=folder)) > 10


@pytest.mark.parametrize(
    ("language", "binding"), [("javascript", "node"), ("go", "go"), ("php", "php"), ("cpp", "cpp")]
)
def test_the_readmes_examples_in_other_languages_are_those_that_the_bindings_run(language: str, binding: str) -> None:
    """Each stands in its binding's README as well, whose blocks test_node.py, test_go.py, ... run where it is installed."""
    (example,) = blocks(language)
    assert example in blocks(language, f"bindings/{binding}/README.md")


def test_the_readmes_c_example_runs_as_printed(folder: Path, compile_c) -> None:
    (example,) = blocks("c")
    answer = run(compile_c(example), cwd=folder)
    assert len(answer) > 20 and "<|im_end|>" not in answer


def test_the_c_example_answers_and_says_what_is_wrong(folder: Path, compile_c) -> None:
    program = compile_c((ROOT / "examples" / "chat.c").read_text())
    assert len(run(program, "model.gguf", cwd=folder)) > 20
    done = subprocess.run([program, "missing.gguf"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1 and "missing.gguf" in done.stderr and done.stdout == ""


def test_the_python_example_answers_until_nothing_is_asked(folder: Path) -> None:
    chat = run(sys.executable, ROOT / "examples" / "chat.py", cwd=folder, given="Say hello.\nAnd goodbye.\n\n")
    assert re.fullmatch(r"> \S.*\n> \S.*\n> ", chat, re.DOTALL)
