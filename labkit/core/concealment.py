"""Fills gaps in sound whose codec cannot do it itself.

Speech is nearly periodic, so the best guess for what follows is the last period again. This is
the idea of ITU-T G.711 Appendix I: find the pitch in what was heard last, repeat its last period
with smooth seams, fade to silence within 60 ms, because a longer guess is a robot; and when sound
comes back, cross-fade into it. The Recommendation holds back 3.75 ms of everything to smooth the
seam before a gap. We add no delay, and let the step at that seam die away within a quarter of a
period.

This module knows samples only: not why they are missing, not which codec they came from.
"""

import numpy as np
import numpy.typing as npt

from labkit.core.pitch import likeness
from labkit.words.format import Samples

HIGHEST = 200
"""Hz; G.711 Appendix I looks for periods of 5 to 15 ms."""
LOWEST = 66
WINDOW = 0.02
"""Seconds that are compared with what was one period before."""
FADE_FROM, FADE_TO = 0.01, 0.06
"""Seconds into a gap where the guess begins to fade, and where it is silent."""

Sound = npt.NDArray[np.float32]


class Concealer:
    """Hears one stream and fills its gaps. Call `good` or `lost` for every frame, in order."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self._shortest = sample_rate // HIGHEST
        self._longest = sample_rate // LOWEST
        self._window = int(sample_rate * WINDOW)
        self._history: Sound = np.zeros((self._window + 2 * self._longest, channels), np.float32)
        self._period: Sound | None = None  # what is repeated while a gap lasts
        self._gap = 0  # samples of it so far

    def good(self, samples: Samples) -> Samples:
        """Sound that arrived: (samples, channels). After a gap its start is cross-faded."""
        if self._period is not None:
            overlap = min(len(self._period) // 4 + self.sample_rate // 250, len(samples))
            guess = self._guess(overlap)
            weight = np.linspace(0, 1, overlap, dtype=np.float32)[:, np.newaxis]
            blend = guess + weight * (samples[:overlap] - guess)
            samples = np.concatenate((np.rint(blend).astype(np.int16), samples[overlap:]))
            self._period = None
        self._remember(samples.astype(np.float32))
        return samples

    def lost(self, n: int) -> Samples:
        """A guess at `n` missing samples: (n, channels). Silence once the gap is 60 ms long."""
        if self._period is None:
            self._period = self._last_period()
            self._gap = 0
        guess = self._guess(n)
        self._gap += n
        self._remember(guess)
        return np.rint(guess).astype(np.int16)

    def _remember(self, sound: Sound) -> None:
        keep = len(self._history)
        self._history = np.concatenate((self._history, sound))[-keep:]

    def _guess(self, n: int) -> Sound:
        """The next `n` samples of the gap, without moving on."""
        assert self._period is not None
        at = np.arange(self._gap, self._gap + n)
        seconds = at / self.sample_rate
        loudness = np.clip((FADE_TO - seconds) / (FADE_TO - FADE_FROM), 0, 1)
        repeated = self._period[at % len(self._period)] * loudness[:, np.newaxis]
        if self._gap == 0:
            # let the step between what was heard and the guess die away
            step = self._history[-1] - self._period[-1]
            quarter = max(1, len(self._period) // 4)
            repeated += step * np.clip(1 - at / quarter, 0, 1)[:, np.newaxis]
        guess: Sound = np.clip(repeated, -32768, 32767).astype(np.float32)
        return guess

    def _last_period(self) -> Sound:
        """The last period of what was heard, its end faded so that it can follow itself."""
        history = self._history
        lag = self._pitch()
        period = history[-lag:].copy()
        quarter = max(1, lag // 4)
        weight = np.linspace(0, 1, quarter, dtype=np.float32)[:, np.newaxis]
        before = history[-lag - quarter : -lag]
        period[-quarter:] += weight * (before - period[-quarter:])
        return period

    def _pitch(self) -> int:
        """The lag at which the last 20 ms are most like what was before them."""
        mono = self._history.sum(axis=1)
        template = mono[-self._window :]
        past = mono[: len(mono) - self._shortest][
            -(self._window + self._longest - self._shortest) :
        ]
        best = int(np.argmax(likeness(template, past)))
        return self._longest - best
