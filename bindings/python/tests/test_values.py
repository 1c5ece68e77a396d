"""Numbers, texts, arrays, enums and words: every shape there and back."""

from __future__ import annotations

import array
import copy
import math
import pickle
import sys

import fixture_binding as fixture
import numpy as np
import pytest

LLAMA = "naïve 🦙\0end"


# Numbers

LIMITS = {
    "i32": (-(2**31), 2**31 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "size": (0, 2**64 - 1),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_limits_survive_and_one_beyond_them_is_refused_by_name(kind):
    echo = getattr(fixture, f"echo_{kind}")
    low, high = LIMITS[kind]
    assert (echo(low), echo(high), echo(0)) == (low, high, 0)
    for beyond in (low - 1, high + 1):
        with pytest.raises(fixture.ArgumentError, match=f"value must be from {low} to {high}, not {beyond}"):
            echo(beyond)


@pytest.mark.parametrize("wrong", ["7", 7.5, None, [7], b"7"])
def test_a_wrong_type_for_an_int_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match=f"value must be an int, not {type(wrong).__name__}"):
        fixture.echo_i32(wrong)


def test_numpy_numbers_are_numbers():
    assert fixture.echo_i32(np.int64(-5)) == -5
    assert fixture.echo_f64(np.float32(0.5)) == 0.5
    assert fixture.echo_bool(np.bool_(True)) is True


def test_not_a_number_and_infinity_survive():
    assert math.isnan(fixture.echo_f64(math.nan))
    assert math.isnan(fixture.echo_f32(math.nan))
    assert fixture.echo_f32(-math.inf) == -math.inf
    assert fixture.echo_f32(0.1) == np.float32(0.1)


def test_a_text_is_no_float_and_no_bool():
    with pytest.raises(TypeError, match="value must be a float, not str"):
        fixture.echo_f64("1.5")
    with pytest.raises(TypeError, match="value must be a bool, not str"):
        fixture.echo_bool("false")


def test_bools_are_bools():
    assert fixture.echo_bool(True) is True
    assert fixture.echo_bool(False) is False


def test_unset_is_none():
    assert fixture.echo_unset() is None
    assert fixture.echo_unset(None) is None
    assert fixture.echo_unset(5) == 5


def test_a_number_outside_its_range_is_an_argument_error():
    assert fixture.half(50) == 25.0
    with pytest.raises(fixture.ArgumentError, match="percent") as error:
        fixture.half(101)
    assert error.value.code is fixture.ErrorCode.INVALID_ARGUMENT


def test_a_function_without_a_result_gives_none():
    assert fixture.nothing() is None


def test_a_struct_has_every_number_and_is_immutable():
    numbers = fixture.get_numbers()
    assert numbers.yes is True and numbers.no is False
    assert (numbers.lowest_i32, numbers.lowest_i64) == (-(2**31), -(2**63))
    assert (numbers.highest_u32, numbers.highest_u64, numbers.highest_size) == (2**32 - 1, 2**64 - 1, 2**64 - 1)
    assert math.isnan(numbers.not_a_number) and numbers.infinite == math.inf
    assert numbers.unset_number is None
    with pytest.raises(AttributeError, match="Numbers cannot be changed"):
        numbers.yes = False
    with pytest.raises(AttributeError):
        del numbers.yes


def test_records_compare_hash_copy_and_pickle_by_value():
    first, second = fixture.get_word_info(), fixture.get_word_info()
    assert first == second and hash(first) == hash(second) and first is not second
    assert first != (7, "plus")
    assert pickle.loads(pickle.dumps(first)) == copy.copy(first) == first
    assert repr(first) == "WordInfo(import_=7, operator='plus')"


# Texts


@pytest.mark.parametrize("text", ["", "a", LLAMA, "\0", "é" * 10_000, "👩‍👩‍👧‍👦", "\ufeffbom"])
def test_texts_survive(text):
    assert fixture.echo_text(text) == text
    assert fixture.echo_text_or_none(text) == text
    assert fixture.text_size(text) == len(text.encode())


def test_borrowed_texts():
    assert fixture.sample_text() == LLAMA
    assert fixture.empty_text() == ""
    assert fixture.sample_texts() == ["one", "", LLAMA]


def test_none_stays_none():
    assert fixture.echo_text_or_none() is None


def test_a_lone_surrogate_is_refused():
    with pytest.raises(fixture.ArgumentError, match="text is not valid Unicode") as error:
        fixture.echo_text("\ud800")
    assert error.value.code is fixture.ErrorCode.INVALID_UTF8


@pytest.mark.parametrize("wrong", [b"bytes", 5, None, ["a"]])
def test_a_wrong_type_for_a_text_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match=f"text must be a str, not {type(wrong).__name__}"):
        fixture.echo_text(wrong)


def test_lists_of_texts():
    assert fixture.echo_texts([]) == []
    assert fixture.echo_texts(["", LLAMA]) == ["", LLAMA]
    assert fixture.echo_texts("one") == ["one"]
    assert fixture.echo_texts(text for text in ("a", "b")) == ["a", "b"]
    assert fixture.join() == ""
    assert fixture.join(["a", "b"], "-") == "a-b"


def test_a_wrong_item_of_a_list_is_named():
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, not int"):
        fixture.echo_texts(["a", 5])
    with pytest.raises(TypeError, match="texts must be a list of str, not int"):
        fixture.echo_texts(5)


def test_maps():
    assert fixture.pairs(["a", LLAMA], ["1", ""]) == {"a": "1", LLAMA: ""}
    assert fixture.pairs([], []) == {}
    with pytest.raises(fixture.ArgumentError):
        fixture.pairs(["a"], [])


@pytest.mark.parametrize("value", [{}, [], {"a": [1, 2.5, None, True, "🦙"]}, 5, None, False])
def test_json_takes_and_gives_python_objects(value):
    assert fixture.echo_json(value) == value


def test_json_text_is_passed_on_as_it_is():
    assert fixture.echo_json('{"a": "é"}') == {"a": "é"}
    with pytest.raises(fixture.ArgumentError) as error:
        fixture.echo_json("{")
    assert error.value.code is fixture.ErrorCode.INVALID_JSON


def test_what_json_cannot_hold_is_refused_by_name():
    with pytest.raises(TypeError, match="value cannot be written as JSON"):
        fixture.echo_json({1, 2})
    circle: list = []
    circle.append(circle)
    with pytest.raises(TypeError, match="value cannot be written as JSON"):
        fixture.echo_json(circle)


def test_no_json_is_not_json_null():
    assert fixture.echo_json_or_none() is None
    assert fixture.echo_json_or_none({"a": None}) == {"a": None}


# Arrays


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\xff", bytearray(b"ab"), memoryview(b"abc")[::2], np.arange(4, dtype=np.uint8), array.array("H", [1, 2])],
)
def test_bytes_take_any_buffer(data):
    assert fixture.echo_bytes(data) == memoryview(data).tobytes()


def test_a_text_is_not_bytes():
    with pytest.raises(TypeError, match="data must be bytes or another buffer, not str"):
        fixture.echo_bytes("text")


@pytest.mark.parametrize(
    "numbers",
    [
        [1, -2, 2**31 - 1],
        (1, -2, 2**31 - 1),
        iter([1, -2, 2**31 - 1]),
        np.array([1, -2, 2**31 - 1], np.int32),
        np.array([1, -2, 2**31 - 1], np.int64),
        np.array([1, 0, -2, 0, 2**31 - 1, 0], np.int32)[::2],
        np.array([[1, -2, 2**31 - 1]], np.int32),
        array.array("i", [1, -2, 2**31 - 1]),
        array.array("q", [1, -2, 2**31 - 1]),
        memoryview(array.array("i", [1, -2, 2**31 - 1])),
    ],
    ids=lambda numbers: type(numbers).__name__,
)
def test_ints_take_lists_and_arrays(numbers):
    assert fixture.echo_ints(numbers) == [1, -2, 2**31 - 1]


def test_empty_arrays():
    assert fixture.echo_ints([]) == []
    assert fixture.echo_ints(np.array([], np.int32)) == []
    assert fixture.echo_floats([]).shape == (0,)
    assert fixture.echo_octets(b"") == b""
    assert fixture.sum([]) == 0


def test_no_array_is_not_an_empty_one():
    assert fixture.sum() == -1
    assert fixture.sum(None) == -1


def test_an_int_that_does_not_fit_is_refused_by_name():
    for numbers in ([2**31], np.array([2**31])):
        with pytest.raises(fixture.ArgumentError, match="numbers: integer 2147483648 does not fit"):
            fixture.echo_ints(numbers)


@pytest.mark.parametrize("wrong", ["12", b"12", [1.5], np.array([1.5]), np.array([True]), 5, None, [None], ["1"]])
def test_what_is_not_ints_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match="numbers must be"):
        fixture.echo_ints(wrong)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_floats_take_other_numbers(kind):
    numbers = fixture.echo_floats(np.array([1, -2, 3], kind))
    assert numbers.dtype == np.float32 and numbers.tolist() == [1, -2, 3]


def test_floats_are_an_array_of_ones_own():
    numbers = fixture.echo_floats([0.5, 2])
    numbers[0] = 7
    assert numbers.tolist() == [7, 2]


def test_floats_that_are_easily_lost():
    numbers = fixture.sample_floats()
    largest, smallest = np.finfo(np.float32).max, np.float32(numbers[5])
    assert np.isnan(numbers[0]) and numbers[1] == np.inf and numbers[2] == -np.inf
    assert numbers[3] == 0 and np.signbit(numbers[3]) and numbers[4] == largest and smallest > 0
    again = fixture.echo_floats(numbers)
    assert again.tobytes() == numbers.tobytes()


def test_octets():
    for numbers in ([0, 255], bytes([0, 255]), np.array([0, 255], np.uint8)):
        assert fixture.echo_octets(numbers) == b"\0\xff"
    with pytest.raises(fixture.ArgumentError, match="numbers"):
        fixture.echo_octets([256])


def test_an_array_of_the_right_type_is_used_in_place(monkeypatch):
    from fixture_binding import _convert

    numbers = np.arange(3, dtype=np.int32)
    pointer, length = _convert.i32_span(numbers, "numbers")
    numbers[0] = 9
    assert length == 3 and pointer[0] == 9


# Enums and flags


@pytest.mark.parametrize("given", [fixture.Color.BLUE, 5, "blue", "BLUE"])
def test_enums_are_given_as_member_value_or_name(given):
    assert fixture.echo_color(given) is fixture.Color.BLUE


def test_negative_enum_values():
    assert fixture.echo_color(-1) is fixture.Color.INFRARED


def test_unknown_enum_values_become_members_of_their_own():
    color = fixture.unknown_color()
    assert (color, color.name, isinstance(color, fixture.Color)) == (77, "UNKNOWN_77", True)
    assert fixture.echo_color(color) is color
    assert pickle.loads(pickle.dumps(color)) is color
    assert color not in list(fixture.Color)


def test_wrong_enum_values_are_refused_by_name():
    with pytest.raises(fixture.ArgumentError, match="value must be one of infrared, red, green, blue, not 'pink'"):
        fixture.echo_color("pink")
    with pytest.raises(TypeError, match="value must be a Color, an int or a str, not float"):
        fixture.echo_color(1.0)


def test_flags_combine_and_unknown_bits_stay():
    access = fixture.echo_access(fixture.Access.READ | fixture.Access.SHARE)
    assert access == 2**40 + 1 and fixture.Access.SHARE in access
    assert fixture.echo_access("write") is fixture.Access.WRITE
    assert fixture.unknown_access() == 2**50 + 1 and fixture.Access.READ in fixture.unknown_access()
    assert fixture.echo_access(fixture.unknown_access()) == 2**50 + 1
    assert fixture.Access.READ_WRITE == fixture.Access.READ | fixture.Access.WRITE


def test_defaults_of_enums_and_flags():
    assert fixture.describe_choice() == "green read share"
    assert fixture.describe_choice("red", fixture.Access.WRITE) == "red write"


# Options


def test_defaults_are_those_of_the_library():
    said = fixture.describe_settings()
    assert said["bias"] == "-inf" and said["ratio"] == 0.5 and said["scale"] == 1e-5
    assert (said["enabled"], said["little"], said["wide"], said["mask"]) == (True, -3, 5_000_000_000, 2**64 - 1)
    assert (said["seed"], said["level"], said["note"], said["extra"]) == (None, None, None, None)
    assert (said["title"], said["color"], said["access"], said["inner"]) == (
        "naïve 🦙",
        1,
        2**40 + 1,
        {"depth": 1, "label": "inner"},
    )
    assert [said[name] for name in ("blob", "ids", "weights", "mask_bytes", "words")] == [[]] * 5


def test_every_option_arrives():
    said = fixture.describe_settings(
        enabled=False,
        little=10,
        wide=-1,
        count=2**32 - 1,
        mask=0,
        ratio=0.25,
        scale=-2.5,
        bias=1,
        length=4096,
        seed=0,
        level=0,
        color="blue",
        access=fixture.Access.WRITE,
        title="",
        note="",
        extra={"é": [1]},
        blob=b"\0\1",
        ids=[1, -1],
        weights=np.array([0.5, 1.5]),
        mask_bytes=[0, 1],
        words=["", "🦙"],
        depth=9,
        label="deep",
        last=True,
    )
    assert said == {
        "enabled": False,
        "little": 10,
        "wide": -1,
        "count": 2**32 - 1,
        "mask": 0,
        "ratio": 0.25,
        "scale": -2.5,
        "bias": 1.0,
        "length": 4096,
        "seed": 0,
        "level": 0,
        "color": 5,
        "access": 2,
        "title": "",
        "note": "",
        "extra": {"é": [1]},
        "blob": [0, 1],
        "ids": [1, -1],
        "weights": [0.5, 1.5],
        "mask_bytes": [0, 1],
        "words": ["", "🦙"],
        "inner": {"depth": 9, "label": "deep"},
        "last": True,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("little", 11),
        ("little", -11),
        ("count", 0),
        ("ratio", 1.5),
        ("ratio", math.nan),
        ("scale", math.inf),
        ("depth", 10),
    ],
)
def test_an_option_outside_its_range_is_refused_by_name(name, value):
    with pytest.raises(fixture.ArgumentError, match=name):
        fixture.describe_settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("enabled", "no"), ("little", 1.5), ("ratio", "1"), ("title", None), ("words", [1]), ("ids", "1"), ("blob", 5)],
)
def test_an_option_of_a_wrong_type_is_refused_by_name(name, value):
    with pytest.raises(TypeError, match=name):
        fixture.describe_settings(**{name: value})


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="nonsense"):
        fixture.describe_settings(nonsense=1)


def test_two_sets_of_options_in_one_call():
    assert fixture.multiply(5, depth=3, factor=7) == 105
    assert fixture.multiply(5) == 10


# Reserved words


def test_reserved_words_get_an_underscore():
    assert fixture.say_words("class") == "class 3 default 1 2 tea"
    said = fixture.say_words(class_="é", default=4, type="none", func=5, lambda_=6, template="t")
    assert said == "é 4 none 5 6 t"
    assert fixture.Keyword.CLASS == 0
    assert fixture.delete() == 4
    info = fixture.get_word_info()
    assert (info.import_, info.operator) == (7, "plus")


# The package


def test_everything_public_is_listed_and_documented():
    for name in fixture.__all__:
        assert getattr(fixture, name).__doc__, name


def test_importing_does_not_load_what_few_need():
    import subprocess

    loaded = "import sys, fixture_binding; print([m for m in ('numpy', 'asyncio', 'cffi') if m in sys.modules])"
    folder = fixture.__path__[0].rpartition("fixture_binding")[0]
    done = subprocess.run([sys.executable, "-c", loaded], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_library_of_another_version_is_refused_in_one_sentence(monkeypatch):
    from fixture_binding.generated import _library

    monkeypatch.setattr(_library, "abi_version", lambda: (0, 1))
    sentence = r"this binding needs ABI 0\.2 of libfixture, but the library at /.*/libfixture\.so has ABI 0\.1"
    with pytest.raises(ImportError, match=sentence):
        _library.check()
    for version, fits in (((0, 2), True), ((0, 9), True), ((1, 2), False)):
        monkeypatch.setattr(_library, "abi_version", lambda version=version: version)
        if fits:
            _library.check()
        else:
            with pytest.raises(ImportError):
                _library.check()
