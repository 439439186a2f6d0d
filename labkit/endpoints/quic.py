"""A conversation over QUIC (RFC 9000): the manners of the other sessions, encrypted (week 10).

    receiver (client)                             sender (server)
       |======== TLS 1.3 in QUIC, ALPN labkit-voice/1 =====>|    certificates, names, pins
       |-- stream 0: HELLO, with the token ---------------->|    give me the stream
       |<----------------------- stream 0: DESCRIPTION -----|    this is what it is (SDP)
       |<-------- sound: datagrams, a stream, streams ------|    `Carriage` says which
       |-- PING ------------------------------------------->|    still here (section 10.1.2)
       |<------------------------------- stream 0: BYE -----|    that was all
       |-- CONNECTION_CLOSE, code 0 ----------------------->|    Closed, at both ends

What the other sessions do for themselves QUIC does here: loss is noticed, the words on stream 0
are repeated until they are confirmed, and a silent peer ends by the idle timeout. Whoever refuses
says why in CONNECTION_CLOSE, as an application error code (section 20.2): `Code`.

Nothing a peer does costs more than these: `CONTROL_WINDOW` bytes of flow control to a server, of
them `QUESTION` before it is known; `UNREAD` bytes behind gaps; and its streams, whose number QUIC
limits. Sound that cannot leave waits in a bounded queue (`labkit.endpoints.quicmedia`).

This module knows no socket and no codec. What the time is it is told, with one exception that is
aioquic's: whether a certificate has expired is asked of the system's clock.
"""

import dataclasses
from collections import deque
from typing import Final, TextIO

from aioquic.quic import events as quic

from labkit.core.conversation import Phase
from labkit.core.flowcontrol import SendQueue
from labkit.core.reception import Reception, count
from labkit.core.session import (
    DEFAULT_LIMITS,
    Joined,
    Limits,
    Received,
    Role,
    Stats,
)
from labkit.core.token import Gate
from labkit.endpoints.quicend import QuicEnd
from labkit.endpoints.quicmedia import Carriage, Incoming, Outgoing
from labkit.endpoints.quictls import Credentials, ServerCredentials
from labkit.endpoints.quicwhy import Code
from labkit.wire.framing import FrameDecoder, Kind, pack
from labkit.words.errors import (
    AuthenticationError,
    LocalProtocolError,
    RemoteProtocolError,
)
from labkit.words.machine import Address
from labkit.words.packet import Packet
from labkit.words.units import SAMPLE_RATE

CONTROL: Final = 0
"""The stream of HELLO, DESCRIPTION and BYE: the first that a client opens (section 2.1)."""
QUESTION: Final = 1024
"""Bytes of a HELLO that a server keeps: a token has 256 at most."""


class QuicSession(QuicEnd):
    """One end of the conversation; `description` is the SDP that a sender answers with.

    A sender is a QUIC server and needs `ServerCredentials`; with `gate` it asks for a token. It
    takes its peer from the first packet, and goes with it when its address changes (RFC 9000
    section 9). A receiver is a client: it needs `ClientCredentials` and the address of its `peer`.
    `carriage` is how a sender sends; a receiver takes whatever comes. TLS secrets are written to
    `key_log`, if given, in the format that Wireshark reads.
    """

    def __init__(
        self,
        role: Role,
        description: str = "",
        *,
        credentials: Credentials,
        peer: Address | None = None,
        carriage: Carriage = Carriage.DATAGRAMS,
        token: str = "",
        gate: Gate | None = None,
        clock_rate: int = SAMPLE_RATE,
        limits: Limits = DEFAULT_LIMITS,
        key_log: TextIO | None = None,
    ) -> None:
        super().__init__(role, credentials, peer, limits, key_log)
        self.description = description
        self.carriage = carriage
        self.subject = ""
        """Whom the token of the peer was given to."""
        self.queue: SendQueue[bytes] = SendQueue(limits.queue, limits.drop)
        """Frames that wait while QUIC cannot take them; it counts what it drops."""
        self._token = token
        self._gate = gate
        self._clock_rate = clock_rate
        self._outgoing: Outgoing | None = None
        self._incoming = Incoming()
        self._control = FrameDecoder()
        self._said_bye = False
        self._early: deque[Received] = deque(maxlen=limits.queue)
        self._reception: Reception | None = None
        self._sent = self._sent_octets = 0

    # What the application asks for ------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return self.role is Role.SENDER and self.phase is Phase.OPEN

    @property
    def abandoned(self) -> int:
        """Frames on streams of their own that were given up half-way, because they were too old."""
        return 0 if self._outgoing is None else self._outgoing.abandoned

    @property
    def stats(self) -> Stats:
        """What was counted so far."""
        counted = count(
            self._reception,
            sent=self._sent,
            sent_octets=self._sent_octets,
            round_trip=None if self._connection is None else self._connection.round_trip,
        )
        return dataclasses.replace(counted, dropped=self.queue.dropped)

    def send(self, packet: Packet, now: int) -> None:
        """Send one packet.

        `LocalProtocolError` before the peer joined and after the end, and for a packet that is too
        large for the carriage.
        """
        if not self.ready or self._outgoing is None:
            raise LocalProtocolError(f"a {self.role.value} in phase {self.phase.value} cannot send")
        self._outgoing.put(packet, now)
        self._sent += 1
        self._sent_octets += len(packet.payload)
        self._change(now)

    def close(self, now: int) -> None:
        """Say goodbye after what is queued. Twice does no harm."""
        if self.phase is Phase.OPEN:
            self._enter(Phase.CLOSING, now)
            self._change(now)
        elif self.phase in (Phase.NEW, Phase.WAITING):
            self._hang_up(Code.DONE, "", now)
            self._end(clean=True, by="us", why="closed before anybody came")

    def accept(self, original: bytes, retry: bytes | None, now: int) -> None:
        """Be the server of a new connection: as `QuicEnd` says, and ready to speak."""
        super().accept(original, retry, now)
        assert self._connection is not None
        self._outgoing = Outgoing(self._connection, self.carriage, self.queue)

    def turn_away(self, now: int) -> None:
        """There is no room: whoever has just joined gets a refusal in place of the answer."""
        self._events.clear()
        self._fail(Code.FULL, RemoteProtocolError("there is no room for one more listener"), now)

    # What QUIC reports ------------------------------------------------------------------------

    def _handle(self, event: quic.QuicEvent, now: int) -> None:
        match event:
            case quic.ConnectionIdIssued(connection_id=number):
                self.connection_ids |= {number}
            case quic.ConnectionIdRetired(connection_id=number):
                self.connection_ids -= {number}
            case _ if self.closed:
                pass
            case quic.HandshakeCompleted():
                self._shaken(now)
            case quic.StreamDataReceived(stream_id=number, data=data, end_stream=end):
                if number == CONTROL:
                    self._receive_control(data, end=end, now=now)
                else:
                    self._require_receiver(f"bytes on stream {number}")
                    for packet in self._incoming.stream(number, data, end=end):
                        self._receive_media(packet, now)
            case quic.DatagramFrameReceived(data=data):
                self._require_receiver("a DATAGRAM frame")
                self._receive_media(self._incoming.datagram(data), now)
            case quic.StreamReset(stream_id=number):
                if number == CONTROL:
                    raise RemoteProtocolError("the control stream was reset")
                self._incoming.reset(number)
            case quic.StopSendingReceived(stream_id=number):
                if number == CONTROL or self.carriage is Carriage.STREAM:
                    raise RemoteProtocolError(f"the peer will not read stream {number}")

    def _shaken(self, now: int) -> None:
        """The handshake is complete: a client asks, a server looks at whom it speaks to."""
        self._shaken_hands = True
        assert self._connection is not None
        if self.role is Role.RECEIVER:
            self._say(Packet(0, 0, self._token.encode()), Kind.HELLO)
            return
        assert isinstance(self._credentials, ServerCredentials)
        pins, shown = self._credentials.pins, self._connection.peer_fingerprint
        if pins is not None and shown not in pins:
            what = "no certificate" if shown is None else f"a certificate unknown to us, {shown}"
            error = AuthenticationError(f"the client shows {what}", reason="certificate")
            self._fail(Code.CERTIFICATE, error, now)
        elif self.carriage is Carriage.DATAGRAMS and not self._connection.peer_takes_datagrams:
            self._fail(Code.DATAGRAMS, RemoteProtocolError("the client takes no datagrams"), now)

    def _receive_control(self, data: bytes, *, end: bool, now: int) -> None:
        for kind, packet in self._control.receive(data):
            self._receive(kind, packet, now)
            if self.closed:
                return
        if self._control.error is not None:
            raise self._control.error
        if self.role is Role.SENDER and self._control.buffered > QUESTION:
            self._admit("?" * QUESTION, now)
        if end and self.phase in (Phase.WAITING, Phase.OPEN):
            raise RemoteProtocolError("the control stream ended without BYE")

    def _receive(self, kind: Kind, packet: Packet, now: int) -> None:
        joining = self.phase is Phase.WAITING
        if kind is Kind.BYE:
            leaving = self.phase is Phase.CLOSING
            self._hang_up(Code.DONE, "BYE", now)
            self._end(
                clean=True, by="us" if leaving else "peer", why="closed" if leaving else "BYE"
            )
        elif self.role is Role.SENDER and kind is Kind.HELLO:
            if joining:
                self._admit(packet.payload.decode(errors="replace"), now)
                self._join(now)
                self._say(Packet(0, 0, self.description.encode()), Kind.DESCRIPTION)
        elif self.role is Role.RECEIVER and kind is Kind.DESCRIPTION:
            if joining:
                self.description = packet.payload.decode(errors="replace")
                self._join(now)
                self._ping_at = now + self.limits.keep_alive
                self._events += self._early
                self._early.clear()
        else:
            raise RemoteProtocolError(f"{kind.name} on the control stream to a {self.role.value}")

    def _admit(self, token: str, now: int) -> None:
        if self._gate is not None:
            self.subject = self._gate.admit(token, now)
        elif len(token) >= QUESTION:
            raise RemoteProtocolError(f"a question of more than {QUESTION} bytes")

    def _receive_media(self, packet: Packet, now: int) -> None:
        """Hand on one packet of sound; what overtakes the description waits for it."""
        if self._reception is None:
            self._reception = Reception(packet, now, self._clock_rate)
        elif not self._reception.update(packet, now):
            self._refuse(RemoteProtocolError(f"{packet} is far from all others"))
            return
        received = Received(packet, now)
        if self.phase is Phase.WAITING:
            self._early.append(received)
        else:
            self._events.append(received)

    def _require_receiver(self, what: str) -> None:
        if self.role is Role.SENDER:
            raise RemoteProtocolError(f"{what} to a sender")

    # What is said -----------------------------------------------------------------------------

    def _give(self, now: int) -> bool:
        """The next frame of sound; BYE after the last one."""
        if self._outgoing is not None and self._outgoing.hand_over(now):
            return True
        if self.phase is not Phase.CLOSING or self._said_bye or not self._all_left:
            return False
        self._said_bye = True
        self._say(Packet(0, 0, b""), Kind.BYE, end=True)
        return True

    @property
    def _all_left(self) -> bool:
        return not (self.queue or self._connection is None or self._connection.unsent)

    def _say(self, packet: Packet, kind: Kind, *, end: bool = False) -> None:
        assert self._connection is not None
        self._connection.send_stream_data(CONTROL, pack(packet, kind), end_stream=end)

    def _join(self, now: int) -> None:
        self._enter(Phase.OPEN, now)
        self._events.append(Joined(self.description))
