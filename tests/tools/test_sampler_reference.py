"""The reference samplers on examples small enough to compute by hand."""

from __future__ import annotations

import numpy as np
import pytest
import sampler_reference as reference

# Probabilities 0.1, 0.4, 0.2, 0.3.
LOGITS = np.log([0.1, 0.4, 0.2, 0.3])


def kept(logits):
    return reference.kept(logits).tolist()


def test_dropped_tokens_have_no_probability():
    assert reference.probabilities([0.0, -np.inf, 0.0]).tolist() == [0.5, 0.0, 0.5]


def test_greedy_takes_the_first_of_equals():
    assert reference.greedy(np.array([1.0, 3.0, 3.0])) == 1


@pytest.mark.parametrize(("k", "expected"), [(1, [1]), (2, [1, 3]), (9, [0, 1, 2, 3]), (0, [0, 1, 2, 3])])
def test_top_k(k, expected):
    assert kept(reference.top_k(LOGITS, k)) == expected


def test_truncation_leaves_the_logits_of_kept_tokens_alone():
    result = reference.top_k(LOGITS, 2)
    assert result[1] == LOGITS[1] and result[3] == LOGITS[3]


@pytest.mark.parametrize(
    ("p", "min_keep", "expected"),
    [
        (0.39, 0, [1]),
        (0.41, 0, [1, 3]),  # 0.4 is not enough
        (0.71, 0, [1, 2, 3]),  # 0.7 is not enough
        (0.0, 0, [1]),
        (0.39, 3, [1, 2, 3]),
        (1.0, 0, [0, 1, 2, 3]),
    ],
)
def test_top_p(p, min_keep, expected):
    assert kept(reference.top_p(LOGITS, p, min_keep)) == expected


@pytest.mark.parametrize(
    ("p", "min_keep", "expected"),
    [(0.76, 0, [1]), (0.74, 0, [1, 3]), (0.3, 0, [1, 2, 3]), (0.0, 0, [0, 1, 2, 3]), (0.76, 2, [1, 3])],
)
def test_min_p_is_relative_to_the_most_likely_token(p, min_keep, expected):
    assert kept(reference.min_p(LOGITS, p, min_keep)) == expected


def test_typical_prefers_the_expected_surprise_to_the_most_likely_token():
    # Entropy 1.2799 nats; surprises 2.3026, 0.9163, 1.6094, 1.2040; distances 1.0227, 0.3636, 0.3295, 0.0759.
    assert kept(reference.typical(LOGITS, 0.29)) == [3]
    assert kept(reference.typical(LOGITS, 0.49)) == [2, 3]
    assert kept(reference.typical(LOGITS, 0.51)) == [1, 2, 3]
    assert kept(reference.typical(LOGITS, 0.29, min_keep=2)) == [2, 3]


def test_tail_free_cuts_where_the_curvature_is_spent():
    # Sorted 0.5 0.3 0.1 0.06 0.04; differences 0.2 0.2 0.04 0.02; curvature 0 0.16 0.02; weights 0 0.8889 0.1111.
    logits = np.log([0.5, 0.3, 0.1, 0.06, 0.04])
    assert kept(reference.tail_free(logits, 0.88)) == [0]
    assert kept(reference.tail_free(logits, 0.95)) == [0, 1]
    assert kept(reference.tail_free(logits, 0.85, min_keep=2)) == [0, 1]
    assert kept(reference.tail_free(logits, 1.0)) == [0, 1, 2, 3, 4]


def test_tail_free_on_a_flat_curve_cuts_in_proportion():
    assert kept(reference.tail_free(np.zeros(6), 0.6)) == [0, 1]  # weights 1/4 each: 0.75 exceeds 0.6 at the third


def test_top_n_sigma():
    # Mean 2, standard deviation sqrt(2): the bounds are 4 - 1.41 and 4 - 2.83.
    logits = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert kept(reference.top_n_sigma(logits, 1.0)) == [3, 4]
    assert kept(reference.top_n_sigma(logits, 2.0)) == [2, 3, 4]
    assert kept(reference.top_n_sigma(logits, -1.0)) == [0, 1, 2, 3, 4]


def test_top_n_sigma_ignores_dropped_tokens():
    assert kept(reference.top_n_sigma(np.array([0.0, -np.inf, 1.0, 2.0, 3.0, 4.0]), 1.0)) == [4, 5]


def test_xtc_keeps_the_least_likely_of_the_top_choices():
    assert kept(reference.xtc(LOGITS, 0.15)) == [0, 2]
    assert kept(reference.xtc(LOGITS, 0.35)) == [0, 1, 2, 3]  # one top choice is none to exclude
    assert kept(reference.xtc(LOGITS, 0.15, min_keep=3)) == [0, 1, 2, 3]


def test_temperature():
    assert reference.temperature(np.array([2.0, -1.0]), 0.5).tolist() == [4.0, -2.0]
    assert kept(reference.temperature(LOGITS, 0.0)) == [1]


def test_dynamic_temperature_is_high_where_all_is_open_and_low_where_nothing_is():
    open_ = np.array([1.0, 1.0, 1.0])
    np.testing.assert_allclose(reference.dynamic_temperature(open_, 1.0, 0.5), open_ / 1.5)
    settled = np.array([1000.0, 0.0, 0.0])
    np.testing.assert_allclose(reference.dynamic_temperature(settled, 1.0, 0.5), settled / 0.5)


def test_dynamic_temperature_between():
    # Two tokens of 0.25 and 0.75: entropy 0.5623 of at most ln 2 = 0.6931, a share of 0.8113.
    logits = np.log([0.25, 0.75])
    expected = logits / (2 * 0.8113**2)
    np.testing.assert_allclose(reference.dynamic_temperature(logits, 1.0, 1.0, 2.0), expected, rtol=1e-3)


def test_dist_reproduces_the_mersenne_twister():
    # The first two outputs of std::mt19937 with its default seed 5489: 3499211612, 581869302.
    uniform = (3499211612 + 581869302 * 2.0**32) / 2.0**64
    logits = np.log(np.array([uniform - 0.01, 0.02, 1 - uniform - 0.01]))
    assert reference.Dist(5489).choose(logits) == 1


def test_mirostat_moves_mu_by_the_error():
    # The surprise of each of four equal tokens is 2 bits.
    mirostat = reference.MirostatV2(tau=3.0, eta=0.1)
    assert kept(mirostat.apply(np.zeros(4))) == [0, 1, 2, 3]
    mirostat.accept(2, np.zeros(4))
    assert mirostat.mu == pytest.approx(6.0 - 0.1 * (2.0 - 3.0))


def test_mirostat_v2_drops_what_surprises_too_much():
    mirostat = reference.MirostatV2(tau=0.8)  # mu = 1.6 bits; surprises 3.32, 1.32, 2.32, 1.74
    assert kept(mirostat.apply(LOGITS)) == [1]
    mirostat.mu = 0.5
    assert kept(mirostat.apply(LOGITS)) == [1]


def test_mirostat_fits_the_exponent_of_a_power_law():
    # p ~ rank ** -2, so s = 2, epsilon = 1 and k = sqrt(2 ** mu / (1 - 1 / n)).
    logits = -2 * np.log(np.arange(1, 101))
    mirostat = reference.Mirostat(n_vocab=100, tau=3.0)
    assert mirostat.k(logits) == pytest.approx(np.sqrt(64 / 0.99))
    assert kept(mirostat.apply(logits)) == list(range(8))


def test_adaptive_p_peaks_at_the_target():
    logits = np.log([0.5, 0.3, 0.2])
    shaped = reference.AdaptiveP(0.3).apply(logits)
    assert shaped[1] == pytest.approx(5.0)
    assert shaped[0] == pytest.approx(5 - 10 * (2 / 3) ** 2 / (1 + 2 / 3))
    assert np.array_equal(reference.AdaptiveP(-1.0).apply(logits), logits)


def test_adaptive_p_aims_lower_after_a_likely_token():
    adaptive = reference.AdaptiveP(0.3, decay=0.5)  # starts at weighted 0.6, total 2
    adaptive.accept(0, np.log([0.5, 0.3, 0.2]))  # weighted 0.8, total 2: an average of 0.4, so the aim is 0.2
    assert adaptive.apply(np.log([0.5, 0.3, 0.2]))[2] == pytest.approx(reference.AdaptiveP.PEAK)


def test_penalties_sink_positive_and_negative_logits_alike():
    penalties = reference.Penalties(last_n=3, repeat=2.0, frequency=0.25, presence=1.0)
    for token in (3, 0, 1, 1):  # the 3 has left the window
        penalties.accept(token)
    assert penalties.apply(np.array([4.0, -1.0, 5.0, 6.0])).tolist() == [4 / 2 - 1.25, -1 * 2 - 0.5 - 1, 5.0, 6.0]


def dry_after(history, **options):
    dry = reference.Dry(1.0, base=2.0, **options)
    for token in history:
        dry.accept(token)
    return dry


def test_dry_finds_the_longest_run_for_each_token():
    # a b c c b c y a b c, with a = 0, b = 1, c = 2, y = 3
    assert dry_after([0, 1, 2, 2, 1, 2, 3, 0, 1, 2]).longest_runs() == {1: 1, 2: 3, 3: 2, 0: 0}


def test_dry_lowers_by_the_length_of_the_run():
    dry = dry_after([0, 1, 2, 2, 1, 2, 3, 0, 1, 2])
    assert dry.apply(np.zeros(4)).tolist() == [0.0, 0.0, -2.0, -1.0]  # 2 ** (3 - 2), 2 ** (2 - 2)


def test_dry_runs_end_at_breakers():
    dry = dry_after([0, 1, 2, 2, 1, 2, 3, 0, 1, 2], breakers=[(0,)])  # limits runs to b c
    assert dry.apply(np.zeros(4)).tolist() == [0.0, 0.0, -1.0, -1.0]
    dry = dry_after([0, 1, 2, 2, 1, 2, 3, 0, 1, 2], breakers=[(0, 1)])  # limits them to c
    assert dry.apply(np.zeros(4)).tolist() == [0.0, 0.0, 0.0, 0.0]
    dry = dry_after([0, 1, 2, 2, 1, 2, 3, 0, 1, 2], breakers=[(3,)])  # never lowers y
    assert dry.apply(np.zeros(4)).tolist() == [0.0, 0.0, -2.0, 0.0]


def test_dry_looks_back_last_n_tokens():
    assert dry_after([0, 1, 2, 2, 1, 2, 3, 0, 1, 2], last_n=7).apply(np.zeros(4)).tolist() == [0.0, 0.0, 0.0, -1.0]


def test_dry_breakers_spell_a_text_over_several_tokens():
    pieces = [b"ab", b"xa", b"b", b"a", b"c"]
    assert reference.dry_breakers(pieces, b"ab", lambda rest: [pieces.index(rest)]) == {(0,), (1, 2), (3, 2)}


def test_logit_bias():
    assert reference.logit_bias(np.zeros(3), [2, 0], [1.5, -np.inf]).tolist() == [-np.inf, 0.0, 1.5]


PIECES = [b"", b"fo", b"foo", b"x"]


def test_infill_ends_when_the_end_is_likely():
    # 3 * 0.1 * 4 candidates exceeds 0.9.
    assert kept(reference.infill(np.log([0.1, 0.3, 0.3, 0.3]), PIECES, [0], 0)) == [0]


def test_infill_joins_a_token_with_one_that_it_begins():
    # Alone, neither "fo" nor "foo" reaches 0.2; joined they have 0.385, and "x" 0.605: both are above 1 / 3.
    assert kept(reference.infill(np.log([0.01, 0.19, 0.195, 0.605]), PIECES, [0], 0)) == [0, 2, 3]


def test_infill_drops_what_is_no_clear_winner():
    # 0.74 and 0.25 of 1: the second is below 1 / 3.
    assert kept(reference.infill(np.log([0.01, 0.24, 0.50, 0.25]), PIECES, [0], 0)) == [0, 2]


def test_infill_ends_when_nothing_is_likely():
    pieces = [b"", *(bytes([letter]) for letter in b"abcdef")]
    logits = np.log([0.001, *[0.999 / 6] * 6])
    result = reference.infill(logits, pieces, [0], 0)
    assert kept(result) == [0] and result[0] == 1.0
