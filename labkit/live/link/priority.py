"""The bottleneck of a lab that honours DSCP: voice first, and everything else when there is none.

    packets ─> EF? ─yes─> police? ─> [ queue ] ──┐
                ─no────────────────> [ queue ] ──┴─> a line of so many bits a second ─> the rest

Strict priority, as RFC 3246 (Expedited Forwarding, DSCP 46) asks for in its simplest form. Each
queue holds `limit` packets. With `police` no more than so many bits a second of EF get in, with a
burst of `BURST`: without it whoever marks all his packets EF leaves nothing for anybody else.

A `PriorityLine` stands before an `Impairment` whose own rate is taken away; netem has the line
last and its losses and delays before it, which nobody can tell from outside.

This module knows no socket and no clock; scheduler and line are `labkit.core`'s.
"""

from typing import Final

from labkit.core.bottleneck import Bottleneck
from labkit.core.scheduler import Policed, Scheduler, StrictPriority, TokenBucket
from labkit.words.dscp import Dscp
from labkit.words.linkspec import LinkSpec

BURST: Final = 2000
"""Bytes of EF at once: a long packet, or ten of a voice's that a stall has bunched."""


def dscp(packet: bytes) -> int:
    """The upper six bits of IPv4's second byte (RFC 2474 section 3)."""
    return packet[1] >> 2


class PriorityLine:
    """One direction of a bottleneck for IPv4 packets. `start` is when the spec's steps begin."""

    def __init__(self, spec: LinkSpec, start: int = 0, *, police: int = 0) -> None:
        scheduler: Scheduler = StrictPriority(limit=spec.limit)
        if police:
            scheduler = Policed(scheduler, TokenBucket(police, BURST), (Dscp.EF,))
        self._line = Bottleneck(scheduler, spec, start)
        self.pop = self._line.pop
        self.deadline = self._line.deadline

    def push(self, packet: bytes, now: int) -> bool:
        """Take a packet; False: it is dropped. First fetch with `pop` what is done by now."""
        return self._line.push(packet, dscp(packet), now)

    @property
    def dropped(self) -> int:
        """Packets that found their queue full, or that were more EF than is allowed."""
        return self._line.dropped
