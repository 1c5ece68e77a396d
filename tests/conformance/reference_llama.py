"""The tiny llama once more, in NumPy and float64: where expected logits and greedy tokens of the cases come from.

`python tests/conformance/reference_llama.py MODEL.gguf TOKENS...` prints the largest logits and what greedy sampling
goes on with. The layers are those of Touvron et al., arXiv 2302.13971: RMS norm, rotary embedding of adjacent pairs
(Su et al., arXiv 2104.09864), grouped-query attention, SwiGLU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np


class Llama:
    """A model small enough to be evaluated whole for each token."""

    def __init__(self, path: Path | str) -> None:
        reader = gguf.GGUFReader(path)
        self.weights = {tensor.name: tensor.data.astype(np.float64) for tensor in reader.tensors}

        def number(key: str) -> float:
            return reader.fields[f"llama.{key}"].contents()

        self.n_layer = int(number("block_count"))
        self.n_head = int(number("attention.head_count"))
        self.n_head_kv = int(number("attention.head_count_kv"))
        self.epsilon = number("attention.layer_norm_rms_epsilon")
        self.rope_base = number("rope.freq_base")

    def logits(self, tokens: list[int]) -> np.ndarray:
        """Shape [n, n_vocab]."""
        x = self.weights["token_embd.weight"][tokens]
        for layer in range(self.n_layer):
            w = {name.split(".", 2)[2]: weight for name, weight in self.weights.items() if name.startswith(f"blk.{layer}.")}
            x = x + self._attention(self._norm(x, w["attn_norm.weight"]), w)
            h = self._norm(x, w["ffn_norm.weight"])
            gate = h @ w["ffn_gate.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w["ffn_up.weight"].T)) @ w["ffn_down.weight"].T
        return self._norm(x, self.weights["output_norm.weight"]) @ self.weights["output.weight"].T

    def greedy(self, tokens: list[int], n: int) -> list[int]:
        """The n tokens that greedy sampling adds."""
        all_tokens = list(tokens)
        for _ in range(n):
            all_tokens.append(int(np.argmax(self.logits(all_tokens)[-1])))
        return all_tokens[len(tokens) :]

    def _norm(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + self.epsilon) * weight

    def _rotate(self, x: np.ndarray) -> np.ndarray:
        """x of shape [n, heads, width], turned by the position."""
        n, _, width = x.shape
        angles = np.arange(n)[:, None] * self.rope_base ** (-np.arange(0, width, 2) / width)
        cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    def _attention(self, x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
        n = len(x)
        q = self._rotate((x @ w["attn_q.weight"].T).reshape(n, self.n_head, -1))
        k = self._rotate((x @ w["attn_k.weight"].T).reshape(n, self.n_head_kv, -1))
        v = (x @ w["attn_v.weight"].T).reshape(n, self.n_head_kv, -1)
        k, v = (np.repeat(one, self.n_head // self.n_head_kv, axis=1) for one in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
        scores[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        return np.einsum("hqk,khd->qhd", p, v).reshape(n, -1) @ w["attn_output.weight"].T


def main() -> None:
    model, tokens = Llama(sys.argv[1]), [int(token) for token in sys.argv[2:]]
    last = model.logits(tokens)[-1]
    for token in np.argsort(-last)[:8]:
        print(f"{token:5} {last[token]:10.5f}")
    print("greedy:", *model.greedy(tokens, 32))


if __name__ == "__main__":
    main()
