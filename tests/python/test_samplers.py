"""Every sampler against the independent reference in tests/tools/sampler_reference.py, on the tiny llama's vocabulary.

What a step keeps must be the same set; what it computes must agree to float32. Steps that choose by chance are checked
against the distribution that the reference says they choose from: `assert_distribution` states the bound. Seeds are
fixed, so that a test that passes once passes always.
"""

from __future__ import annotations

import mullama
import numpy as np
import pytest
import sampler_reference as reference
from tiny_models import spm_vocabulary

N_VOCAB = len(spm_vocabulary())
NO_SEED = 2**32 - 1


def spread(seed: int, deviation: float) -> np.ndarray:
    """Normally distributed logits: flat for a small deviation, settled for a large one."""
    return np.random.RandomState(seed).normal(0, deviation, N_VOCAB).astype(np.float32)


def power_law(seed: int) -> np.ndarray:
    """Probabilities that fall with the rank as word frequencies do, in random order."""
    ranks = np.random.RandomState(seed).permutation(N_VOCAB) + 1
    return (-1.5 * np.log(ranks)).astype(np.float32)


LOGITS = {
    "flat": spread(0, 0.5),
    "usual": spread(1, 2.0),
    "settled": spread(2, 6.0),
    "power law": power_law(3),
    "positive": spread(4, 2.0) + np.float32(20),
}


@pytest.fixture(params=LOGITS.values(), ids=LOGITS.keys())
def logits(request):
    return request.param


@pytest.fixture(scope="module")
def model(tiny):
    with mullama.Model(str(tiny / "llama.gguf")) as model:
        assert model.n_vocab == N_VOCAB
        yield model


@pytest.fixture
def chain(model):
    with model.create_sampler_chain() as chain:
        yield chain


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32 and found.shape == (N_VOCAB,)
    assert not np.isnan(found).any()
    assert reference.kept(found).tolist() == reference.kept(expected).tolist()
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def assert_distribution(chosen: list[int], p: np.ndarray) -> None:
    """Pearson's chi-square of the counts, rare tokens pooled, within 5 standard deviations of its expectation.

    A right sampler with fresh random numbers would fail about once in a hundred thousand runs.
    """
    counts = np.bincount(chosen, minlength=len(p))
    assert counts[p == 0].sum() == 0, "chose a token of probability 0"
    expected = p * len(chosen)
    common = expected >= 10
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    observed, expected = observed[expected > 0], expected[expected > 0]
    statistic = float(((observed - expected) ** 2 / expected).sum())
    degrees = len(expected) - 1
    assert statistic <= degrees + 5 * np.sqrt(2 * degrees)


# Steps without chance or history --------------------------------------------------------------------------------------

STEPS = [
    ("top_k", {"k": 40}, lambda x: reference.top_k(x, 40)),
    ("top_k", {"k": 1}, lambda x: reference.top_k(x, 1)),
    ("top_k", {"k": 200}, lambda x: reference.top_k(x, 200)),  # above 128 llama.cpp sorts in another way
    ("top_k", {"k": 0}, lambda x: x),
    ("top_k", {"k": 10**6}, lambda x: x),
    ("top_p", {"p": 0.9}, lambda x: reference.top_p(x, 0.9)),
    ("top_p", {"p": 0.5, "min_keep": 30}, lambda x: reference.top_p(x, 0.5, 30)),
    ("top_p", {"p": 0.0}, lambda x: reference.top_p(x, 0.0)),
    ("top_p", {"p": 1.0}, lambda x: x),
    ("min_p", {"p": 0.1}, lambda x: reference.min_p(x, 0.1)),
    ("min_p", {"p": 0.9, "min_keep": 25}, lambda x: reference.min_p(x, 0.9, 25)),
    ("min_p", {"p": 0.0}, lambda x: x),
    ("typical", {"p": 0.7}, lambda x: reference.typical(x, 0.7)),
    ("typical", {"p": 0.1, "min_keep": 20}, lambda x: reference.typical(x, 0.1, 20)),
    ("typical", {"p": 1.0}, lambda x: x),
    ("tail_free", {"z": 0.95}, lambda x: reference.tail_free(x, 0.95)),
    ("tail_free", {"z": 0.3}, lambda x: reference.tail_free(x, 0.3)),
    ("tail_free", {"z": 0.5, "min_keep": 15}, lambda x: reference.tail_free(x, 0.5, 15)),
    ("tail_free", {"z": 0.0, "min_keep": 0}, lambda x: reference.tail_free(x, 0.0, 0)),
    ("tail_free", {"z": 1.0}, lambda x: x),
    ("temperature", {"temperature": 0.7}, lambda x: reference.temperature(x, 0.7)),
    ("temperature", {"temperature": 3.0}, lambda x: reference.temperature(x, 3.0)),
    ("temperature", {"temperature": 0.0}, lambda x: reference.temperature(x, 0.0)),
    ("temperature", {"temperature": -1.0}, lambda x: reference.temperature(x, 0.0)),
    ("dynamic_temperature", {"temperature": 0.8, "range": 0.5}, lambda x: reference.dynamic_temperature(x, 0.8, 0.5)),
    (
        "dynamic_temperature",
        {"temperature": 1.0, "range": 2.0, "exponent": 1.7},
        lambda x: reference.dynamic_temperature(x, 1.0, 2.0, 1.7),
    ),
    ("dynamic_temperature", {"temperature": 0.6, "range": 0.0}, lambda x: reference.temperature(x, 0.6)),
    ("top_n_sigma", {"n": 1.0}, lambda x: reference.top_n_sigma(x, 1.0)),
    ("top_n_sigma", {"n": 2.5}, lambda x: reference.top_n_sigma(x, 2.5)),
    ("top_n_sigma", {"n": -1.0}, lambda x: x),
    ("logit_bias", {"tokens": [3, 300, 7], "biases": [2.5, -np.inf, -4.0]},
     lambda x: reference.logit_bias(x, [3, 300, 7], [2.5, -np.inf, -4.0])),
    ("logit_bias", {"tokens": [], "biases": []}, lambda x: x),
]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "arguments", "expected"), STEPS, ids=[f"{step} {arguments}" for step, arguments, _ in STEPS]
)
def test_step(chain, logits, step, arguments, expected):
    getattr(chain, f"add_{step}")(**arguments)
    assert_same(chain.apply(logits), expected(logits))


def test_greedy_chooses_the_most_likely_token(chain, logits):
    chain.add_greedy()
    assert chain.choose(logits) == reference.greedy(logits)
    assert_same(chain.apply(logits), logits)


def test_steps_apply_in_the_order_in_which_they_were_added(model, logits):
    with model.create_sampler_chain() as chain:
        chain.add_temperature(temperature=0.5)
        chain.add_top_p(p=0.8)
        chain.add_min_p(p=0.05)
        chain.add_typical(p=0.9)
        expected = reference.top_p(reference.temperature(logits, 0.5), 0.8)
        assert_same(chain.apply(logits), reference.typical(reference.min_p(expected, 0.05), 0.9))
    with model.create_sampler_chain() as chain:
        chain.add_tail_free(z=0.9)
        chain.add_top_k(k=30)
        chain.add_temperature(temperature=2.0)
        expected = reference.top_k(reference.tail_free(logits, 0.9), 30)
        assert_same(chain.apply(logits), reference.temperature(expected, 2.0))


@pytest.mark.parametrize(
    ("step", "arguments", "expected"),
    [
        ("top_p", {"p": 0.9}, lambda x: reference.top_p(x, 0.9)),
        ("min_p", {"p": 0.2}, lambda x: reference.min_p(x, 0.2)),
        ("typical", {"p": 0.8}, lambda x: reference.typical(x, 0.8)),
        ("tail_free", {"z": 0.9}, lambda x: reference.tail_free(x, 0.9)),
    ],
    ids=["top_p", "min_p", "typical", "tail_free"],
)
def test_a_step_after_top_n_sigma_does_not_see_what_it_dropped(chain, logits, step, arguments, expected):
    chain.add_top_n_sigma(n=1.5)
    getattr(chain, f"add_{step}")(**arguments)
    assert_same(chain.apply(logits), expected(reference.top_n_sigma(logits, 1.5)))


def test_names_and_removal(chain):
    chain.add_top_k(k=5)
    chain.add_tail_free(z=0.9)
    chain.add_greedy()
    assert chain.names() == ["top-k", "tail-free", "greedy"]
    chain.remove(1)
    assert chain.names() == ["top-k", "greedy"]
    with pytest.raises(mullama.Error):
        chain.remove(2)


# History --------------------------------------------------------------------------------------------------------------


def random_history(seed: int, n_tokens: int, alphabet: list[int]) -> list[int]:
    return [int(token) for token in np.random.RandomState(seed).choice(alphabet, n_tokens)]


@pytest.mark.parametrize(
    "settings",
    [
        {"last_n": 64, "repeat": 1.3},
        {"last_n": 8, "repeat": 1.1, "frequency": 0.2, "presence": 0.5},
        {"last_n": 20, "frequency": -0.3},
        {"last_n": 0, "repeat": 1.5},
    ],
    ids=str,
)
def test_penalties(chain, logits, settings):
    chain.add_penalties(**settings)
    expected = reference.Penalties(**settings)
    for token in random_history(5, 30, [2, 9, 270, 300, 301, 302]):
        chain.accept(token)
        expected.accept(token)
        assert_same(chain.apply(logits), expected.apply(logits))
    chain.reset()
    assert_same(chain.apply(logits), logits)


def test_penalties_look_back_over_the_training_context_for_minus_one(chain, model, logits):
    chain.add_penalties(last_n=-1, presence=1.0)
    expected = reference.Penalties(last_n=model.info.n_ctx_train, presence=1.0)
    history = [300] + [301] * (model.info.n_ctx_train - 1)
    for token in [*history, 302]:  # the 300 has left
        chain.accept(token)
        expected.accept(token)
    assert_same(chain.apply(logits), expected.apply(logits))
    assert chain.apply(logits)[300] == logits[300]


@pytest.fixture(scope="module")
def pieces(model):
    """What each token adds to a text, special tokens spelled out."""
    return [bytes(model.token_piece(token, special=True)) for token in range(N_VOCAB)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "settings",
    [
        {"multiplier": 0.8, "last_n": 64},
        {"multiplier": 0.5, "base": 1.2, "allowed_length": 1, "last_n": 24},
        {"multiplier": 2.0, "base": 3.0, "allowed_length": 4, "last_n": 512},
    ],
    ids=str,
)
def test_dry(chain, pieces, settings, seed):
    logits = LOGITS["usual"]
    alphabet = [pieces.index(piece) for piece in (b" the", b" of", b" the", b" of", b" the", b" of", b" and", b"!")]
    chain.add_dry(**settings, breakers=["!"])
    expected = reference.Dry(**settings, breakers=[(token,) for token, piece in enumerate(pieces) if b"!" in piece])
    lowered = 0
    for token in random_history(seed, 80, alphabet):
        chain.accept(token)
        expected.accept(token)
        assert_same(chain.apply(logits), expected.apply(logits))
        lowered += int((expected.apply(logits) < logits).any())
    assert lowered > 2
    chain.reset()
    assert_same(chain.apply(logits), logits)


@pytest.mark.parametrize("seed", range(4))
def test_dry_breaker_over_several_tokens(chain, model, pieces, seed):
    logits = LOGITS["usual"]
    breaker = "e?!"
    sequences = reference.dry_breakers(
        pieces, breaker.encode(), lambda rest: list(model.tokenize(rest.decode(), add_special=False))
    )
    (tail,) = {sequence[1:] for sequence in sequences if pieces[sequence[0]] == b" the"}
    words = [pieces.index(piece) for piece in (b" the", b" of", b" be")]
    assert {(pieces.index(b" the"), *tail), (pieces.index(b" be"), *tail)} <= sequences
    chain.add_dry(multiplier=1.0, last_n=128, breakers=[breaker])
    expected = reference.Dry(multiplier=1.0, last_n=128, breakers=sequences)
    differed = False
    unbroken = reference.Dry(multiplier=1.0, last_n=128)
    for word in random_history(seed, 40, [*words, -1]):
        for token in [words[0], *tail] if word == -1 else [word]:
            chain.accept(token)
            expected.accept(token)
            unbroken.accept(token)
            assert_same(chain.apply(logits), expected.apply(logits))
            differed |= not np.array_equal(expected.apply(logits), unbroken.apply(logits))
    assert differed, "the breaker changed nothing"


def test_dry_breaks_at_line_break_colon_quote_and_asterisk_by_default(chain, pieces):
    logits = LOGITS["usual"]
    marks = {(token,) for token, piece in enumerate(pieces) if set(piece) & set(b'\n:"*')}
    chain.add_dry(multiplier=1.0, last_n=64)
    expected = reference.Dry(multiplier=1.0, last_n=64, breakers=marks)
    for token in random_history(7, 60, [pieces.index(piece) for piece in (b" the", b" of", b":")]):
        chain.accept(token)
        expected.accept(token)
        assert_same(chain.apply(logits), expected.apply(logits))


# The vocabulary -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("likelihoods", "n_texts"),
    [
        ({b" th": 0.01, b" the": 0.19, b" they": 0.195, b" of": 0.605}, 2),  # joined, " they" is likely enough
        ({b" the": 0.24, b" they": 0.50, b" of": 0.25}, 1),  # above 0.2, but no clear winner
        ({b" the": 0.36, b" they": 0.2, b" of": 0.34, b"!": 0.09}, 2),
        ({b" the": 0.5, b"</s>": 0.2, b"<|im_end|>": 0.3}, 0),  # only the ends are left
        ({}, 0),  # nothing is likely: the end of the turn
    ],
)
def test_infill(chain, model, pieces, likelihoods, n_texts):
    logits = np.where(np.arange(N_VOCAB) % 2, -20.0, -21.0).astype(np.float32)
    for piece, likelihood in likelihoods.items():
        logits[pieces.index(piece)] = np.log(likelihood)
    ends = [token for token in range(N_VOCAB) if model.token_is_end(token)]
    assert len(ends) == 2
    if not likelihoods:
        logits[ends] = -35.0
    texts = [bytes(model.token_piece(token, special=False)) for token in range(N_VOCAB)]
    expected = reference.infill(logits, texts, ends, model.special_tokens.eot)
    assert len(set(reference.kept(expected)) - set(ends)) == n_texts
    chain.add_infill()
    assert_same(chain.apply(logits), expected)


def test_grammar_allows_what_continues_it(chain, model, pieces, logits):
    chain.add_grammar(grammar='root ::= "the" | "to"')
    words = [b"the", b"to"]
    text = b""
    for token in (pieces.index(b"t"), pieces.index(b"h"), pieces.index(b"e")):
        rests = [word[len(text) :] for word in words if word.startswith(text)]
        allowed = [
            token
            for token, piece in enumerate(pieces)
            if not model.token_is_end(token) and piece and any(rest.startswith(piece) for rest in rests)
        ]
        assert reference.kept(chain.apply(logits)).tolist() == allowed
        chain.accept(token)
        text += pieces[token]
    assert all(model.token_is_end(int(token)) for token in reference.kept(chain.apply(logits)))


# Chance ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 5489, 2**32 - 2])
def test_dist_chooses_with_the_mersenne_twister(chain, logits, seed):
    chain.add_dist(seed=seed)
    expected = reference.Dist(seed)
    assert [chain.choose(logits) for _ in range(200)] == [expected.choose(logits) for _ in range(200)]


def test_dist_chooses_by_probability(chain, logits):
    chain.add_dist(seed=11)
    assert_distribution([chain.choose(logits) for _ in range(20_000)], reference.probabilities(logits))


def test_dist_chooses_by_probability_among_what_is_left(chain, logits):
    chain.add_top_k(k=12)
    chain.add_temperature(temperature=1.5)
    chain.add_dist(seed=12)
    left = reference.temperature(reference.top_k(logits, 12), 1.5)
    assert_distribution([chain.choose(logits) for _ in range(20_000)], reference.probabilities(left))


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_xtc_acts_with_its_probability_and_drops_the_top_choices(model, probability):
    logits = LOGITS["power law"]
    expected = reference.xtc(logits, 0.04)
    assert 0 < np.isinf(expected).sum() < 10
    n_runs, n_acted = 1000, 0
    for seed in range(n_runs):
        with model.create_sampler_chain() as chain:
            chain.add_xtc(probability=probability, threshold=0.04, min_keep=1, seed=seed)
            found = chain.apply(logits)
        acted = bool(np.isinf(found).any())
        assert_same(found, expected if acted else logits)
        n_acted += acted
    # Five standard deviations of a binomial distribution.
    deviation = np.sqrt(n_runs * probability * (1 - probability))
    assert abs(n_acted - n_runs * probability) <= 5 * deviation


def test_xtc_leaves_min_keep_tokens(chain, logits):
    chain.add_top_k(k=8)
    chain.add_xtc(probability=1.0, threshold=0.01, min_keep=6, seed=1)
    assert_same(chain.apply(logits), reference.xtc(reference.top_k(logits, 8), 0.01, 6))


@pytest.mark.parametrize(
    ("step", "arguments", "expected"),
    [
        ("mirostat", {"tau": 3.0, "eta": 0.1, "m": 100}, lambda: reference.Mirostat(N_VOCAB, 3.0, 0.1, 100)),
        ("mirostat", {"tau": 4.0, "eta": 0.3, "m": 20}, lambda: reference.Mirostat(N_VOCAB, 4.0, 0.3, 20)),
        ("mirostat_v2", {"tau": 3.0, "eta": 0.1}, lambda: reference.MirostatV2(3.0, 0.1)),
        ("mirostat_v2", {"tau": 1.5, "eta": 0.4}, lambda: reference.MirostatV2(1.5, 0.4)),
    ],
)
def test_mirostat_keeps_what_its_running_surprise_allows(chain, step, arguments, expected):
    getattr(chain, f"add_{step}")(**arguments, seed=21)
    mirostat = expected()
    n_kept = set()
    for index in range(60):
        logits = power_law(100 + index) + spread(150 + index, 0.5)
        found = chain.apply(logits)
        k = mirostat.k(logits) if step == "mirostat" else 0.5
        if 0.001 < k % 1 < 0.999:  # float32 may round the other way
            assert_same(found, mirostat.apply(logits))
        n_kept.add(len(reference.kept(found)))
        token = chain.choose(logits)
        assert token in reference.kept(found)
        chain.accept(token)
        mirostat.accept(token, logits)
    assert len(n_kept) > 5, "the truncation did not follow the surprise"


@pytest.mark.parametrize("step", ["mirostat", "mirostat_v2"])
def test_mirostat_chooses_by_probability_among_what_it_keeps(chain, step):
    logits = LOGITS["usual"]
    getattr(chain, f"add_{step}")(tau=4.0, eta=0.0, seed=22)  # without learning the truncation stays
    mirostat = reference.Mirostat(N_VOCAB, 4.0, 0.0) if step == "mirostat" else reference.MirostatV2(4.0, 0.0)
    left = reference.probabilities(mirostat.apply(logits))
    assert_distribution([chain.choose(logits) for _ in range(20_000)], left)


@pytest.mark.parametrize(("target", "decay"), [(0.3, 0.9), (0.05, 0.5), (0.9, 0.0)])
def test_adaptive_p_follows_its_target(chain, target, decay):
    chain.add_adaptive_p(target=target, decay=decay, seed=31)
    expected = reference.AdaptiveP(target, decay)
    for index in range(60):
        logits = spread(200 + index, 3.0)
        found = chain.apply(logits)
        np.testing.assert_allclose(found, expected.apply(logits), rtol=1e-3, atol=2e-3)
        token = chain.choose(logits)
        chain.accept(token)
        expected.accept(token, logits)


@pytest.mark.parametrize("target", [0.2, -1.0])
def test_adaptive_p_chooses_by_its_own_probabilities(chain, target):
    logits = LOGITS["usual"]
    chain.add_adaptive_p(target=target, seed=32)
    shaped = reference.AdaptiveP(target).apply(logits)
    assert_distribution([chain.choose(logits) for _ in range(20_000)], reference.probabilities(shaped))


def test_adaptive_p_learns_nothing_from_a_token_it_did_not_choose(chain):
    logits = LOGITS["settled"]
    chain.add_adaptive_p(target=0.3, seed=33)
    before = chain.apply(logits)
    chosen = chain.choose(logits)
    chain.accept((chosen + 1) % N_VOCAB)
    assert_same(chain.apply(logits), before)


# Seeds, reset and clones ----------------------------------------------------------------------------------------------

CHANCE = {
    "dist": {},
    "xtc": {"probability": 0.5, "threshold": 0.02},
    "mirostat": {"tau": 3.0},
    "mirostat_v2": {"tau": 3.0},
    "adaptive_p": {"target": 0.1},
}


def add_chance(chain, step: str, seed: int | None) -> None:
    getattr(chain, f"add_{step}")(**CHANCE[step], seed=seed)
    if step == "xtc":
        chain.add_greedy()  # XTC does not choose


def drawn(chain, n: int = 100) -> list[int]:
    """What a chain chooses and is then told, on changing logits."""
    tokens = []
    for index in range(n):
        tokens.append(chain.choose(spread(300 + index, 2.0)))
        chain.accept(tokens[-1])
    return tokens


@pytest.mark.parametrize("step", CHANCE)
def test_a_seed_repeats_and_another_differs(model, step):
    runs = []
    for seed in (41, 41, 42):
        with model.create_sampler_chain() as chain:
            add_chance(chain, step, seed)
            assert chain.seed == seed
            runs.append(drawn(chain))
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("step", CHANCE)
def test_reset_starts_again(chain, step):
    add_chance(chain, step, 43)
    first = drawn(chain)
    assert drawn(chain) != first
    chain.reset()
    assert drawn(chain) == first


@pytest.mark.parametrize("step", CHANCE)
def test_a_clone_goes_on_as_the_original(chain, step):
    add_chance(chain, step, 44)
    drawn(chain, 30)
    with chain.clone() as clone:
        assert drawn(clone) == drawn(chain)


@pytest.mark.parametrize("step", CHANCE)
def test_a_clone_can_be_told_what_the_original_chose(chain, step):
    add_chance(chain, step, 45)
    drawn(chain, 5)
    token = chain.choose(LOGITS["usual"])
    with chain.clone() as clone:
        clone.accept(token)
        chain.accept(token)
        assert_same(clone.apply(LOGITS["usual"]), chain.apply(LOGITS["usual"]))


@pytest.mark.parametrize("step", CHANCE)
def test_a_random_seed_can_be_read_and_used_again(model, step):
    with model.create_sampler_chain() as chain:
        add_chance(chain, step, None)
        seed = chain.seed
        chosen = drawn(chain)
    assert seed != NO_SEED
    with model.create_sampler_chain() as again:
        add_chance(again, step, seed)
        assert drawn(again) == chosen


@pytest.mark.parametrize("step", CHANCE)
def test_a_clone_has_the_random_seed_of_the_original(chain, step):
    add_chance(chain, step, None)
    with chain.clone() as clone:
        assert clone.seed == chain.seed


def test_two_random_seeds_differ(model):
    seeds = set()
    for _ in range(3):
        with model.create_sampler_chain() as chain:
            chain.add_dist()
            seeds.add(chain.seed)
    assert len(seeds) == 3


def test_a_chain_without_chance_has_no_seed(chain):
    chain.add_top_k(k=3)
    chain.add_greedy()
    assert chain.seed == NO_SEED


def test_apply_changes_nothing(chain):
    chain.add_penalties(repeat=1.5)
    chain.add_mirostat_v2(tau=3.0, seed=46)
    with chain.clone() as untouched:
        for _ in range(10):
            chain.apply(LOGITS["usual"])
        assert drawn(chain) == drawn(untouched)


def test_clones_share_no_history(chain):
    chain.add_penalties(presence=1.0)
    with chain.clone() as clone:
        clone.accept(300)
        assert clone.apply(LOGITS["usual"])[300] < LOGITS["usual"][300]
        assert_same(chain.apply(LOGITS["usual"]), LOGITS["usual"])


# Options and presets --------------------------------------------------------------------------------------------------


def default_chain(logits: np.ndarray) -> np.ndarray:
    left = reference.min_p(reference.top_p(reference.top_k(logits, 40), 0.95), 0.05)
    return reference.temperature(left, 0.8)


def test_the_default_chain_is_llama_cpps(model, logits):
    with model.create_sampler(seed=51) as sampler:
        assert sampler.names() == ["top-k", "top-p", "min-p", "temp", "dist"]
        assert sampler.seed == 51
        assert_same(sampler.apply(logits), default_chain(logits))
        chosen = [sampler.choose(logits) for _ in range(20_000)]
    assert_distribution(chosen, reference.probabilities(default_chain(logits)))


def test_options_reach_their_steps(model, logits):
    options = {"top_n_sigma": 2.0, "top_k": 100, "typical_p": 0.9, "tail_free_z": 0.97, "top_p": 0.9, "min_p": 0.02}
    with model.create_sampler(**options, temperature=1.3, min_keep=3, seed=1) as sampler:
        expected = reference.top_k(reference.top_n_sigma(logits, 2.0), 100)
        expected = reference.tail_free(reference.typical(expected, 0.9, 3), 0.97, 3)
        expected = reference.min_p(reference.top_p(expected, 0.9, 3), 0.02, 3)
        assert_same(sampler.apply(logits), reference.temperature(expected, 1.3))


def test_options_of_the_history_and_the_vocabulary(model, pieces):
    logits = LOGITS["usual"]
    off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temperature": 1.0}
    penalties = {"repeat_penalty": 1.2, "frequency_penalty": 0.1, "presence_penalty": 0.3, "repeat_last_n": 16}
    dry = {"dry_multiplier": 0.7, "dry_base": 2.0, "dry_allowed_length": 1, "dry_last_n": 32, "dry_breakers": ["!"]}
    breakers = [(token,) for token, piece in enumerate(pieces) if b"!" in piece]
    expected_penalties = reference.Penalties(16, 1.2, 0.1, 0.3)
    expected_dry = reference.Dry(0.7, 2.0, 1, 32, breakers)
    with model.create_sampler(**off, **penalties, **dry, bias_tokens=[301], biases=[-2.0], seed=1) as sampler:
        for token in random_history(9, 40, [300, 301, 302]):
            sampler.accept(token)
            expected_penalties.accept(token)
            expected_dry.accept(token)
        expected = reference.logit_bias(logits, [301], [-2.0])
        assert_same(sampler.apply(logits), expected_dry.apply(expected_penalties.apply(expected)))


def test_order_of_the_options_chain(model, logits):
    with model.create_sampler(order=["temperature", "top_p"], temperature=0.5, top_p=0.7, seed=1) as sampler:
        assert sampler.names() == ["temp", "top-p", "dist"]
        assert_same(sampler.apply(logits), reference.top_p(reference.temperature(logits, 0.5), 0.7))
    with pytest.raises(mullama.Error, match="no_such_step"):
        model.create_sampler(order=["no_such_step"])
    with pytest.raises(mullama.Error, match="twice"):
        model.create_sampler(order=["top_k", "top_k"])


def test_temperature_zero_is_greedy_whatever_else_is_set(model, logits):
    with model.create_sampler(temperature=0.0, top_k=3, xtc_probability=1.0, xtc_threshold=0.0) as sampler:
        assert sampler.choose(logits) == reference.greedy(logits)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_option_takes_the_place_of_the_truncating_steps(model, version):
    logits = LOGITS["usual"]
    with model.create_sampler(mirostat=version, mirostat_tau=3.0, temperature=0.9, seed=1) as sampler:
        expected = reference.Mirostat(N_VOCAB, 3.0) if version == 1 else reference.MirostatV2(3.0)
        assert_same(sampler.apply(logits), expected.apply(reference.temperature(logits, 0.9)))


@pytest.mark.parametrize("preset", ["greedy", "precise", "balanced", "creative"])
def test_presets(model, logits, preset):
    settings = mullama.get_sampler_settings(preset)
    names = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")
    numbers = {name: getattr(settings, name) for name in names}
    with model.create_sampler(**numbers, seed=1) as sampler:
        if preset == "greedy":
            assert sampler.choose(logits) == reference.greedy(logits)
            return
        left = reference.top_p(reference.top_k(logits, numbers["top_k"]), numbers["top_p"])
        left = reference.min_p(left, numbers["min_p"])
        assert_same(sampler.apply(logits), reference.temperature(left, numbers["temperature"]))


def test_presets_range_from_settled_to_open():
    temperatures = [
        mullama.get_sampler_settings(preset).temperature for preset in ("greedy", "precise", "balanced", "creative")
    ]
    assert temperatures == sorted(temperatures) and temperatures[0] == 0
    assert temperatures[2] == pytest.approx(0.8)  # llama.cpp's


# What cannot be sampled -----------------------------------------------------------------------------------------------

NOT_NUMBERS = [float("nan"), float("inf"), -float("inf")]


@pytest.mark.parametrize(
    ("step", "argument", "values"),
    [
        ("top_p", "p", [*NOT_NUMBERS, -0.1, 1.1]),
        ("min_p", "p", [*NOT_NUMBERS, -0.1, 1.1]),
        ("typical", "p", [*NOT_NUMBERS, -0.1, 1.1]),
        ("tail_free", "z", [*NOT_NUMBERS, -0.1, 1.1]),
        ("temperature", "temperature", NOT_NUMBERS),
        ("top_n_sigma", "n", NOT_NUMBERS),
        ("mirostat", "tau", [*NOT_NUMBERS, -1.0]),
        ("mirostat", "m", [1, 0, -5]),
        ("mirostat_v2", "eta", [*NOT_NUMBERS, -1.0]),
        ("adaptive_p", "target", [*NOT_NUMBERS, 1.5]),
        ("penalties", "repeat", [*NOT_NUMBERS, 0.0, -1.0]),
        ("penalties", "frequency", NOT_NUMBERS),
        ("penalties", "last_n", [-2, 2**31 - 1]),
        ("dry", "multiplier", NOT_NUMBERS),
    ],
)
def test_numbers_without_a_meaning_are_refused(chain, step, argument, values):
    for value in values:
        with pytest.raises(mullama.Error):
            getattr(chain, f"add_{step}")(**{argument: value})
    assert chain.names() == []


@pytest.mark.parametrize("option", ["temperature", "top_p", "min_p", "typical_p", "xtc_probability", "repeat_penalty"])
def test_options_without_a_meaning_are_refused(model, option):
    for value in NOT_NUMBERS:
        with pytest.raises(mullama.Error, match=option):
            model.create_sampler(**{option: value})


def test_logits_that_are_no_logits_are_refused(chain):
    chain.add_greedy()
    damaged = LOGITS["usual"].copy()
    for value in (np.nan, np.inf):
        damaged[5] = value
        with pytest.raises(mullama.Error):
            chain.choose(damaged)
    with pytest.raises(mullama.Error):
        chain.choose(np.full(N_VOCAB, -np.inf, np.float32))
    with pytest.raises(mullama.Error, match=str(N_VOCAB)):
        chain.choose(LOGITS["usual"][:-1])


def test_a_chain_that_chooses_nothing_says_so(chain):
    chain.add_top_k(k=5)
    with pytest.raises(mullama.Error, match="chooses"):
        chain.choose(LOGITS["usual"])


def test_tokens_outside_of_the_vocabulary_are_refused(chain):
    chain.add_penalties(presence=1.0)
    for token in (-1, N_VOCAB, 2**31 - 1):
        with pytest.raises(mullama.Error):
            chain.accept(token)
        with pytest.raises(mullama.Error):
            chain.add_logit_bias(tokens=[token], biases=[1.0])
