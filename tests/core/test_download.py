"""Downloads: resumed, checked, and refused in one sentence."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mullama.models.download import download
from mullama.problem import Problem, Unavailable


def fetch(hub: Any, target: Path, **changes: Any) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    options = {"size": len(hub.content), "sha256": hub.sha256, **changes}
    download(f"{hub.url}/file", target, progress=lambda done, total: seen.append((done, total)), **options)
    return seen


def test_a_file_arrives_whole_and_progress_ends_at_its_size(hub: Any, tmp_path: Path) -> None:
    seen = fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == hub.content
    assert seen[-1] == (len(hub.content), len(hub.content))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_cut_download_goes_on_where_it_stopped(hub: Any, tmp_path: Path) -> None:
    hub.cuts_after = 300_000
    with pytest.raises(Unavailable):
        fetch(hub, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    there = (tmp_path / "file.part").stat().st_size
    assert 0 < there <= 300_000
    hub.cuts_after = None
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == hub.content
    assert hub.ranges == [None, f"bytes={there}-"]


def test_a_server_without_ranges_sends_the_whole_file_again(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(hub.content[:1000])
    hub.knows_ranges = False
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == hub.content


def test_a_part_of_another_file_is_thrown_away(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == hub.content
    assert hub.ranges == ["bytes=1000-", None]


def test_a_wrong_checksum_names_both_and_leaves_nothing(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(hub, tmp_path / "file", sha256="0" * 64)
    assert "0" * 64 in str(caught.value)
    assert hub.sha256 in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_answer_is_reported_with_its_number(hub: Any, tmp_path: Path) -> None:
    hub.status = 404
    with pytest.raises(Unavailable, match="404"):
        fetch(hub, tmp_path / "file")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes no connection: its queue of one is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_is_given_up_after_three_seconds(silent_server: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(Unavailable, match="cannot be reached"):
        download(f"{silent_server}/file", tmp_path / "file", size=1, sha256="", progress=lambda done, total: None)
    assert time.monotonic() - start < 4


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(hub: Any, mounted: Callable[[str], Path]) -> None:
    folder = mounted("size=256k")
    with pytest.raises(Problem, match="no space for file .* free some or set MULLAMA_CACHE"):
        fetch(hub, folder / "file")
    assert hub.ranges == []


def test_a_disk_that_fills_up_meanwhile_is_one_sentence(hub: Any, mounted: Callable[[str], Path]) -> None:
    folder = mounted("size=256k")
    with pytest.raises(Problem, match="is full"):
        fetch(hub, folder / "file", size=1)


def test_a_read_only_folder_is_one_sentence(hub: Any, mounted: Callable[[str], Path]) -> None:
    folder = mounted("ro")
    with pytest.raises(Problem, match="cannot write to .* set MULLAMA_CACHE"):
        fetch(hub, folder / "file")
