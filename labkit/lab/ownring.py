"""A ring buffer of one's own where the kit's would be (week 2).

    playback.simulate(speech(7.5), 40, jitter_ms=10, ring=MyRing)
    await playback.play(speech(7.5), 80, ring=MyRing)

`MyRing(capacity, channels)` has `write(samples)`, `read(count)`, `finish()`, `figures()` and a
length: what the exercise asks for. The kit's players want a little more of a ring, how much is free
and reading into an array that is there; that is added here, and what comes out is looked at before
a sound card gets it.

This module knows no clock and no sound card.
"""

from typing import Any, Protocol

import numpy as np

from labkit.core.ringbuffer import RingBuffer
from labkit.words.errors import BadInput
from labkit.words.format import Samples


class Ring(Protocol):
    """What somebody writes in week 2."""

    def __len__(self) -> int:
        """Samples that wait, of each channel."""

    def write(self, samples: Samples) -> int:
        """Store what fits, shape (any number, channels); how many that was."""

    def read(self, count: int) -> Samples:
        """So many samples, shape (count, channels); silence for those that are missing."""

    def finish(self) -> None:
        """Nothing follows: what is missing from now on is no underrun."""

    def figures(self) -> tuple[int, int, int]:
        """Underruns, the samples missing in them, and the samples dropped when it was full."""


class OwnRing(RingBuffer):
    """Somebody's ring, with the face of the kit's. `BadInput` when it gives what is no sound."""

    __slots__ = ("_ring",)

    def __init__(self, ring: Ring, capacity: int, channels: int) -> None:
        super().__init__(capacity, channels)
        self._ring = ring

    @property
    def fill(self) -> int:
        """Samples waiting to be read."""
        return len(self._ring)

    @property
    def free(self) -> int:
        """Samples that can be written now."""
        return self.capacity - len(self._ring)

    def write(self, samples: Samples) -> int:
        """Store samples; the number that found room."""
        stored = self._ring.write(samples)
        self._started = True
        self._note()
        return stored

    def finish(self) -> None:
        """Nothing follows."""
        self._ring.finish()
        self._started = False

    def read_into(self, out: Samples, now: int | None = None) -> int:
        """Fill all of `out`; how many samples of it were there."""
        if now is not None:
            self.last_read = (len(out), now)
        before = self.fill
        sound: Any = np.asarray(self._ring.read(len(out)))
        if sound.shape != out.shape or sound.dtype != np.int16:
            raise BadInput(
                f"read({len(out)}) gave {sound.dtype} of shape {sound.shape}",
                f"int16 of shape {out.shape}, with zeros for what is missing",
            )
        out[:] = sound
        self._note()
        return min(before, len(out))

    def _note(self) -> None:
        self.underruns, self.underrun_samples, self.overrun_samples = self._ring.figures()
