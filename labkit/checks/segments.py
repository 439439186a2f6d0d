"""TCP conversations for week 4, made by hand: segments as plain tuples, and what is true of them.

    made = conversation(rng, lost=2, twice=1, closed=1)
    made.segments        (ms, from_client, flags, seq, ack, size, window), each, in order
    made.closed          what is right: [(begin, end)] of each closed window, in ms
    made.again           the sequence number of each segment that was sent again, in order
    made.standstill      the longest time for which the acknowledgement stood still, in ms

As a capture at the server sees it. A server speaks every 20 ms, and a client acknowledges each
segment as it comes. What is lost is sent again after three later ones have been acknowledged, or,
when that is lost too, after a time-out. A window that closes is probed and opened again. At the end
the client may be gone, and its kernel answers with RST, whose window means nothing.

Right answers follow from how the conversation was made, and for the standstill from numpy; nothing
here is taken from the kit's own reader of captures.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import numpy as np

Segment = tuple[float, bool, str, int, int, int, int]
"""(ms, from_client, flags, seq, ack, size, window)"""

SPACING: Final = 20.0
REPAIR: Final = 32
"""Frames for which a loss is felt at most."""
OPEN: Final = 64_512
"""A window, in bytes."""
ASKED: Final = 13
"""The client's sequence number: it has sent a HELLO of 12 bytes."""


@dataclass
class Conversation:
    """Some segments, and what is right about them."""

    segments: list[Segment] = field(default_factory=list)
    closed: list[tuple[float, float]] = field(default_factory=list)
    again: list[int] = field(default_factory=list)

    @property
    def standstill(self) -> float:
        """By numpy: the longest gap between two new maxima of the client's acknowledgements."""
        return standstill(self.segments)


def standstill(segments: Any) -> float:
    """The longest time between two rises of the client's acknowledgement, in ms."""
    rows = [(s[0], s[4]) for s in segments if s[1]]
    times, acks = np.array(rows).T
    highest = np.maximum.accumulate(acks)
    rises = times[np.flatnonzero(np.diff(highest, prepend=0) > 0)]
    return float(np.diff(rises).max())


def conversation(
    rng: Random,
    *,
    frames: int = 120,
    lost: int = 0,
    twice: int = 0,
    pairs: int = 0,
    closed: int = 0,
    rst: int = 0,
) -> Conversation:
    """Make one: segments lost once, lost twice, two lost in a row; windows that close; resets."""
    made = Conversation()
    trip = float(rng.randrange(24, 90))
    begin = float(rng.randrange(0, 5000))
    made.segments += [
        (begin, True, "SYN", 0, 0, 0, 64_240),
        (begin + 0.1, False, "SYN ACK", 0, 1, 0, 65_160),
        (begin + trip, True, "ACK", 1, 1, 0, OPEN),
        (begin + trip + 0.3, True, "PSH ACK", 1, 1, ASKED - 1, OPEN),
    ]
    kinds = ["lost"] * lost + ["twice"] * twice + ["pair"] * pairs + ["closed"] * closed
    rng.shuffle(kinds)
    # Each trouble is over before the next begins.
    slot = max((frames - 20) // max(len(kinds), 1), REPAIR + 4)
    frames = max(frames, 20 + slot * len(kinds))
    places = [10 + slot * n + rng.randrange(slot - REPAIR) for n in range(len(kinds))]
    _speak(made, rng, begin + trip + 2, trip, frames, dict(zip(places, kinds, strict=True)))
    end = max(s[0] for s in made.segments)
    for number in range(rst):
        at = round(end + 5 + 7 * number, 3)
        made.segments.append((at, True, "RST", ASKED, 0, 0, 0))
    made.segments.sort(key=lambda segment: segment[0])
    return made


def _speak(
    made: Conversation, rng: Random, now: float, trip: float, frames: int, troubles: dict[int, str]
) -> None:
    """All frames: what the server sends, what arrives, and what the client says to it."""
    arrivals: list[tuple[float, int, int]] = []
    resent: list[tuple[float, int]] = []
    sent = 1
    second: float | None = None  # when the second of a pair is sent again: behind the first
    for number in range(frames):
        size = rng.randrange(80, 112)
        trouble = troubles.get(number)
        if trouble == "closed":
            now = _close(made, rng, now, trip, sent)
        made.segments.append((round(now, 3), False, "PSH ACK", sent, ASKED, size, 65_536))
        copies = [now]
        if second is not None:
            copies.append(second)
            second = None
        if trouble in ("lost", "twice", "pair"):
            copies.append(round(now + trip + 4 * SPACING + 1, 3))
        if trouble == "pair":
            second = round(copies[-1] + 0.002, 3)
        if trouble == "twice":
            copies.append(round(copies[-1] + trip + 210 + rng.randrange(40), 3))
        for again in copies[1:]:
            made.segments.append((again, False, "PSH ACK", sent, ASKED, size, 65_536))
            resent.append((again, sent))
        arrivals.append((copies[-1], sent, size))
        sent += size
        now = round(now + SPACING + rng.uniform(-0.4, 0.4), 3)
    made.again = [seq for _, seq in sorted(resent)]
    _acknowledge(made, rng, sorted(arrivals), trip)


def _acknowledge(
    made: Conversation, rng: Random, arrivals: list[tuple[float, int, int]], trip: float
) -> None:
    """What arrives is acknowledged up to the first hole."""
    here: dict[int, int] = {}
    expected = 1
    for left, seq, size in arrivals:
        here[seq] = size
        while expected in here:
            expected += here.pop(expected)
        at = round(left + trip + rng.uniform(0.01, 0.3), 3)
        made.segments.append((at, True, "ACK", ASKED, expected, 0, OPEN))


def _close(made: Conversation, rng: Random, now: float, trip: float, sent: int) -> float:
    """The window closes, is probed, and opens; when the server goes on."""
    begin = round(now + trip + 1, 3)
    length = float(rng.randrange(900, 2500))
    made.closed.append((begin, round(begin + length, 3)))
    made.segments.append((begin, True, "ACK", ASKED, sent, 0, 0))
    wait, probe = 210.0, begin + 210.0
    while probe + trip < begin + length - 5:
        made.segments.append((round(probe, 3), False, "ACK", sent - 1, ASKED, 0, 65_536))
        answer = round(probe + trip, 3)
        made.segments.append((answer, True, "ACK", ASKED, sent, 0, 0))
        wait *= 2
        probe += wait
    made.segments.append((round(begin + length, 3), True, "ACK", ASKED, sent, 0, OPEN))
    return round(begin + length + 0.4, 3)
