"""Whether what was heard is what was said, for programs that do not say when they began.

The two are aligned by their cross-correlation: the shift at which they are most alike. Then STOI
judges the stretch that both have (Taal et al. 2011; 1 is perfect, 0.75 still understood well).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.core import quality
from labkit.live.wav import read_wav, resample
from labkit.words.units import SAMPLE_RATE

Sound = npt.NDArray[np.float64]


class Likeness(NamedTuple):
    """`shift` and `seconds` of the common stretch, in seconds; `stoi` of it."""

    shift: float
    seconds: float
    stoi: float


def likeness(said: Path, heard: Path) -> Likeness:
    """Compare two WAV files."""
    one, other = _mono(said), _mono(heard)
    shift = _shift(one, other)
    one, other = one[max(shift, 0) :], other[max(-shift, 0) :]
    length = min(len(one), len(other))
    one, other = (_as_samples(sound[:length]) for sound in (one, other))
    return Likeness(
        shift / SAMPLE_RATE, length / SAMPLE_RATE, quality.stoi(one, other, SAMPLE_RATE)
    )


def _mono(path: Path) -> Sound:
    samples, rate = read_wav(path)
    return resample(samples, rate, SAMPLE_RATE).astype(np.float64).mean(axis=1)


def _shift(one: Sound, other: Sound) -> int:
    """How many samples of `one` pass before `other` begins; negative: it begins before."""
    size = 1 << (len(one) + len(other)).bit_length()
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    lag = int(np.argmax(np.fft.irfft(product)))
    return lag if lag < len(one) else lag - size


def _as_samples(sound: Sound) -> npt.NDArray[np.int16]:
    return np.rint(sound).astype(np.int16)[:, np.newaxis]
