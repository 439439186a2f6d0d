"""Errors are for people: each says where, why, and what to do."""

import pytest

from labkit.words import errors
from labkit.words.errors import (
    BadInput,
    LabError,
    Malformed,
    MissingCapability,
    SessionClosed,
    Truncated,
    WireError,
)


def test_a_wire_error_says_field_offset_reason_and_section():
    error = Malformed("version", 0, "is 1, must be 2", "RFC 3550 section 5.1")
    assert str(error) == "version at byte 0: is 1, must be 2 (RFC 3550 section 5.1)"
    assert (error.field, error.offset) == ("version", 0)


def test_the_section_may_be_missing():
    assert str(Truncated("header", 0, "3 bytes of 12")) == "header at byte 0: 3 bytes of 12"


def test_an_end_says_how_and_by_whom():
    error = SessionClosed("end of stream in mid-frame", clean=False, by="peer")
    assert str(error) == "end of stream in mid-frame (not clean, by peer)"
    assert not error.clean


@pytest.mark.parametrize("kind", [BadInput, MissingCapability])
def test_the_remedy_is_on_a_line_of_its_own(kind):
    assert str(kind("no sound card", "labkit doctor")) == "no sound card\n  try: labkit doctor"


def test_bad_input_may_have_no_remedy():
    assert str(BadInput("not a WAV file")) == "not a WAV file"


def test_the_tree_in_the_docstring_is_the_tree():
    """Each class stands in the drawing below its base, one step further in."""
    drawn = {}
    path = []
    for line in errors.__doc__.splitlines():
        words = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ").split()
        if words and hasattr(errors, words[0]) and line.startswith("    "):
            depth = line.index(words[0]) // 4 - 1
            path[depth:] = [words[0]]
            drawn[words[0]] = path[depth - 1] if depth else "Exception"
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, LabError)
    }
    assert drawn == {name: value.__bases__[0].__name__ for name, value in classes.items()}


def test_one_except_catches_all():
    assert issubclass(WireError, LabError)
    assert not issubclass(LabError, ValueError)
