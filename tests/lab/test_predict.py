"""Predictions: a guess, what was found, and how far apart they are."""

import pytest

from labkit import Prediction


def test_before_the_experiment_there_is_only_the_guess():
    assert repr(Prediction("frames lost", 10)) == "frames lost:\n  you say 10 %"


@pytest.mark.parametrize(
    ("guess", "found", "verdict"),
    [
        (10, 73.4, "Too low by 63."),
        (10, 2.4, "Too high by 7.6."),
        (100, 90, "Well predicted!"),
        (0, 0.3, "Well predicted!"),
        (0, 24.5, "Too low by 24."),
        (8, 13, "Too low by 5."),
    ],
)
def test_afterwards_it_says_how_far_off_it_was(guess, found, verdict):
    assert repr(Prediction("x", guess).compare(found)).endswith(verdict)
