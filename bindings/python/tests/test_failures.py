"""Errors: a class for each family, and nothing takes the process down."""

from __future__ import annotations

import pickle

import fixture_binding as fixture
import pytest

FAMILIES = {
    1001: fixture.FileError,
    2002: fixture.ArgumentError,
    3001: fixture.ResourceError,
    4001: fixture.VocabularyError,
    5001: fixture.InferenceError,
    6001: fixture.GrammarError,
    7001: fixture.MediaError,
    8001: fixture.InternalError,
    9001: fixture.CancelledError,
}


@pytest.mark.parametrize("code", FAMILIES)
def test_each_family_has_its_class(code):
    with pytest.raises(FAMILIES[code]) as error:
        fixture.fail(code, "naïve 🦙")
    assert type(error.value) is FAMILIES[code]
    assert isinstance(error.value, fixture.Error)
    assert isinstance(error.value.code, fixture.ErrorCode) and error.value.code == code
    assert error.value.message == str(error.value) == "naïve 🦙"


def test_argument_errors_are_value_errors():
    with pytest.raises(ValueError):
        fixture.fail(2001)


def test_a_code_of_a_newer_library_keeps_its_family():
    with pytest.raises(fixture.FileError) as error:
        fixture.fail(1999)
    assert error.value.code == 1999 and error.value.code.name == "UNKNOWN_1999"


def test_a_code_of_an_unknown_family_is_an_error():
    with pytest.raises(fixture.Error) as error:
        fixture.fail(55_001)
    assert error.value.code == 55_001


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("out_of_memory", fixture.ResourceError),
        ("too_large", fixture.Error),
        ("exception", fixture.InternalError),
        ("unknown_exception", fixture.InternalError),
        ("backend_abort", fixture.InternalError),
    ],
)
def test_what_nobody_planned_for_is_an_error(how, kind):
    with pytest.raises(kind):
        fixture.fail_unexpectedly(how)


def test_errors_read_well_and_can_be_pickled():
    with pytest.raises(fixture.FileError) as error:
        fixture.fail(1001, "gone")
    assert type(error.value).__module__ == "fixture_binding"
    again = pickle.loads(pickle.dumps(error.value))
    assert (type(again), again.code, again.message) == (fixture.FileError, fixture.ErrorCode.FILE_NOT_FOUND, "gone")
