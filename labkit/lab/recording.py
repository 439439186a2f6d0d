"""What a receiver and a timeline need of a capture, where there is no sender and no network.

`Recording` is the session: packets go in at the times of the capture. `sender_trace` says when each
packet was probably sent, because a capture knows only when it came.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from labkit.codec.face import Codec
from labkit.core.session import Closed, Received, Stats
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.seqnum import Unwrapper
from labkit.words.trace import Did, Trace
from labkit.words.units import seconds, ticks_to_ns

NEW_CLOCK: Final = seconds(5)
"""Two transits further apart are not of one clock: `labkit.core.jitterbuffer` says the same."""


LONGEST_GAP: Final = seconds(60)
"""Between two packets. More means that the capture's clock was set, or its file is damaged."""


def steady(times: Sequence[int]) -> list[int]:
    """Nanoseconds after the first, on a clock that never jumps by more than a minute.

    One wrong time in a file must not make anybody wait for years.
    """
    now, steady_times = 0, []
    for before, time in zip([*times[:1], *times], times, strict=False):
        step = time - before
        now += step if abs(step) <= LONGEST_GAP else 0
        steady_times.append(now)
    return steady_times


class Arrival(NamedTuple):
    """A packet, and when it came, in nanoseconds after the first."""

    time: int
    packet: Packet


class Recording:
    """A session that is fed packets instead of datagrams, and sends nothing."""

    def __init__(self) -> None:
        self.closed = False
        self.ready = False
        self.wants_close = False
        self.stats = Stats()
        self._events: list[Event] = []

    def receive_datagram(self, data: Any, source: Any, now: int) -> None:
        """Take one packet."""
        del source
        self._events.append(Received(data, now))

    def tick(self, now: int) -> None:
        """Nothing ever falls due."""

    def deadline(self) -> int | None:
        """None."""
        return None

    def transmits(self) -> list[Any]:
        """Nothing."""
        return []

    def events(self) -> list[Event]:
        """What came since."""
        events, self._events = self._events, []
        return events

    def close(self, now: int) -> None:
        """The capture has ended."""
        del now
        if not self.closed:
            self.closed = True
            self._events.append(Closed(clean=True, by="peer", why="the capture ended"))


def sender_trace(arrivals: Sequence[Arrival], codec: Codec) -> Trace:
    """When each packet was sent, if the fastest one took no time at all.

    Timestamps say how far apart packets were sent, and nothing says how long the way is: delays are
    over that of the fastest packet, of each stretch with one clock. A lost packet was sent where
    its number puts it, between its neighbours.
    """
    clock_rate = codec.format.clock_rate
    unwrap_seq, unwrap_timestamp = Unwrapper(16), Unwrapper(32)
    stretches: list[list[tuple[int, int, int, int]]] = []
    transit: int | None = None
    for time, packet in arrivals:
        media = ticks_to_ns(unwrap_timestamp(packet.timestamp), clock_rate)
        if transit is None or abs(time - media - transit) > NEW_CLOCK:
            stretches.append([])
        transit = time - media
        stretches[-1].append((unwrap_seq(packet.seq), media, transit, len(packet.payload)))
    sent: dict[int, tuple[int, int]] = {}
    for stretch in stretches:
        fastest = min(transit for _, _, transit, _ in stretch)
        for seq, media, _, size in stretch:
            sent.setdefault(seq, (media + fastest, size))
    trace = Trace()
    for seq, (time, size) in sorted(_without_gaps(sent).items()):
        trace.add((time, Did.CAPTURED, seq, 0))
        trace.add((time, Did.SENT, seq, size))
    return trace


def _without_gaps(sent: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """The packets that came, and between them those that did not, evenly spread."""
    complete = dict(sent)
    known = sorted(sent)
    for before, after in pairwise(known):
        start, end = sent[before][0], sent[after][0]
        for seq in range(before + 1, after):
            complete[seq] = (start + (end - start) * (seq - before) // (after - before), 0)
    return complete
