"""Time scaling: the length follows, the pitch does not, and nothing clicks."""

import numpy as np
import pytest

from labkit.core.timescale import TimeScaler

RATE = 48_000
FRAME = 960


def tone(hertz, seconds=3.0, channels=1, level=12_000):
    t = np.arange(int(RATE * seconds)) / RATE
    wave = np.rint(level * np.sin(2 * np.pi * hertz * t)).astype(np.int16)
    return np.repeat(wave[:, np.newaxis], channels, axis=1)


def scale(sound, ratio, frame=FRAME):
    """All frames of a sound scaled; what came out, and how much was asked for."""
    scaler = TimeScaler(RATE, sound.shape[1])
    wanted, out = 0, []
    for at in range(0, len(sound) - frame + 1, frame):
        ask = round(frame * ratio)
        wanted += ask
        out.append(scaler.process(sound[at : at + frame], ask))
    return np.concatenate(out), wanted


def peak_hertz(sound):
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    return np.argmax(spectrum) * RATE / len(sound)


@pytest.mark.parametrize("ratio", [0.75, 0.9, 1.1, 1.25])
@pytest.mark.parametrize("hertz", [90, 133.7, 200, 440])
def test_a_tone_keeps_its_pitch_and_gets_the_length_that_was_asked_for(hertz, ratio):
    out, wanted = scale(tone(hertz), ratio)
    assert peak_hertz(out) == pytest.approx(hertz, abs=0.5)
    assert abs(len(out) - wanted) <= RATE // 80 + FRAME // 4, "never owes more than a long period"


@pytest.mark.parametrize("ratio", [0.75, 0.9, 1.1, 1.25])
@pytest.mark.parametrize("hertz", [90, 133.7, 200, 440])
def test_no_step_is_larger_than_the_steepest_of_the_tone(hertz, ratio):
    steepest = 12_000 * 2 * np.pi * hertz / RATE
    out, _ = scale(tone(hertz), ratio)
    assert np.abs(np.diff(out[:, 0].astype(float))).max() < 1.05 * steepest + 1


def test_nothing_changes_when_nothing_has_to():
    scaler = TimeScaler(RATE, 1)
    frame = tone(200)[:FRAME]
    assert scaler.process(frame, FRAME) is frame
    assert scaler.debt == 0


def test_what_is_less_than_a_period_is_owed_and_paid_later():
    scaler = TimeScaler(RATE, 1)
    frame = tone(200)[:FRAME]
    assert scaler.process(frame, FRAME - 100) is frame
    assert scaler.debt == -100
    lengths = [len(scaler.process(frame, FRAME - 100)) for _ in range(9)]
    assert set(lengths) == {FRAME, FRAME - 240}, "a period of 200 Hz, or nothing"
    assert sum(lengths) == 10 * (FRAME - 100) - FRAME - scaler.debt


def test_silence_is_cut_to_the_sample():
    out, wanted = scale(np.zeros((RATE, 1), np.int16), 0.85)
    assert abs(len(out) - wanted) < RATE // 400


def test_noise_is_scaled_too_though_it_has_no_period():
    noise = np.random.default_rng(1).normal(0, 3000, (2 * RATE, 1)).astype(np.int16)
    out, wanted = scale(noise, 0.8)
    assert abs(len(out) - wanted) <= RATE // 80 + FRAME // 4


def test_both_channels_are_cut_at_the_same_place():
    left = tone(200, channels=2)
    left[:, 1] //= 2
    out, _ = scale(left, 0.9)
    assert np.abs(out[:, 0].astype(int) - 2 * out[:, 1]).max() <= 3


def test_short_frames_are_scaled_less_but_the_debt_is_bounded():
    out, wanted = scale(tone(200), 0.8, frame=480)
    assert abs(len(out) - wanted) <= RATE // 80 + 480 // 4
    assert peak_hertz(out) == pytest.approx(200, abs=0.5)


def test_the_first_and_the_last_sample_of_a_frame_stay():
    scaler = TimeScaler(RATE, 1)
    frame = tone(200)[37 : 37 + FRAME]
    for wanted in (FRAME - 300, FRAME + 600):
        out = scaler.process(frame, wanted)
        assert len(out) != FRAME
        assert out[0] == frame[0]
        assert out[-1] == frame[-1]
