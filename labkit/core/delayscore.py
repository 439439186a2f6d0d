"""What a jitter buffer makes of a delay trace: how many frames it loses, and for what delay.

The two figures belong together: whoever waits for ever loses nothing. So a buffer is a point in
the plane of loss and delay, and one is better than another only if it is below and to the left.
Reception is replayed in virtual time, packet by packet, with any buffer that has `push` and
`pull`; where it has `deadline`, it is asked then, otherwise once a frame.

This module knows nothing of how a buffer decides, and no sound: a frame is played or it is not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from labkit.words.packet import Packet
from labkit.words.seqnum import Unwrapper, add16, add32
from labkit.words.units import ms, ns_to_ticks, seconds, to_ms

CLOCK_RATE = 48_000
PATIENCE = seconds(5)
"""How long after the last packet a buffer is still asked."""


class DelayScore(NamedTuple):
    """One buffer on one trace."""

    sent: int
    """Packets sent."""
    arrived: int
    """Packets that the network delivered."""
    played: int
    """Frames that were played."""
    waited: int
    """Turns at which nothing was played and no frame was given up: the listener waited."""
    delay: int
    """Mean time from arrival on an empty network to the turn, of the frames played: nanoseconds."""

    @property
    def lost_percent(self) -> float:
        """Frames that arrived and were not played, of all sent."""
        return 100 * (self.arrived - self.played) / self.sent

    @property
    def waited_percent(self) -> float:
        """Turns at which the listener waited, of all sent."""
        return 100 * self.waited / self.sent

    def __str__(self) -> str:
        return (
            f"{self.lost_percent:.2f} % lost, {self.waited_percent:.2f} % waited, "
            f"{to_ms(self.delay):.0f} ms"
        )


def replay(buffer: Any, delays: Sequence[int | None], frame: int = ms(20)) -> DelayScore:
    """Send a packet every `frame` through a network with these delays into `buffer`."""
    arrivals = sorted((i * frame + d, i) for i, d in enumerate(delays) if d is not None)
    ticks = ns_to_ticks(frame, CLOCK_RATE)
    ask = getattr(buffer, "deadline", None)
    turn: int | None = None
    turns: list[tuple[int, Packet | None]] = []
    for now, i in arrivals:
        while turn is not None and turn < now:
            turns.append((turn, buffer.pull(turn)))
            turn = ask() if ask else turn + frame
        buffer.push(Packet(add16(0, i), add32(0, i * ticks), b""), now)
        turn = ask() if ask else now if turn is None else turn
    end = arrivals[-1][0] + PATIENCE
    while turn is not None and turn < end:
        turns.append((turn, buffer.pull(turn)))
        turn = ask() if ask else turn + frame
    return _score(turns, delays, frame)


def _score(
    turns: list[tuple[int, Packet | None]], delays: Sequence[int | None], frame: int
) -> DelayScore:
    base = min(delay for delay in delays if delay is not None)
    arrived = sum(delay is not None for delay in delays)
    unwrap = Unwrapper(16)
    waits = [now - unwrap(p.seq) * frame - base for now, p in turns if p is not None]
    heard = [index for index, (_, packet) in enumerate(turns) if packet is not None]
    empty = heard[-1] - heard[0] + 1 - len(heard) if heard else 0
    return DelayScore(
        sent=len(delays),
        arrived=arrived,
        played=len(waits),
        waited=max(0, empty - (len(delays) - len(waits))),
        delay=sum(waits) // max(1, len(waits)),
    )
