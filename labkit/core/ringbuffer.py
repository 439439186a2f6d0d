"""The ring buffer between the program and the sound card's callback (week 2).

One side writes when sound arrives, the other reads when the card wants some. Neither may wait for
the other, least of all the card: its callback has a few milliseconds, and a lock held by a thread
that the system has put aside is a gap that everybody hears.

                 read            written
                  |                 |
    +----+----+---v+----+----+----+-v--+----+----+
    |    |    |####|####|####|####|    |    |    |    #: samples waiting
    +----+----+----+----+----+----+----+----+----+
               fill = written - read       the end joins the beginning

Why it needs no lock, with **one writer thread and one reader thread**: `_written` is only ever
changed by the writer and `_read` only by the reader. Each side copies its samples first and moves
its own count afterwards, so whoever sees the new count sees the samples too. A count that is seen
too late only makes the buffer look fuller to the writer, or emptier to the reader, than it is. Both
counts grow for ever and never wrap: an empty and a full ring cannot be mistaken for each other.
The GIL makes each access to an attribute atomic; CPython without the GIL stores slots atomically
and in release order, which is all that is used here. Two writers, or two readers, need a lock.

**What is a glitch?** An empty ring before the first sample, or after the last, is silence and not a
failure. So an underrun counts only between the first `write` and `finish`.

This module knows no sample rate, no clock and no sound card.
"""

import numpy as np

from labkit.words.errors import LocalProtocolError
from labkit.words.format import Samples


class RingBuffer:
    """Holds at most `capacity` samples of each channel. One thread writes, one thread reads."""

    __slots__ = (
        "_data",
        "_read",
        "_started",
        "_starving",
        "_written",
        "capacity",
        "channels",
        "last_read",
        "overrun_samples",
        "overruns",
        "underrun_samples",
        "underruns",
    )

    def __init__(self, capacity: int, channels: int) -> None:
        if capacity < 1:
            raise LocalProtocolError(f"a ring buffer of {capacity} samples holds nothing")
        self.capacity = capacity
        self.channels = channels
        self._data = np.zeros((capacity, channels), np.int16)
        # Changed by the writer only:
        self._written = 0
        self._started = False
        self.overruns = 0
        """Calls of `write` that could not store everything."""
        self.overrun_samples = 0
        """Samples that were dropped because the ring was full."""
        # Changed by the reader only:
        self._read = 0
        self._starving = False
        self.underruns = 0
        """Gaps that were heard: reads that found too little, those of one gap counted once."""
        self.underrun_samples = 0
        """Samples of silence that filled these gaps."""
        self.last_read: tuple[int, int] | None = None
        """How many samples the last read asked for, and when, if the reader said when."""

    @property
    def fill(self) -> int:
        """Samples waiting to be read."""
        return self._written - self._read

    @property
    def free(self) -> int:
        """Samples that can be written now."""
        return self.capacity - (self._written - self._read)

    @property
    def started(self) -> bool:
        """Sound is flowing: from the first `write` to `finish`. Only now is a gap an underrun."""
        return self._started

    # The writer's side ------------------------------------------------------------------------

    def write(self, samples: Samples) -> int:
        """Store samples of shape (any number, channels); the number that found room.

        The newest are dropped when there are too many: the reader owns what is already stored.
        """
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise LocalProtocolError(
                f"sound of shape {samples.shape}; this ring takes (samples, {self.channels})"
            )
        stored = min(len(samples), self.free)
        if stored < len(samples):
            self.overruns += 1
            self.overrun_samples += len(samples) - stored
        start = self._written % self.capacity
        first = min(
            stored, self.capacity - start
        )  # up to the end of the array, then from its front
        self._data[start : start + first] = samples[:first]
        self._data[: stored - first] = samples[first:stored]
        self._written += stored  # after the samples are there
        if stored:
            self._started = True
        return stored

    def finish(self) -> None:
        """Nothing follows, at least for a while: what is missing from now on is no underrun."""
        self._started = False

    # The reader's side ------------------------------------------------------------------------

    def read_into(self, out: Samples, now: int | None = None) -> int:
        """Fill all of `out`, shape (any number, channels); the number of samples that were there.

        What is missing is silence, and counted while sound is flowing. A reader that says when it
        reads lets `labkit.core.playout` see between its blocks.
        """
        if now is not None:
            self.last_read = (len(out), now)
        started = self._started  # looked at first: a write that comes between must not be missed
        wanted = len(out)
        taken = min(wanted, self.fill)
        start = self._read % self.capacity
        first = min(taken, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:taken] = self._data[: taken - first]
        self._read += taken  # after the samples are copied: now they may be overwritten
        if taken == wanted:
            self._starving = False
        else:
            out[taken:] = 0
            if started:
                self._count_gap(wanted - taken, began=taken > 0)
        return taken

    def read(self, count: int) -> Samples:
        """The next `count` samples, as `read_into`, in a new array."""
        out = np.empty((count, self.channels), np.int16)
        self.read_into(out)
        return out

    def _count_gap(self, samples: int, *, began: bool) -> None:
        if began or not self._starving:
            self.underruns += 1
        self._starving = True
        self.underrun_samples += samples
