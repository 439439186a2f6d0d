"""The two directions of a link: what happens to a packet between two devices.

    lab0 ─> read ─> [NAT] ─> [cut] ─> [priority] ─> Impairment ─> hold … deliver ─> [NAT] ─> lab0
                                                        │                  │
                                                  capture, at the sender   or at the receiver

A way on which nothing happens is a `read` and a `write`.

This module waits for nothing and keeps no packet: a `Holder` does.
"""

import os
from dataclasses import dataclass, replace
from typing import Final, Protocol

from labkit.core.impairment import Impairment
from labkit.live.clock import now
from labkit.live.link.nat import Nat
from labkit.live.link.plan import Link, Plan, with_rate
from labkit.live.link.priority import PriorityLine
from labkit.live.relaying import both_directions
from labkit.words.linkspec import LinkSpec

ROW: Final = 64
"""Packets read from one device before the others have their turn."""
IPV4: Final = 4


class Holder(Protocol):
    """Who keeps packets until they are due, and writes down what crosses."""

    def hold(self, leaves: int, way: "ImpairedWay", packet: bytes) -> None:
        """Call `way.deliver` with the packet at the instant `leaves`."""

    def record(self, instant: int, packet: bytes, verdict: str) -> None:
        """Write a packet down."""


@dataclass(slots=True)
class Counts:
    """What became of the packets of one direction of a link."""

    sent: int = 0
    bytes: int = 0
    lost: int = 0
    """By chance, as the profile says."""
    queue_dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    cut: int = 0
    """Sent while the link was cut."""
    refused: int = 0
    """By a NAT."""


class ClearWay:
    """A way on which nothing happens: 10 microseconds a packet, most of them the kernel's."""

    def __init__(self, source: int, target: int, size: int) -> None:
        self.source = source
        self.cut = False
        self._target = target
        self._size = size
        self._counts = Counts()

    def receive(self, holder: Holder) -> None:
        """Hand over a row of packets."""
        del holder
        source, target, size, counts = self.source, self._target, self._size, self._counts
        read, write = os.read, os.write
        for _ in range(ROW):
            try:
                packet = read(source, size)
            except BlockingIOError:
                return
            counts.sent += 1
            counts.bytes += len(packet)
            if self.cut:
                counts.cut += 1
                continue
            try:
                write(target, packet)
            except OSError:
                counts.lost += 1  # the device is down

    def counts(self) -> Counts:
        """What became of the packets so far."""
        return self._counts


class ImpairedWay:
    """A way with all that can be on it: NATs at its ends, a priority line, impairment, capture."""

    def __init__(self, source: int, target: int, size: int) -> None:
        self.source = source
        self.cut = False
        self.impairment: Impairment | None = None
        self.line: PriorityLine | None = None
        self.leave: Nat | None = None
        self.enter: Nat | None = None
        self.records_sent = False
        self.records_arrived = False
        self._target = target
        self._size = size
        self._counts = Counts()

    def receive(self, holder: Holder) -> None:
        """Read a row of packets and decide on each."""
        for _ in range(ROW):
            try:
                packet = os.read(self.source, self._size)
            except BlockingIOError:
                return
            if packet[0] >> 4 == IPV4:
                self._send(packet, now(), holder)

    def _send(self, packet: bytes, instant: int, holder: Holder) -> None:
        self._counts.sent += 1
        self._counts.bytes += len(packet)
        if self.leave is not None:
            translated = self.leave.outbound(packet, instant)
            if translated is None:
                self._counts.refused += 1
                self._record(holder, instant, packet, "refused by the NAT")
                return
            packet = translated
        if self.cut:
            self._counts.cut += 1
            self._record(holder, instant, packet, "cut")
        elif self.line is not None:
            self.advance(instant, holder)
            if not self.line.push(packet, instant):
                self._record(holder, instant, packet, "queue dropped")
        else:
            self._impair(packet, instant, holder)

    def advance(self, instant: int, holder: Holder) -> None:
        """Fetch what has left the priority line by now."""
        assert self.line is not None
        while (left := self.line.pop(instant)) is not None:
            self._impair(left[1], left[0], holder)

    def _impair(self, packet: bytes, instant: int, holder: Holder) -> None:
        verdict = ""
        if self.impairment is None:
            holder.hold(instant, self, packet)
        else:
            for leaves, data in self.impairment.push(packet, instant):
                holder.hold(leaves, self, data)
            verdict = self.impairment.verdict
        self._record(holder, instant, packet, verdict)

    def _record(self, holder: Holder, instant: int, packet: bytes, verdict: str) -> None:
        if self.records_sent:
            holder.record(instant, packet, verdict)

    def deliver(self, packet: bytes, instant: int, holder: Holder) -> None:
        """Hand a packet over to the kernel at the far end."""
        if self.enter is not None:
            translated = self.enter.inbound(packet, instant)
            if translated is None:
                self._counts.refused += 1
                return
            packet = translated
        if self.records_arrived:
            holder.record(instant, packet, "")
        try:
            os.write(self._target, packet)
        except OSError:
            self._counts.lost += 1  # the device is down, or it is no IP packet any more

    def counts(self) -> Counts:
        """What became of the packets so far."""
        counts = replace(self._counts)
        if (link := self.impairment) is not None:
            counts.lost += link.lost
            counts.queue_dropped = link.queue_dropped
            counts.duplicated = link.duplicated
            counts.reordered = link.reordered
            counts.corrupted = link.corrupted
        if self.line is not None:
            counts.queue_dropped += self.line.dropped
        return counts


Way = ClearWay | ImpairedWay
"""One direction of a link."""


def make_ways(plan: Plan, link: Link, seed: int, near: int, far: int) -> dict[str, Way]:
    """Both directions of a link, by name, between two devices. `seed` decides their dice."""
    forth_name = f"{link.near.host} → {link.far.host}"
    back_name = f"{link.far.host} → {link.near.host}"
    host = plan.record
    at_ends = host in (link.near.host, link.far.host)
    recorded = at_ends or (host == "sent" and link.profile is not None)
    nats = [end.outside and Nat(end.address, end.outside) for end in (link.near, link.far)]
    specs = (link.profile.up, link.profile.down) if link.profile else ()
    if not any(nats) and not recorded and all(_is_clear(spec) for spec in specs):
        return {
            forth_name: ClearWay(near, far, plan.mtu),
            back_name: ClearWay(far, near, plan.mtu),
        }
    forth, back = ImpairedWay(near, far, plan.mtu), ImpairedWay(far, near, plan.mtu)
    forth.leave = back.enter = nats[0] or None
    forth.enter = back.leave = nats[1] or None
    forth.records_sent = recorded and host in ("sent", link.near.host)
    back.records_sent = recorded and host in ("sent", link.far.host)
    forth.records_arrived = host == link.far.host
    back.records_arrived = host == link.near.host
    _impair((forth, back), plan, link, seed)
    return {forth_name: forth, back_name: back}


def _impair(ways: tuple[ImpairedWay, ImpairedWay], plan: Plan, link: Link, seed: int) -> None:
    """Put the profile of a link on its ways."""
    if link.profile is None:
        return
    profile = link.profile
    if plan.dscp:
        start = now()
        for way, spec in zip(ways, (profile.up, profile.down), strict=True):
            way.line = PriorityLine(spec, start, police=plan.police)
        profile = with_rate(profile, 0)
    for way, impairment in zip(ways, both_directions(profile, seed, 0), strict=True):
        way.impairment = impairment


def _is_clear(spec: LinkSpec) -> bool:
    """Whether a spec does nothing: where nothing is delayed, nothing waits in a queue."""
    return replace(spec, limit=1) == LinkSpec(limit=1)
