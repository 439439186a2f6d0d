"""A reliable, ordered stream of bytes over a lossy link: a model, not TCP.

It has what a listener hears of TCP and leaves out the rest. What is written is cut into segments
of at most 1448 bytes and sent at once (as with TCP_NODELAY), each is acknowledged as it comes,
and what is lost is sent again:

    three later segments arrived, or     ─>  send the oldest one again, at once
    nothing was acknowledged for an RTO  ─>  send the oldest one again, and double the RTO

What came after a hole waits until the hole is filled: this is head-of-line blocking, and the
reason why a voice over TCP stops and then hurries. The RTO is RFC 6298's with Linux's 200 ms
minimum, fast retransmit follows RFC 5681 section 3.2 and the holes after it RFC 6582. Left out:
handshake, congestion control (the window is fixed), selective acknowledgements, delayed
acknowledgements, Nagle's algorithm, window scaling, resets.

This module knows no frames and no machine. Times are int nanoseconds, passed in.
"""

import heapq
from collections import deque
from typing import Final

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
DUPLICATES: Final = 3
"""Acknowledgements that say nothing new, after which the oldest segment counts as lost."""


class _Segment:
    """Bytes on their way: from `start` to before `end` in the stream."""

    __slots__ = ("again", "data", "end", "sent", "start")

    def __init__(self, start: int, data: bytes, end: int, now: int) -> None:
        self.start = start
        self.data = data
        self.end = end  # one more than the data for the segment that ends the stream
        self.sent = now
        self.again = False


class ByteStream:
    """One direction: `write` at one end, `read` at the other.

    `forth` carries the segments, `back` the acknowledgements. `retransmissions` and `timeouts`
    count what the link cost.
    """

    def __init__(self, forth: Impairment, back: Impairment, *, window: int = WINDOW) -> None:
        self.retransmissions = 0
        self.timeouts = 0
        self.waiting = 0
        """Bytes written and not yet sent: the window is full."""
        self.ended = False
        """At the reader's end: the stream is over, and all of it was handed over."""
        self._forth = forth
        self._back = back
        self._window = window
        # The writer's end. Positions count bytes from the beginning of the stream.
        self._unsent: deque[bytes] = deque()
        self._eof_wanted = self._eof_sent = False
        self._next = 0  # position of the next new byte
        self._flying: deque[_Segment] = deque()
        self._duplicates = 0
        self._recover = -1  # until this position is acknowledged, holes are filled at once
        self._rto = RTO_FIRST
        self._rto_at = NEVER
        self._smoothed = self._variation = 0
        # The reader's end.
        self._expected = 0
        self._early: dict[int, _Segment] = {}
        self._arrived: list[bytes] = []
        # On the link: (instant, order, segment or the position acknowledged).
        self._crossing: list[tuple[int, int, _Segment | int]] = []
        self._order = 0

    # The writer's end --------------------------------------------------------------------------

    def write(self, data: bytes, now: int) -> None:
        """Append bytes to the stream."""
        for at in range(0, len(data), MSS):
            self._unsent.append(data[at : at + MSS])
        self.waiting += len(data)
        self._send_more(now)

    def write_eof(self, now: int) -> None:
        """End the stream after what was written. Twice does no harm."""
        self._eof_wanted = True
        self._send_more(now)

    def _send_more(self, now: int) -> None:
        acknowledged = self._flying[0].start if self._flying else self._next
        room = acknowledged + self._window - self._next
        while self._unsent and len(self._unsent[0]) <= room:
            data = self._unsent.popleft()
            self.waiting -= len(data)
            room -= len(data)
            self._send_new(data, self._next + len(data), now)
        if self._eof_wanted and not self._eof_sent and not self._unsent:
            self._eof_sent = True
            self._send_new(b"", self._next + 1, now)  # the end counts as one byte, as FIN does

    def _send_new(self, data: bytes, end: int, now: int) -> None:
        segment = _Segment(self._next, data, end, now)
        self._next = end
        self._flying.append(segment)
        if self._rto_at == NEVER:
            self._rto_at = now + self._rto
        self._transmit(segment, now)

    def _send_again(self, now: int) -> None:
        """The oldest segment, which the reader waits for."""
        self.retransmissions += 1
        segment = self._flying[0]
        segment.again = True
        self._rto_at = now + self._rto
        self._transmit(segment, now)

    def _transmit(self, segment: _Segment, now: int) -> None:
        for arrives, data in self._forth.push(segment.data, now):
            if data == segment.data:  # damaged: the checksum drops it
                self._cross(arrives, segment)

    def _acknowledged(self, position: int, now: int) -> None:
        """An acknowledgement came: everything before `position` has arrived."""
        flying = self._flying
        if not flying or position < flying[0].start:
            return
        if position == flying[0].start:
            self._duplicates += 1
            if self._duplicates == DUPLICATES and position > self._recover:
                self._recover = self._next
                self._send_again(now)
            return
        while flying and flying[0].end <= position:
            segment = flying.popleft()
            if not segment.again:  # else nobody knows which one was acknowledged (Karn)
                self._measure(now - segment.sent)
        self._duplicates = 0
        self._rto_at = now + self._rto if flying else NEVER
        if flying and position < self._recover:
            self._send_again(now)
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

    # The reader's end --------------------------------------------------------------------------

    def read(self) -> list[bytes]:
        """What has come in order since the last call."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def _receive(self, segment: _Segment, now: int) -> None:
        if segment.start >= self._expected:
            self._early[segment.start] = segment
        while (ready := self._early.pop(self._expected, None)) is not None:
            self._expected = ready.end
            if ready.data:
                self._arrived.append(ready.data)
            else:
                self.ended = True
        for arrives, _ in self._back.push(b"", now):
            self._cross(arrives, self._expected)

    # Time --------------------------------------------------------------------------------------

    def _cross(self, arrives: int, what: _Segment | int) -> None:
        self._order += 1
        heapq.heappush(self._crossing, (arrives, self._order, what))

    def deadline(self) -> int | None:
        """When the next segment or acknowledgement arrives, or the oldest segment times out."""
        arrival = self._crossing[0][0] if self._crossing else None
        return earliest(arrival, self._rto_at if self._rto_at != NEVER else None)

    def tick(self, now: int) -> None:
        """Let arrive what has come by now, and time out what has waited too long."""
        while self._crossing and self._crossing[0][0] <= now:
            arrives, _, what = heapq.heappop(self._crossing)
            if isinstance(what, _Segment):
                self._receive(what, max(arrives, now))
            else:
                self._acknowledged(what, now)
        if self._rto_at <= now:
            self.timeouts += 1
            self._rto = min(self._rto * 2, RTO_MAX)
            self._recover = self._next
            self._duplicates = 0
            self._send_again(now)
