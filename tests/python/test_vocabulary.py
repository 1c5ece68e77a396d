"""Text to tokens and back, on the vocabulary that tiny_models.py wrote and on that of its bert."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import mullama
import pytest
import rewrite
import tiny_models
from gguf import GGUFValueType, TokenType
from mullama import ErrorCode, TokenAttributes

VOCABULARY = tiny_models.spm_vocabulary()
BOS, EOS = VOCABULARY.id("<s>"), VOCABULARY.id("</s>")
START, END = VOCABULARY.id("<|im_start|>"), VOCABULARY.id("<|im_end|>")

ATTRIBUTES = {
    TokenType.UNKNOWN: TokenAttributes.UNKNOWN,
    TokenType.NORMAL: TokenAttributes.NORMAL,
    TokenType.CONTROL: TokenAttributes.CONTROL,
    TokenType.BYTE: TokenAttributes.BYTE,
}


@pytest.fixture(scope="module")
def bert(tiny: Path) -> Iterator[mullama.Model]:
    with mullama.Model(tiny / "bert.gguf") as model:
        yield model


# Single tokens --------------------------------------------------------------------------------------------------------


def test_every_token_is_spelled_as_in_the_file(llama: mullama.Model) -> None:
    assert [llama.token_text(token) for token in range(llama.n_vocab)] == VOCABULARY.texts


def test_every_token_has_the_score_of_the_file(llama: mullama.Model) -> None:
    assert [llama.token_score(token) for token in range(llama.n_vocab)] == VOCABULARY.scores


def test_every_token_has_the_attribute_of_its_type(llama: mullama.Model) -> None:
    for token, type_ in enumerate(VOCABULARY.types):
        assert llama.token_attributes(token) == ATTRIBUTES[type_], VOCABULARY.texts[token]
        assert llama.token_is_control(token) == (type_ == TokenType.CONTROL)


def test_a_byte_tokens_piece_is_that_byte(llama: mullama.Model) -> None:
    assert [llama.token_piece(VOCABULARY.byte(value)) for value in range(256)] == [bytes([v]) for v in range(256)]


def test_a_words_piece_has_a_space_where_its_spelling_has_a_mark(llama: mullama.Model) -> None:
    assert llama.token_piece(VOCABULARY.id("▁water")) == b" water"
    assert llama.token_piece(VOCABULARY.id("▁")) == b" "


def test_a_control_tokens_piece_is_empty_unless_it_is_asked_for(llama: mullama.Model) -> None:
    assert llama.token_piece(END) == b"<|im_end|>"
    assert llama.token_piece(END, special=False) == b""


# Special tokens -------------------------------------------------------------------------------------------------------


def test_special_tokens_have_the_roles_of_the_file(llama: mullama.Model) -> None:
    expected = dict.fromkeys(llama.special_tokens._asdict(), -1) | {
        "bos": BOS,
        "eos": EOS,
        "eot": END,
        "newline": VOCABULARY.byte(10),
        "fim_prefix": VOCABULARY.id("<|fim_prefix|>"),
        "fim_suffix": VOCABULARY.id("<|fim_suffix|>"),
        "fim_middle": VOCABULARY.id("<|fim_middle|>"),
        "add_bos": True,
        "add_eos": False,
        "add_sep": False,
    }
    assert llama.special_tokens._asdict() == expected


def test_every_special_token_has_the_id_of_the_file(tiny: Path, tmp_path: Path) -> None:
    keys = {
        "bos": "bos",
        "eos": "eos",
        "eot": "eot",
        "sep": "seperator",
        "pad": "padding",
        "mask": "mask",
        "fim_prefix": "fim_pre",
        "fim_suffix": "fim_suf",
        "fim_middle": "fim_mid",
        "fim_pad": "fim_pad",
        "fim_repository": "fim_rep",
        "fim_separator": "fim_sep",
    }
    ids = {name: number for number, name in enumerate(keys, start=20)}
    values = {f"tokenizer.ggml.{keys[name]}_token_id": (GGUFValueType.UINT32, token) for name, token in ids.items()}
    rewrite.write(tiny / "minimal.gguf", tmp_path / "m.gguf", values=values)
    with mullama.Model(tmp_path / "m.gguf") as model:
        found = model.special_tokens._asdict()
        assert {name: found[name] for name in ids} == ids


def test_a_bert_has_a_separator_a_mask_and_padding(bert: mullama.Model) -> None:
    tokens = bert.special_tokens
    assert (tokens.pad, tokens.bos, tokens.sep, tokens.mask) == (0, 2, 3, 4)
    assert tokens.add_sep


def test_the_end_tokens_are_all_that_end_a_generation(llama: mullama.Model) -> None:
    assert llama.end_tokens() == sorted([EOS, END])
    assert [token for token in range(llama.n_vocab) if llama.token_is_end(token)] == llama.end_tokens()


def test_this_file_suppresses_no_tokens(llama: mullama.Model) -> None:
    assert llama.suppressed_tokens() == []


def test_tokens_that_a_file_suppresses_are_told(tiny: Path, tmp_path: Path) -> None:
    tokens = {"tokenizer.ggml.suppress_tokens": (GGUFValueType.ARRAY, [9, 5])}
    rewrite.write(tiny / "minimal.gguf", tmp_path / "m.gguf", values=tokens)
    with mullama.Model(tmp_path / "m.gguf") as model:
        assert sorted(model.suppressed_tokens()) == [5, 9]


# Tokenizing -----------------------------------------------------------------------------------------------------------


def test_words_become_their_longest_pieces(llama: mullama.Model) -> None:
    assert llama.tokenize("the water") == [BOS, VOCABULARY.id("▁the"), VOCABULARY.id("▁water")]
    assert llama.tokenize("the water", add_special=False) == [VOCABULARY.id("▁the"), VOCABULARY.id("▁water")]


def test_characters_without_a_token_become_their_bytes(llama: mullama.Model) -> None:
    tokens = llama.tokenize("€", add_special=False)
    assert tokens == [VOCABULARY.id("▁"), *(VOCABULARY.byte(value) for value in "€".encode())]


def test_special_tokens_in_a_text_stay_text_unless_asked_for(llama: mullama.Model) -> None:
    text = "<|im_start|>the<|im_end|>"
    assert not {START, END} & set(llama.tokenize(text))
    assert llama.detokenize(llama.tokenize(text, add_special=False)).strip() == text
    parsed = llama.tokenize(text, add_special=False, parse_special=True)
    assert (parsed[0], parsed[-1]) == (START, END)


def test_an_empty_text_has_only_special_tokens(llama: mullama.Model) -> None:
    assert llama.tokenize("") == [BOS]
    assert llama.tokenize("", add_special=False) == []


def test_a_nul_in_a_text_is_a_character_like_any_other(llama: mullama.Model) -> None:
    tokens = llama.tokenize("a\0b", add_special=False)
    assert VOCABULARY.byte(0) in tokens
    assert llama.detokenize(tokens).strip() == "a\0b"


def test_a_bert_puts_its_text_between_two_special_tokens(bert: mullama.Model) -> None:
    tokens = bert.tokenize("the water")
    assert (tokens[0], tokens[-1]) == (bert.special_tokens.bos, bert.special_tokens.sep)
    assert [bert.token_text(token) for token in tokens[1:-1]] == ["▁the", "▁water"]


def test_a_character_that_a_vocabulary_has_no_token_for_is_an_error(tiny: Path) -> None:
    with mullama.Model(tiny / "minimal.gguf") as model:
        with pytest.raises(mullama.ArgumentError, match="a character that the vocabulary has no token for") as raised:
            model.tokenize("é")
        assert raised.value.code is ErrorCode.INVALID_ARGUMENT
        assert model.tokenize("e") == [BOS, model.tokenize("▁", add_special=False)[0], model.tokenize("e")[-1]]


# Detokenizing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["the water of life.", "  two  spaces ", "é€😀", "line\nline\ttab", "x\u0301 ﬁ Å", "\U0010ffff"]
)
def test_a_text_comes_back_from_its_tokens(text: str, llama: mullama.Model) -> None:
    assert llama.detokenize(llama.tokenize(text, add_special=False)) == text


@pytest.mark.parametrize("character", ["é", "€", "😀"])
def test_a_cut_character_becomes_one_replacement_character(character: str, llama: mullama.Model) -> None:
    tokens = llama.tokenize("the " + character, add_special=False)
    for n_missing in range(1, len(character.encode())):
        assert llama.detokenize(tokens[:-n_missing]) == "the \ufffd"


def test_bytes_that_are_no_text_are_each_replaced(llama: mullama.Model) -> None:
    tokens = [VOCABULARY.id("a"), VOCABULARY.byte(0xFF), VOCABULARY.byte(0x80), VOCABULARY.id("b")]
    assert llama.detokenize(tokens).strip() == "a\ufffd\ufffdb"


def test_special_tokens_are_written_when_asked_for(llama: mullama.Model) -> None:
    tokens = [BOS, VOCABULARY.id("▁the"), END]
    assert "<|im_end|>" not in llama.detokenize(tokens)
    assert llama.detokenize(tokens, unparse_special=True) == "<s> the<|im_end|>"
    assert llama.detokenize(tokens, remove_special=True, unparse_special=True) == " the<|im_end|>"


def test_no_tokens_are_no_text(llama: mullama.Model) -> None:
    assert llama.detokenize([]) == ""


def test_a_long_text_comes_back_whole(llama: mullama.Model) -> None:
    text = ("the water of people " * 20_000).strip()
    tokens = llama.tokenize(text, add_special=False)
    assert len(tokens) == 4 * 20_000
    assert llama.detokenize(tokens) == text


# The vocabulary types that llama.cpp's own test files leave out ---------------------------------------------------------


@pytest.fixture
def model_of(tiny: Path, tmp_path: Path) -> Iterator[Callable[..., mullama.Model]]:
    """Makes a vocabulary of a type from its words and their scores; three special tokens stand before them."""
    with contextlib.ExitStack() as models:

        def make(kind: str, words: dict[str, float]) -> mullama.Model:
            values = {
                "tokenizer.ggml.model": (GGUFValueType.STRING, kind),
                "tokenizer.ggml.tokens": (GGUFValueType.ARRAY, ["<unk>", "<s>", "</s>", *words]),
                "tokenizer.ggml.scores": (GGUFValueType.ARRAY, [0.0, 0.0, 0.0, *words.values()]),
                "tokenizer.ggml.token_type": (
                    GGUFValueType.ARRAY,
                    [2, 3, 3, *(6 if word.startswith("<0x") else 1 for word in words)],
                ),
            }
            rewrite.write(tiny / "minimal.gguf", tmp_path / "m.gguf", values=values)
            return models.enter_context(mullama.Model(tmp_path / "m.gguf", vocab_only=True))

        yield make


def spelled(model: mullama.Model, text: str) -> list[str]:
    tokens = model.tokenize(text, add_special=False)
    assert model.detokenize(tokens) == text
    return [model.token_text(token) for token in tokens]


def test_unigram_takes_the_most_likely_pieces(model_of: Callable[..., mullama.Model]) -> None:
    model = model_of("t5", {"▁": -2.0, "a": -3.0, "b": -3.0, "c": -3.0, "▁a": -3.0, "ab": -4.0, "abc": -8.0})
    assert model.info.vocabulary_type is mullama.VocabularyType.UGM
    assert spelled(model, "abcab a") == ["ab", "c", "ab", "▁a"]


def test_rwkv_takes_the_longest_piece(model_of: Callable[..., mullama.Model]) -> None:
    words = ["a", "ab", "abc", "b", "c", " ", "\\n", "\\xc3\\xa9"]
    model = model_of("rwkv", dict.fromkeys(words, 0.0))
    assert model.info.vocabulary_type is mullama.VocabularyType.RWKV
    assert spelled(model, "abcab a\né") == ["abc", "ab", " ", "a", "\\n", "\\xc3\\xa9"]
    assert model.token_piece(3 + words.index("\\xc3\\xa9")) == "é".encode()


def test_plamo2_weighs_pieces_and_falls_back_to_bytes(model_of: Callable[..., mullama.Model]) -> None:
    octets = {f"<0x{octet:02X}>": 0.0 for octet in range(256)}
    model = model_of("plamo2", {**octets, "a": -3.0, "b": -3.0, "c": -3.0, "ab": -2.0, "abc": -9.0, " a": -2.0})
    assert model.info.vocabulary_type is mullama.VocabularyType.PLAMO2
    assert spelled(model, "abcab aé") == ["ab", "c", "ab", " a", "<0xC3>", "<0xA9>"]
