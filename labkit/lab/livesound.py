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
from typing import Any, Protocol, runtime_checkable

import numpy as np
import soxr

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
    """One stream of sound from one sample rate and number of channels to another."""

    def __init__(self, rate: int, channels: int, to_rate: int, to_channels: int) -> None:
        self.channels = channels
        self.to_channels = to_channels
        self._stream = (
            soxr.ResampleStream(rate, to_rate, to_channels, dtype="int16")
            if rate != to_rate
            else None
        )

    def __call__(self, samples: Samples) -> Samples:
        """The next block; its length may vary by what the filter holds back."""
        if self.channels > self.to_channels:
            samples = samples.mean(axis=1, keepdims=True).round().astype(np.int16)
        elif self.channels < self.to_channels:
            samples = np.repeat(samples, self.to_channels, axis=1)
        if self._stream is None:
            return samples
        made: Samples = self._stream.resample_chunk(np.ascontiguousarray(samples))
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
