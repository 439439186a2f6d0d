"""Likeness, against numpy's correlation coefficient without the mean."""

import numpy as np
import pytest

from labkit.core.pitch import likeness


def test_it_is_the_cosine_of_the_angle_between_the_two():
    rng = np.random.default_rng(1)
    template, sound = rng.normal(0, 1000, 100), rng.normal(0, 1000, 160)
    alike = likeness(template, sound)
    assert alike.shape == (61,)
    for lag in (0, 17, 60):
        part = sound[lag : lag + 100]
        cosine = template @ part / np.linalg.norm(template) / np.linalg.norm(part)
        assert alike[lag] == pytest.approx(cosine, abs=1e-6)


def test_it_is_greatest_a_period_later():
    wave = np.sin(2 * np.pi * np.arange(2000) / 240) * 9000
    alike = likeness(wave[:400], wave[100:])
    assert 100 + int(np.argmax(alike[:300])) == 240
    assert alike.max() == pytest.approx(1, abs=1e-6)


def test_silence_is_like_nothing_and_no_division_by_zero():
    assert not likeness(np.zeros(10), np.zeros(20)).any()
