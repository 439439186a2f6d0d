"""Two clocks that do not agree: ours and that of the sound card (week 2).

A crystal is right to some 50 millionths (ppm). A card that runs 100 ppm fast plays 4.8 samples a
second more than we make: a buffer of 40 ms is empty after seven minutes, and then empty again and
again. Nobody hears a pitch that is off by 100 ppm (a sixth of a cent, of which a semitone has a
hundred), so the cure is to make slightly more samples, or fewer.

    decoder --> Resampler --> ring buffer --> sound card
                    ^              |
                    +-- ppm -- level: too full, make fewer; too empty, make more

- `DriftEstimator` measures how much faster another clock runs than ours
- `Resampler` makes a block longer or shorter by some ppm, without a click
- `Playout` keeps the ring buffer at its target level, by the proportional-integral (PI) rule of
  control theory

This module knows no sound card and reads no clock.
"""

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from labkit.core.ringbuffer import RingBuffer
from labkit.words.errors import LocalProtocolError
from labkit.words.format import Samples
from labkit.words.units import NS_PER_S, SAMPLE_RATE, ms, ns_to_ticks, seconds, ticks_to_ns

MAX_PPM: Final = 500.0
"""No correction is larger: this is still under a cent (578 ppm), and no sane crystal needs more."""


class DriftEstimator:
    """How much faster a clock that counts ticks runs than ours, in ppm.

    It is told pairs of (ticks, now): samples that a card has consumed, or timestamps of packets
    (unwrapped) as they arrive. Both are late by a varying amount and never early. So of every two
    seconds only the least late pair is kept; a line is fitted through the last two minutes of
    these by least squares, and fitted again to the upper half of them. Moon, Skelly and Towsley,
    "Estimation and Removal of Clock Skew from Network Delay Measurements", INFOCOM 1999, compare
    such ways.

    How good after one minute of packets every 20 ms that are 10 ms late on average: within 5 ppm
    when the lateness is exponential or even from 0 to 20 ms; with gamma-distributed lateness of
    shape 2, 3.3 ppm (standard deviation) and 10 at worst. What has no least delay, or one that
    changes as when a route does, looks like drift until it has left the window.
    """

    BUCKET: Final = seconds(2)
    WINDOW: Final = 60
    ENOUGH: Final = 10

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._points: deque[tuple[int, int]] = deque(maxlen=self.WINDOW)  # (now, ahead), in ns
        self._best: tuple[int, int] | None = None
        self._bucket = 0

    def add(self, ticks: int, now: int) -> None:
        """The clock stood at `ticks` when ours said `now`."""
        # How far that clock is ahead of ours: jitter makes it less, drift lets it grow or shrink.
        ahead = ticks_to_ns(ticks, self.rate) - now
        bucket = now // self.BUCKET
        if self._best is None or bucket > self._bucket:
            if self._best is not None:
                self._points.append(self._best)
            self._bucket, self._best = bucket, (now, ahead)
        elif ahead > self._best[1]:
            self._best = (now, ahead)

    @property
    def ppm(self) -> float | None:
        """Positive when that clock is fast. None before twenty seconds have been seen."""
        if len(self._points) < self.ENOUGH:
            return None
        # Counted from the first point: squares of nanoseconds since boot have no room in a float.
        points = np.array(self._points, np.int64)
        now, ahead = (points - points[0]).T / NS_PER_S
        slope, offset = _line(now, ahead)
        above = ahead - (slope * now + offset)
        late = above < np.median(above)  # the half that never met an empty queue
        slope, _ = _line(now[~late], ahead[~late])
        return slope * 1e6


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of the line with the least squares."""
    dx = x - x.mean()
    slope = float(dx @ y / (dx @ dx))
    return slope, float(y.mean() - slope * x.mean())


class Resampler:
    """Makes blocks longer or shorter by some ppm; their joints cannot be heard.

    Each output sample lies on the cubic through the four input samples around it (Catmull and Rom,
    1974). The place of the next one is kept as an integer, in units of 2**-32 of a sample, so that
    nothing is lost between blocks, in an hour or a year. At 0 ppm, and before anything else was
    asked for, a block passes through untouched; later two samples are held back, because the
    cubic needs to see what follows.
    """

    _ONE: Final = 1 << 32

    def __init__(self, channels: int) -> None:
        self.channels = channels
        # The next output lies `_phase` after the first sample kept, which is the one before it.
        self._kept = np.zeros((1, channels), np.int16)
        self._phase = self._ONE

    def process(self, samples: Samples, ppm: float) -> Samples:
        """A block of shape (any number, channels), longer by `ppm` millionths (may be negative)."""
        step = round(self._ONE / (1 + ppm * 1e-6))
        if step == self._ONE and self._phase == self._ONE and len(self._kept) == 1:
            if len(samples):
                self._kept = samples[-1:].copy()
            return samples
        held = np.concatenate([self._kept, samples])
        # Output at x needs the samples before and at x, and two after it.
        count = max(-(-((len(held) - 2) * self._ONE - self._phase) // step), 0)
        places = self._phase + step * np.arange(count, dtype=np.int64)
        made = _cubic(held, places >> 32, (places & (self._ONE - 1)) / self._ONE)
        self._phase += count * step
        done = (self._phase >> 32) - 1
        self._phase -= done << 32
        self._kept = held[done:]
        return made


def _cubic(
    samples: Samples, whole: npt.NDArray[np.int64], fraction: npt.NDArray[np.float64]
) -> Samples:
    """Values at `whole + fraction`, between a sample and the next."""
    sound = samples.astype(np.float32)
    t = fraction.astype(np.float32)[:, np.newaxis]
    before, here, after, last = (sound[whole + offset] for offset in (-1, 0, 1, 2))
    slope = after - before
    bend = 2 * before - 5 * here + 4 * after - last
    twist = 3 * (here - after) + last - before
    values = here + t / 2 * (slope + t * (bend + t * twist))
    made: Samples = np.clip(np.rint(values), -32768, 32767).astype(np.int16)
    return made


class Playout:
    """Writes sound into a ring buffer that a card of another clock reads, and keeps it level.

    `target` is how many samples should wait in the ring when a block is written, on average. They
    are what survives a late block, and they are delay: the whole trade of week 2. Before the first
    block that much silence is written, and again whenever the ring has run dry. A level above
    twice the target, after a stall that was caught up, is cut by leaving out blocks; everything
    smaller is the controller's work.

    The ring's level falls in steps, a block of the card at a time. Seen at the instants of our own
    writes these steps beat with ours: over minutes the level seems to stand still, then jumps by a
    block. So where the reader says when it read (`RingBuffer.read_into(out, now)`), the level is
    taken as if the card drew its samples one by one. Start the card first, so that the level is
    known when sound begins.
    """

    NATURAL: Final = 0.02
    """Of the loop, in radians a second: critically damped, it settles in four minutes."""
    SMOOTHING: Final = seconds(1)
    DEAD_ZONE: Final = ms(2)
    """An error below is none: with clocks that agree, every sample passes through untouched."""

    def __init__(self, ring: RingBuffer, target: int, *, sample_rate: int = SAMPLE_RATE) -> None:
        if not 0 < target < ring.capacity:
            raise LocalProtocolError(f"a target of {target} samples in a ring of {ring.capacity}")
        self.ring = ring
        self.target = target
        self.sample_rate = sample_rate
        self.level = float(target)
        """Samples that wait, smoothed over a second."""
        self.ppm = 0.0
        """The correction of the last block."""
        self.drift = 0.0
        """How much faster the card runs than our sound comes, in ppm, as learnt so far."""
        self.skipped = 0
        """Samples that were left out because too many waited."""
        self._resampler = Resampler(ring.channels)
        self._dead_zone = ns_to_ticks(self.DEAD_ZONE, sample_rate)
        self._last: int | None = None
        self._underruns = 0

    def write(self, samples: Samples, now: int) -> int:
        """Put a block of sound into the ring; the number of samples stored."""
        if self._last is None or not self.ring.started or self.ring.underruns != self._underruns:
            self._fill_up(now)
        elif self._level_at(now) > self.target + max(self.target, 2 * len(samples)):
            self.skipped += len(samples)
            return 0
        else:
            self._control(now)
        self._last = now
        return self.ring.write(self._resampler.process(samples, self.ppm))

    def finish(self) -> None:
        """No more sound: what is missing from now on is no underrun."""
        self.ring.finish()

    def _fill_up(self, now: int) -> None:
        """Begin, or begin again, at the target. What was learnt about the clocks stays true."""
        missing = max(round(self.target - self._level_at(now)), 0)
        self.ring.write(np.zeros((missing, self.ring.channels), np.int16))
        self._underruns = self.ring.underruns
        self.level = float(self.target)
        self.ppm = self.drift

    def _level_at(self, now: int) -> float:
        """Samples that wait, as if the card drew them one by one: half a block more or less."""
        fill, last_read = self.ring.fill, self.ring.last_read
        if last_read is None:
            return fill
        size, when = last_read
        return fill + size / 2 - min(max((now - when) * self.sample_rate / NS_PER_S, 0), size)

    def _control(self, now: int) -> None:
        """The PI rule: what is wrong now, and what has been wrong for long."""
        assert self._last is not None
        passed = now - self._last
        self.level += (self._level_at(now) - self.level) * passed / (passed + self.SMOOTHING)
        missing = self.target - self.level
        missing -= min(max(missing, -self._dead_zone), self._dead_zone)
        per_sample = 1e6 / self.sample_rate  # one sample missing, made good in a second
        now_wrong = 2 * self.NATURAL * per_sample * missing
        long_wrong = self.drift + self.NATURAL**2 * per_sample * missing * passed / NS_PER_S
        self.ppm = min(max(now_wrong + long_wrong, -MAX_PPM), MAX_PPM)
        if self.ppm == now_wrong + long_wrong:  # do not learn from what cannot be corrected faster
            self.drift = long_wrong
