"""Several threads: what they may share, what one of them at a time may use, and closing under another one's feet."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import mullama
import pytest
from mullama import ErrorCode, FinishReason, Status

N_THREADS = 8
PROMPTS = [f"the people {word}" for word in ("of", "and", "to", "in", "is", "that", "it", "was")]
GREEDY = {"temperature": 0.0}


@pytest.fixture
def threads():
    with ThreadPoolExecutor(N_THREADS) as threads:
        yield threads


class Running:
    """An endless generation on a thread of its own."""

    def __init__(self, context: mullama.Context) -> None:
        options = {"max_tokens": -1, "overflow": "shift", "ignore_eos": True, "seed": 1}
        self.generation = context.start_generation("the people", **options)
        self._threads = ThreadPoolExecutor(1)
        self._run = self._threads.submit(self.generation.run)
        while self.is_free():
            pass

    def is_free(self) -> bool:
        try:
            self.generation.text()
        except mullama.ResourceError:
            return False
        return True

    def outcome(self) -> Status | ErrorCode:
        """How the run has ended."""
        try:
            return self._run.result(30)
        except mullama.Error as error:
            return error.code

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.generation.cancel()
        self._threads.shutdown()
        self.generation.close()


@pytest.mark.parametrize("sampling", [GREEDY, {"seed": 5}], ids=["greedy", "by chance"])
def test_eight_threads_on_one_model_answer_as_one_after_the_other(llama, fresh, threads, sampling):
    def answers(prompt):
        with llama.create_context(n_ctx=256, n_threads=1) as context:
            return [context.generate(prompt, max_tokens=40, **sampling) for _ in range(5)]

    expected = [answers(prompt) for prompt in PROMPTS]
    assert len({texts[0] for texts in expected}) == N_THREADS
    assert list(threads.map(answers, PROMPTS)) == expected


def test_eight_threads_tokenize_and_detokenize_with_one_model(llama, threads):
    def there_and_back(prompt):
        return [(tokens := llama.tokenize(prompt), llama.detokenize(tokens)) for _ in range(300)]

    expected = [[(llama.tokenize(prompt), llama.detokenize(llama.tokenize(prompt)))] * 300 for prompt in PROMPTS]
    assert list(threads.map(there_and_back, PROMPTS)) == expected


def test_eight_threads_write_chats_with_one_model(llama, threads):
    def written(prompt):
        messages = [{"role": "user", "content": prompt}]
        return [llama.apply_chat_template(messages)["prompt"] for _ in range(50)]

    for prompt, texts in zip(PROMPTS, threads.map(written, PROMPTS), strict=True):
        assert set(texts) == {f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"}


def test_eight_threads_load_and_close_models(tiny, threads):
    def work(_):
        with mullama.Model(tiny / "llama.gguf") as model, model.create_context(n_ctx=256, n_threads=1) as context:
            return context.generate("the people", max_tokens=8, **GREEDY)

    assert len(set(threads.map(work, range(24)))) == 1


def test_a_second_thread_on_a_generation_is_told_that_it_is_busy(context):
    with Running(context) as running:
        for call in (running.generation.next, running.generation.text, lambda: running.generation.result):
            with pytest.raises(mullama.ResourceError) as error:
                for _ in range(1_000_000):  # a call may get through while Python is between two slices
                    call()
            assert error.value.code == ErrorCode.BUSY
        running.generation.cancel()
        assert running.outcome() == Status.CANCELLED
        assert running.generation.result.finish_reason == FinishReason.CANCELLED


def test_of_two_threads_that_decode_on_one_context_one_gets_busy_and_the_other_is_right(smollm, threads):
    tokens = smollm.tokenize("the people of the world ") * 60
    with smollm.create_context(n_ctx=1024, n_ubatch=16, n_threads=1) as context:
        barrier = threading.Barrier(2)

        def decode():
            barrier.wait()
            try:
                context.decode(tokens)
            except mullama.ResourceError as error:
                return error.code
            return None

        outcomes = [threads.submit(decode) for _ in range(2)]
        assert {outcome.result(60) for outcome in outcomes} == {None, ErrorCode.BUSY}
        assert context.memory_max() == len(tokens) - 1


def test_cancelling_from_another_thread_ends_the_generation(context):
    with Running(context) as running:
        running.generation.cancel()
        assert running.outcome() == Status.CANCELLED
        assert running.generation.result.finish_reason == FinishReason.CANCELLED
    assert context.generate("the people", max_tokens=3, **GREEDY)


def test_cancelling_the_context_ends_a_decode_on_another_thread(smollm, threads):
    tokens = smollm.tokenize("the people of the world ") * 300
    with smollm.create_context(n_ctx=2048, n_ubatch=16, n_threads=1) as context:
        decoding = threads.submit(context.decode, tokens)
        while not decoding.done():
            context.cancel()
        with pytest.raises(mullama.CancelledError):
            decoding.result()
        assert context.memory_max() == -1
        assert context.timings.n_prefill < len(tokens) / 2


# What a thread inside a call is told when its object is closed: it was in the middle, or just about to go on.
ENDED = (Status.CANCELLED, ErrorCode.CLOSED)


@pytest.mark.parametrize("what", ["generation", "context"])
def test_closing_while_another_thread_generates_ends_it(tiny, what):
    model = mullama.Model(tiny / "llama.gguf")
    context = model.create_context(n_ctx=256, n_threads=1)
    with model, context, Running(context) as running:
        {"generation": running.generation, "context": context}[what].close()
        assert running.outcome() in ENDED
        with pytest.raises(mullama.ArgumentError, match=f"{what} was closed"):
            {"generation": running.generation.text, "context": context.warnings}[what]()


def test_a_closed_model_goes_on_serving_the_contexts_it_has(tiny):
    model = mullama.Model(tiny / "llama.gguf")
    with model.create_context(n_ctx=256, n_threads=1) as context:
        with Running(context) as running:
            model.close()
            running.generation.cancel()
            assert running.outcome() == Status.CANCELLED
        assert context.generate("the people", max_tokens=5).result.n_generated == 5
    with pytest.raises(mullama.ArgumentError, match="model was closed"):
        model.tokenize("the")


def test_closing_from_eight_threads_at_once_is_closing_once(tiny, threads):
    for _ in range(20):
        model = mullama.Model(tiny / "llama.gguf")
        context = model.create_context(n_ctx=256, n_threads=1)
        with Running(context) as running:
            objects = (context, model, running.generation)
            list(threads.map(lambda number: objects[number % 3].close(), range(N_THREADS)))  # noqa: B023
            assert running.outcome() in ENDED


def test_a_thread_of_its_own_can_be_cut_off_at_any_moment(tiny, threads):
    """Closing while others open, generate and close on the same model, many times over."""

    def work(number):
        done = 0
        for _ in range(15):
            try:
                with model.create_context(n_ctx=256, n_threads=1) as context:
                    done += context.generate("the people", max_tokens=number, **GREEDY).result.n_generated
            except mullama.ArgumentError as error:
                assert error.code == ErrorCode.CLOSED
        return done

    for _ in range(5):
        model = mullama.Model(tiny / "llama.gguf")
        works = [threads.submit(work, number) for number in range(1, N_THREADS)]
        works[0].result(30)
        model.close()
        assert max(work.result(30) for work in works) >= works[0].result() == 15
