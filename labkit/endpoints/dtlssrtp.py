"""DTLS-SRTP: first shake hands, then speak, all on one port (week 12).

    session = DtlsSrtp(RtpSession(Role.RECEIVER, sdp, peer=server),
                       Handshake(identity, Setup.ACTIVE, pins))

The first byte of a datagram says whose it is (RFC 7983 section 7): 20 to 63 is DTLS, 128 to 191 is
RTP or RTCP, protected; 0 to 3 would be STUN. The session sleeps until the handshake is done and
does not know that there was one. A handshake that fails ends it.

This module knows neither how DTLS works nor how SRTP does: see `dtls` and `srtp`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from labkit.core.session import Closed, Refused
from labkit.endpoints.dtls import Handshake, Stage
from labkit.endpoints.dtlscontext import is_dtls
from labkit.endpoints.srtp import Reason, Srtp
from labkit.wire.sdpdtls import Setup
from labkit.words.errors import AuthenticationError, LocalProtocolError
from labkit.words.machine import Address, Datagram, Event, earliest


class DtlsSrtp:
    """A session with one peer whose keys come from a handshake.

    The peer of an active handshake is that of the session. A passive one takes the first who comes
    if the session has none; to be open to many, and to anybody, is the affair of `DtlsDoor`.
    """

    def __init__(self, session: Any, handshake: Handshake) -> None:
        if handshake.setup is Setup.ACTIVE and session.peer is None:
            raise LocalProtocolError("who begins a handshake must know with whom")
        self.inner: Any = session
        self.handshake = handshake
        self.refusals: Counter[Reason] = Counter()
        self._peer: Address | None = session.peer
        self._early = 0  # packets that came before there were keys
        self._open = False
        self._closed_early = False
        self._events: list[Event] = []

    def __getattr__(self, name: str) -> Any:
        """What else a session can be asked, and what it is asked to do."""
        if name == "inner":  # not made yet: while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def refused(self) -> int:
        """Datagrams that were not authentic or could not be read, and the handshake if it was."""
        return int(self.inner.refused) + self._early + (self.handshake.stage is Stage.FAILED)

    def close(self, now: int) -> None:
        """End in order; before the handshake is done there is nobody to say goodbye to."""
        self.inner.close(now)
        self._closed_early = not self._open

    # The machine ------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram from the network."""
        if is_dtls(data):
            if self._peer is None and self.handshake.stage is Stage.NEW:
                self._peer = source
            if source == self._peer and not self._closed_early:
                self.handshake.receive(data, now)
                self._look(now)
        elif self._open:
            self.inner.receive_datagram(data, source, now)
        elif not self.inner.closed:
            self._early += 1
            self.refusals[Reason.NO_KEY] += 1
            self._events.append(Refused(AuthenticationError(f"a packet was {Reason.NO_KEY}")))

    def tick(self, now: int) -> None:
        """Do what is due in the handshake, and after it in the session."""
        if self._closed_early:
            return
        self.handshake.tick(now)
        self._look(now)
        if self._open:
            self.inner.tick(now)

    def deadline(self) -> int | None:
        """When it next wants `tick`."""
        if self._closed_early:
            return None
        session = self.inner.deadline() if self._open else None
        return earliest(self.handshake.deadline(), session)

    def transmits(self) -> Sequence[Datagram]:
        """Datagrams of the handshake, then those of the session."""
        ours = [Datagram(data, self._peer) for data in self.handshake.transmits()]
        return [*ours, *self.inner.transmits()] if self._open else ours

    def events(self) -> Sequence[Event]:
        """What happened, here and behind."""
        events: Sequence[Event] = [*self._events, *self.inner.events()]
        self._events = []
        return events

    def _look(self, now: int) -> None:
        """Whether the handshake is over now."""
        handshake = self.handshake
        if handshake.stage is Stage.DONE and not self._open:
            assert handshake.ours is not None
            self.inner = Srtp(self.inner, handshake.ours, handshake.theirs, refusals=self.refusals)
            self._open = True
            self.inner.tick(now)
        elif handshake.error is not None and not self.inner.closed:
            self.inner.close(now)
            self.inner.events()  # it never began: what it would say of its end is said here
            self._events.append(Refused(handshake.error))
            self._events.append(Closed(clean=False, by="us", why=str(handshake.error)))
        elif handshake.peer_left and self._open:
            self.inner.close(now)
