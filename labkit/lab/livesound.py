"""Sound that is made while we listen: microphones and speakers, of whatever kind.

A call takes a `LiveSource` where it takes a clip, and a `LiveSink` to be heard by somebody:

    await Call(CardMicrophone(), link="wifi-busy").run(10, speaker=CardSpeaker())
    await Call(BrowserMicrophone(), link="wifi-busy").run(10, speaker=BrowserSpeaker())

Each gives and takes sound as the codec wants it. The sound card converts by itself; what cannot
has a `Conversion`. Here are the two protocols and the sound card's half; the browser's is in
`labkit.lab.browser`. This module knows no calls.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from math import ceil, gcd
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from labkit.words.format import Samples


@runtime_checkable
class LiveSource(Protocol):
    """Gives blocks of sound as it is captured."""

    def captured(
        self, sample_rate: int, channels: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Samples]]:
        """Blocks of any length, shape (samples, channels), from now on.

        They end when somebody switches it off. `MissingCapability` when there is nothing to hear.
        """


class Playing(Protocol):
    """Where sound goes."""

    @property
    def latency(self) -> int:
        """Nanoseconds from `write` to the ear."""

    @property
    def ring(self) -> Any:
        """What waits to be played: a `RingBuffer`, with its underruns."""

    def write(self, samples: Samples, instant: int) -> None:
        """Play `samples` after those before them; `instant` is now."""


class LiveSink(Protocol):
    """Plays sound as it comes."""

    def playing(self, sample_rate: int, channels: int) -> AbstractContextManager[Playing]:
        """Ready to play sound of this form. `MissingCapability` when nobody would hear it."""


class Conversion:
    """One stream of sound from one sample rate and number of channels to another.

    By a windowed sinc with 16 zero crossings on each side, so it holds back 16 samples of the
    lower rate: 2 ms at 8 kHz. The converters that are made for files hold back up to 130 ms.
    """

    CROSSINGS: Final = 16

    def __init__(self, rate: int, channels: int, to_rate: int, to_channels: int) -> None:
        self.channels = channels
        self.to_channels = to_channels
        shared = gcd(rate, to_rate)
        self._up, self._down = to_rate // shared, rate // shared
        cutoff = 0.94 * min(1.0, to_rate / rate)  # of the half of our rate
        self._half = half = ceil(self.CROSSINGS / cutoff)
        # One filter for each place that an output can have between two inputs.
        x = np.arange(1 - half, half + 1) - np.arange(self._up)[:, np.newaxis] / self._up
        taps = np.sinc(cutoff * x) * (0.5 + 0.5 * np.cos(np.pi * x / (half + 1)))
        self._taps = taps / taps.sum(axis=1, keepdims=True)
        self._kept = np.zeros((2 * half, min(channels, to_channels)), np.int16)
        self._place = 0  # of the next output, in 1/up of an input sample

    def __call__(self, samples: Samples) -> Samples:
        """The next block; its length may vary by a sample."""
        if self.channels > self.to_channels:
            samples = samples.mean(axis=1, keepdims=True).round().astype(np.int16)
        if self._up != self._down:
            samples = self._resampled(samples)
        if self.channels < self.to_channels:
            samples = np.repeat(samples, self.to_channels, axis=1)
        return samples

    def _resampled(self, samples: Samples) -> Samples:
        held = np.concatenate([self._kept, samples])
        room = len(samples) * self._up
        count = max(-(-(room - self._place) // self._down), 0)
        places = self._place + self._down * np.arange(count)
        around = held[places[:, np.newaxis] // self._up + np.arange(2 * self._half)]
        values = np.einsum("ntc,nt->nc", around, self._taps[places % self._up])
        self._place += count * self._down - room
        self._kept = held[len(samples) :]
        made: Samples = np.clip(np.rint(values), -32768, 32767).astype(np.int16)
        return made


class CardMicrophone:
    """The sound card's microphone; `device` is an index or a part of a name, None the default."""

    def __init__(self, device: str | None = None) -> None:
        self.device = device

    def captured(
        self, sample_rate: int, channels: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Samples]]:
        """See `LiveSource`."""
        from labkit.live.soundcard import captured

        return captured(sample_rate, channels, self.device)


class CardSpeaker:
    """The sound card's speaker; settings as those of `CardMicrophone`."""

    def __init__(self, device: str | None = None) -> None:
        self.device = device

    def playing(self, sample_rate: int, channels: int) -> AbstractContextManager[Playing]:
        """See `LiveSink`."""
        from labkit.live.soundcard import Playback

        return Playback(sample_rate, channels, self.device)
