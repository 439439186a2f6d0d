"""A microphone and a loudspeaker in virtual time, each on the clock of its own sound card.

A sound card hands over blocks: when its clock has counted 960 samples, there is a block. Its
clock is a little wrong, always: `ppm` says how fast it runs against the true time of the world.
Two cards 100 ppm apart drift by a block of 20 ms in 200 seconds, and what that does to the buffer
between them is week 2.

Both are machines: add them to a `World` like any other. They stand for PortAudio's callback,
which is why they push and pull from outside instead of waiting to be asked.

This module knows no network. Sound is int16 of shape (samples, channels).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from labkit.words.errors import LocalProtocolError
from labkit.words.format import Samples
from labkit.words.machine import Event
from labkit.words.units import NS_PER_S, SAMPLE_RATE

MILLION = 1_000_000


class Ring(Protocol):
    """What a loudspeaker plays from: a `labkit.core.ringbuffer.RingBuffer`, or yours."""

    def read(self, count: int) -> Samples:
        """The next `count` samples, silence where there are none."""


class Card:
    """The clock of a sound card, as a machine without a network: one turn a block."""

    def __init__(
        self,
        *,
        block: int = 960,
        sample_rate: int = SAMPLE_RATE,
        ppm: int = 0,
        start: int = 0,
    ) -> None:
        if abs(ppm) >= MILLION:
            raise LocalProtocolError(f"a card {ppm} ppm off stands still or runs backwards")
        self.block = block
        self.sample_rate = sample_rate
        self.ppm = ppm
        self.start = start
        self.blocks = 0
        """Blocks that have passed."""

    def instant(self, blocks: int) -> int:
        """When this card has counted so many blocks. Computed from zero: nothing adds up."""
        true_rate = self.sample_rate * (MILLION + self.ppm)
        return self.start + -(-blocks * self.block * NS_PER_S * MILLION // true_rate)

    def tick(self, now: int) -> None:
        """Hand over the blocks that are due."""
        due = self.deadline()
        while due is not None and due <= now:
            self.blocks += 1
            self._turn(due)
            due = self.deadline()

    def deadline(self) -> int | None:
        """When the next block is full."""
        return self.instant(self.blocks + 1)

    def transmits(self) -> Sequence[Any]:
        """Nothing: a card is on no wire."""
        return ()

    def events(self) -> Sequence[Event]:
        """Nothing: a card speaks through its callback."""
        return ()

    def _turn(self, now: int) -> None:
        raise NotImplementedError


class Microphone(Card):
    """Records `sound` and pushes it, block by block, into `callback(samples, now)`.

    A block is handed over when its last sample was recorded. What is left of the sound at the end
    is filled up with silence. If the callback feeds a machine of the world, say `world.wake`.
    """

    def __init__(
        self,
        sound: Samples,
        callback: Callable[[Samples, int], None],
        *,
        block: int = 960,
        sample_rate: int = SAMPLE_RATE,
        ppm: int = 0,
        start: int = 0,
    ) -> None:
        super().__init__(block=block, sample_rate=sample_rate, ppm=ppm, start=start)
        missing = -len(sound) % block
        self._sound = np.pad(sound, ((0, missing), (0, 0)))
        self._callback = callback

    def deadline(self) -> int | None:
        """When the next block is full; None when all was said."""
        if self.blocks * self.block >= len(self._sound):
            return None
        return super().deadline()

    def _turn(self, now: int) -> None:
        end = self.blocks * self.block
        self._callback(self._sound[end - self.block : end], now)


class Speaker(Card):
    """Plays from `ring`, and keeps what was heard; for ever, or until `stop_after` blocks."""

    def __init__(
        self,
        ring: Ring,
        *,
        block: int = 960,
        sample_rate: int = SAMPLE_RATE,
        ppm: int = 0,
        start: int = 0,
        stop_after: int | None = None,
    ) -> None:
        super().__init__(block=block, sample_rate=sample_rate, ppm=ppm, start=start)
        self._ring = ring
        self._heard: list[Samples] = []
        self._stop_after = stop_after

    def deadline(self) -> int | None:
        """When the card wants the next block."""
        if self._stop_after is not None and self.blocks >= self._stop_after:
            return None
        return super().deadline()

    def _turn(self, now: int) -> None:
        self._heard.append(self._ring.read(self.block))

    @property
    def heard(self) -> Samples:
        """Everything that was played, in one piece: shape (samples, channels)."""
        if not self._heard:
            return np.zeros((0, 1), np.int16)
        return np.concatenate(self._heard)
