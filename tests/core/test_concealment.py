"""Concealment of PCM: better than silence, never a click, quiet in the end."""

import warnings
import wave

import numpy as np
import pytest

from labkit.core.concealment import Concealer
from labkit.resources import speech_path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pystoi import stoi

RATE = 48_000
FRAME = 960


def tone(hertz, seconds=1.0, channels=1, level=12_000):
    t = np.arange(int(RATE * seconds)) / RATE
    wave_ = np.rint(level * np.sin(2 * np.pi * hertz * t)).astype(np.int16)
    return np.repeat(wave_[:, np.newaxis], channels, axis=1)


def hear(sound, lost, frame=FRAME):
    """The sound with these frames concealed."""
    concealer = Concealer(RATE, sound.shape[1])
    out = []
    for number, at in enumerate(range(0, len(sound) - frame + 1, frame)):
        part = sound[at : at + frame]
        out.append(concealer.lost(frame) if number in lost else concealer.good(part))
    return np.concatenate(out)


@pytest.fixture(scope="module")
def speech():
    with wave.open(str(speech_path())) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples[: len(samples) // FRAME * FRAME, np.newaxis]


@pytest.mark.parametrize("percent", [5, 10])
def test_concealed_speech_is_more_intelligible_than_speech_with_holes(speech, percent):
    """STOI by pystoi, over three seeded patterns of loss."""
    frames = len(speech) // FRAME
    for seed in range(3):
        lost = set(np.flatnonzero(np.random.default_rng(seed).random(frames) < percent / 100))
        holes = speech.copy()
        for number in lost:
            holes[number * FRAME : (number + 1) * FRAME] = 0
        concealed = hear(speech, lost)
        with_holes = stoi(speech[:, 0], holes[:, 0], RATE)
        with_guesses = stoi(speech[:, 0], concealed[:, 0], RATE)
        assert with_guesses > with_holes + 0.02, (seed, with_holes, with_guesses)


def test_without_loss_nothing_is_touched(speech):
    concealer = Concealer(RATE, 1)
    part = speech[:FRAME]
    assert concealer.good(part) is part


@pytest.mark.parametrize("hertz", [100, 137, 180, 440])
def test_a_lost_frame_of_a_tone_is_hardly_missed(hertz):
    sound = tone(hertz)
    out = hear(sound, {20}).astype(float)
    error = np.sqrt(np.mean((out - sound[: len(out)])[20 * FRAME : 21 * FRAME] ** 2))
    assert error < 0.2 * 12_000 / np.sqrt(2)


@pytest.mark.parametrize("hertz", [100, 137, 180, 440])
def test_no_step_is_larger_than_the_steepest_of_the_tone(hertz):
    steepest = 12_000 * 2 * np.pi * hertz / RATE
    out = hear(tone(hertz), {10, 20, 21, 30, 31, 32})
    assert np.abs(np.diff(out[:, 0].astype(float))).max() < 1.1 * steepest + 1


def test_a_long_gap_fades_to_silence_within_60_ms():
    out = hear(tone(150), set(range(20, 30)))
    gap = np.abs(out[20 * FRAME : 30 * FRAME].astype(int))
    assert gap[: RATE // 100].max() > 10_000
    assert gap[RATE * 35 // 1000 : RATE * 60 // 1000].max() < 8_000
    assert gap[RATE * 60 // 1000 :].max() == 0


def test_a_gap_before_any_sound_is_silence():
    assert not Concealer(RATE, 2).lost(FRAME).any()


def test_shapes_types_and_channels():
    out = hear(tone(200, channels=2), {7, 8})
    assert out.dtype == np.int16
    assert out.shape[1] == 2
    assert np.array_equal(out[:, 0], out[:, 1])


def test_loud_sound_does_not_wrap_around():
    square = np.where(np.arange(RATE) // 240 % 2, 32_767, -32_768).astype(np.int16)[:, np.newaxis]
    out = hear(square, {5, 6, 11})
    assert np.abs(np.diff(out[:, 0].astype(int))).max() <= 65_535
    guess = out[5 * FRAME : 5 * FRAME + RATE // 100, 0].astype(int)
    assert np.mean(np.abs(guess)) > 25_000


def test_small_and_odd_frames_work_too():
    out = hear(tone(200), {9, 10, 11, 40}, frame=441)
    assert np.abs(np.diff(out[:, 0].astype(float))).max() < 500
