"""The sliders of weeks 1 and 2: what they show is what a hand would compute."""

import io

import av
import numpy as np
import pytest

from labkit.core.source import Clip, tone
from labkit.lab.playback import simulate
from labkit.lab.playbacklab import PlaybackLab
from labkit.lab.samplelab import SampleLab, coarse


def test_fewer_bits_are_steps_in_whose_middle_a_sample_stands():
    samples = np.array([-32768, -1, 0, 255, 256, 32767], np.int16)
    assert coarse(samples, 8).tolist() == [-32640, -128, 128, 128, 384, 32640]
    assert coarse(samples, 16).tolist() == samples.tolist()


@pytest.mark.parametrize("depth", [4, 8, 12])
def test_each_bit_less_doubles_the_noise(depth):
    """Which is a step's length, divided by the root of twelve (Bennett, 1948)."""
    samples = np.random.default_rng(depth).integers(-32768, 32768, 20_000).astype(np.int16)
    noise = coarse(samples, depth) - samples.astype(float)
    assert noise.std() == pytest.approx(2 ** (16 - depth) / 12**0.5, rel=0.02)


def test_rate_times_depth_and_headers_on_top():
    lab = SampleLab(tone(440, 0.7), rate=8_000, depth=8, frame_ms=20)
    assert lab.sound_rate == 64_000
    assert lab.line_rate == 64_000 + 50 * 12 * 8
    assert "64 kbit/s of sound, 68.8 with headers; a frame is 160 bytes" in lab.figures.value
    before = lab.picture.value, lab.sound.value
    lab.rate.value = 48_000
    lab.frame.value = 5
    assert (lab.sound_rate, lab.line_rate) == (384_000, 384_000 + 200 * 12 * 8)
    assert lab.picture.value != before[0]
    with av.open(io.BytesIO(lab.sound.value)) as file:
        assert file.streams.audio[0].rate == 48_000


def test_what_is_too_high_for_a_rate_is_gone_and_not_folded_down():
    """A tone of 5 kHz, at 8000 samples a second, would come back as one of 3 kHz."""
    lab = SampleLab(tone(5_000, 0.7), rate=8_000, depth=16)
    assert np.abs(lab.clip().samples[800:-800]).max() < 50


def test_the_sliders_of_playback_say_what_a_run_says():
    voice = Clip(tone(440, 1.5).samples)
    lab = PlaybackLab(voice, late=10, buffer=40, seed=1)
    assert lab.played == simulate(voice, 40, jitter_ms=10, seed=1)
    assert lab.played.underruns
    before = lab.picture.value, lab.sound.value
    lab.buffer.value = 200
    assert lab.played.underruns == 0
    assert "0 underruns" in lab.figures.value
    assert lab.sound.value != before[1]
    lab.late.value = 0
    assert lab.picture.value != before[0]
    lab.buffer.value = 0  # less than a frame: the slider does not go there
    assert lab.buffer.value == 20
