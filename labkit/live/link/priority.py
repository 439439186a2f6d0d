"""A bottleneck that honours DSCP: voice first, and everything else when there is no voice.

    packets ─> EF?  ─yes─> [ queue ] ──┐
                    ─no──> [ queue ] ──┴─> a line of so many bits a second ─> the rest of the link

Strict priority, as RFC 3246 (Expedited Forwarding, DSCP 46) asks for in its simplest form: when
the line is free, the first EF packet goes, and only when there is none one of the others. A packet
on the line is not interrupted. Each queue holds `limit` packets, and what finds it full is lost.

A `PriorityLine` stands before an `Impairment` whose own rate is taken away; netem has the line
last and its losses and delays before it, which nobody can tell from outside.

This module knows no socket and no clock.
"""

from collections import deque
from typing import Final

from labkit.words.linkspec import LinkSpec
from labkit.words.units import NS_PER_S

EXPEDITED: Final = 46
"""The DSCP of voice: RFC 3246."""


def dscp(packet: bytes) -> int:
    """The upper six bits of IPv4's second byte (RFC 2474 section 3)."""
    return packet[1] >> 2


class PriorityLine:
    """One direction of a bottleneck. `start` is the instant from which the spec's steps count."""

    def __init__(self, spec: LinkSpec, start: int = 0) -> None:
        self.dropped = 0
        self._spec = spec
        self._start = start
        self._queues: tuple[deque[bytes], deque[bytes]] = (deque(), deque())  # EF, the others
        self._on_line: bytes | None = None
        self._done = 0  # when the packet on the line has left it

    def push(self, packet: bytes, now: int) -> bool:
        """Take a packet; False: its queue is full. First fetch with `pop` what is done by now."""
        queue = self._queues[dscp(packet) != EXPEDITED]
        if len(queue) >= self._spec.limit:
            self.dropped += 1
            return False
        queue.append(packet)
        if self._on_line is None:
            self._begin(now)
        return True

    def pop(self, now: int) -> tuple[int, bytes] | None:
        """The next packet that has left the line, and when it did; None: none has by now."""
        if self._on_line is None or self._done > now:
            return None
        left = self._done, self._on_line
        self._on_line = None
        self._begin(self._done)
        return left

    def deadline(self) -> int | None:
        """When the packet on the line has left it."""
        return None if self._on_line is None else self._done

    def _begin(self, now: int) -> None:
        """Put a packet on the line that is free from `now` on."""
        for queue in self._queues:
            if queue:
                packet = queue.popleft()
                spec = self._spec.at(now - self._start) if self._spec.steps else self._spec
                size = len(packet) + spec.packet_overhead
                self._on_line = packet
                self._done = now + (size * 8 * NS_PER_S // spec.rate if spec.rate else 0)
                return
