"""What the tests of the engine share: engines on tiny models."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import families
import mullama
import pytest
import tiny_models
from healthy import Healthy


@pytest.fixture(scope="session", autouse=True)
def no_object_is_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the session when handles, errors or results of the library outlive the tests that made them."""
    gc.collect()
    before = mullama.live_objects()
    yield
    getattr(request.session.items[-1], "funcargs", {}).clear()
    gc.collect()
    if not request.session.testsfailed:
        assert mullama.live_objects() == before


@pytest.fixture(scope="session")
def llama(tiny: Path) -> Iterator[mullama.Model]:
    with mullama.Model(tiny / "llama.gguf") as model:
        yield model


@pytest.fixture(scope="session")
def engine(tiny: Path) -> Iterator[mullama.Engine]:
    """Four slots of 256 tokens on the tiny llama; one thread, which is fastest for its size."""
    with mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=4, n_threads=1) as engine:
        yield engine


@pytest.fixture(scope="session")
def watched(tiny: Path) -> Iterator[Healthy]:
    """An engine on which three streams can run beside what a test does. Their readers hold them up, so that they last as long."""
    with mullama.Engine(tiny / "llama.gguf", n_ctx=256, n_slots=4, n_threads=1, max_buffered=8) as engine:
        yield Healthy(engine)


@pytest.fixture
def open_engine(tiny: Path) -> Iterator[Callable[..., mullama.Engine]]:
    """Opens further engines, closed at the end of the test."""
    opened: list[mullama.Engine] = []

    def open_one(name: str = "llama.gguf", **options: Any) -> mullama.Engine:
        opened.append(mullama.Engine(tiny / name, **{"n_ctx": 256, "n_slots": 4, "n_threads": 1, **options}))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


@pytest.fixture(scope="session")
def bytes_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has the special tokens of every family, and a token for each byte."""
    return tiny_models.write_bytes(tmp_path_factory.mktemp("bytes") / "bytes.gguf", families.all_special_texts())


@dataclass(frozen=True)
class Family:
    name: str
    template: str
    engine: mullama.Engine


@pytest.fixture(scope="session", params=families.templates() or [pytest.param("", marks=pytest.mark.skip(reason=families.WITHOUT_SOURCE))])
def family(request: pytest.FixtureRequest, bytes_model: Path) -> Iterator[Family]:
    """Each chat template of the llama.cpp tree, in an engine; pytest runs the tests of one after the other."""
    template = families.templates()[request.param]
    with mullama.Engine(bytes_model, chat_template=template, n_ctx=0, n_slots=1, n_threads=1) as engine:
        yield Family(request.param, template, engine)
