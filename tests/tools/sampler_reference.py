"""Every sampler once more, in NumPy and float64, to check the library's against.

Written from the papers and from what llama.cpp's samplers are documented to do, not as a copy of their loops. A step
takes the logits of the whole vocabulary, shape `[n_vocab]`, and returns them after the step, with minus infinity for
tokens that were dropped; a token that comes in as minus infinity counts as dropped already. `min_keep` is the number
of tokens a truncation leaves at least. Steps with a history are small classes with `apply` and `accept`; steps that
choose at random give the distribution they choose from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np

DROPPED = -np.inf


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax in float64; dropped tokens have probability 0."""
    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def kept(logits: np.ndarray) -> np.ndarray:
    """Ids of the tokens that are left, in ascending order."""
    return np.flatnonzero(np.asarray(logits) > DROPPED)


def entropy(logits: np.ndarray) -> float:
    """Shannon entropy in nats."""
    p = probabilities(logits)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


# Truncation -----------------------------------------------------------------------------------------------------------


def greedy(logits: np.ndarray) -> int:
    """The most likely token; of equals the one with the lowest id."""
    return int(np.argmax(logits))


def top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Keeps the k largest logits; 0 or less keeps all."""
    return _keep(logits, _descending(logits)[:k]) if k > 0 else _keep(logits, kept(logits))


def top_p(logits: np.ndarray, p: float, min_keep: int = 0) -> np.ndarray:
    """Keeps the smallest set of most likely tokens with a total of at least p (Holtzman et al., arXiv 1904.09751)."""
    if p >= 1:
        return _keep(logits, kept(logits))
    order = _descending(logits)
    reached = np.cumsum(probabilities(logits)[order]) >= p
    return _keep(logits, order[: _first(reached, min_keep)])


def min_p(logits: np.ndarray, p: float, min_keep: int = 0) -> np.ndarray:
    """Keeps tokens at least p times as likely as the most likely one (Nguyen et al., arXiv 2407.01082)."""
    order = _descending(logits)
    if p <= 0:
        return _keep(logits, order)
    likely = np.asarray(logits, np.float64)[order] >= np.max(logits) + np.log(p)
    return _keep(logits, order[: max(int(likely.sum()), min_keep, 1)])


def typical(logits: np.ndarray, p: float, min_keep: int = 0) -> np.ndarray:
    """Keeps the tokens whose surprise is nearest the entropy until they exceed p (Meister et al., arXiv 2202.00666)."""
    if p >= 1:
        return _keep(logits, kept(logits))
    candidates = kept(logits)
    likelihood = probabilities(logits)[candidates]
    distance = np.abs(-np.log(likelihood) - entropy(logits))
    order = np.argsort(distance, kind="stable")
    exceeded = np.cumsum(likelihood[order]) > p
    return _keep(logits, candidates[order[: _first(exceeded, min_keep)]])


def tail_free(logits: np.ndarray, z: float, min_keep: int = 1) -> np.ndarray:
    """Tail-free sampling: cuts where the curve of sorted probabilities has spent z of its curvature.

    With p sorted in descending order: d_i = p_i - p_(i+1), c_i = |d_i - d_(i+1)|, w = c / sum(c). Kept are the tokens
    before the first i at which w_0 + ... + w_i exceeds z. Phénix and Egan, 2019, "Tail Free Sampling",
    https://www.trentonbricken.com/Tail-Free-Sampling; the curvature of a flat curve is spread evenly, as llama.cpp did
    while it had this sampler.
    """
    order = _descending(logits)
    if z >= 1 or len(order) <= 2:
        return _keep(logits, order)
    curvature = np.abs(np.diff(probabilities(logits)[order], n=2))
    total = curvature.sum()
    weights = curvature / total if total > 1e-6 else np.full(len(curvature), 1 / len(curvature))
    exceeded = np.flatnonzero(np.cumsum(weights) > z)
    exceeded = exceeded[exceeded >= min_keep]
    return _keep(logits, order[: max(int(exceeded[0]), 1)] if len(exceeded) else order)


def top_n_sigma(logits: np.ndarray, n: float) -> np.ndarray:
    """Keeps logits within n standard deviations of the largest (Tang et al., arXiv 2411.07641); 0 or less keeps all."""
    candidates = kept(logits)
    if n <= 0 or len(candidates) <= 1:
        return _keep(logits, candidates)
    values = np.asarray(logits, np.float64)[candidates]
    return _keep(logits, candidates[values >= values.max() - n * values.std()])


def xtc(logits: np.ndarray, threshold: float, min_keep: int = 0) -> np.ndarray:
    """Drops all tokens of at least the threshold's probability but the least likely of them: XTC where chance lets it.

    "Exclude top choices", by p-e-w: https://github.com/oobabooga/text-generation-webui/pull/6335.
    """
    order = _descending(logits)
    n_top = int((probabilities(logits)[order] >= threshold).sum())
    n_dropped = max(n_top - 1, 0)
    if threshold > 0.5 or len(order) - n_dropped < min_keep:
        n_dropped = 0
    return _keep(logits, order[n_dropped:])


# Temperature ----------------------------------------------------------------------------------------------------------


def temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the logits; 0 or less keeps only the most likely token."""
    if temperature <= 0:
        return _keep(logits, [greedy(logits)])
    return np.asarray(logits, np.float64) / temperature


def dynamic_temperature(logits: np.ndarray, temperature_: float, range_: float, exponent: float = 1.0) -> np.ndarray:
    """A temperature within ± range that grows with the entropy, as a part of the largest possible entropy.

    Entropy-based dynamic temperature by kalomaze, https://github.com/ggml-org/llama.cpp/pull/4972.
    """
    n_candidates = len(kept(logits))
    if range_ <= 0:
        return temperature(logits, temperature_)
    if n_candidates <= 1:
        return _keep(logits, kept(logits))
    low, high = max(0.0, temperature_ - range_), temperature_ + range_
    share = entropy(logits) / np.log(n_candidates)
    return temperature(logits, low + (high - low) * share**exponent)


# Samplers that choose -------------------------------------------------------------------------------------------------


class Dist:
    """Chooses by probability, with the random numbers of C++'s `std::mt19937` and 53 random bits a choice."""

    def __init__(self, seed: int):
        self.random = np.random.RandomState(seed)

    def choose(self, logits: np.ndarray, order: Sequence[int] | None = None) -> int:
        """Inverts the cumulative distribution over the tokens in `order` (by id, unless a step before sorted them)."""
        order = kept(logits) if order is None else np.asarray(order)
        low, high = self.random.randint(0, 2**32, size=2, dtype=np.uint32).astype(np.float64)
        cumulative = np.cumsum(probabilities(logits)[order])
        return int(order[np.searchsorted(cumulative, (low + high * 2.0**32) / 2.0**64)])


class Mirostat:
    """Mirostat 1.0: a top-k whose k follows the surprise (Basu et al., arXiv 2007.14966, algorithm 1)."""

    def __init__(self, n_vocab: int, tau: float = 5.0, eta: float = 0.1, m: int = 100):
        self.n_vocab, self.tau, self.eta, self.m = n_vocab, tau, eta, m
        self.mu = 2 * tau

    def k(self, logits: np.ndarray) -> float:
        """Tokens to keep, before rounding down: from the exponent of Zipf's law, fitted to the m most likely."""
        p = np.sort(probabilities(logits))[::-1]
        p = p[p > 0][: self.m]
        rank = np.arange(1, len(p))
        t = np.log((rank + 1) / rank)
        b = np.log(p[:-1] / p[1:])
        s = (t @ b) / (t @ t)
        epsilon = s - 1
        return float((epsilon * 2**self.mu / (1 - float(self.n_vocab) ** -epsilon)) ** (1 / s))

    def apply(self, logits: np.ndarray) -> np.ndarray:
        return top_k(logits, max(int(self.k(logits)), 1))

    def accept(self, token: int, logits: np.ndarray) -> None:
        """Moves mu towards the target by the surprise of the token among those `apply` kept."""
        surprise = -np.log2(probabilities(self.apply(logits))[token])
        self.mu -= self.eta * (surprise - self.tau)


class MirostatV2:
    """Mirostat 2.0: drops tokens whose surprise, in bits, is above mu (Basu et al., arXiv 2007.14966, algorithm 2)."""

    def __init__(self, tau: float = 5.0, eta: float = 0.1):
        self.tau, self.eta = tau, eta
        self.mu = 2 * tau

    def apply(self, logits: np.ndarray) -> np.ndarray:
        candidates = kept(logits)
        expected = candidates[-np.log2(probabilities(logits)[candidates]) <= self.mu]
        return _keep(logits, expected if len(expected) else [greedy(logits)])

    def accept(self, token: int, logits: np.ndarray) -> None:
        """Moves mu towards the target by the surprise of the token among those `apply` kept."""
        surprise = -np.log2(probabilities(self.apply(logits))[token])
        self.mu -= self.eta * (surprise - self.tau)


class AdaptiveP:
    """Prefers tokens near a probability that is moved so that the chosen ones average the target.

    By MrJackSpade and ddh0, https://github.com/ggml-org/llama.cpp/pull/17927.
    """

    WIDTH, PEAK, SHARPNESS = 0.3, 5.0, 10.0

    def __init__(self, target: float, decay: float = 0.9):
        self.target, self.decay = target, min(max(decay, 0.0), 0.99)
        self.total = 1 / (1 - self.decay)
        self.weighted = target * self.total

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Logits that peak at the adapted target: quadratic near it, linear far from it; the input, if target < 0."""
        logits = np.asarray(logits, np.float64)
        if self.target < 0:
            return logits.copy()
        adapted = np.clip(2 * min(self.target, 1.0) - self.weighted / self.total, 0, 1)
        distance = np.abs(probabilities(logits) - adapted) / self.WIDTH
        shaped = self.PEAK - self.SHARPNESS * distance**2 / (1 + distance)
        return np.where(logits > DROPPED, shaped, DROPPED)

    def accept(self, token: int, logits: np.ndarray) -> None:
        """Takes the chosen token's original probability into the moving average."""
        self.weighted = probabilities(logits)[token] + self.decay * self.weighted
        self.total = 1 + self.decay * self.total


# History --------------------------------------------------------------------------------------------------------------


class Penalties:
    """Repetition (Keskar et al., arXiv 1909.05858), frequency and presence penalties over the last tokens.

    A repeated token's logit is divided by `repeat`, or multiplied if it is not positive, so that it always sinks.
    """

    def __init__(self, last_n: int, repeat: float = 1.0, frequency: float = 0.0, presence: float = 0.0):
        self.repeat, self.frequency, self.presence = repeat, frequency, presence
        self.history: deque[int] = deque(maxlen=last_n)

    def accept(self, token: int) -> None:
        self.history.append(token)

    def apply(self, logits: np.ndarray) -> np.ndarray:
        logits = np.asarray(logits, np.float64)
        counts = np.bincount(np.asarray(self.history, np.int64), minlength=len(logits))
        scaled = np.where(logits > 0, logits / self.repeat, logits * self.repeat)
        return np.where(counts > 0, scaled - counts * self.frequency - self.presence, logits)


class Dry:
    """Don't repeat yourself, by p-e-w: https://github.com/oobabooga/text-generation-webui/pull/5677.

    A token that would make a run of L tokens, which already ends the history, go on as it went on before is lowered by
    `multiplier * base ** (L - allowed_length)` if L is at least `allowed_length`. A run does not reach back over a
    breaker, given as sequences of ids (see `breakers`); a breaker of a single token is never lowered.
    """

    FLOAT32_MAX_LOG = 88.7228391

    def __init__(
        self,
        multiplier: float,
        base: float = 1.75,
        allowed_length: int = 2,
        last_n: int = 64,
        breakers: Iterable[Sequence[int]] = (),
    ):
        self.multiplier, self.base, self.allowed_length = multiplier, base, allowed_length
        self.breakers = [tuple(breaker) for breaker in breakers]
        self.history: deque[int] = deque(maxlen=last_n)

    def accept(self, token: int) -> None:
        self.history.append(token)

    def longest_runs(self) -> dict[int, int]:
        """For each token that would continue a repeated run: the length of the longest such run."""
        history = list(self.history)
        limit = self._length_since_breaker(history)
        runs: dict[int, int] = {}
        for end in range(len(history) - 1):
            length = 0
            while length < min(end + 1, limit) and history[end - length] == history[-1 - length]:
                length += 1
            continuation = history[end + 1]
            runs[continuation] = max(runs.get(continuation, 0), length)
        return runs

    def apply(self, logits: np.ndarray) -> np.ndarray:
        result = np.array(logits, np.float64)
        if min(len(self.history) - 1, self._length_since_breaker(list(self.history))) < self.allowed_length:
            return result
        largest = int(self.FLOAT32_MAX_LOG / np.log(self.base)) if self.base > 1.000001 else 0
        for token, length in self.longest_runs().items():
            if length >= self.allowed_length and (token,) not in self.breakers:
                exponent = length - self.allowed_length
                result[token] -= self.multiplier * self.base ** (min(exponent, largest) if largest else exponent)
        return result

    def _length_since_breaker(self, history: list[int]) -> int:
        """Tokens after the last breaker, or all; of breakers that begin at the same token the longest counts."""
        for start in reversed(range(len(history))):
            lengths = [
                len(breaker) for breaker in self.breakers if tuple(history[start : start + len(breaker)]) == breaker
            ]
            if lengths:
                return len(history) - start - max(lengths)
        return len(history)


def dry_breakers(
    pieces: Sequence[bytes], text: bytes, tokenize: Callable[[bytes], list[int]], n_tail: int = 20
) -> set[tuple[int, ...]]:
    """The ways tokens can spell a breaker: in one token, or begun by the end of one and finished by others.

    `pieces[i]` is the text of token i; `tokenize` gives the ids of the rest of the breaker, cut to `n_tail`.
    """
    sequences: set[tuple[int, ...]] = set()
    for token, piece in enumerate(pieces):
        if text in piece:
            sequences.add((token,))
            continue
        for n_begun in range(1, min(len(text), len(piece) + 1)):
            if piece.endswith(text[:n_begun]):
                sequences.add((token, *tokenize(text[n_begun:])[:n_tail]))
    return sequences


# Vocabulary -----------------------------------------------------------------------------------------------------------


def logit_bias(logits: np.ndarray, tokens: Sequence[int], biases: Sequence[float]) -> np.ndarray:
    """Adds to the logits of some tokens; minus infinity bans."""
    result = np.array(logits, np.float64)
    result[np.asarray(tokens, np.int64)] += biases
    return result


def infill(logits: np.ndarray, pieces: Sequence[bytes], ends: Iterable[int], end_of_turn: int) -> np.ndarray:
    """Fill-in-the-middle: ends early, joins tokens of which one begins the other, keeps the clear winners.

    As llama.cpp documents it (`llama_sampler_init_infill`): if the end-of-generation tokens are likely enough, only
    they are left. Otherwise each token is joined with those that it begins, into the more likely of the two; what is
    then below a probability of 0.2, and after renormalising below 1 / (n + 1) for n tokens left, is dropped, except
    the ends. If nothing but ends is left, it is `end_of_turn`, with a logit of 1.
    """
    order = [int(token) for token in _descending(logits)]
    ends = set(ends)
    likelihood = {token: float(p) for token, p in enumerate(probabilities(logits))}
    p_end = sum(likelihood[token] for token in order if token in ends)
    p_text = sum(likelihood[token] for token in order if token not in ends)
    if 3 * p_end * len(order) > p_text:
        return _keep(logits, [token for token in order if token in ends])

    joined: set[int] = set()
    for token in order:
        for longer in order:
            if token in joined:
                break
            if longer == token or longer in joined or not pieces[token] or not pieces[longer].startswith(pieces[token]):
                continue
            source, target = (token, longer) if likelihood[longer] > likelihood[token] else (longer, token)
            likelihood[target] += likelihood[source]
            likelihood[source] = 0.0
            joined.add(source)

    left = [token for token in order if token in ends or likelihood[token] >= 0.2]
    n_text = sum(token not in ends for token in left)
    if n_text == 0:
        result = np.full(len(logits), DROPPED)
        result[end_of_turn] = 1.0
        return result
    total = sum(likelihood[token] for token in left)
    clear = [token for token in left if token in ends or likelihood[token] / total >= 1 / (n_text + 1)]
    return _keep(logits, [token for token in clear if token not in joined])


# ----------------------------------------------------------------------------------------------------------------------


def _descending(logits: np.ndarray) -> np.ndarray:
    """Ids of the tokens that are left, most likely first."""
    order = np.argsort(-np.asarray(logits, np.float64), kind="stable")
    return order[: len(kept(logits))]


def _keep(logits: np.ndarray, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
    result = np.full(len(logits), DROPPED)
    tokens = np.asarray(tokens, np.int64)
    result[tokens] = np.asarray(logits, np.float64)[tokens]
    return result


def _first(satisfied: np.ndarray, min_keep: int) -> int:
    """Number of items up to and with the first satisfied one, at least `min_keep`; all, if none is."""
    length = int(np.argmax(satisfied)) + 1 if satisfied.any() else len(satisfied)
    return min(max(length, min_keep), len(satisfied))
