"""What of a generated text is shown when: stop texts are held back whole, and characters come out whole.

The tokens are forced with `accept`, so that each test says exactly what arrives when.
"""

from __future__ import annotations

import mullama
import pytest
from mullama import FinishReason, Status
from tiny_models import spm_vocabulary

VOCABULARY = spm_vocabulary()


def tokens_of(*pieces: str | bytes) -> list[int]:
    """A piece is a word with its leading space, a character, or bytes that become one token each."""
    tokens = []
    for piece in pieces:
        if isinstance(piece, bytes):
            tokens += [VOCABULARY.byte(value) for value in piece]
        else:
            tokens.append(VOCABULARY.id(piece.replace(" ", "▁")))
    return tokens


class Forced:
    """A generation whose tokens are given: the text of each event, the rest, and the result."""

    def __init__(self, context, *pieces: str | bytes, **options: object) -> None:
        with context.start_generation("the", **options) as generation:
            self.shown = []
            for token in tokens_of(*pieces):
                if generation.prepare() != Status.ITEM:
                    break
                self.shown.append(generation.accept(token).text)
            self.open = generation.result.finish_reason == FinishReason.NONE
            self.rest = generation.finish().text
            self.text, self.result = generation.text(), generation.result
        assert self.text == "".join(self.shown) + self.rest


@pytest.fixture
def force(context):
    return lambda *pieces, **options: Forced(context, *pieces, **options)


def test_a_stop_text_split_over_two_tokens_is_never_shown(force):
    forced = force(" they", " was", " most", " into", stop="was mo")
    assert forced.shown == [" they", " ", ""]
    assert forced.text == " they "
    assert forced.result.finish_reason == FinishReason.STOP and forced.result.stop_text == "was mo"
    assert forced.result.n_generated == 3


def test_what_was_held_back_is_shown_once_it_cannot_become_a_stop_text(force):
    forced = force(" they", " was", " most", stop="was make")
    assert forced.shown == [" they", " ", "was most"]
    assert forced.open


def test_a_stop_text_ends_at_the_first_character_that_can_belong_to_it(force):
    assert force("a", "b", "c", "a", "b", "d", stop="abd").shown == ["", "", "abc", "", "", ""]


@pytest.mark.parametrize(
    ("written", "stop", "text"),
    [
        ("aab", "ab", "a"),
        ("aaab", "aab", "a"),
        ("ababac", "abac", "ab"),
        ("abcabcabd", "abcabd", "abc"),
        ("aaaa", "aa", ""),
        ("abaabaab", "abaabaab", ""),
    ],
)
def test_a_stop_text_that_overlaps_itself_is_found_at_its_first_place(force, written, stop, text):
    forced = force(*written, stop=stop)
    assert forced.text == text and forced.result.stop_text == stop


def test_a_stop_text_can_be_the_very_first_token(force):
    forced = force(" the", " they", stop=" the")
    assert forced.shown == [""] and forced.text == "" and forced.result.n_generated == 1


def test_a_stop_text_inside_one_token_cuts_it(force):
    assert force(" people", stop="op").text == " pe"


def test_the_stop_text_that_comes_first_wins_whatever_its_place_in_the_list(force):
    for stops in (["people", " was"], [" was", "people"]):
        forced = force(" they", " was", " people", stop=stops)
        assert forced.text == " they" and forced.result.stop_text == " was"


def test_a_longer_stop_text_that_fails_does_not_hide_a_shorter_one_inside_it(force):
    forced = force("x", "a", "b", "c", stop=["abd", "b"])
    assert forced.shown == ["x", "", "a"] and forced.text == "xa" and forced.result.stop_text == "b"


def test_the_end_of_the_text_gives_what_was_held_back(force):
    end = force(" was", "</s>", stop="was moon")
    assert end.shown == [" ", "was"] and end.result.finish_reason == FinishReason.STOP
    assert end.result.stop_text is None
    length = force(" was", stop="was moon", max_tokens=1)
    assert length.shown == [" was"] and length.result.finish_reason == FinishReason.LENGTH


def test_a_stop_text_is_found_although_max_tokens_ends_at_the_same_token(force):
    forced = force("a", "b", stop="ab", max_tokens=2)
    assert forced.text == "" and forced.result.finish_reason == FinishReason.STOP


def test_control_tokens_have_no_text(force):
    assert force(" they", "<|fim_prefix|>", " was").shown == [" they", "", " was"]


@pytest.mark.parametrize("character", ["é", "€", "😀", "\u0301", "\U0010ffff"])
def test_a_character_split_over_tokens_comes_out_whole_with_its_last_byte(force, character):
    data = character.encode()
    forced = force(" they", data, ".")
    assert forced.shown == [" they", *[""] * (len(data) - 1), character, "."]


@pytest.mark.parametrize(
    "data",
    [b"\xf0\x9f\x98", b"\xc3", b"\x80", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\xc3\xa9", b"\xe2\x82\xe2\x82\xac", b"\xc0\xaf"],
    ids=lambda data: data.hex(),
)
def test_bytes_that_are_no_character_become_what_python_makes_of_them(force, data):
    """The rule of Unicode 15, section 3.9 (one U+FFFD for each maximal part), which `bytes.decode` follows as well."""
    assert force(" they", data, ".").text == " they" + data.decode(errors="replace") + "."
    assert force(" they", data).text == " they" + data.decode(errors="replace")


def test_a_stop_text_can_be_a_character_split_over_tokens(force):
    forced = force(" they", "😀".encode(), stop="😀")
    assert forced.text == " they" and forced.result.stop_text == "😀"


def test_a_broken_character_before_a_stop_text_does_not_hide_it(force):
    assert force(b"\xf0\x9f", "a", "b", stop="ab").text == "\ufffd"


def test_an_empty_stop_text_is_refused(context):
    with pytest.raises(mullama.ArgumentError, match="empty"):
        context.generate("the", stop=["a", ""])
