"""What week 2 makes up of time: busy producers and steady cards, and packets of another clock.

    written = busy(rng, frames=200, mean=ms(8))       instants at which frames are put in
    short_reads(written, 960, read, 480, waiting)     reads that find too little
    smallest(written, 960, read, 480)                 what must wait before, so that none does

    stream(rng, ppm=80, jitter=ms(2))                 (timestamp, instant) of packets, as they come

This module asks no student's code and knows no ring buffer.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any, Final

import numpy as np

from labkit.words.seqnum import add32, ahead32
from labkit.words.units import NS_PER_S, ms

FRAME: Final = 960
RATE: Final = 48_000
Stamps = list[tuple[int, int]]
"""(timestamp of 32 bits, instant in ns) of packets, in the order in which they came."""


def busy(rng: Random, frames: int, mean: int) -> list[int]:
    """A frame is due every 20 ms and late by an exponential time; none overtakes another."""
    late = (round(rng.expovariate(1) * mean) for _ in range(frames))
    return list(accumulate((n * ms(20) + each for n, each in enumerate(late)), max))


def stalled(rng: Random, frames: int, stall: int) -> list[int]:
    """Punctual, but for one pause, after which all that is due comes at once."""
    begin = rng.randrange(frames // 3, frames // 2) * ms(20) + ms(3)
    due = (n * ms(20) for n in range(frames))
    return [begin + stall if begin <= when < begin + stall else when for when in due]


def calls(frames: int, block: int, first: int = 0) -> list[int]:
    """When a card asks for `block` samples, while so many frames last."""
    count = frames * FRAME // block
    return [first + n * block * NS_PER_S // RATE for n in range(count)]


def short_reads(
    written: Sequence[int], frame: int, read: Sequence[int], block: int, waiting: int
) -> int:
    """Reads that find less than a block; what is missing is silence, and the sound comes later."""
    events = sorted([(when, 0) for when in written] + [(when, 1) for when in read])
    short = 0
    for _, card in events:  # a write at the same instant comes first
        if not card:
            waiting += frame
        else:
            short += waiting < block
            waiting -= min(waiting, block)
    return short


def smallest(written: Sequence[int], frame: int, read: Sequence[int], block: int) -> int:
    """Samples that must wait before the first of them."""
    short = (
        (n + 1) * block - bisect_right(written, when) * frame for n, when in enumerate(read)
    )  # fmt: skip
    return max(0, max(short))


def stream(
    rng: Random,
    ppm: float,
    *,
    jitter: int = 0,
    first: int | None = None,
    packets: int = 1490,
) -> Stamps:
    """Packets of 20 ms from a clock that is `ppm` fast, late by an exponential time."""
    start, when = rng.randrange(10**9) if first is None else first, rng.randrange(10**12)
    sent = (when + round(n * ms(20) / (1 + ppm * 1e-6)) for n in range(packets))
    late = (round(rng.expovariate(1) * jitter) for _ in range(packets))
    came = accumulate((a + b for a, b in zip(sent, late, strict=True)), max)
    return [(add32(start, FRAME * n), now) for n, now in enumerate(came)]


def filled(rng: Random, stamps: Stamps, mean: int) -> Stamps:
    """The same, on a network that fills: later on, most packets wait in a queue, some in none."""
    begin = len(stamps) * rng.randrange(40, 60) // 100
    made = []
    for number, (stamp, now) in enumerate(stamps):
        waits = number > begin and rng.random() < 0.7
        made.append((stamp, now + round(waits * rng.expovariate(1) * mean)))
    return sorted(made, key=lambda each: each[1])


def swapped(stamps: Stamps, places: Sequence[int]) -> Stamps:
    """The same; at each of these places a packet comes just after the two behind it."""
    made = list(stamps)
    for at in places:
        (stamp, _), *others = made[at : at + 3]
        made[at : at + 3] = [*others, (stamp, others[-1][1] + 1)]
    return made


@lru_cache(maxsize=1)
def captured() -> tuple[tuple[int, int], ...]:
    """The packets of the shipped capture, but for the last: a piece of a frame, and late."""
    from labkit.lab.captures import capture

    arrived = capture("02_drift").voices[0].arrived
    return tuple((packet.timestamp, packet.now) for packet in arrived[:-1])


def slope(stamps: Sequence[tuple[int, int]]) -> float:
    """Drift in ppm: a line through the least late packet of each half second."""
    first, start = stamps[0]
    points: dict[int, tuple[float, float]] = {}
    for stamp, now in stamps:
        x = (now - start) / NS_PER_S
        point = (ahead32(stamp, first) / RATE - x, x)
        points[int(2 * x)] = max(point, points.get(int(2 * x), point))
    y, x = np.array(list(points.values())).T
    fitted: Any = np.polyfit(x, y, 1)
    return float(fitted[0]) * 1e6
