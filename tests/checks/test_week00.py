"""The exercise that shows what a check is: right, wrong as in the notebook, and wrong otherwise."""

import pytest

from labkit.checks.check import check
from labkit.checks.exercise import exercises


def right(rate, milliseconds):
    return rate * milliseconds // 1000


def as_given(rate, milliseconds):
    return rate * milliseconds


def with_a_point(rate, milliseconds):
    return rate * milliseconds / 1000


@pytest.mark.parametrize("seed", range(10))
def test_what_is_right_passes(seed):
    assert check("00.1", right, seed=seed).passed


@pytest.mark.parametrize(
    ("wrong", "hint"), [(as_given, "milliseconds"), (with_a_point, "whole")], ids=["ms", "float"]
)
def test_what_is_wrong_gets_its_hint(wrong, hint):
    report = check("00.1", wrong)
    assert [part.finding.name for part in report.parts] == [hint, hint]
    assert report.points == 0


def test_it_is_no_exercise_of_the_course():
    assert "00.1" not in exercises()
