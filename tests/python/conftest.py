"""What the tests of the Python package share: models, contexts, and the check that nothing of the library is left over."""

from __future__ import annotations

import gc

import mullama
import pytest

TINY_N_CTX = 256


@pytest.fixture(scope="session", autouse=True)
def no_object_is_left_over(request):
    """Fails the session when handles, errors or results of the library outlive the tests that made them."""
    gc.collect()  # what other folders' tests left to the collector
    before = mullama.live_objects()
    yield
    getattr(request.session.items[-1], "funcargs", {}).clear()  # pytest drops those of the last test too late
    gc.collect()
    if not request.session.testsfailed:  # the traceback of a failure keeps its objects alive
        assert mullama.live_objects() == before


@pytest.fixture(scope="session")
def llama(tiny):
    with mullama.Model(tiny / "llama.gguf") as model:
        yield model


@pytest.fixture(scope="session")
def mamba(tiny):
    with mullama.Model(tiny / "mamba.gguf") as model:
        yield model


@pytest.fixture(scope="session")
def smollm():
    """The real model, SmolLM2-135M-Instruct; fetched once a machine."""
    from mullama.models import resolve

    with mullama.Model(resolve("smollm2:135m")) as model:
        yield model


@pytest.fixture
def context(llama):
    """A context on the tiny llama; one thread, which is fastest for its size."""
    with llama.create_context(n_ctx=TINY_N_CTX, n_threads=1) as context:
        yield context


@pytest.fixture
def fresh(llama):
    """Makes further contexts, equal to `context`, for answers that no earlier call can have touched."""
    made = []

    def make(**options):
        made.append(llama.create_context(**{"n_ctx": TINY_N_CTX, "n_threads": 1, **options}))
        return made[-1]

    yield make
    for context in made:
        context.close()
