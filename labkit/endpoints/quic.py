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
from collections.abc import Sequence
from typing import Final, TextIO

from aioquic.quic import events as quic

from labkit.core.conversation import Phase
from labkit.core.flowcontrol import SendQueue
from labkit.core.reception import Reception, count
from labkit.core.session import (
    DEFAULT_LIMITS,
    Closed,
    Joined,
    Limits,
    Received,
    Refused,
    Role,
    Stats,
)
from labkit.core.token import Gate
from labkit.endpoints.quicconnection import Connection, float_seconds, invites, read_header
from labkit.endpoints.quicmedia import Carriage, Incoming, Outgoing
from labkit.endpoints.quictls import Credentials, ServerCredentials, configuration
from labkit.endpoints.quicwhy import TOKEN, Code, explain
from labkit.wire.framing import FrameDecoder, Kind, pack
from labkit.words.errors import (
    AuthenticationError,
    LocalProtocolError,
    RemoteProtocolError,
    WireError,
)
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.packet import Packet
from labkit.words.units import SAMPLE_RATE, to_seconds

CONTROL: Final = 0
"""The stream of HELLO, DESCRIPTION and BYE: the first that a client opens (section 2.1)."""
QUESTION: Final = 1024
"""Bytes of a HELLO that a server keeps: a token has 256 at most."""
UNREAD: Final = 256 * 1024
"""Bytes behind gaps that are kept, over all streams."""
Refusal = AuthenticationError | RemoteProtocolError | WireError


class QuicSession:
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
        if isinstance(credentials, ServerCredentials) is not (role is Role.SENDER):
            raise LocalProtocolError("a sender needs ServerCredentials, a receiver the client's")
        self.role = role
        self.description = description
        self.carriage = carriage
        self.limits = limits
        self.phase = Phase.NEW
        self.subject = ""
        """Whom the token of the peer was given to."""
        self.refused = 0
        """What could not be read, came at a wrong moment or was not authentic."""
        self.strangers = 0
        """Datagrams that belonged to no connection."""
        self.connection_ids: frozenset[bytes] = frozenset()
        """By which destination connection IDs its datagrams are known (section 5.1)."""
        self.queue: SendQueue[bytes] = SendQueue(limits.queue, limits.drop)
        """Frames that wait while QUIC cannot take them; it counts what it drops."""
        self._credentials = credentials
        self._configuration = configuration(credentials, limits)
        self._configuration.secrets_log_file = key_log
        self._peer = peer
        self._token = token
        self._gate = gate
        self._clock_rate = clock_rate
        self._connection: Connection | None = None
        self._outgoing: Outgoing | None = None
        self._incoming = Incoming()
        self._control = FrameDecoder()
        self._shaken_hands = self._said_bye = False
        self._early: deque[Received] = deque(maxlen=limits.queue)
        self._reception: Reception | None = None
        self._sent = self._sent_octets = 0
        self._events: list[Event] = []
        self._now = self._since = self._pings = 0
        self._ping_at: int | None = None
        self._wakes: int | None = None
        self._dirty = False
        self._last_words: list[Datagram] = []
        self._again: list[Datagram] = []
        self._knocks = 0

    # What the application asks for ------------------------------------------------------------

    @property
    def peer(self) -> Address | None:
        """Where the peer is now, as far as we know."""
        connection = self._connection
        return self._peer if connection is None else connection.get_peer_address()

    @property
    def closed(self) -> bool:
        """Nothing more will be sent or received."""
        return self.phase is Phase.CLOSED

    @property
    def over(self) -> bool:
        """It is closed, and the peer has had time to hear it (RFC 9000 section 10.2)."""
        return self.closed and (self._connection is None or self._connection.over)

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return self.role is Role.SENDER and self.phase is Phase.OPEN

    @property
    def wants_close(self) -> bool:
        """Everything is handed over: the driver may close the socket."""
        return self.closed and not self._dirty

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

    def turn_away(self, now: int) -> None:
        """There is no room: whoever has just joined gets a refusal in place of the answer."""
        self._events.clear()
        self._fail(Code.FULL, RemoteProtocolError("there is no room for one more listener"), now)

    # From the network -------------------------------------------------------------------------

    def accept(self, original: bytes, retry: bytes | None, now: int) -> None:
        """Be the server of a new connection, whose first packet comes next.

        `original` is the destination connection ID that the client chose; `retry` is ours in the
        Retry packet that was sent before, if one was (RFC 9000 section 7.3).
        """
        assert isinstance(self._credentials, ServerCredentials)
        self._connection = Connection(
            self._configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retry,
            asks_certificate=self._credentials.pins is not None,
        )
        chosen = original if retry is None else retry
        self.connection_ids = frozenset((chosen, self._connection.host_cid))
        self._outgoing = Outgoing(self._connection, self.carriage, self.queue)
        self._enter(Phase.WAITING, now)

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram from the network. Never raises for what the bytes are."""
        if self.phase is Phase.NEW:
            self._start(now)
        if self._connection is None and not self._meet(data, now):
            self.strangers += 1
            return
        assert self._connection is not None
        if self._connection.ending is not None:
            self._repeat_last_words(len(data))
            return
        try:
            self._connection.receive_datagram(data, source, float_seconds(now))
        except Exception as error:  # noqa: BLE001 - another's parser, and bytes of a stranger
            self._fail(Code.MALFORMED, RemoteProtocolError(f"QUIC: {error!r:.80}"), now)
        if not self._connection.begun:  # it only looked like the first packet of a client
            self.strangers += 1
            self._connection = self._outgoing = None
            return
        self._react(now)

    def _meet(self, data: bytes, now: int) -> bool:
        """Open a connection for the first packet of a client."""
        header = read_header(data)
        if self.role is Role.RECEIVER or self.closed or not invites(header, len(data)):
            return False
        assert header is not None
        self.accept(header.destination_cid, None, now)
        return True

    # Time and what comes out ------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Begin, let QUIC do what is due, or lose patience."""
        if self.phase is Phase.NEW:
            self._start(now)
        connection = self._connection
        if connection is None:
            return
        if self._wakes is not None and now >= self._wakes:
            self._wakes = None  # until it is asked again
            connection.handle_timer(float_seconds(now))
            self._react(now)
        due = self._patience_ends()
        if due is not None and now >= due:
            self._lose_patience(now)
        if self._ping_at is not None and now >= self._ping_at:
            self._ping_at = now + self.limits.keep_alive
            self._pings += 1
            connection.send_ping(self._pings)
            self._change(now)

    def deadline(self) -> int | None:
        """When `tick` has something to do: at once for a new session."""
        if self.phase is Phase.NEW:
            return 0
        return earliest(self._wakes, self._patience_ends(), self._ping_at)

    def transmits(self) -> Sequence[Datagram]:
        """The datagrams to send, and where."""
        out, self._again = self._again, []
        connection = self._connection
        if not self._dirty or connection is None:
            return out
        self._dirty = False
        now = self._now
        if self._outgoing is not None:
            self._outgoing.expire(now)
        out += self._drain(connection, now)
        while self._outgoing is not None and self._outgoing.hand_over(now):
            out += self._drain(connection, now)
        if self.phase is Phase.CLOSING and not self._said_bye and self._empty(connection):
            self._said_bye = True
            self._say(Packet(0, 0, b""), Kind.BYE, end=True)
            out += self._drain(connection, now)
        if connection.ending is not None and out:
            self._last_words = out
        self._wakes = connection.wakes(now)
        return out

    def events(self) -> Sequence[Event]:
        """What happened: `Joined`, `Received`, `Refused`, `Closed`."""
        events, self._events = self._events, []
        return events

    # What QUIC reports -------------------------------------------------------------------------

    def _react(self, now: int) -> None:
        connection = self._connection
        assert connection is not None
        self._change(now)
        try:
            while (event := connection.next_event()) is not None:
                self._handle(event, now)
            connection.check_gaps(UNREAD)
        except AuthenticationError as error:
            self._fail(Code.TOKEN, error, now)
        except RemoteProtocolError as error:
            self._fail(Code.MOMENT, error, now)
        except WireError as error:
            self._fail(Code.MALFORMED, error, now)
        ending = connection.ending
        if ending is not None and not self.closed:
            self._conclude(connection)

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

    def _require_receiver(self, what: str) -> None:
        if self.role is Role.SENDER:
            raise RemoteProtocolError(f"{what} to a sender")

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

    # Inside -----------------------------------------------------------------------------------

    def _start(self, now: int) -> None:
        self._enter(Phase.WAITING, now)
        if self.role is Role.RECEIVER:
            self._connection = Connection(self._configuration)
            self._connection.connect(self._peer, float_seconds(now))
            self._change(now)

    def _enter(self, phase: Phase, now: int) -> None:
        self.phase = phase
        self._since = now

    def _change(self, now: int) -> None:
        """The connection may have something to send now."""
        self._now = now
        self._dirty = True

    def _drain(self, connection: Connection, now: int) -> list[Datagram]:
        if not connection.begun:
            return []
        return [Datagram(*one) for one in connection.datagrams_to_send(float_seconds(now))]

    def _empty(self, connection: Connection) -> bool:
        return not connection.unsent and not self.queue

    def _say(self, packet: Packet, kind: Kind, *, end: bool = False) -> None:
        assert self._connection is not None
        self._connection.send_stream_data(CONTROL, pack(packet, kind), end_stream=end)

    def _join(self, now: int) -> None:
        self._enter(Phase.OPEN, now)
        self._events.append(Joined(self.description))

    def _refuse(self, error: Refusal) -> None:
        self.refused += 1
        if not self.closed:  # `Closed` is the last event
            self._events.append(Refused(error))

    def _hang_up(self, code: Code, phrase: str, now: int) -> None:
        if self._connection is not None:
            self._connection.close(error_code=code, reason_phrase=phrase)
            self._change(now)

    def _fail(self, code: Code, error: Refusal, now: int) -> None:
        """Refuse what the peer did, and end."""
        if self.closed:
            return
        phrase = str(error)
        if code is Code.TOKEN and isinstance(error, AuthenticationError):
            phrase = f"{TOKEN}{error.reason}"
        self._hang_up(code, phrase, now)
        self._refuse(error)
        self._end(clean=False, by="us", why=str(error))

    def _end(self, *, clean: bool, by: str, why: str) -> None:
        self.phase = Phase.CLOSED
        self._ping_at = None
        self._early.clear()
        self._events.append(Closed(clean, by, why))

    def _conclude(self, connection: Connection) -> None:
        """QUIC itself, or the peer, has ended the connection."""
        ending, by_peer = connection.ending, connection.ended_by_peer
        assert ending is not None
        if connection.timed_out:
            waited = to_seconds(self.limits.silence)
            self._end(clean=False, by="us", why=f"nothing heard for {waited:g} s")
            return
        clean, why, error = explain(ending, by_peer=by_peer)
        if error is not None:
            self._refuse(error)
        if clean and self.phase is Phase.CLOSING:
            by_peer, why = False, "closed"
        self._end(clean=clean, by="peer" if by_peer else "us", why=why)

    def _patience_ends(self) -> int | None:
        if self.phase in (Phase.WAITING, Phase.CLOSING) and self._connection is not None:
            return self._since + self.limits.answer
        return None

    def _lose_patience(self, now: int) -> None:
        waited = f"{to_seconds(self.limits.answer):g} s"
        if self.phase is Phase.CLOSING:
            self._hang_up(Code.DONE, "BYE", now)
            self._end(clean=True, by="us", why="closed; the peer did not confirm")
        else:
            if self._shaken_hands:
                self._hang_up(Code.DONE, "", now)
            else:  # perhaps nobody is there, or one who never asked: not one byte more
                self._connection = self._wakes = None
            asked = self.role is Role.RECEIVER
            why = (
                f"no answer for {waited}" if asked else f"nobody asked for the stream for {waited}"
            )
            self._end(clean=False, by="us", why=why)

    def _repeat_last_words(self, size: int) -> None:
        """Say again that it is over, to the 1st, 2nd, 4th, 8th … who knocks (section 10.2.1).

        A knock of `size` bytes is answered with three times as many at most (section 8.1).
        """
        self._knocks += 1
        length = sum(len(datagram.data) for datagram in self._last_words)
        if self._knocks & (self._knocks - 1) == 0 and length <= 3 * size:
            self._again = list(self._last_words)
