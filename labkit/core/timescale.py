"""Makes sound longer or shorter without changing its pitch.

A jitter buffer plays a frame of 20 ms in 15 or 25 when its delay has to change. Resampling would
change the voice; instead a whole period of it is left out or played twice, cross-faded, where it
looks most like its neighbour. This is overlap-add by waveform similarity, WSOLA (Verhelst and
Roelands, ICASSP 1993), at one splice at a time:

    shorter  |aaaa|bbbb|cccc|  ->  |a>bb|cccc|         longer  |aaaa|bbbb|  ->  |aaaa|b>aa|bbbb|

The first and the last sample of a frame stay as they are, so frames still fit together. What is
asked for and cannot be done in this frame is owed, and paid as soon as a period fits.

This module knows why nothing: not packets, not delays, not time.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labkit.core.pitch import likeness
from labkit.words.format import Samples

SHORTEST = 400
"""The highest voice, in Hz: its period is the least that is cut or repeated."""
LONGEST = 80
"""The lowest voice, in Hz. Its period and the cross-fade must fit into one frame of 20 ms."""
QUIET = 30.0
"""Below this root mean square, of 32767, nobody hears where it is cut."""

ALIKE = 0.8
"""Likeness from which a cut is not heard. Below it we wait until the debt is a long period."""


class TimeScaler:
    """Stretches and squeezes the frames of one stream; keeps to the asked-for length over time."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.debt = 0
        """Samples asked for and not yet given; negative: given too many."""
        self._shortest = sample_rate // SHORTEST
        self._longest = sample_rate // LONGEST

    def process(self, samples: Samples, wanted: int) -> Samples:
        """The frame, `wanted` samples long if that can be done well, nearly so otherwise.

        Shape (samples, channels) in and out. The same array comes back when nothing has to change.
        """
        self.debt += wanted - len(samples)
        if abs(self.debt) < self._shortest:
            return samples
        lag = self._find(samples)
        if lag is None:
            return samples
        if self.debt < 0:
            self.debt += lag
            return _cut(samples, lag)
        self.debt -= lag
        return _repeat(samples, lag)

    def _find(self, samples: Samples) -> int | None:
        """The lag at which the frame is most like itself, or None: better to wait.

        Looked for between half the debt and the whole: any shorter period has a multiple there.
        """
        longest = min(self._longest, len(samples) * 2 // 3)
        most = min(longest, abs(self.debt))
        least = max(self._shortest, most // 2)
        if most < least:
            return None
        mono = samples.astype(np.float32).sum(axis=1)
        if np.dot(mono, mono) < len(mono) * (QUIET * self.channels) ** 2:
            return most
        if self.debt > 0:
            mono = mono[::-1]  # repeating looks back from the end, cutting ahead from the start
        alike = likeness(mono[: len(mono) - longest], mono[least : len(mono) - longest + most])
        best = int(np.argmax(alike))
        peak = 0 < best < len(alike) - 1 and alike[best] > ALIKE
        if not peak and most < longest:
            return None
        return least + best


def _cut(samples: Samples, lag: int) -> Samples:
    """Leave out `lag` samples: fade from the start of the frame to what comes `lag` later."""
    overlap = min(lag, len(samples) - lag)
    faded = _fade(samples[:overlap], samples[lag : lag + overlap])
    return np.concatenate((faded, samples[lag + overlap :]))


def _repeat(samples: Samples, lag: int) -> Samples:
    """Play `lag` samples twice: near the end, fade back to what came `lag` before."""
    overlap = min(lag, len(samples) - lag)
    end = len(samples) - overlap
    faded = _fade(samples[end:], samples[end - lag : end - lag + overlap])
    return np.concatenate((samples[:end], faded, samples[end - lag + overlap :]))


def _fade(old: Samples, new: Samples) -> Samples:
    """From `old` to `new`, linearly: the two are alike, so their amplitudes add."""
    weight = _ramp(len(old))
    mixed = old + weight * (new.astype(np.float32) - old)
    return np.rint(mixed).astype(np.int16)


@lru_cache(maxsize=1024)
def _ramp(length: int) -> NDArray[np.float32]:
    """From 0 to 1. Making it takes as long as all else in a splice, and a period is soon back."""
    ramp = np.linspace(0, 1, length, dtype=np.float32)[:, np.newaxis]
    ramp.flags.writeable = False
    return ramp
