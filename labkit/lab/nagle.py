"""Small writes and the segments that they become, by the rule of Nagle (week 3).

    small_writes([(0, 80), (20, 80), (40, 80)], round_trip=50).show()
    small_writes([(0, 12), (0, 80)], round_trip=0, ack_delay=40)       header and payload apart

RFC 896 and RFC 1122 section 4.2.3.4: while anything that was sent is unacknowledged, what is
written waits, until all of it is acknowledged or a full segment is there. TCP_NODELAY switches
that off. The other end may hold its acknowledgement back for a while (RFC 1122 section 4.2.3.2),
hoping for an answer to put it on; together the two wait for each other.

The link is as long as half the round trip and loses nothing; every segment is acknowledged
`ack_delay` after it came. `labkit.sim.bytestream` has the same rule on links that do lose.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from labkit.lab.show import GREY, LATE, LINE, PLAYED, RECOVERED, Picture, canvas
from labkit.words.units import ms, to_ms

MSS: Final = 1448
"""Bytes of a full segment: 1500 of Ethernet, less 20 of IPv4, 20 of TCP and 12 of timestamps."""
MOST_LABELS: Final = 40
"""Segments whose sizes are written into the picture."""


class Write(NamedTuple):
    """What a program wrote."""

    now: int
    size: int


class Sent(NamedTuple):
    """A segment; times in nanoseconds."""

    left: int
    size: int
    acknowledged: int
    """When the acknowledgement is back."""


class SmallWrites:
    """Writes, and the segments in which they left."""

    def __init__(self, writes: Sequence[Write], segments: Sequence[Sent], way: int = 0) -> None:
        self.writes = writes
        self.segments = segments
        self.way = way
        """From one end to the other, in nanoseconds."""

    def left(self) -> list[int]:
        """For each write, when the last of its bytes left, in nanoseconds."""
        found: list[int] = []
        end = sent = 0
        segments = iter(self.segments)
        at = 0
        for write in self.writes:
            end += write.size
            while sent < end:
                at, size, _ = next(segments)
                sent += size
            found.append(at)
        return found

    def waits_ms(self) -> list[float]:
        """How long each write waited, in milliseconds."""
        return [to_ms(at - w.now) for at, w in zip(self.left(), self.writes, strict=True)]

    def show(self) -> Picture:
        """Writes above, segments below, and what each segment waited for."""
        return _draw(self)

    def _repr_png_(self) -> bytes:
        return self.show().png()

    def __repr__(self) -> str:
        waits = self.waits_ms()
        mean = sum(waits) / len(waits) if waits else 0.0
        return (
            f"{len(self.writes)} writes left in {len(self.segments)} segments, "
            f"after {mean:.0f} ms on average and {max(waits, default=0):.0f} ms at most"
        )


def small_writes(
    writes: Sequence[tuple[int, int]],
    round_trip: int,
    *,
    ack_delay: int = 0,
    nodelay: bool = False,
    mss: int = MSS,
) -> SmallWrites:
    """Let time pass. `writes` are pairs of a millisecond and bytes; the times are in order.

    `round_trip` and `ack_delay` are milliseconds.
    """
    given = [Write(ms(at), size) for at, size in writes]
    instants = deque(given)
    flying: deque[Sent] = deque()
    segments: list[Sent] = []
    waiting = 0
    while instants or waiting:
        now = min(([instants[0].now] if instants else []) + [s.acknowledged for s in flying])
        while flying and flying[0].acknowledged <= now:
            flying.popleft()
        if instants and instants[0].now == now:
            waiting += instants.popleft().size
        while waiting and (nodelay or waiting >= mss or not flying):
            segment = Sent(now, min(waiting, mss), now + ms(round_trip + ack_delay))
            waiting -= segment.size
            flying.append(segment)
            segments.append(segment)
    return SmallWrites(given, segments, ms(round_trip) // 2)


def _draw(run: SmallWrites) -> Picture:
    """Two lines, the program's and the wire's; below the wire the acknowledgements come back."""
    with canvas(height=2.9) as (figure, rows):
        axes = rows[0]
        for write, at in zip(run.writes, run.left(), strict=True):
            waited = at > write.now
            colour = LATE if waited else PLAYED
            axes.plot([to_ms(write.now), to_ms(at)], [2, 1], color=colour, lw=1.2)
        axes.plot([to_ms(w.now) for w in run.writes], [2] * len(run.writes), "|", color=LINE, ms=12)
        for segment in run.segments:
            left, back = to_ms(segment.left), to_ms(segment.acknowledged)
            way = to_ms(run.way)
            axes.plot(
                [left, left + way, back - way, back], [1, 0, 0, 1], color=GREY, lw=0.8, zorder=0
            )
            axes.plot([left], [1], "s", color=PLAYED, ms=6)
            axes.plot([back], [1], "|", color=RECOVERED, ms=10, mew=1.6)
            if len(run.segments) <= MOST_LABELS:
                axes.annotate(str(segment.size), (left, 1), (0, -15), ha="center", fontsize=8,
                              textcoords="offset points", color=LINE,
                              bbox={"fc": "white", "ec": "none", "pad": 0.5})  # fmt: skip
        axes.set_yticks([2, 1, 0], ["written", "sent", "other end"])
        axes.set_ylim(-0.35, 2.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("time (ms); numbers are bytes in a segment, green is its acknowledgement")
        axes.set_title(repr(run))
    return Picture(figure, repr(run))
