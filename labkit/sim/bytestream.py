"""A reliable, ordered stream of bytes over a lossy link: a model, not TCP.

It has what a listener hears of TCP and leaves out the rest. What is written is cut into segments
of at most 1448 bytes and sent at once, as with TCP_NODELAY; or else a small one waits while
anything is unacknowledged, and grows meanwhile (Nagle's algorithm, RFC 9293 section 3.7.4). Each
segment is acknowledged as it comes, and what is lost is sent again:

    three segments sent later arrived       ─>  send this one again, at once
    nothing was acknowledged for an RTO     ─>  send the oldest one again, and double the RTO

What came after a hole waits until the hole is filled: this is head-of-line blocking, and the
reason why a voice over TCP stops and then hurries. The RTO is RFC 6298's with Linux's 200 ms
minimum. An acknowledgement says which segment caused it and when that was sent, as selective
acknowledgements (RFC 2018) and timestamps (RFC 7323) do.

Left out: the handshake, congestion control (the window is fixed), delayed acknowledgements, flow
control by the reader, resets.

This module knows no frames and no machine. Times are int nanoseconds, passed in.
"""

import heapq
from collections import deque
from typing import Final, NamedTuple

from labkit.core.impairment import NEVER, Impairment
from labkit.words.machine import earliest
from labkit.words.units import ms, seconds

MSS: Final = 1448
"""1500 bytes of Ethernet, less 20 of IPv4, 20 of TCP and 12 of timestamps."""
TCP_HEADERS: Final = 52
WINDOW: Final = 64 * 1024
"""Bytes that may be under way unacknowledged."""
RTO_FIRST: Final = seconds(1)
RTO_MIN: Final = ms(200)
RTO_MAX: Final = seconds(60)
PASSED: Final = 3
"""Segments sent later that must arrive before one counts as lost (RFC 6675's DupThresh)."""


class _Segment:
    """Bytes on their way: from `start` to before `end` in the stream."""

    __slots__ = ("data", "end", "order", "passed", "start")

    def __init__(self, start: int, data: bytes, end: int) -> None:
        self.start = start
        self.data = data
        self.end = end  # one more than the data for the segment that ends the stream
        self.order = 0  # which transmission this was, the last time
        self.passed = 0  # segments sent later that have arrived


class _Transmission(NamedTuple):
    """One copy of a segment on the link."""

    segment: _Segment
    order: int
    sent: int


class _Acknowledgement(NamedTuple):
    """Everything before `position` has arrived; `start`, `order`, `sent`: what caused this."""

    position: int
    start: int
    order: int
    sent: int


class ByteStream:
    """One direction: `write` at one end, `read` at the other.

    `forth` carries the segments, `back` the acknowledgements.
    """

    def __init__(
        self, forth: Impairment, back: Impairment, *, window: int = WINDOW, nodelay: bool = True
    ) -> None:
        self.retransmissions = 0
        """Segments sent again, whatever the reason."""
        self.timeouts = 0
        """How many of them because nothing came back for an RTO."""
        self.waiting = 0
        """Bytes written and not yet sent: the window is full."""
        self.ended = False
        """At the reader's end: the stream is over, and all of it was handed over."""
        self._forth = forth
        self._back = back
        self._window = window
        self._nodelay = nodelay
        # The writer's end. Positions count bytes from the beginning of the stream.
        self._unsent: deque[bytes] = deque()
        self._eof_wanted = self._eof_sent = False
        self._next = 0  # position of the next new byte
        self._acknowledged = 0
        self._flying: dict[int, _Segment] = {}  # by their start, oldest first
        self._rto = RTO_FIRST
        self._rto_at = NEVER
        self._smoothed = self._variation = 0
        # The reader's end.
        self._expected = 0
        self._early: dict[int, _Segment] = {}
        self._arrived: list[bytes] = []
        # On the link: (instant, a number that decides between equals, what arrives then).
        self._crossing: list[tuple[int, int, _Transmission | _Acknowledgement]] = []
        self._crossed = self._order = 0

    # The writer's end --------------------------------------------------------------------------

    def write(self, data: bytes, now: int) -> None:
        """Append bytes to the stream."""
        self.waiting += len(data)
        if self._unsent and not self._nodelay and len(self._unsent[-1]) < MSS:
            data = self._unsent.pop() + data  # what waits for Nagle grows
        for at in range(0, len(data), MSS):
            self._unsent.append(data[at : at + MSS])
        self._send_more(now)

    def write_eof(self, now: int) -> None:
        """End the stream after what was written. Twice does no harm."""
        self._eof_wanted = True
        self._send_more(now)

    def _send_more(self, now: int) -> None:
        end = self._acknowledged + self._window
        while self._unsent and self._next + len(self._unsent[0]) <= end and self._may_go():
            data = self._unsent.popleft()
            self.waiting -= len(data)
            self._send_new(data, self._next + len(data), now)
        if self._eof_wanted and not self._eof_sent and not self._unsent:
            self._eof_sent = True
            self._send_new(b"", self._next + 1, now)  # the end counts as one byte, as FIN does

    def _may_go(self) -> bool:
        """Nagle: a small segment waits while anything is unacknowledged."""
        return self._nodelay or not self._flying or len(self._unsent[0]) == MSS

    def _send_new(self, data: bytes, end: int, now: int) -> None:
        segment = _Segment(self._next, data, end)
        self._flying[self._next] = segment
        self._next = end
        if self._rto_at == NEVER:
            self._rto_at = now + self._rto
        self._transmit(segment, now)

    def _transmit(self, segment: _Segment, now: int) -> None:
        self._order += 1
        segment.order, segment.passed = self._order, 0
        for arrives, data in self._forth.push(segment.data, now):
            if data == segment.data:  # damaged: the checksum drops it
                self._cross(arrives, _Transmission(segment, self._order, now))

    def _take_acknowledgement(self, ack: _Acknowledgement, now: int) -> None:
        flying = self._flying
        self._measure(now - ack.sent)
        self._acknowledged = max(self._acknowledged, ack.position)
        arrived = [start for start, s in flying.items() if s.end <= ack.position]
        if ack.start in flying:
            arrived.append(ack.start)
        for start in arrived:
            flying.pop(start, None)
        if arrived:
            self._rto_at = now + self._rto if flying else NEVER
        for segment in list(flying.values()):
            if segment.order < ack.order:
                segment.passed += 1
                if segment.passed >= PASSED:
                    self.retransmissions += 1
                    self._transmit(segment, now)
        self._send_more(now)

    def _measure(self, round_trip: int) -> None:
        """RFC 6298 section 2."""
        if not self._smoothed:
            self._smoothed, self._variation = round_trip, round_trip // 2
        else:
            difference = abs(self._smoothed - round_trip)
            self._variation = (3 * self._variation + difference) // 4
            self._smoothed = (7 * self._smoothed + round_trip) // 8
        self._rto = min(max(RTO_MIN, self._smoothed + 4 * self._variation), RTO_MAX)

    def _time_out(self, now: int) -> None:
        """RFC 6298 section 5.4 to 5.6."""
        self.timeouts += 1
        self.retransmissions += 1
        self._rto = min(self._rto * 2, RTO_MAX)
        self._rto_at = now + self._rto
        self._transmit(next(iter(self._flying.values())), now)

    # The reader's end --------------------------------------------------------------------------

    def read(self) -> list[bytes]:
        """What has come in order since the last call."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def _receive(self, transmission: _Transmission, now: int) -> None:
        segment, order, sent = transmission
        if segment.start >= self._expected:
            self._early[segment.start] = segment
        while (ready := self._early.pop(self._expected, None)) is not None:
            self._expected = ready.end
            if ready.data:
                self._arrived.append(ready.data)
            else:
                self.ended = True
        ack = _Acknowledgement(self._expected, segment.start, order, sent)
        for arrives, _ in self._back.push(b"", now):
            self._cross(arrives, ack)

    # Time --------------------------------------------------------------------------------------

    def _cross(self, arrives: int, what: _Transmission | _Acknowledgement) -> None:
        self._crossed += 1
        heapq.heappush(self._crossing, (arrives, self._crossed, what))

    def deadline(self) -> int | None:
        """When the next segment or acknowledgement arrives, or nothing has come for an RTO."""
        arrival = self._crossing[0][0] if self._crossing else None
        return earliest(arrival, self._rto_at if self._rto_at != NEVER else None)

    def tick(self, now: int) -> None:
        """Let arrive what has come by now, and time out what has waited too long."""
        while self._crossing and self._crossing[0][0] <= now:
            _, _, what = heapq.heappop(self._crossing)
            if isinstance(what, _Transmission):
                self._receive(what, now)
            else:
                self._take_acknowledgement(what, now)
        if self._rto_at <= now:
            self._time_out(now)
