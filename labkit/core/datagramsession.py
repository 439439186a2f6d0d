"""A conversation over datagrams, with our own small header (week 5).

A receiver says HELLO until a DESCRIPTION answers it, and every two seconds from then on; the
sender answers each HELLO with its DESCRIPTION, and sends media in between. BYE is answered by
BYE. Media that overtakes the first DESCRIPTION is kept until it can be understood.

What is lost stays lost: `stats` counts it, and the jitter buffer fills the gap.

This module knows no socket, no clock and no codec, and not how the header is laid out.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from labkit.core.conversation import Conversation, Phase
from labkit.core.reception import Reception, count
from labkit.core.session import DEFAULT_LIMITS, Limits, Received, Role, Stats
from labkit.wire.framing import Kind
from labkit.wire.minirtp import pack, unpack
from labkit.words.errors import WireError
from labkit.words.machine import Address, Datagram
from labkit.words.packet import Packet
from labkit.words.units import SAMPLE_RATE

NOTHING: Final = Packet(0, 0, b"")
"""HELLO and BYE need no words."""


@dataclass(frozen=True, slots=True)
class OwnHeader:
    """The header of week 5. It says nothing of who reads it: every listener gets the same."""

    def pack(self, packet: Packet) -> bytes:
        """One datagram of media."""
        return pack(packet)

    def reporter(self) -> None:
        """Nothing is reported."""


OWN_HEADER: Final = OwnHeader()


class DatagramSession(Conversation):
    """One end of the conversation; `description` is the SDP that a sender answers with.

    `peer` is where datagrams go, and the only place they are taken from. A sender may leave it
    None and gets it from the first HELLO.
    """

    def __init__(
        self,
        role: Role,
        description: str = "",
        *,
        peer: Address | None = None,
        clock_rate: int = SAMPLE_RATE,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(role, description, peer=peer, limits=limits)
        self._clock_rate = clock_rate
        self._reception: Reception | None = None
        self._early: deque[Received] = deque(maxlen=limits.queue)

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        return count(self._reception, sent=self._sent, sent_octets=self._sent_octets)

    @property
    def header(self) -> OwnHeader:
        """The same for all."""
        return OWN_HEADER

    def send(self, packet: Packet, now: int) -> None:
        """Send one packet. `LocalProtocolError` before the peer joined and after the end."""
        self._require_ready()
        self._out.append(Datagram(pack(packet), self.peer))
        self.tally.count(packet, now)

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram from the network."""
        if self.phase is Phase.NEW:
            self._start(now)
        if self.peer is not None and source != self.peer:
            self.strangers += 1
            return
        try:
            kind, packet = unpack(data)
        except WireError as error:
            self._refuse(error)
            return
        if self.peer is None:
            if kind is not (Kind.HELLO if self.role is Role.SENDER else Kind.DESCRIPTION):
                self.strangers += 1
                return
            self.peer = source
        self._heard = now
        self._receive(kind, packet, now)

    def _receive(self, kind: Kind, packet: Packet, now: int) -> None:
        if kind is Kind.BYE:
            self._receive_bye(now)
        elif self.phase not in (Phase.WAITING, Phase.OPEN):
            return
        elif self.role is Role.SENDER:
            if kind is Kind.HELLO:
                self._answer(now)
        elif kind is Kind.MEDIA:
            self._receive_media(Received(packet, now))
        elif kind is Kind.DESCRIPTION and self.phase is Phase.WAITING:
            self.description = packet.payload.decode(errors="replace")
            self._join(now, due=now + self.limits.keep_alive)
            self._events += self._early
            self._early.clear()

    def _answer(self, now: int) -> None:
        description = Packet(0, 0, self.description.encode())
        self._out.append(Datagram(pack(description, Kind.DESCRIPTION), self.peer))
        if self.phase is Phase.WAITING:
            self._join(now, due=None)

    def _receive_media(self, event: Received) -> None:
        packet, now = event.packet, event.now
        if self._reception is None or not self._reception.update(packet, now):
            self._reception = Reception(packet, now, self._clock_rate)
        if self.phase is Phase.OPEN:
            self._events.append(event)
        else:
            self._early.append(event)

    def _ask(self, now: int) -> None:
        self._out.append(Datagram(pack(NOTHING, Kind.HELLO), self.peer))

    def _keep_up(self, now: int) -> int | None:
        self._ask(now)
        return now + self.limits.keep_alive

    def _say_bye(self, now: int) -> None:
        self._out.append(Datagram(pack(NOTHING, Kind.BYE), self.peer))
