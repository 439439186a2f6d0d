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


def speech() -> Clip:
    """The spoken sample: 48 kHz, one channel, a quarter of a minute, made by a synthesiser."""
    return wav(speech_path())


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
