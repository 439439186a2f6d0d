"""Two sound cards whose clocks disagree, and the buffer between them (week 2).

    two_clocks(100)                  48 000 samples come each second, and the card takes 4.8 more
    two_clocks(100, steered=True)    the same, with `labkit.core.playout.Playout` in between
    drift([two_clocks(100), …])      how full the ring was, minute by minute

Everything is in virtual time: a quarter of an hour takes a second or two. A ring is emptied in
blocks and filled in frames, so how full it looks depends on the instant. As `Playout` does, we take
it as if the card drew its samples one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labkit.core.playout import Playout
from labkit.core.ringbuffer import RingBuffer
from labkit.lab.show import GREY, LATE, LINE, LOST, PLAYED, RECOVERED, Picture, canvas
from labkit.sim.devices import Card
from labkit.words.errors import BadInput
from labkit.words.units import FRAME_MS, NS_PER_S, SAMPLE_RATE, ms

FRAME: Final = SAMPLE_RATE * FRAME_MS // 1000


@dataclass(frozen=True)
class TwoClocks:
    """How full the ring between two clocks was."""

    ppm: int
    steered: bool
    target_ms: float
    at: Any
    """When it was looked, in minutes: a numpy array."""
    level_ms: Any
    """How much sound waited then, in milliseconds, over a second on average."""
    underruns: int
    overruns: int

    def __str__(self) -> str:
        how = "steered" if self.steered else "left alone"
        return (
            f"card {self.ppm:+d} ppm, {how}: {self.underruns} underruns, {self.overruns} overruns "
            f"in {self.at[-1]:.0f} min"
        )


class _Card(Card):
    """Takes a block out of the ring on its own clock."""

    def __init__(self, ring: RingBuffer, ppm: int) -> None:
        super().__init__(block=FRAME // 2, ppm=ppm)
        self._ring = ring
        self._out = np.zeros((self.block, 1), np.int16)

    def _turn(self, now: int) -> None:
        self._ring.read_into(self._out, now)


def _level(ring: RingBuffer, now: int) -> float:
    """Samples that wait, as if the card drew them one by one."""
    if ring.last_read is None:
        return ring.fill
    size, when = ring.last_read
    return max(ring.fill + size / 2 - (now - when) * SAMPLE_RATE / NS_PER_S, 0)


def two_clocks(
    ppm: int, *, minutes: float = 15, target_ms: float = 40, steered: bool = False
) -> TwoClocks:
    """Let a card that is `ppm` fast play for `minutes`, from a ring that holds twice the target."""
    if abs(ppm) > 1000 or not 0 < minutes <= 120:
        raise BadInput("no crystal is that far off, and no lab that long", "100 ppm, 15 minutes")
    target = round(target_ms * SAMPLE_RATE / 1000)
    ring = RingBuffer(2 * target, 1)
    playout = Playout(ring, target) if steered else None
    card = _Card(ring, ppm)
    frame = np.zeros((FRAME, 1), np.int16)
    if playout is None:
        ring.write(np.zeros((target, 1), np.int16))
    levels: list[float] = []
    for second in range(round(minutes * 60)):
        seen = 0.0
        for turn in range(1000 // FRAME_MS):
            now = second * NS_PER_S + turn * ms(FRAME_MS)
            card.tick(now)
            seen += _level(ring, now)
            if playout is None:
                ring.write(frame)
            else:
                playout.write(frame, now)
        levels.append(seen * FRAME_MS / SAMPLE_RATE)
    at = np.arange(1, len(levels) + 1) / 60
    return TwoClocks(ppm, steered, target_ms, at, np.array(levels), ring.underruns, ring.overruns)


def drift(runs: Sequence[TwoClocks]) -> Picture:
    """How full each ring was over time, with its gaps counted in the legend."""
    with canvas(height=3.2) as (figure, rows):
        axes = rows[0]
        for run, colour in zip(runs, (LOST, LATE, PLAYED, RECOVERED, LINE), strict=False):
            axes.plot(run.at, run.level_ms, color=colour, linewidth=1.4, label=str(run))
        axes.axhline(runs[0].target_ms, color=GREY, linewidth=0.8, linestyle="--")
        axes.set_ylim(0, 2.15 * runs[0].target_ms)
        axes.set_xlabel("time (minutes)")
        axes.set_ylabel("waiting in the ring (ms)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.28), ncols=2)
    return Picture(figure, "How full a ring between two clocks was. " + "; ".join(map(str, runs)))
