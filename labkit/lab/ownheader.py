"""Somebody else's RTP header in a real call (week 7).

    Sender ─ RtpSession ─ OwnHeader ═══ UDP ═══ OwnHeader ─ RtpSession ─ Receiver

    Call(speech(), link="voip-5", header=OwnHeader(pack, unpack)).simulate()

`pack` gets a `Packet` and gives the bytes that travel; `unpack` gets bytes and gives a row that
begins with a `Packet`: the shape of `labkit.wire.rtp.pack` and `parse`. The session between them
is the kit's own, and so is RTCP, which passes untouched. What `unpack` refuses with a `WireError`
is counted and gone, as the kit's own refusals are; any other error of it is raised, since that is
a mistake in the code and nothing that a network does.

This module knows no field of the header: that is the point.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from labkit.core.session import Refused
from labkit.wire import rtcp, rtp
from labkit.words.errors import WireError
from labkit.words.machine import Address, Datagram, Event
from labkit.words.packet import Packet


class OwnHeader(NamedTuple):
    """The two halves of a header."""

    pack: Callable[[Packet], bytes]
    unpack: Callable[[bytes], Sequence[Any]]

    def around(self, session: Any) -> "Relabelled":
        """The same session, with this header on its wire."""
        return Relabelled(session, self)


class Relabelled:
    """An `RtpSession` whose media have another's header on the wire."""

    def __init__(self, session: Any, header: OwnHeader) -> None:
        self.inner = session
        self.refused = 0
        """Datagrams that `unpack` refused."""
        self._header = header
        self._events: list[Event] = []

    def __getattr__(self, name: str) -> Any:
        """What else a session can be asked and told."""
        if name == "inner":  # not made yet: while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    def transmits(self) -> Sequence[Datagram]:
        """What the session wants sent, packed anew."""
        return [
            datagram
            if rtcp.is_rtcp(datagram.data)
            else Datagram(self._header.pack(rtp.unpack(datagram.data)), datagram.destination)
            for datagram in self.inner.transmits()
        ]

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram, which `unpack` reads before the session does."""
        if not rtcp.is_rtcp(data):
            try:
                packet = self._header.unpack(data)[0]
            except WireError as error:
                self.refused += 1
                self._events.append(Refused(error))
                return
            data = rtp.pack(packet)
        self.inner.receive_datagram(data, source, now)

    def events(self) -> Sequence[Event]:
        """What happened, here and behind."""
        events, self._events = [*self._events, *self.inner.events()], []
        return events
