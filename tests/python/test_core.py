"""The library itself: what it says of its build and of the machine, its log, and its count of live objects."""

from __future__ import annotations

import gc
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import mullama
import pytest
from mullama import ErrorCode, LogLevel

ROOT = Path(__file__).resolve().parents[2]
RING_SIZE = 4096


def text_of(key: str, path: str) -> str:
    """The value of a line `key = "value"` or `key: "value"`; Python 3.10 has no TOML reader."""
    return re.search(rf'^{key}(?: =|:) "(.*)"$', (ROOT / path).read_text(), re.M).group(1)


def read_all(log: mullama.Log) -> list[mullama.LogEntry]:
    entries = []
    while True:
        try:
            entry = log.next(timeout=0)
        except TimeoutError:
            return entries
        assert entry is not None
        entries.append(entry)


@pytest.fixture
def log() -> Iterator[mullama.Log]:
    with mullama.open_log() as log:
        yield log
    mullama.set_log_level(LogLevel.INFO)


# Build and machine ----------------------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_package() -> None:
    expected = text_of("version", "pyproject.toml")
    assert mullama.version() == expected
    assert mullama.get_build_info().version == expected


def test_the_abi_version_is_that_of_the_description() -> None:
    major, minor = text_of("version", "abi/spec/api.yaml").split(".")
    assert mullama.abi_version() == (int(major), int(minor))


def test_the_build_names_the_pinned_llama_cpp_and_its_compiler() -> None:
    info = mullama.get_build_info()
    assert info.llama_cpp_commit == text_of("commit", "abi/llama_cpp.toml")
    assert info.build_type == "Release"
    assert re.match(r"(GNU|Clang|AppleClang|MSVC) \d+\.\d+", info.compiler)
    assert info.flags.startswith("CPU : ")


def test_cpu_features_are_those_that_the_machine_has() -> None:
    features = mullama.cpu_features()
    assert features and len(set(features)) == len(features)
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("the machine's own list is only known on Linux")
    flags = set(re.search(r"^(?:flags|Features)\s*: (.*)$", cpuinfo.read_text(), re.M).group(1).split())
    for feature, flag in {"AVX": "avx", "AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "AVX512": "avx512f"}.items():
        assert feature not in features or flag in flags


def test_the_processor_is_a_device_with_the_machines_memory() -> None:
    devices = [mullama.device(index) for index in range(mullama.device_count())]
    [cpu] = [device for device in devices if device.type is mullama.DeviceType.CPU]
    assert cpu.name == "CPU" and cpu.description
    assert 0 < cpu.memory_free <= cpu.memory_total
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        total = 1024 * int(re.search(r"MemTotal:\s+(\d+)", meminfo.read_text()).group(1))
        assert cpu.memory_total == pytest.approx(total, rel=0.01)


def test_a_device_that_does_not_exist_is_out_of_range() -> None:
    count = mullama.device_count()
    with pytest.raises(mullama.ArgumentError, match=f"device {count} does not exist; there are {count}") as raised:
        mullama.device(count)
    assert raised.value.code is ErrorCode.OUT_OF_RANGE


def test_limits_are_those_of_the_build() -> None:
    limits = mullama.get_backend_limits()
    has_gpu = any(mullama.device(i).type is not mullama.DeviceType.CPU for i in range(mullama.device_count()))
    assert limits.max_sequences == 256
    assert limits.max_devices >= mullama.device_count()
    assert limits.supports_gpu_offload == has_gpu
    assert not limits.supports_rpc


# Log ------------------------------------------------------------------------------------------------------------------


def test_the_log_of_a_failed_load_tells_the_story_in_order(log: mullama.Log, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 40)
    before = datetime.now(timezone.utc).timestamp()
    with pytest.raises(mullama.FileError):
        mullama.Model(broken)
    entries = read_all(log)
    errors = [entry.text for entry in entries if entry.level is LogLevel.ERROR]
    assert len(errors) >= 2
    assert "failed to load model" in errors[-1]
    assert not any(text.endswith("\n") for text in errors)
    assert [entry.sequence for entry in entries] == list(range(entries[0].sequence, entries[0].sequence + len(entries)))
    times = [entry.time / 1e6 for entry in entries]
    assert times == sorted(times)
    assert before - 1 <= times[0] <= times[-1] <= time.time() + 1


def test_a_message_of_the_host_is_an_entry_like_any_other(log: mullama.Log) -> None:
    mullama.log_message(LogLevel.WARNING, "die Wörter\nzwei Zeilen")
    [entry] = read_all(log)
    assert (entry.level, entry.text) == (LogLevel.WARNING, "die Wörter\nzwei Zeilen")


def test_a_reader_starts_at_the_end_or_with_the_oldest_entry() -> None:
    mullama.log_message(LogLevel.INFO, "earlier")
    with mullama.open_log() as late, mullama.open_log(from_start=True) as early:
        assert read_all(late) == []
        assert read_all(early)[-1].text == "earlier"


def test_a_slow_reader_sees_by_the_sequence_what_it_missed(log: mullama.Log) -> None:
    mullama.log_message(LogLevel.INFO, "first")
    first = log.next(timeout=0)
    n_missed = 10
    for number in range(RING_SIZE + n_missed):
        mullama.log_message(LogLevel.INFO, f"message {number}")
    entries = read_all(log)
    assert len(entries) == RING_SIZE
    assert entries[0].sequence == first.sequence + 1 + n_missed
    assert entries[0].text == f"message {n_missed}"
    assert entries[-1].text == f"message {RING_SIZE + n_missed - 1}"


def test_two_readers_do_not_take_entries_from_each_other(log: mullama.Log) -> None:
    with mullama.open_log() as other:
        mullama.log_message(LogLevel.INFO, "for both")
        assert [entry.text for entry in read_all(log)] == [entry.text for entry in read_all(other)] == ["for both"]


def test_messages_below_the_level_do_not_enter_the_log(log: mullama.Log) -> None:
    levels = [LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARNING, LogLevel.ERROR]
    for lowest in levels:
        mullama.set_log_level(lowest)
        for level in levels:
            mullama.log_message(level, level.name)
        assert [entry.text for entry in read_all(log)] == [level.name for level in levels if level >= lowest]


def test_a_log_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(mullama.ArgumentError, match=r"level is 9; it must be 0 \(none\), .* or 4 \(error\)"):
        mullama.set_log_level(9)
    with pytest.raises(mullama.ArgumentError, match="level is 9"):
        mullama.log_message(9, "text")


def test_cancelling_from_another_thread_ends_a_waiting_reader(log: mullama.Log) -> None:
    results: list[object] = []
    reader = threading.Thread(target=lambda: results.append(log.next()))
    reader.start()
    time.sleep(0.05)
    assert reader.is_alive()
    log.cancel()
    reader.join(5)
    assert results == [None]
    assert log.next() is None, "a cancelled reader stays at its end"


def test_a_waiting_reader_gets_a_message_as_soon_as_it_is_written(log: mullama.Log) -> None:
    threading.Timer(0.05, mullama.log_message, (LogLevel.INFO, "now")).start()
    start = time.monotonic()
    entry = log.next(timeout=5)
    assert entry.text == "now"
    assert time.monotonic() - start < 2


def test_a_timeout_leaves_the_reader_where_it_was(log: mullama.Log) -> None:
    with pytest.raises(TimeoutError):
        log.next(timeout=0.01)
    mullama.log_message(LogLevel.INFO, "late")
    assert log.next(timeout=1).text == "late"


# Live objects ---------------------------------------------------------------------------------------------------------


def test_every_object_is_counted_until_it_is_forgotten(tiny: Path) -> None:
    gc.collect()
    before = mullama.live_objects()
    model = mullama.Model(tiny / "llama.gguf")
    context = model.create_context(n_ctx=64)
    sampler = model.create_sampler(seed=1)
    generation = context.start_generation("the ", max_tokens=2)
    assert mullama.live_objects() == before + 4
    for handle in (generation, sampler, context, model):
        handle.close()
    assert mullama.live_objects() == before + 4, "a closed handle still answers"
    del handle, generation, sampler, context, model
    gc.collect()
    assert mullama.live_objects() == before


def test_results_and_errors_do_not_stay_alive(tiny: Path) -> None:
    with mullama.Model(tiny / "llama.gguf") as model:
        before = mullama.live_objects()
        model.tokenize("the water")
        model.metadata()
        model.warnings()
        model.apply_chat_template([{"role": "user", "content": "x"}])
        for _ in range(3):
            with pytest.raises(mullama.Error):
                model.token_text(-1)
            with pytest.raises(mullama.Error):
                model.create_sampler(grammar="root ::= (")
        assert mullama.live_objects() == before
