"""A reader that does not keep up, and what waits before it (week 3).

    run = slow_reader(SendQueue(50), taken_ms=22)      a frame every 20 ms, one taken every 22
    ages({"bounded": run, "as long as it gets": slow_reader(SendQueue(10**6), taken_ms=22)})

Sound is made in time whether anybody reads or not. What is not read waits, and grows old; a queue
without a limit turns a reader that is a little too slow into a voice from the past. Virtual time:
a frame is made every `made_ms`, and one is taken every `taken_ms`.

The queue is `labkit.core.flowcontrol.SendQueue`, or anything with `put` and `get` as in the
exercises of week 3. This module decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labkit.core.flowcontrol import SendQueue
from labkit.lab.show import LATE, LOST, PLAYED, RECOVERED, Picture, canvas
from labkit.words.errors import BadInput
from labkit.words.units import ms, to_ms

LONGEST: Final = 600
"""Seconds of virtual time."""


@dataclass(frozen=True)
class Waited:
    """What came of the frames."""

    at: Any
    """When each frame was taken, in seconds: a numpy array."""
    age_ms: Any
    """How old it was then."""
    dropped: Any
    """When a frame was dropped, in seconds."""
    most: int
    """Frames that waited at one time."""

    def __str__(self) -> str:
        last = self.age_ms[-1] if len(self.age_ms) else 0
        end, gone = f"{last:.0f} ms old at the end", f"{len(self.dropped)} dropped"
        return f"{end}, {self.most} waiting at most, {gone}"

    __repr__ = __str__


def slow_reader(
    queue: Any, *, taken_ms: float = 22, made_ms: float = 20, seconds: float = 30
) -> Waited:
    """Let frames be made and taken for `seconds`. The queue must be empty."""
    if not 0 < seconds <= LONGEST or min(taken_ms, made_ms) < 1:
        raise BadInput("no voice has frames that short, and no lab is that long", "20 ms, 30 s")
    made, taken = ms(made_ms), ms(taken_ms)
    rows: list[tuple[float, float]] = []
    dropped: list[float] = []
    now = next_made = 0
    next_taken, most = taken, 0
    while (now := min(next_made, next_taken)) < ms(1000 * seconds):
        if now == next_made:
            gone = queue.put(now, now) if isinstance(queue, SendQueue) else queue.put(now)
            dropped += [now / 1e9] * len(gone or ())
            most = max(most, len(queue))
            next_made += made
        else:
            frame = queue.get()
            if frame is not None:
                rows.append((now / 1e9, to_ms(now - frame)))
            next_taken += taken
    at, age = np.array(rows).T if rows else (np.empty(0), np.empty(0))
    return Waited(at, age, np.array(dropped), most)


def ages(runs: Mapping[str, Waited]) -> Picture:
    """How old each frame was when it was taken; below, a mark for each that was dropped."""
    colours = (PLAYED, LATE, RECOVERED, LOST)
    top = max((float(run.age_ms.max()) for run in runs.values() if len(run.age_ms)), default=1.0)
    with canvas(height=3.2 + 0.2 * len(runs)) as (figure, rows):
        axes = rows[0]
        for row, ((name, run), colour) in enumerate(zip(runs.items(), colours, strict=False)):
            axes.plot(run.at, run.age_ms, color=colour, lw=1.4, label=f"{name}: {run}")
            low = np.full(len(run.dropped), -0.06 * top * (row + 1))
            axes.plot(run.dropped, low, "|", color=colour, ms=7, mew=0.8)
        axes.set_ylim(-0.06 * top * (len(runs) + 1), 1.08 * top)
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 1.08 * top])
        axes.set_xlabel("time (s); marks below zero are frames that were dropped")
        axes.set_ylabel("how old a frame was\nwhen it was sent (ms)")
        figure.legend(loc="outside upper left")
    return Picture(figure, "; ".join(f"{name}: {run}" for name, run in runs.items()))
