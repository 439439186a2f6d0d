"""The same bytes for many: each packet is packed once, whoever listens (week 10).

    Packet ──► Header.pack ──► bytes ──► Copies(bytes, all destinations)
                     └── Tally: so many packets and octets, for everybody

Listeners of one voice get the same packets. Where their headers are equal too, they get the same
bytes: our own header says nothing of who reads it, and RTP's only whose stream it is (the SSRC).
Such sessions form an `Audience`. It packs a packet once and counts it once; its cost is that of one
listener, but for the sending itself.

What a session has sent it still knows, for its figures: an audience counts in one `Tally`, which
its sessions share, and each remembers where it stood when it joined.

Who is sent the same stream can be told the same of it. One SSRC is one participant (RFC 3550
section 3) and has one clock for its reports, not one for each listener: a header that has a
`Reporter` makes one report for everybody, and the sessions, which have told their listener
something once, are silent as long as that goes on.

Who encrypts for each listener has no bytes in common with anybody; but what is encrypted may be
the same. A `SealedAudience` packs and counts it once, and each of its sessions seals it by its own
key: a list of datagrams where others have `Copies`.

    Packet ──► Header.pack ──► bytes ──► Sealed.seal ──┬─► Datagram to the first
                                                       └─► Datagram to the second

Who speaks over a stream of its own has no header in common with anybody, and is sent to alone.

This module knows no wire, no socket and no clock.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from labkit.words.machine import Address, Copies, Datagram
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead32


class Header(Hashable, Protocol):
    """How a packet becomes a datagram. Equal headers make equal bytes of equal packets."""

    def pack(self, packet: Packet) -> bytes:
        """The datagram."""

    def reporter(self) -> "Reporter | None":
        """Who reports to an audience about what it is sent; None where nobody does."""


class Reporter(Protocol):
    """Knows when everybody is to be told, and what."""

    def report(self, tally: "Tally", now: int) -> bytes | None:
        """The report that is due; None when none is."""


class Tally:
    """What was sent, as sender reports tell it (RFC 3550 section 6.4.1)."""

    __slots__ = ("at", "octets", "packet_ticks", "packets", "reported", "timestamp")

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
        self.reported: int | None = None
        """When all who count here were last told so by one report; None when each is told alone."""

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
        other.reported = None
        return other


class Sharer(Protocol):
    """A session that can be one of an audience."""

    @property
    def peer(self) -> Address | None:
        """Where its packets go."""

    @property
    def reports_to(self) -> Address | None:
        """Where reports go."""

    @property
    def tally(self) -> Tally:
        """Where it counts."""

    def share(self, tally: Tally) -> None:
        """Count there from now on, and forget nothing."""


class Sealer(ABC):
    """A session that encrypts for its listener what may be the same for many.

    One has to be it, and cannot merely look like it: whatever stands around a session has all that
    the session has, and must not be passed by.
    """

    @abstractmethod
    def share(self, tally: Tally) -> None:
        """Count there from now on, and forget nothing."""

    @property
    @abstractmethod
    def sealed(self) -> "Sealed | None":
        """What it encrypts and how; None when it must be asked to send each packet itself."""

    @property
    @abstractmethod
    def sealing(self) -> "Sealing":
        """What `Sealed.seal` needs of it."""


Sealing = tuple[Callable[[bytes], bytes], Address, Any]
"""What encrypts, where that goes, and whose it is: ready, because it is used for every packet."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Stands for a header that nobody may see. It cannot pack, so nobody sends it in the clear."""

    within: Header
    seal: Callable[[Sequence[Sealing], bytes], list[Datagram]]
    """Encrypts the bytes for each of these. What must not be sent is left out and counted."""


AnyHeader = Header | Sealed
S = TypeVar("S", Sharer, Sealer)


class _Sharers(Generic[S]):
    """Sessions that count in one tally: of one rendition, where there are several."""

    def __init__(self, header: AnyHeader, rendition: int | None = None) -> None:
        self.key: Final = (header, rendition)
        """What makes the bytes equal."""
        self.rendition = rendition
        self.tally = Tally()
        self.members: dict[Address, S] = {}

    def join(self, name: Address, session: S) -> None:
        """From now on `session` gets what is said."""
        session.share(self.tally)
        self.members[name] = session
        self._change()

    def leave(self, name: Address) -> None:
        """Its session is on its own again."""
        self.members.pop(name).share(self.tally.copy())
        self._change()

    def _change(self) -> None:
        """Somebody has come or gone."""
        raise NotImplementedError


class Audience(_Sharers[Sharer]):
    """Sessions that send the same bytes."""

    def __init__(self, header: Header, rendition: int | None = None) -> None:
        super().__init__(header, rendition)
        self._pack = header.pack
        self._reporter = header.reporter()
        self._destinations: tuple[Address, ...] | None = ()
        self._reports_to: tuple[Address, ...] = ()

    def _change(self) -> None:
        self._destinations = None

    def say(self, packet: Packet, now: int) -> Copies:
        """One packet for everybody."""
        if self._destinations is None:
            # The same tuple until somebody comes or goes, so that a driver can prepare for it.
            self._destinations = tuple(session.peer for session in self.members.values())
        self.tally.count(packet, now)
        return Copies(self._pack(packet), self._destinations)

    def report(self, now: int) -> Copies | None:
        """What everybody is told of it, when it is time. Ask after `say`."""
        data = None if self._reporter is None else self._reporter.report(self.tally, now)
        if data is None:
            return None
        self.tally.reported = now
        where = tuple(session.reports_to for session in self.members.values())
        for known in (self._destinations, self._reports_to):  # the same tuple, see `say`
            if where == known:
                where = known
        self._reports_to = where
        return Copies(data, where)


class SealedAudience(_Sharers[Sealer]):
    """Sessions that encrypt the same bytes, each for its own listener."""

    def __init__(self, header: Sealed, rendition: int | None = None) -> None:
        super().__init__(header, rendition)
        self._pack, self._seal = header.within.pack, header.seal
        self._everybody: list[Sealing] = []

    def _change(self) -> None:
        self._everybody = [session.sealing for session in self.members.values()]

    def say(self, packet: Packet, now: int) -> list[Datagram]:
        """One packet for everybody, sealed for each."""
        self.tally.count(packet, now)
        return self._seal(self._everybody, self._pack(packet))


def audience_of(header: AnyHeader, rendition: int | None = None) -> Audience | SealedAudience:
    """The audience, still empty, of those who have this header in common."""
    if isinstance(header, Sealed):
        return SealedAudience(header, rendition)
    return Audience(header, rendition)
