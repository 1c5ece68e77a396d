"""Paths and files that cannot be used: each has its own code, names the path, and says what to do."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mullama
import pytest
import rewrite
from gguf import GGUFValueType
from mullama import ErrorCode

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[mullama.Model]:
    with mullama.Model(tiny / "llama.gguf") as model:
        yield model


@pytest.fixture
def context(model: mullama.Model) -> Iterator[mullama.Context]:
    with model.create_context(n_ctx=256, n_threads=1) as context:
        context.decode([1, 2, 3])
        yield context


LONGEST_SHOWN = 1000  # bytes of a path in a message


def assert_refused(path: object, code: ErrorCode, reason: str) -> None:
    gc.collect()
    before = mullama.live_objects()
    with pytest.raises(mullama.FileError, match=reason) as raised:
        mullama.Model(path)
    assert raised.value.code is code
    assert str(path)[:LONGEST_SHOWN] in raised.value.message
    del raised
    assert mullama.live_objects() == before


# Paths ----------------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent.gguf", ErrorCode.FILE_NOT_FOUND, "there is no file .*; check the path")


def test_a_file_is_no_folder_to_look_in(tiny: Path) -> None:
    assert_refused(tiny / "llama.gguf" / "x", ErrorCode.FILE_NOT_FOUND, "there is no file")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    assert_refused(tmp_path, ErrorCode.FILE_UNREADABLE, "is a folder; name the .*file in it")


def test_a_name_that_is_too_long_cannot_be_read(tmp_path: Path) -> None:
    assert_refused(tmp_path / ("x" * 5000), ErrorCode.FILE_UNREADABLE, "File name too long")


def test_a_link_to_itself_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert_refused(loop, ErrorCode.FILE_UNREADABLE, "symbolic links")


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no device files here")
@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_no_model(device: str, context: mullama.Context) -> None:
    assert_refused(device, ErrorCode.FILE_UNREADABLE, "is not a regular file")
    with pytest.raises(mullama.FileError, match="is not a regular file"):
        context.load_state_file(device)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_at_once_and_not_waited_for(tmp_path: Path, context: mullama.Context) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert_refused(fifo, ErrorCode.FILE_UNREADABLE, "is not a regular file")
    with pytest.raises(mullama.FileError, match="is not a regular file"):
        context.load_state_file(fifo)


@pytest.mark.skipif(IS_ROOT, reason="root may read every file")
def test_a_file_without_permission_cannot_be_read(tmp_path: Path) -> None:
    locked = tmp_path / "locked.gguf"
    locked.write_bytes(b"GGUF")
    locked.chmod(0)
    assert_refused(locked, ErrorCode.FILE_UNREADABLE, "Permission denied")


def test_an_empty_path_is_an_argument_error() -> None:
    with pytest.raises(mullama.ArgumentError, match="the path is empty"):
        mullama.Model("")


def test_a_path_holds_no_nul(context: mullama.Context, tiny: Path) -> None:
    path = f"{tiny / 'llama.gguf'}\0.gguf"
    for call in (mullama.Model, context.save_state_file, context.load_state_file):
        with pytest.raises(mullama.ArgumentError, match="the path holds a NUL character at byte") as raised:
            call(path)
        assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mullama.ArgumentError, match="path is not valid Unicode") as raised:
        mullama.Model(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf"))
    assert raised.value.code is ErrorCode.INVALID_UTF8


# Contents -------------------------------------------------------------------------------------------------------------


def test_an_empty_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.touch()
    assert_refused(path, ErrorCode.MODEL_INVALID, "is empty; fetch it again")


@pytest.mark.parametrize(
    ("content", "shown"),
    [(b"<!DOCTYPE html>", "3c 21 44 4f"), (b"ggml1234", "67 67 6d 6c"), (b"PK\3\4\0\0\0\0", "50 4b 03 04")],
)
def test_another_kind_of_file_is_told_by_its_first_bytes(content: bytes, shown: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert_refused(
        path, ErrorCode.MODEL_INVALID, f"is not a GGUF file: it begins with the bytes {shown}, not 47 47 55 46"
    )


@pytest.mark.parametrize("version", [4, 99, 2**32 - 1, 2**16 + 3])
def test_a_future_version_is_unsupported(version: int, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "future.gguf"
    data = (tiny / "minimal.gguf").read_bytes()
    path.write_bytes(data[:4] + version.to_bytes(4, "little") + data[8:])
    assert_refused(path, ErrorCode.MODEL_UNSUPPORTED, f"has GGUF version {version}; this build reads versions 2 to 3")


@pytest.mark.parametrize("version", [0, 1])
def test_a_version_from_before_2_is_refused(version: int, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.gguf"
    data = (tiny / "minimal.gguf").read_bytes()
    path.write_bytes(data[:4] + version.to_bytes(4, "little") + data[8:])
    assert_refused(path, ErrorCode.MODEL_UNSUPPORTED, f"has GGUF version {version}; this build reads versions 2 to 3")


def test_a_file_of_the_other_byte_order_is_unsupported(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "big-endian.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "big") + bytes(40))
    assert_refused(path, ErrorCode.MODEL_UNSUPPORTED, "byte order")


def test_an_unknown_architecture_is_unsupported_by_name(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "alien.gguf"
    path.write_bytes((tiny / "minimal.gguf").read_bytes().replace(b"\5\0\0\0\0\0\0\0llama", b"\5\0\0\0\0\0\0\0alien"))
    assert_refused(path, ErrorCode.MODEL_UNSUPPORTED, "unknown model architecture: 'alien'")


def test_an_unknown_tokenizer_is_named(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    rewrite.write(tiny / "minimal.gguf", path, values={"tokenizer.ggml.model": (GGUFValueType.STRING, "alien")})
    with pytest.raises(mullama.FileError, match="unknown tokenizer: 'alien'"):
        mullama.Model(path)


def test_an_adapter_is_no_model(tiny: Path) -> None:
    with pytest.raises(mullama.FileError) as raised:
        mullama.Model(tiny / "lora.gguf")
    assert raised.value.code in (ErrorCode.MODEL_INVALID, ErrorCode.MODEL_UNSUPPORTED)


def test_a_model_without_vocabulary_decodes_but_knows_no_text(tiny: Path) -> None:
    with mullama.Model(tiny / "no-vocabulary.gguf") as model:
        assert model.n_vocab == 0
        calls = [
            lambda: model.tokenize("x"),
            lambda: model.detokenize([1]),
            lambda: model.token_piece(1),
            lambda: model.token_text(1),
            lambda: model.special_tokens,
            lambda: model.end_tokens(),
            lambda: model.apply_chat_template([{"role": "user", "content": "x"}], chat_template="x"),
            lambda: model.create_sampler(),
            lambda: model.create_sampler_chain(),
        ]
        for call in calls:
            with pytest.raises(mullama.VocabularyError, match="has no vocabulary; pass token ids") as raised:
                call()
            assert raised.value.code is ErrorCode.NO_VOCABULARY
        with model.create_context(n_ctx=64, n_threads=1) as context:
            context.decode([1, 2, 3], outputs="all")
            assert context.all_logits().shape == (3, 64)
            with pytest.raises(mullama.VocabularyError) as raised:
                context.generate(tokens=[1, 2])
            assert raised.value.code is ErrorCode.NO_VOCABULARY
            with pytest.raises(mullama.VocabularyError, match="ids 0 to 63"):
                context.decode([64])


# Writing --------------------------------------------------------------------------------------------------------------


def assert_unwritable(context: mullama.Context, path: Path, reason: str) -> None:
    with pytest.raises(mullama.FileError, match=f"cannot be written: .*{reason}") as raised:
        context.save_state_file(path)
    assert raised.value.code is ErrorCode.FILE_UNWRITABLE
    assert str(path)[:LONGEST_SHOWN] in raised.value.message
    context.decode([5])


def test_a_state_is_not_written_into_a_folder_that_is_missing(context: mullama.Context, tmp_path: Path) -> None:
    assert_unwritable(context, tmp_path / "absent" / "state", "No such file or directory")


def test_a_state_is_not_written_over_a_folder(context: mullama.Context, tmp_path: Path) -> None:
    assert_unwritable(context, tmp_path, "it is a folder")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_device_that_is_full_is_an_error_and_stays(context: mullama.Context) -> None:
    assert_unwritable(context, Path("/dev/full"), "No space left on device")
    assert Path("/dev/full").is_char_device()


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if not (IS_ROOT and sys.platform == "linux"):
        pytest.skip("mounting a small disk needs root on Linux")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_an_error_that_keeps_the_old_state(model: mullama.Model, small_disk: Path) -> None:
    path = small_disk / "state"
    with model.create_context(n_ctx=256, n_threads=1) as context:
        context.decode([1, 2, 3])
        context.save_state_file(path)
        old = path.read_bytes()
        context.decode([9] * 240)
        assert context.state_size() > 64 << 10
        assert_unwritable(context, path, "No space left on device")
        assert path.read_bytes() == old
        assert [entry.name for entry in small_disk.iterdir()] == ["state"], "no half file is left"
        assert context.load_state_file(path) == [1, 2, 3]


def test_a_read_only_folder_is_an_error(
    context: mullama.Context, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if IS_ROOT:
        disk = request.getfixturevalue("small_disk")
        mount("-o", "remount,ro", disk)
        assert_unwritable(context, disk / "state", "Read-only file system")
    else:
        tmp_path.chmod(0o500)
        assert_unwritable(context, tmp_path / "state", "Permission denied")
        tmp_path.chmod(0o700)


def test_a_state_replaces_an_old_file_and_follows_a_link(context: mullama.Context, tmp_path: Path) -> None:
    target, link = tmp_path / "state", tmp_path / "link"
    target.write_bytes(b"old")
    context.save_state_file(target)
    assert target.read_bytes() == context.save_state()
    link.symlink_to(target)
    context.decode([7])
    context.save_state_file(link)
    assert link.is_symlink() and target.read_bytes() == context.save_state()


def test_a_missing_state_file_is_not_found(context: mullama.Context, tmp_path: Path) -> None:
    with pytest.raises(mullama.FileError, match="there is no file") as raised:
        context.load_state_file(tmp_path / "absent")
    assert raised.value.code is ErrorCode.FILE_NOT_FOUND
    with pytest.raises(mullama.FileError, match="is a folder") as raised:
        context.load_state_file(tmp_path)
    assert raised.value.code is ErrorCode.FILE_UNREADABLE


def test_a_model_file_is_no_state(context: mullama.Context, tiny: Path) -> None:
    with pytest.raises(mullama.FileError, match="it was not made by save_state") as raised:
        context.load_state_file(tiny / "llama.gguf")
    assert raised.value.code is ErrorCode.STATE_INVALID
    assert context.memory_max() == 2
