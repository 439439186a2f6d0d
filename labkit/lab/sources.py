"""Where sound comes from: the spoken sample, a WAV file, a tone.

Each gives a `Clip`: samples in memory that a call, a sender or a player reads at its own pace. A
microphone is none of these; it is in `labkit.live.audio`.
"""

from pathlib import Path

import numpy as np

from labkit.core.source import Clip, tone
from labkit.live.wav import read_wav, resample
from labkit.resources import speech_path

__all__ = ["Clip", "converted", "speech", "tone", "wav"]


def speech(until: float | None = None) -> Clip:
    """The spoken sample: 48 kHz, one channel, a quarter of a minute, made by a synthesiser.

    `until` cuts it off after so many seconds; the first sentence is over at 3.3, the second at 7.5.
    """
    whole = wav(speech_path())
    return whole if until is None else Clip(whole.samples[: round(until * whole.sample_rate)])


def wav(path: str | Path) -> Clip:
    """A WAV file. `BadInput` when it is none."""
    samples, rate = read_wav(Path(path))
    return Clip(samples, rate)


def converted(clip: Clip, sample_rate: int, channels: int) -> Clip:
    """The same sound at another sample rate and number of channels."""
    samples = clip.samples
    if clip.channels > channels:
        samples = samples.mean(axis=1, keepdims=True).round().astype(np.int16)
    elif clip.channels < channels:
        samples = np.repeat(samples, channels, axis=1)
    if clip.sample_rate != sample_rate:
        samples = resample(samples, clip.sample_rate, sample_rate)
    return Clip(samples, sample_rate)
