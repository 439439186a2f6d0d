"""Nagle's rule by counting, and wrong in the ways in which people get it wrong (week 3).

    departures([(0, 80), (20, 80)], 50, 1448)      [(0, 80), (50, 80)]
    held_back(segments, 1448)                      places of those that Nagle would not have let go

RFC 1122 section 4.2.3.4: while anything that was sent is unacknowledged, what is written waits,
until all of it is acknowledged or a full segment is there. Each mistake is a rule of its own, so
that it is known by its result. Times are milliseconds, and an acknowledgement that comes in the
same millisecond as a write is there before it.

This module knows no student. A test holds it against `labkit.lab.nagle`.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple

MSS: Final = 1448
Writes = Sequence[tuple[int, int]]
"""(millisecond, bytes)."""
Segment = tuple[float, str, int, int, int, str]
"""(millisecond, "out" or "in", seq, bytes, ack, flags)."""


class Rule(NamedTuple):
    """Nagle's rule; each False is a way in which people get it wrong."""

    waits: bool = True
    full: bool = True
    """A full segment does not wait."""
    joined: bool = True
    """What has waited leaves together."""
    trip: bool = True
    """An acknowledgement takes the way there and the way back."""
    cut: bool = True
    """Nothing larger than a full segment leaves."""
    every: bool = True
    """All that was sent must be acknowledged, and not just something."""
    alone: bool = True
    """A full segment that leaves does not take along what is left over."""


NAGLE: Final = Rule()
MISTAKES: Final = {
    "rest": Rule(alone=False), "waits": Rule(waits=False), "full": Rule(full=False),
    "together": Rule(joined=False), "trip": Rule(trip=False), "cut": Rule(cut=False),
    "all": Rule(every=False),
}  # fmt: skip


def departures(writes: Writes, round_trip: int, mss: int, rule: Rule = NAGLE) -> list[Any]:
    """(millisecond, bytes) of each segment, by counting."""
    sent: list[tuple[int, int]] = []
    back: list[int] = []  # when acknowledgements come, the next one first
    pieces: list[int] = []
    pending = list(writes)
    while pending or pieces:
        now = min([at for at, _ in pending[:1]] + back[:1])
        came = bool(back) and back[0] <= now
        back = [at for at in back if at > now]
        if pending and pending[0][0] == now:
            pieces.append(pending.pop(0)[1])
        taken_along = False
        while pieces:
            size = sum(pieces) if rule.joined else pieces[0]
            flying = bool(back) and (rule.every or not came)
            if rule.waits and flying and not (rule.full and size >= mss) and not taken_along:
                break
            taken_along = not rule.alone
            size = min(size, mss) if rule.cut else size
            pieces = _without(pieces, size)
            sent.append((now, size))
            back.append(now + (round_trip if rule.trip else round_trip // 2))
    return sent


def _without(pieces: list[int], size: int) -> list[int]:
    """What is left of some pieces when so many bytes of them are gone."""
    left = []
    for piece in pieces:
        gone = min(piece, size)
        size -= gone
        left += [piece - gone] * (piece > gone)
    return left


def drawn_writes(rng: Random, count: int, sizes: Sequence[int], round_trip: int) -> list[Any]:
    """Writes of which none is in the same millisecond as an acknowledgement."""
    while True:
        times = sorted(rng.sample(range(10, 10 + 25 * count), count))
        writes = [(at, rng.choice(sizes)) for at in times]
        acknowledged = {at + round_trip for at, _ in departures(writes, round_trip, MSS)}
        if not acknowledged.intersection(times):
            return writes


# Reading it in a capture -------------------------------------------------------------------------


class Reading(NamedTuple):
    """How segments are judged; each False is a mistake."""

    small: bool = True
    """Only small segments would wait."""
    out: bool = True
    """Only what we sent is ours to judge."""
    data: bool = True
    """A segment without data is not held."""
    last: bool = True
    """All that was sent counts, and not just whether the newest acknowledgement moved."""


RIGHTLY: Final = Reading()
MISREADINGS: Final = {
    "full": Reading(small=False), "direction": Reading(out=False), "data": Reading(data=False),
    "newest": Reading(last=False),
}  # fmt: skip


def held_back(segments: Sequence[Segment], mss: int, how: Reading = RIGHTLY) -> list[int]:
    """Places of the segments that Nagle would not have let go, by counting."""
    held = []
    end = acknowledged = 0
    between = False  # has an acknowledgement come since the segment before?
    for place, (_, direction, seq, size, ack, _flags) in enumerate(segments):
        ours = direction == "out"
        flying = end > acknowledged if how.last else end > 0 and not between
        if (
            (ours or not how.out)
            and (size > 0 or not how.data)
            and (size < mss or not how.small)
            and flying
        ):
            held.append(place)
        if ours and size:
            end, between = max(end, seq + size), False
        if not ours:
            acknowledged, between = max(acknowledged, ack), True
    return held


def conversation(rng: Random, sent: Sequence[tuple[int, int]], round_trip: int) -> list[Segment]:
    """What a capture at the sender would show: segments, acknowledgements, a question or two."""
    rows: list[Segment] = []
    seq = 1
    for at, size in sent:
        rows.append((at + 0.1, "out", seq, size, 13, "PSH ACK"))
        seq += size
        rows.append((at + round_trip - 0.1, "in", 13, 0, seq, "ACK"))
    rows.sort(key=lambda row: (row[0], row[1] != "in"))
    for _ in range(2):  # the other end says that it is still there, and is acknowledged
        place = rng.randrange(len(rows) // 3, len(rows))
        now = rows[place - 1][0]
        acknowledged = max([row[4] for row in rows[:place] if row[1] == "in"], default=1)
        sent_so_far = max(row[2] + row[3] for row in rows[:place] if row[1] == "out")
        rows[place:place] = [
            (now, "in", 13, 12, acknowledged, "PSH ACK"),
            (now, "out", sent_so_far, 0, 25, "ACK"),
        ]
    return rows
