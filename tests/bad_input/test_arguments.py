"""Arguments that cannot be: each gets an error that names the value, and the object works on afterwards."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mullama
import pytest
from mullama import ErrorCode

N_CTX = 256
N_VOCAB = 576
INT_MAX, INT_MIN = 2**31 - 1, -(2**31)


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[mullama.Model]:
    with mullama.Model(tiny / "llama.gguf") as model:
        yield model


@pytest.fixture
def context(model: mullama.Model) -> Iterator[mullama.Context]:
    """After every refusal it must still decode."""
    with model.create_context(n_ctx=N_CTX, n_sequences=1, n_threads=1) as context:
        context.decode([1, 2, 3])
        yield context
        assert context.memory_max() == 2
        context.decode([4])


def refused(kind: type[mullama.Error], code: str, reason: str = "") -> pytest.RaisesExc:
    return pytest.raises(kind, match=reason or None, check=lambda error: error.code is ErrorCode[code])


# Tokens, positions, sequences -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [1, 2, 1000])
def test_a_prompt_over_the_context_is_an_error_with_the_numbers(extra: int, context: mullama.Context) -> None:
    with refused(
        mullama.ResourceError, "CONTEXT_FULL", f"the prompt has {N_CTX + extra} tokens, the context holds {N_CTX} "
    ):
        context.start_generation(tokens=[9] * (N_CTX + extra))


@pytest.mark.parametrize("count", [N_CTX - 2, N_CTX + 1, 100_000])
def test_a_decode_over_the_context_is_an_error_with_the_numbers(count: int, context: mullama.Context) -> None:
    with refused(mullama.ResourceError, "CONTEXT_FULL", f"the context of {N_CTX} tokens .*; {count} tokens were given"):
        context.decode([9] * count)


def test_an_encode_over_the_ubatch_is_an_error_with_the_numbers(tiny: Path, context: mullama.Context) -> None:
    with (
        mullama.Model(tiny / "bert.gguf") as bert,
        bert.create_context(n_ubatch=16, embeddings=True, n_threads=1) as encoder,
    ):
        for call in (encoder.encode, encoder.decode):
            with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "17 tokens were given, .* one ubatch of 16"):
                call([9] * 17)
    with refused(mullama.ArgumentError, "UNSUPPORTED", "has no encoder; use decode"):
        context.encode([9])


@pytest.mark.parametrize("token", [-1, N_VOCAB, INT_MAX, INT_MIN])
def test_a_token_outside_of_the_vocabulary_is_named(token: int, model: mullama.Model, context: mullama.Context) -> None:
    sampler = model.create_sampler(seed=1)
    chain = model.create_sampler_chain()
    calls = [
        lambda: context.decode([1, token]),
        lambda: context.decode_batch(tokens=[1, token]),
        lambda: context.start_generation(tokens=[1, token]),
        lambda: context.start_generation("x", stop_tokens=[1, token]),
        lambda: model.detokenize([1, token]),
        lambda: model.token_piece(token),
        lambda: model.token_text(token),
        lambda: model.token_attributes(token),
        lambda: model.token_score(token),
        lambda: model.token_is_end(token),
        lambda: model.token_is_control(token),
        lambda: model.create_sampler(bias_tokens=[1, token], biases=[1.0, 1.0]),
        lambda: chain.add_logit_bias([1, token], [1.0, 1.0]),
        lambda: chain.add_grammar('root ::= "x"', trigger_tokens=[token]),
        lambda: sampler.accept(token),
    ]
    for call in calls:
        with refused(
            mullama.VocabularyError, "INVALID_TOKEN", f"is {token}; the vocabulary has ids 0 to {N_VOCAB - 1}"
        ):
            call()
    sampler.close()
    chain.close()


@pytest.mark.parametrize("index", [3, 100, INT_MAX, -2, INT_MIN])
def test_an_output_that_does_not_exist_is_out_of_range(
    index: int, model: mullama.Model, context: mullama.Context
) -> None:
    with model.create_sampler(seed=1) as sampler:
        for call in (context.logits, context.embeddings, lambda i: sampler.sample(context, i)):
            with refused(mullama.ArgumentError, "OUT_OF_RANGE", f"{index} does not exist"):
                call(index)


@pytest.mark.parametrize("sequence", [1, 255, 256, INT_MAX, -2, INT_MIN])
def test_a_sequence_that_does_not_exist_is_out_of_range(sequence: int, context: mullama.Context) -> None:
    calls = [
        lambda: context.decode_batch(tokens=[1], sequences=[sequence]),
        lambda: context.memory_remove(sequence),
        lambda: context.memory_copy(0, sequence),
        lambda: context.memory_copy(sequence, 0),
        lambda: context.memory_keep(sequence),
        lambda: context.memory_shift(sequence, 0, -1, 1),
        lambda: context.memory_divide(sequence, 0, -1, 2),
        lambda: context.memory_min(sequence),
        lambda: context.memory_max(sequence),
        lambda: context.sequence_embeddings(sequence),
        lambda: context.save_state(sequence),
        lambda: context.state_size(sequence),
        lambda: context.load_state(b"", sequence),
        lambda: context.save_state_file("state", sequence=sequence),
        lambda: context.load_state_file("state", sequence),
    ]
    if sequence >= 0:
        calls += [
            lambda: context.decode([1], sequence=sequence),
            lambda: context.start_generation("x", sequence=sequence),
        ]
    for call in calls:
        with refused(mullama.ArgumentError, "OUT_OF_RANGE", f"sequence {sequence} does not exist"):
            call()


@pytest.mark.parametrize(
    ("start", "end", "delta"),
    [
        (-5, -1, 1),
        (INT_MIN, -1, 1),
        (5, 3, 1),
        (0, -1, -1),
        (0, -1, INT_MIN),
        (2, -1, INT_MAX),
        (INT_MAX, INT_MAX - 1, 0),
    ],
)
def test_positions_that_cannot_be_are_out_of_range(start: int, end: int, delta: int, context: mullama.Context) -> None:
    with refused(mullama.ArgumentError, "OUT_OF_RANGE"):
        context.memory_shift(0, start, end, delta)


def test_a_divisor_is_at_least_one(context: mullama.Context) -> None:
    for divisor in (0, -1, INT_MIN):
        with refused(mullama.ArgumentError, "INVALID_ARGUMENT", f"divisor is {divisor}"):
            context.memory_divide(0, 0, -1, divisor)


@pytest.mark.parametrize("position", [INT_MAX, INT_MAX - 1, N_CTX])
def test_a_position_outside_of_the_context_is_refused(position: int, tiny: Path, context: mullama.Context) -> None:
    with refused(mullama.ResourceError, "CONTEXT_FULL"):
        context.decode([1, 2, 3], position=position)
    with refused(mullama.ResourceError, "CONTEXT_FULL"):
        context.decode_batch(tokens=[1], positions=[position])
    with refused(mullama.ArgumentError, "OUT_OF_RANGE"):
        context.decode_batch(tokens=[1], positions=[-1])


@pytest.mark.parametrize("position", [INT_MAX, INT_MAX - 1])
def test_positions_of_a_recurrent_model_end_somewhere_too(position: int, tiny: Path) -> None:
    with mullama.Model(tiny / "mamba.gguf") as mamba, mamba.create_context(n_threads=1) as context:
        with pytest.raises(mullama.Error) as raised:
            context.decode([1, 2, 3], position=position)
        assert raised.value.code in (ErrorCode.CONTEXT_FULL, ErrorCode.OUT_OF_RANGE)
        context.decode([1, 2])
        assert context.memory_max() == 1


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({}, "there is nothing to evaluate"),
        ({"tokens": [1], "embeddings": [0.1] * 64}, "tokens or embeddings, not both"),
        ({"embeddings": [0.1] * 63}, "63 numbers, which is no multiple of the model's width 64"),
        ({"tokens": [1, 2], "positions": [3]}, "batch.positions has 1 items, but the batch needs 2"),
        ({"tokens": [1], "positions": [3, 4]}, "batch.positions has 2 items, but the batch needs 1"),
        ({"tokens": [1], "sequences": [0, 0]}, "batch.sequences has 2 items, but the batch needs 1"),
        ({"tokens": [1], "outputs": [1, 1]}, "batch.outputs has 2 items, but the batch needs 1"),
        ({"tokens": [1], "sequence_counts": [0]}, r"batch.sequence_counts\[0\] is 0"),
        ({"tokens": [1], "sequence_counts": [2], "sequences": [0, 0]}, r"batch.sequence_counts\[0\] is 2"),
        ({"tokens": [1], "sequence_counts": [INT_MAX]}, r"batch.sequence_counts\[0\] is"),
        ({"tokens": [1], "sequence_counts": [-1]}, r"batch.sequence_counts\[0\] is -1"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused(batch: dict, reason: str, context: mullama.Context) -> None:
    with pytest.raises(mullama.ArgumentError, match=reason):
        context.decode_batch(**batch)


@pytest.mark.parametrize("positions", [[3, 5], [4, 3], [3, 3], [1, 2], [0, 1], [10, 11]])
def test_positions_that_do_not_follow_are_refused_by_llama_cpp_or_evaluated(
    positions: list[int], model: mullama.Model
) -> None:
    with model.create_context(n_ctx=N_CTX, n_threads=1) as context:
        context.decode([1, 2, 3])
        try:
            context.decode_batch(tokens=[5, 6], positions=positions)
        except mullama.Error as error:
            assert error.code in (ErrorCode.INVALID_ARGUMENT, ErrorCode.OUT_OF_RANGE, ErrorCode.DECODE_FAILED)
            assert "gave no reason" not in error.message
        context.memory_clear()
        context.decode([4])


def test_a_sequence_named_twice_by_one_entry_does_no_harm(model: mullama.Model) -> None:
    with model.create_context(n_ctx=N_CTX, n_sequences=2, unified_kv=True, n_threads=1) as context:
        with contextlib.suppress(mullama.ArgumentError):
            context.decode_batch(tokens=[5], sequence_counts=[2], sequences=[1, 1])
        context.memory_clear()
        context.decode([4], sequence=1)


def test_an_empty_decode_is_refused(context: mullama.Context) -> None:
    for call in (lambda: context.decode([]), lambda: context.start_generation(tokens=[])):
        with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "at least one"):
            call()
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "the prompt has no tokens"):
        context.start_generation("", add_special=False)


# Generations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [{}, {"prompt": "x", "tokens": [1]}, {"tokens": [1], "messages": [{"role": "user", "content": "x"}]}]
)
def test_exactly_one_kind_of_prompt_is_given(given: dict, context: mullama.Context) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "exactly one of prompt, tokens and messages"):
        context.start_generation(**given)


def test_an_empty_stop_text_is_refused(context: mullama.Context) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "a stop text is empty"):
        context.start_generation("x", stop=["ok", ""])


@pytest.mark.parametrize("order", [["bogus"], ["top_k", "top_k"], [""], ["top_k", "greedy"]])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_an_order_of_unknown_or_double_steps_is_refused(
    order: list[str], temperature: float, model: mullama.Model
) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "sampler_options.order names"):
        model.create_sampler(order=order, temperature=temperature)


def test_biases_and_their_tokens_come_in_pairs(model: mullama.Model) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "there are 2 tokens but 1 biases"):
        model.create_sampler(bias_tokens=[1, 2], biases=[1.0])


def test_a_sampler_of_another_vocabulary_is_refused(tiny: Path, context: mullama.Context) -> None:
    with mullama.Model(tiny / "minimal.gguf") as other, other.create_sampler(seed=1) as sampler:
        with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "vocabulary of 104 tokens, the context has 576"):
            sampler.sample(context)
        with pytest.raises(mullama.ArgumentError, match="104"):
            context.start_generation("x", sampler=sampler).run()
        context.memory_remove(0, 3)


@pytest.mark.parametrize("index", [0, 5, 2**63])
def test_a_step_that_does_not_exist_is_out_of_range(index: int, model: mullama.Model) -> None:
    with model.create_sampler_chain() as chain, refused(mullama.ArgumentError, "OUT_OF_RANGE", "the chain has 0"):
        chain.remove(index)


# Grammars and schemas -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("", "it is empty"),
        ("# only a comment", "it is empty"),
        ('root ::= "a', "line 1, column"),
        ('root ::= "a"\nx ::= (', "line 2, column"),
        ('root ::= "a"\n\n  b = "c"', "line 3, column"),
        ("root ::= [a-", "line 1, column"),
        ('root ::= "\\q"', "line 1, column 11"),
        ('root ::= "a"{3,1}', "line 1, column"),
        ('root ::= "a"{99999999999999999999}', "line 1, column"),
        ('root ::= "ab"\nx ::= [{] "c" {5, # {1,2}\n 2}', "a maximum below its minimum at line 2, column 15"),
        ("root ::= missing", 'the rule "missing" is used but not defined'),
        ('other ::= "a"', 'it has no rule "root" to start with'),
        ("root ::= root", "left recursion"),
        ('root ::= a\na ::= b "x"\nb ::= a', "left recursion"),
        ('root ::= "a\0b"', "NUL character at line 1, column 12"),
        ("%llguidance {}", "no llguidance"),
    ],
)
def test_a_grammar_that_is_wrong_says_where(
    grammar: str, reason: str, model: mullama.Model, context: mullama.Context
) -> None:
    with refused(mullama.GrammarError, "INVALID_GRAMMAR", reason):
        model.create_sampler(grammar=grammar)
    with refused(mullama.GrammarError, "INVALID_GRAMMAR", reason):
        context.start_generation("x", grammar=grammar)
    with model.create_sampler_chain() as chain, refused(mullama.GrammarError, "INVALID_GRAMMAR", reason):
        chain.add_grammar(grammar)


@pytest.mark.parametrize("depth", [600, 100_000])
def test_a_grammar_nested_too_deep_is_refused(depth: int, model: mullama.Model) -> None:
    grammar = "root ::= " + "(" * depth + '"a"' + ")" * depth
    with refused(mullama.GrammarError, "INVALID_GRAMMAR", "nested more than 512 deep at line 1, column 522"):
        model.create_sampler(grammar=grammar)


@pytest.mark.parametrize("pattern", ["(" * 50_000 + ")" * 50_000, "a" * 100_000])
def test_a_trigger_pattern_too_long_is_refused(pattern: str, model: mullama.Model) -> None:
    reason = "pattern has 100000 bytes; at most 4096"
    with model.create_sampler_chain() as chain, refused(mullama.GrammarError, "INVALID_GRAMMAR", reason):
        chain.add_grammar('root ::= "a"', trigger_patterns=[pattern])


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "*", "a{3,1}"])
def test_a_trigger_pattern_that_is_no_regular_expression_is_refused(pattern: str, model: mullama.Model) -> None:
    with (
        model.create_sampler_chain() as chain,
        refused(mullama.GrammarError, "INVALID_GRAMMAR", "is no regular expression"),
    ):
        chain.add_grammar('root ::= "a"', trigger_patterns=[pattern])


def test_a_grammar_of_too_many_rules_is_refused(model: mullama.Model) -> None:
    rules = "".join(f"r{n} ::= r{n + 1}\n" for n in range(100_000))
    with refused(mullama.GrammarError, "INVALID_GRAMMAR", "it has 100002 rules.*; at most 20000"):
        model.create_sampler(grammar=f'root ::= r0\n{rules}r100000 ::= "a"')


# Each is small as a text and large as a set of rules.
EXPLOSIONS = {
    "repetitions": 'root ::= (("a"{1,2000}){1,2000}){1,2000}',
    "many alternatives": "root ::= " + " | ".join(f'"{n}"' for n in range(5000)),
    "a long chain of rules": "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1}\n" for n in range(5000)) + 'r5000 ::= "a"',
    "a long literal": 'root ::= "' + "a" * 200_000 + '"',
    "empty repetitions": 'root ::= ((""*)*)* "a"',
    "optional nesting": "root ::= " + '("a" ' * 500 + ")?" * 500,
}


@pytest.mark.parametrize("grammar", EXPLOSIONS.values(), ids=EXPLOSIONS.keys())
def test_a_grammar_that_explodes_is_refused_or_works(grammar: str, tiny: Path) -> None:
    outcome = in_a_process(
        f"""
        model = mullama.Model({str(tiny / "llama.gguf")!r})
        with model.create_sampler(grammar={grammar!r}, seed=1) as sampler:
            sampler.accept(sampler.choose([0.0] * model.n_vocab))
        """
    )
    assert outcome in ("works", "INVALID_GRAMMAR", "OUT_OF_MEMORY", "INVALID_ARGUMENT"), outcome


@pytest.mark.parametrize(
    ("schema", "kind", "code", "reason"),
    [
        ("{", mullama.ArgumentError, "INVALID_JSON", "the JSON schema is not JSON"),
        ("[]", mullama.GrammarError, "INVALID_SCHEMA", "neither an object nor true or false"),
        ({"type": "bogus"}, mullama.GrammarError, "INVALID_SCHEMA", "bogus"),
        ({"$ref": "#/nowhere"}, mullama.GrammarError, "INVALID_SCHEMA", "nowhere"),
        (
            {"type": "string", "pattern": "^(unclosed$"},
            mullama.GrammarError,
            "INVALID_SCHEMA",
            "pattern|Pattern|unbalanced|Unbalanced",
        ),
        ("[" * 300 + "]" * 300, mullama.ArgumentError, "INVALID_JSON", "nested 300 deep; at most 256"),
        ("[" * 200_000, mullama.ArgumentError, "INVALID_JSON", "nested 200000 deep; at most 256"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_schema_that_is_wrong_says_why(
    schema: object, kind: type, code: str, reason: str, model: mullama.Model
) -> None:
    with refused(kind, code, reason):
        model.create_sampler(json_schema=schema)


@pytest.mark.parametrize("kind", [("string", "Length"), ("array", "Items")])
def test_a_schema_with_a_maximum_below_its_minimum_is_refused(kind: tuple[str, str], model: mullama.Model) -> None:
    type_, what = kind
    schema = {"type": type_, f"min{what}": 5, f"max{what}": 2, "items": {"type": "null"}}
    with pytest.raises(mullama.GrammarError, match="maximum below its minimum"):
        model.create_sampler(json_schema=schema)


def test_a_schema_that_refers_to_itself_is_refused_or_works(tiny: Path) -> None:
    for schema in ({"$ref": "#"}, {"$ref": "#/a", "a": {"$ref": "#/a"}}, {"allOf": [{"$ref": "#"}]}):
        outcome = in_a_process(f"mullama.Model({str(tiny / 'llama.gguf')!r}).create_sampler(json_schema={schema!r})")
        assert outcome in ("works", "INVALID_SCHEMA", "INVALID_GRAMMAR"), (schema, outcome)


def test_a_grammar_and_a_schema_exclude_each_other(model: mullama.Model) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "exclude each other"):
        model.create_sampler(grammar='root ::= "a"', json_schema={"type": "string"})


@pytest.mark.parametrize("depth", [257, 50_000])
@pytest.mark.parametrize("what", ["messages", "tools", "template_arguments"])
def test_json_nested_too_deep_is_refused(what: str, depth: int, model: mullama.Model) -> None:
    deep = "[" * depth + "]" * depth
    arguments = {"messages": [{"role": "user", "content": "x"}]} | {what: deep}
    with refused(mullama.ArgumentError, "INVALID_JSON", f"nested {depth} deep; at most 256"):
        model.apply_chat_template(**arguments)


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
        "{{ 1" + " + 1" * 50_000 + " }}",
    ],
    ids=["brackets", "blocks", "chain"],
)
def test_a_template_nested_too_deep_is_refused(template: str, model: mullama.Model) -> None:
    with refused(mullama.VocabularyError, "TEMPLATE_FAILED", "is not read: .* more than"):
        model.apply_chat_template([{"role": "user", "content": "x"}], chat_template=template)


# Text -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc80"])
def test_a_lone_surrogate_is_no_text(text: str, model: mullama.Model, context: mullama.Context) -> None:
    calls = [
        lambda: model.tokenize(text),
        lambda: model.metadata_value(text),
        lambda: context.start_generation(text),
        lambda: context.start_generation("x", stop=[text]),
        lambda: model.create_sampler(grammar=text),
        lambda: model.apply_chat_template([{"role": "user", "content": text}]),
        lambda: model.apply_chat_template([{"role": "user", "content": "x"}], chat_template=text),
        lambda: mullama.log_message("info", text),
    ]
    for call in calls:
        with refused(mullama.ArgumentError, "INVALID_UTF8", "is not valid Unicode"):
            call()


@pytest.mark.parametrize("data", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"ok \x80"])
def test_bytes_that_are_not_utf8_are_refused_by_the_library_itself(data: bytes, model: mullama.Model) -> None:
    from mullama.binding._native import ffi, lib
    from mullama.binding.generated.errors import failure

    out, out_len, err = ffi.new("const int32_t **"), ffi.new("size_t *"), ffi.new("mullama_error **")
    code = lib.mullama_model_tokenize(model._handle, data, len(data), 1, 0, out, out_len, err)
    assert code == ErrorCode.INVALID_UTF8
    valid = len(data.decode("utf-8", "ignore").encode()) if data[:1].isascii() else 0
    assert f"byte {valid} of {len(data)} is invalid; decode it to text first" in str(failure(code, err))


def test_a_nul_in_a_text_is_kept_or_refused_but_never_an_end(model: mullama.Model, context: mullama.Context) -> None:
    assert model.detokenize(model.tokenize("a\0b", add_special=False)) == "a\0b"
    assert "a\0b" in model.apply_chat_template([{"role": "user", "content": "a\0b"}])["prompt"]
    assert model.metadata_value("general.name\0") is None
    with context.start_generation("x\0y", stop=["a\0b"]) as generation:
        assert len(generation.prompt_tokens()) > 3
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", "no NUL|NUL"):
        model.create_sampler(dry_multiplier=1.0, dry_breakers=["a\0b"])


@pytest.mark.parametrize("option", [{"devices": ["CPU\0"]}, {"devices": [""]}, {"kv_overrides": ["a=int:1\0"]}])
def test_names_of_devices_and_overrides_hold_no_nul(option: dict, tiny: Path) -> None:
    with pytest.raises(mullama.ArgumentError, match="there is no device|is not of the form"):
        mullama.Model(tiny / "llama.gguf", **option)


# Sizes ----------------------------------------------------------------------------------------------------------------


def in_a_process(body: str, address_space: int = 6 << 30) -> str:
    """`works`, the code of the error, or how the process ended. It has little memory, so that none is taken from others."""
    import textwrap

    program = "\n".join(
        [
            "import resource, mullama",
            f"resource.setrlimit(resource.RLIMIT_AS, ({address_space}, {address_space}))",
            "try:",
            textwrap.indent(textwrap.dedent(body).strip(), "    "),
            "except mullama.Error as error:",
            "    print(error.code.name)",
            "else:",
            "    print('works')",
        ]
    )
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=120)
    return done.stdout.strip() if done.returncode == 0 else f"crashed with {done.returncode}: {done.stderr[-500:]}"


HUGE = {
    "n_ctx": [2**32 - 1, 2**31, 2**31 - 1, 2**30],
    "n_batch": [2**32 - 1, 2**31],
    "n_ubatch": [2**32 - 1, 2**31],
    "n_threads": [2**31 - 1, 100_000, 513],
    "n_threads_batch": [2**31 - 1, 513],
    "n_sequences": [2**32 - 1, 2**31, 257],
    "yarn_original_n_ctx": [2**32 - 1],
}


@pytest.mark.parametrize("name", ["llama", "mamba", "bert"])
def test_huge_sizes_are_refused_or_work(name: str, tiny: Path) -> None:
    cases = [{option: value} for option, values in HUGE.items() for value in values]
    cases += [{"n_batch": 2**32 - 1, "n_ubatch": 2**32 - 1}, {"n_ctx": 2**26, "n_batch": 2**26, "n_ubatch": 2**26}]
    outcome = in_a_process(
        f"""
        outcomes = []
        with mullama.Model({str(tiny / name) + ".gguf"!r}) as model:
            for options in {cases!r}:
                try:
                    with model.create_context(**dict(n_threads=1) | options) as context:
                        context.decode([1, 2, 3])
                    outcomes.append("works")
                except mullama.Error as error:
                    outcomes.append(error.code.name)
        import json
        print(json.dumps(outcomes))
        """
    )
    outcomes = json.loads(outcome.splitlines()[0])
    assert len(outcomes) == len(cases)
    assert set(outcomes) <= {"works", "INVALID_ARGUMENT", "OUT_OF_MEMORY"}
    for case, found in zip(cases, outcomes, strict=True):
        if {"n_threads", "n_threads_batch", "n_sequences"} & case.keys() or case.get("n_ctx", 0) >= 2**31:
            assert found == "INVALID_ARGUMENT", case


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"n_ctx": 2**31}, "n_ctx is 2147483648; at most 2147483647"),
        ({"n_threads": 513}, "number of threads is 513; at most 512"),
        ({"n_sequences": 257}, "n_sequences is 257; at most 256"),
        ({"n_sequences": 4, "n_batch": 3}, "n_sequences is 4, but n_batch is 3"),
        ({"n_sequences": 4, "n_ctx": 3}, "n_sequences is 4, but .* n_ctx is 3"),
    ],
)
def test_a_size_that_is_refused_is_named_with_its_bound(options: dict, reason: str, model: mullama.Model) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", reason):
        model.create_context(**options)


@pytest.mark.parametrize("n_threads", [0, -1, INT_MIN, 513, INT_MAX])
def test_threads_can_only_be_set_within_bounds(n_threads: int, context: mullama.Context) -> None:
    for counts in ((n_threads, 1), (1, n_threads)):
        with refused(mullama.ArgumentError, "INVALID_ARGUMENT", str(n_threads)):
            context.set_threads(*counts)


@pytest.mark.parametrize("n_keep", [INT_MAX, N_CTX, N_CTX // 2])
@pytest.mark.parametrize("overflow", ["truncate_start", "truncate_middle", "shift"])
def test_keeping_more_than_fits_is_refused_with_the_number(
    n_keep: int, overflow: str, context: mullama.Context
) -> None:
    with refused(mullama.ArgumentError, "INVALID_ARGUMENT", f"n_keep is {n_keep}, but only"):
        context.start_generation(tokens=[9] * 400, overflow=overflow, n_keep=n_keep, max_tokens=-1)
