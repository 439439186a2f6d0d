"""Streams of numbered packets as they come, and what RFC 3550 counts of them (week 7).

A stream is made from the numbers that were sent, so what was lost, doubled or overtaken is known
beforehand. The counting is appendix A.3 and A.8 once more, over a whole list and without the state
that a receiver keeps.
"""

from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import NamedTuple

from labkit.words.seqnum import add16, add32, ahead16, ahead32
from labkit.words.units import NS_PER_S, ms


class Row(NamedTuple):
    """What `add` is told of one packet."""

    seq: int
    timestamp: int
    now: int


class Counted(NamedTuple):
    """What A.3 says."""

    extended: list[int]
    """The extended highest number, after each packet."""
    expected: int
    lost: int


def stream(
    rng: Random,
    first: int,
    count: int,
    *,
    rate: int = 8000,
    start: int = 0,
    gone: Collection[int] = (),
    twice: Collection[int] = (),
    swapped: Collection[int] = (),
) -> list[Row]:
    """`count` packets of 20 ms, each up to 15 ms late; places in `swapped` come after the next one.

    Places in `gone` never come, those in `twice` come once more, 3 ms later.
    """
    zero = ms(rng.randrange(1_000_000, 10_000_000))
    rows = []
    for place in range(count):
        late = rng.randrange(ms(15)) + ms(36) * (place in swapped)
        now = zero + place * ms(20) + late
        row = Row(add16(first, place), add32(start, place * rate // 50), now)
        rows += [row] * (place not in gone)
        rows += [row._replace(now=now + ms(3))] * (place in twice)
    head, *rest = rows
    return [head, *sorted(rest, key=lambda row: row.now)]


def counted(rows: Sequence[Row]) -> Counted:
    """Highest, expected and lost, for packets that all belong to one stream."""
    first = rows[0].seq
    numbers = (row.seq for row in rows)
    extended = list(accumulate(numbers, lambda high, seq: high + max(ahead16(seq, high), 0)))
    expected = extended[-1] - first + 1
    return Counted(extended, expected, expected - len(rows))


def jitter_of(
    rows: Sequence[Row], rate: int, share: float = 1 / 16, *, sign: bool = False
) -> float:
    """A.8, in ticks and not rounded; or with another share, or with steps that keep their sign."""
    jitter = 0.0
    for before, after in pairwise(rows):
        step = (after.now - before.now) * rate / NS_PER_S
        step -= ahead32(after.timestamp, before.timestamp)
        jitter += ((step if sign else abs(step)) - jitter) * share
    return jitter
