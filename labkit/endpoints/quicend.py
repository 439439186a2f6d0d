"""One end of a QUIC connection as a machine of ours: datagrams, time, and how it ends (week 10).

Between `labkit.endpoints.quicconnection`, which is aioquic's connection, and a conversation, which
is `labkit.endpoints.quic`, somebody has to do what every machine does: meet the peer, feed the
connection, ask it for datagrams and for its deadline, and lose patience.

The end of a connection has rules of its own. Why it ends is reported at once, and nothing after it.
Whoever closed answers a peer that still speaks with the same CONNECTION_CLOSE again (RFC 9000
section 10.2.1), but seldom, and never with more than three times what came; whoever was closed on
says nothing. Of a stranger whose handshake does not end nobody takes leave: it may never have
asked, and the limit of section 8.1 holds for goodbyes too.

This module knows neither sound nor tokens, and not what is said on which stream.
"""

from collections.abc import Sequence
from typing import Final, TextIO

from aioquic.quic import events as quic

from labkit.core.conversation import Phase
from labkit.core.session import Closed, Limits, Refused, Role
from labkit.endpoints.quicconnection import Connection, float_seconds, invites, read_header
from labkit.endpoints.quictls import Credentials, ServerCredentials, configuration
from labkit.endpoints.quicwhy import TOKEN, Code, explain
from labkit.words.errors import (
    AuthenticationError,
    LocalProtocolError,
    RemoteProtocolError,
    WireError,
)
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.units import to_seconds

UNREAD: Final = 256 * 1024
"""Bytes behind gaps that are kept, over all streams."""
Refusal = AuthenticationError | RemoteProtocolError | WireError


class QuicEnd:
    """Drives one connection. Subclasses say what an event means (`_handle`) and speak (`_give`)."""

    def __init__(
        self,
        role: Role,
        credentials: Credentials,
        peer: Address | None,
        limits: Limits,
        key_log: TextIO | None,
    ) -> None:
        if isinstance(credentials, ServerCredentials) is not (role is Role.SENDER):
            raise LocalProtocolError("a sender needs ServerCredentials, a receiver the client's")
        self.role = role
        self.limits = limits
        self.phase = Phase.NEW
        self.refused = 0
        """What could not be read, came at a wrong moment or was not authentic."""
        self.strangers = 0
        """Datagrams that belonged to no connection."""
        self.connection_ids: frozenset[bytes] = frozenset()
        """By which destination connection IDs its datagrams are known (section 5.1)."""
        self._credentials = credentials
        self._configuration = configuration(credentials, limits)
        self._configuration.secrets_log_file = key_log
        self._peer = peer
        self._connection: Connection | None = None
        self._shaken_hands = False
        self._events: list[Event] = []
        self._now = self._since = self._pings = 0
        self._ping_at: int | None = None
        self._wakes: int | None = None
        self._dirty = False
        self._last_words: list[Datagram] = []
        self._again: list[Datagram] = []
        self._knocks = 0

    # How it stands ----------------------------------------------------------------------------

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
    def wants_close(self) -> bool:
        """Everything is handed over: the driver may close the socket."""
        return self.closed and not self._dirty

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
            why = f"QUIC cannot read a datagram: {type(error).__name__}"
            self._fail(Code.MALFORMED, RemoteProtocolError(why), now)
        if not self._connection.begun:  # it only looked like the first packet of a client
            self.strangers += 1
            self._connection = None
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
        self._give(now)  # before the first packet is built: most often it is the only one
        out += self._drain(connection, now)
        while self._give(now):
            out += self._drain(connection, now)
        if connection.ending is not None and out:
            self._last_words = out
        self._wakes = connection.wakes(now)
        return out

    def events(self) -> Sequence[Event]:
        """What happened: `Joined`, `Received`, `Refused`, `Closed`."""
        events, self._events = self._events, []
        return events

    # For subclasses ---------------------------------------------------------------------------

    def _handle(self, event: quic.QuicEvent, now: int) -> None:
        """React to what QUIC reports; what is raised here ends the conversation."""
        raise NotImplementedError

    def _give(self, now: int) -> bool:
        """Give the connection the next thing to send; False: there is nothing, or no room."""
        raise NotImplementedError

    def _enter(self, phase: Phase, now: int) -> None:
        self.phase = phase
        self._since = now

    def _change(self, now: int) -> None:
        """The connection may have something to send now."""
        self._now = now
        self._dirty = True

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
        self._events.append(Closed(clean, by, why))

    # Inside -----------------------------------------------------------------------------------

    def _start(self, now: int) -> None:
        self._enter(Phase.WAITING, now)
        if self.role is Role.RECEIVER:
            self._connection = Connection(self._configuration)
            self._connection.connect(self._peer, float_seconds(now))
            self._change(now)

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

    def _drain(self, connection: Connection, now: int) -> list[Datagram]:
        if not connection.begun:
            return []
        return [Datagram(*one) for one in connection.datagrams_to_send(float_seconds(now))]

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
