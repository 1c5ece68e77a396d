"""The command `mullama`, run as a user runs it, on a tiny model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MULLAMA = Path(sys.executable).with_name("mullama")
# The shortest way to a repeatable answer.
GREEDY = ("--temperature", "0", "--max-tokens", "8", "--ctx", "256")


def mullama(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([MULLAMA, *arguments], input=stdin, capture_output=True, text=True, timeout=60)


def test_help_does_not_load_the_library() -> None:
    code = "import sys, mullama.cli; print({'mullama.binding', 'rich.progress'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
    assert "pull" in mullama("--help").stdout


def test_what_only_fetching_needs_is_not_loaded_for_a_model_that_is_there(tiny: Path) -> None:
    code = (
        "import sys, mullama.cli; from mullama.models import resolve; resolve(sys.argv[1]); "
        "print({'http.client', 'zipfile', 'mullama.models.fetch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(tiny / "llama.gguf")]
    assert subprocess.check_output(command, text=True) == "set()\n"


def test_the_version_is_one_line() -> None:
    import mullama as package

    assert mullama("--version").stdout == f"mullama {package.__version__}\n"


def test_an_answer_goes_to_stdout_and_all_else_to_stderr(tiny: Path) -> None:
    done = mullama("run", tiny / "llama.gguf", "the people", "--verbose", *GREEDY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "tokens per second" in done.stderr
    assert "·" not in done.stdout


def test_piped_text_is_put_behind_the_prompt(tiny: Path) -> None:
    whole = mullama("run", tiny / "llama.gguf", "the people\n\nmade water", "--raw", *GREEDY)
    piped = mullama("run", tiny / "llama.gguf", "the people", "--raw", *GREEDY, stdin="made water\n")
    alone = mullama("run", tiny / "llama.gguf", "--raw", *GREEDY, stdin="the people\n\nmade water\n")
    assert whole.stdout == piped.stdout == alone.stdout
    assert whole.stdout != mullama("run", tiny / "llama.gguf", "the people", "--raw", *GREEDY).stdout


def test_a_seed_repeats_an_answer(tiny: Path) -> None:
    def answer(seed: int) -> str:
        return mullama(
            "run", tiny / "llama.gguf", "the", "--temperature", "5", "--seed", str(seed), "--max-tokens", "16"
        ).stdout

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)


def test_an_answer_that_was_cut_says_so(tiny: Path) -> None:
    assert "--max-tokens" in mullama("run", tiny / "llama.gguf", "the", *GREEDY).stderr


def test_what_the_context_has_otherwise_than_asked_for_is_told(tiny: Path) -> None:
    stderr = mullama("run", tiny / "llama.gguf", "the", "--max-tokens", "4", "--ctx", "1000").stderr
    assert "· n_ctx is 1024, not 1000 as asked for\n" in stderr
    assert "n_ctx_train (512)" in stderr


def test_what_a_user_can_put_right_is_one_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model")
    for arguments, word in [
        (("run", "smolm2:135m", "hi"), "smollm2:135m"),
        (("run", tmp_path / "absent.gguf", "hi"), "absent.gguf"),
        (("run", tmp_path / "text.gguf", "hi"), "text.gguf"),
        (("run", tiny / "llama.gguf", "hi", "--top-p", "7"), "top_p"),
        (("run", tiny / "no-vocabulary.gguf", "hi"), "vocabulary"),
        (("pull", "nothing"), "known are"),
        (("info", tmp_path), str(tmp_path)),
    ]:
        done = mullama(*arguments)
        assert done.returncode == 1, arguments
        lines = [line for line in done.stderr.splitlines() if not line.startswith("· ")]
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("error: "), arguments
        assert word in lines[0], arguments


def test_piped_text_that_is_not_utf8_is_one_line(tiny: Path) -> None:
    done = subprocess.run([MULLAMA, "run", tiny / "llama.gguf"], input=b"caf\xe9", capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == b"error: the text piped in is not UTF-8 (at byte 3): convert it first, as with iconv\n"


def test_a_name_too_long_for_a_file_is_one_line() -> None:
    done = mullama("run", "x" * 5000, "hi")
    assert done.returncode == 1
    assert done.stderr.startswith("error: xxx") and done.stderr.endswith("File name too long\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_an_answer_that_cannot_be_written_is_one_line(tiny: Path) -> None:
    with Path("/dev/full").open("w") as full:
        arguments = [MULLAMA, "run", tiny / "llama.gguf", "the", *GREEDY]
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if not line.startswith("· ")] == ["error: No space left on device"]


def test_a_character_that_the_output_cannot_show_ends_nothing(tiny: Path) -> None:
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    arguments = [MULLAMA, "run", tiny / "llama.gguf", "the é", "--raw", "--max-tokens", "60", "--temperature", "0"]
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert b"?" in done.stdout


def test_wrong_usage_exits_with_two() -> None:
    assert mullama("run", "--no-such-option").returncode == 2


def test_info_shows_facts_and_metadata(tiny: Path) -> None:
    shown = mullama("info", tiny / "llama.gguf").stdout
    assert "general.architecture" in shown
    assert "512 tokens" in shown


def test_ctrl_c_ends_an_answer_without_a_traceback(tiny: Path) -> None:
    arguments = [MULLAMA, "run", tiny / "llama.gguf", "the", "--max-tokens", "-1", "--ctx", "0", "--temperature", "5"]
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.read(1)
        run.send_signal(signal.SIGINT)
        run.wait(10)
        assert "Traceback" not in run.stderr.read()
        assert run.returncode in (0, 130)  # a tiny model may be done before the signal comes


def test_a_reader_that_leaves_early_is_no_crash(tiny: Path) -> None:
    arguments = [MULLAMA, "run", tiny / "llama.gguf", "the", "--max-tokens", "200", "--ctx", "512"]
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert "Traceback" not in run.stderr.read()
        run.wait(30)


def test_a_talk_on_a_terminal_ends_with_ctrl_d(tiny: Path) -> None:
    import pty

    terminal, end = pty.openpty()
    arguments = [MULLAMA, "run", tiny / "llama.gguf", *GREEDY]
    with subprocess.Popen(arguments, stdin=end, stdout=end, stderr=end) as run:
        os.close(end)
        seen = _until(terminal, b">>> ")
        os.write(terminal, b"the people\n")
        seen += _until(terminal, b">>> ")
        os.write(terminal, b"\x04")
        assert run.wait(30) == 0
    os.close(terminal)
    assert b"Ctrl-D leaves" in seen
    assert b"Traceback" not in seen


def _until(terminal: int, wanted: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 30
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 1024)
    return seen
