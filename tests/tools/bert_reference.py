"""A BERT encoder and its WordPiece tokenizer in NumPy, float32, written from the papers and not from llama.cpp.

Devlin et al., "BERT" (2018); Wu et al., "Google's Neural Machine Translation System" (2016) for WordPiece; Hendrycks and
Gimpel, "Gaussian Error Linear Units" (2016).
"""

from __future__ import annotations

import unicodedata

import numpy as np
from minilm import MiniLM

LONGEST_WORD = 100  # characters; a longer one is unknown, as in the original tokenizer


def words_of(text: str) -> list[str]:
    """Lower case, without accents and control characters; split at spaces, punctuation and CJK characters."""
    words = [""]
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if character.isspace():
            words.append("")
        elif category in ("Mn", "Cc", "Cf") or character in "\0\ufffd":
            continue
        elif _stands_alone(character, category):
            words += [character, ""]
        else:
            words[-1] += character
    return [word for word in words if word]


def _stands_alone(character: str, category: str) -> bool:
    is_ascii_symbol = character.isascii() and not character.isalnum()
    is_cjk = 0x4E00 <= ord(character) <= 0x9FFF or 0x3400 <= ord(character) <= 0x4DBF
    return is_ascii_symbol or category.startswith("P") or is_cjk


class Bert:
    def __init__(self, model: MiniLM):
        self.weights = model.weights
        self.n_layer = model.config["num_hidden_layers"]
        self.n_head = model.config["num_attention_heads"]
        self.epsilon = model.config["layer_norm_eps"]
        self.ids = {piece: number for number, piece in enumerate(model.pieces)}

    def tokenize(self, text: str) -> list[int]:
        """[CLS], the pieces of each word, longest first, and [SEP]."""
        pieces = [piece for word in words_of(text) for piece in self._pieces(word)]
        return [self.ids[piece] for piece in ("[CLS]", *pieces, "[SEP]")]

    def _pieces(self, word: str) -> list[str]:
        pieces: list[str] = []
        start = 0
        while start < len(word) <= LONGEST_WORD:
            candidates = ((("##" if start else "") + word[start:end], end) for end in range(len(word), start, -1))
            piece, start = next(((piece, end) for piece, end in candidates if piece in self.ids), ("", len(word)))
            if not piece:
                return ["[UNK]"]
            pieces.append(piece)
        return pieces or ["[UNK]"]

    def embed(self, tokens: list[int]) -> np.ndarray:
        """The mean of the last layer's vectors, [n_embd], not normalised."""
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.position_embeddings.weight"][: len(tokens)]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self.n_layer):
            name = f"encoder.layer.{layer}."
            attended = self._linear(self._attend(x, name + "attention.self."), name + "attention.output.dense")
            x = self._norm(x + attended, name + "attention.output.LayerNorm")
            hidden = gelu(self._linear(x, name + "intermediate.dense"))
            x = self._norm(x + self._linear(hidden, name + "output.dense"), name + "output.LayerNorm")
        return x.mean(axis=0)

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def _attend(self, x: np.ndarray, name: str) -> np.ndarray:
        q, k, v = (
            self._linear(x, name + part).reshape(len(x), self.n_head, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(q.shape[-1]))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ v).transpose(1, 0, 2).reshape(len(x), -1)


def gelu(x: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * x * (1 + erf(x / np.sqrt(np.float32(2))))


def erf(x: np.ndarray) -> np.ndarray:
    """Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26; the error is at most 1.5e-7."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    factors = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    polynomial = sum(np.float32(factor) * t**power for power, factor in enumerate(factors, start=1))
    return np.sign(x) * (1 - polynomial * np.exp(-(x**2)))
