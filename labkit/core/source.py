"""Sound that can be read at any pace: a clip, a tone, silence.

A source gives the next samples when asked and None after its end. It knows no clock: whoever
reads it decides when. Microphones are not sources; they push.
"""

import numpy as np

from labkit.words.format import Samples
from labkit.words.units import SAMPLE_RATE


class Clip:
    """Samples in memory, read from front to back."""

    def __init__(self, samples: Samples, sample_rate: int = SAMPLE_RATE) -> None:
        self.samples = samples if samples.ndim == 2 else samples[:, np.newaxis]
        self.sample_rate = sample_rate
        self.channels = self.samples.shape[1]
        self._position = 0

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, samples: int) -> Samples | None:
        """The next samples, fewer at the end, None after it."""
        if self._position >= len(self.samples):
            return None
        part = self.samples[self._position : self._position + samples]
        self._position += samples
        return part

    def rewound(self) -> "Clip":
        """The same samples, from the front."""
        return Clip(self.samples, self.sample_rate)


def tone(
    hertz: float = 440.0,
    duration_s: float = 10.0,
    sample_rate: int = SAMPLE_RATE,
    channels: int = 1,
    level: float = 0.25,
) -> Clip:
    """A sine, `level` of full scale: pleasant for hearing gaps, which speech hides."""
    time = np.arange(round(duration_s * sample_rate)) / sample_rate
    wave = np.round(np.sin(2 * np.pi * hertz * time) * level * 32767).astype(np.int16)
    return Clip(np.repeat(wave[:, np.newaxis], channels, axis=1), sample_rate)


class Looped:
    """A clip that begins again at its end, for ever."""

    def __init__(self, clip: Clip) -> None:
        self.sample_rate = clip.sample_rate
        self.channels = clip.channels
        self._clip = clip

    def read(self, samples: int) -> Samples | None:
        """The next samples, fewer just before the clip begins again."""
        part = self._clip.read(samples)
        if part is None:
            self._clip = self._clip.rewound()
            part = self._clip.read(samples)
        return part
