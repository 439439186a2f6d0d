"""A narrow line, and the queues before it.

    push(packet, dscp, now) ─> scheduler ─> a line of so many bits a second ─> pop(now)

A packet of n bytes is on the line for 8 n / rate seconds. It is not interrupted: what matters more
waits until the line is free, and then the scheduler says who goes.

A `Bottleneck` is a machine of the usual kind, but what it takes are packets on their way: `pop`
gives each with the instant at which it has left the line, `deadline` says when the next one will.

This module knows no socket and no clock, and does not say who goes first.
"""

from labkit.core.scheduler import Scheduler
from labkit.words.linkspec import LinkSpec
from labkit.words.units import NS_PER_S


class Bottleneck:
    """One direction of a line: `rate` and `packet_overhead` of a spec, and how they change.

    `start` is the instant from which the spec's steps count. Without a rate nothing waits.
    """

    def __init__(self, scheduler: Scheduler, spec: LinkSpec, start: int = 0) -> None:
        self.scheduler = scheduler
        self._spec = spec
        self._start = start
        self._on_line: bytes | None = None
        self._done = 0  # when the packet on the line has left it

    @property
    def dropped(self) -> int:
        """Packets that the scheduler did not take."""
        return self.scheduler.dropped

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Take a packet; False: it is dropped. First fetch with `pop` what is done by now."""
        taken = self.scheduler.push(packet, dscp, now)
        if self._on_line is None:
            self._begin(now)
        return taken

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
        packet = self.scheduler.pop()
        if packet is None:
            return
        spec = self._spec.at(now - self._start) if self._spec.steps else self._spec
        size = len(packet) + spec.packet_overhead
        self._on_line = packet
        self._done = now + (size * 8 * NS_PER_S // spec.rate if spec.rate else 0)
