"""A router with a narrow line, and the traffic that fills it, for virtual time (week 11).

    voice ───┐                                 ┌─── ear
             ├─> Router ═ Bottleneck ═ line ═══┤
    Flood ───┘                                 └─── Sink

A `Router` makes of each datagram the IP packet that it would be, and lets those that go to the far
side queue before the line. The packet's mark is what `marks` says for who sent it: where a real
host writes it into the header, hosts in virtual time have no kernel that would.

This module does not decide who goes first: the scheduler in the bottleneck does.
"""

import struct
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Final

from labkit.core.bottleneck import Bottleneck
from labkit.wire import ip
from labkit.words.dscp import Mark, read_tos
from labkit.words.machine import Address, Datagram, Event
from labkit.words.routed import Routed
from labkit.words.units import NS_PER_S

ENDS: Final = struct.Struct("!4s4sHH")
"""Source and destination, then their ports: byte 12 and on of an IPv4 packet with UDP in it."""
HEADERS: Final = 28


class Router:
    """Passes datagrams on; those to the hosts of `far` queue for the line.

    Addresses are (host, port), the host IPv4 in digits. A routed machine: `labkit.words.routed`.
    """

    def __init__(
        self, line: Bottleneck, far: Sequence[str], marks: Mapping[Address, int] | None = None
    ) -> None:
        self.line = line
        self._far = frozenset(far)
        self._marks = dict(marks or {})
        self._out: list[Routed] = []

    def receive_routed(self, data: bytes, source: Address, destination: Address, now: int) -> None:
        """Queue it, or pass it on at once. What is no address of IPv4 goes nowhere."""
        match source, destination:
            case (str(), int()), (str(host), int()) if host in self._far:
                self.tick(now)
                tos = Mark(self._marks.get(source, 0)).tos
                packet = ip.udp(data, source, destination, tos=tos)  # type: ignore[arg-type]
                self.line.push(packet, read_tos(packet[1]).dscp, now)
            case _:
                self._out.append(Routed(data, source, destination))

    def tick(self, now: int) -> None:
        """Pass on what has left the line."""
        while (left := self.line.pop(now)) is not None:
            packet = left[1]
            source, destination, *ports = ENDS.unpack_from(packet, 12)
            ends = (str(IPv4Address(source)), ports[0]), (str(IPv4Address(destination)), ports[1])
            self._out.append(Routed(packet[HEADERS:], *ends))

    def deadline(self) -> int | None:
        """When the next packet has left the line."""
        return self.line.deadline()

    def transmits(self) -> list[Routed]:
        """What is passed on."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """A router says nothing."""
        return []


class Flood:
    """Sends `rate` bits a second to `peer`, headers counted, in datagrams of `size` bytes.

    It listens to nobody, unlike TCP: whatever is lost, it goes on.
    """

    def __init__(self, peer: Address, rate: int, size: int = 1472, *, start: int = 0) -> None:
        self.peer = peer
        self.sent = 0
        self._every = (size + HEADERS) * 8 * NS_PER_S // rate
        self._data = bytes(size)
        self._due = start
        self._out: list[Datagram] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Nobody answers a flood."""

    def tick(self, now: int) -> None:
        """Send what is due."""
        while self._due <= now:
            self._due += self._every
            self.sent += 1
            self._out.append(Datagram(self._data, self.peer))

    def deadline(self) -> int:
        """When the next datagram is due."""
        return self._due

    def transmits(self) -> list[Datagram]:
        """What is due."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """A flood says nothing."""
        return []


class Sink:
    """Takes what comes, and counts it."""

    def __init__(self) -> None:
        self.bytes = 0
        """Of packets, their headers counted."""
        self.since: int | None = None
        self.until: int | None = None

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """One more. The first only says since when."""
        if self.since is None:
            self.since = now
        else:
            self.bytes += len(data) + HEADERS
        self.until = now

    def tick(self, now: int) -> None:
        """It has nothing to do."""

    def deadline(self) -> None:
        """It never wants to be woken."""

    def transmits(self) -> list[Datagram]:
        """It never answers."""
        return []

    def events(self) -> list[Event]:
        """It says nothing."""
        return []

    @property
    def rate(self) -> float:
        """Bits a second from the first datagram to the last."""
        if self.since is None or self.until is None or self.until == self.since:
            return 0.0
        return self.bytes * 8 * NS_PER_S / (self.until - self.since)
