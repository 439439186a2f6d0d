"""The same bytes for many: each packet is packed once, whoever listens (week 10).

    Packet ──► Header.pack ──► bytes ──► Copies(bytes, all destinations)
                     └── Tally: so many packets and octets, for everybody

Listeners of one voice get the same packets. Where their headers are equal too, they get the same
bytes: our own header says nothing of who reads it, and RTP's only whose stream it is (the SSRC).
Such sessions form an `Audience`. It packs a packet once and counts it once; its cost is that of one
listener, but for the sending itself.

What a session has sent it still knows, for its sender reports and its figures: an audience counts
in one `Tally`, which its sessions share, and each remembers where it stood when it joined.

Who encrypts for each listener, or speaks over a stream of its own, has no header in common with
anybody (`header` is None, or there is none), and is sent to one by one.

This module knows no wire, no socket and no clock.
"""

from collections.abc import Hashable
from typing import Protocol

from labkit.words.machine import Address, Copies
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead32


class Header(Hashable, Protocol):
    """How a packet becomes a datagram. Equal headers make equal bytes of equal packets."""

    def pack(self, packet: Packet) -> bytes:
        """The datagram."""


class Tally:
    """What was sent, as sender reports tell it (RFC 3550 section 6.4.1)."""

    __slots__ = ("at", "octets", "packet_ticks", "packets", "timestamp")

    def __init__(self) -> None:
        self.packets = 0
        self.octets = 0
        """Bytes of payload."""
        self.timestamp = 0
        """Of the last packet."""
        self.at = 0
        """When that was sent."""
        self.packet_ticks: int | None = None
        """Ticks of sound in a packet: the least step between two timestamps. After a silence there
        is more between them."""

    def count(self, packet: Packet, now: int) -> None:
        """One packet is sent."""
        step = ahead32(packet.timestamp, self.timestamp)
        if self.packets and step > 0 and (self.packet_ticks is None or step < self.packet_ticks):
            self.packet_ticks = step
        self.packets += 1
        self.octets += len(packet.payload)
        self.timestamp, self.at = packet.timestamp, now

    def copy(self) -> "Tally":
        """One that goes on from here alone."""
        other = Tally()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other


class Sharer(Protocol):
    """A session that can be one of an audience."""

    @property
    def peer(self) -> Address | None:
        """Where its packets go."""

    @property
    def tally(self) -> Tally:
        """Where it counts."""

    def share(self, tally: Tally) -> None:
        """Count there from now on, and forget nothing."""


class Audience:
    """Sessions that send the same bytes: of one rendition, where there are several."""

    def __init__(self, header: Header, rendition: int | None = None) -> None:
        self.header = header
        self.rendition = rendition
        self.tally = Tally()
        self.members: dict[Address, Sharer] = {}
        self._destinations: tuple[Address, ...] | None = ()

    @property
    def key(self) -> tuple[Header, int | None]:
        """What makes the bytes equal."""
        return self.header, self.rendition

    def join(self, name: Address, session: Sharer) -> None:
        """From now on `session` gets what is said."""
        session.share(self.tally)
        self.members[name] = session
        self._destinations = None

    def leave(self, name: Address) -> None:
        """Its session is on its own again."""
        self.members.pop(name).share(self.tally.copy())
        self._destinations = None

    def say(self, packet: Packet, now: int) -> Copies:
        """One packet for everybody."""
        if self._destinations is None:
            # The same tuple until somebody comes or goes, so that a driver can prepare for it.
            self._destinations = tuple(session.peer for session in self.members.values())
        self.tally.count(packet, now)
        return Copies(self.header.pack(packet), self._destinations)
