"""Many QUIC connections on one socket: who a packet belongs to, and who may open one (week 10).

    datagram ─┬─ a connection ID that is known ───────────────> its session, wherever it came from
              ├─ the first packet of a client ─┬─ few half-open ─> a new session
              │                                ├─ many ──────────> Retry: come again, with this
              │                                └─ too many ──────> nothing, counted
              ├─ a version that we do not speak ───────────────> Version Negotiation
              └─ anything else ────────────────────────────────> nothing, counted

A packet is known by its destination connection ID (RFC 9000 section 5.2) and not by its address,
so a listener whose NAT gives it another port is still itself (section 9). Before a listener has
shown who it is, by handshake and token, it is half-open: of these there are at most `half_open`,
each for `Limits.answer`, and when there are `retry_from` of them a stranger must first prove that
it hears us where it says it is (Retry, sections 8.1.2 and 17.2.5). A Retry costs no memory: what
it is about stands in its token. Who has joined is a listener of the `Server`, like any other.

No answer to a stranger is longer than three times what it sent: Retry and Version Negotiation are
short and answer only datagrams of full size (section 14.1), and for the rest aioquic keeps count
(section 8.1).

This module knows no voice; sessions are made by whom it was given.
"""

from collections.abc import Callable
from random import SystemRandom
from typing import Any, Final, NamedTuple

from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from labkit.core.session import Closed, Refused
from labkit.endpoints.client import Reason, reason_of
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quicconnection import (
    CONNECTION_ID,
    FULL_SIZE,
    VERSIONS,
    float_seconds,
    invites,
    read_header,
)
from labkit.endpoints.server import Server
from labkit.words.machine import Address, Datagram, Event, earliest

HALF_OPEN: Final = 64
"""Connections that may be about to open. Each may keep half a megabyte of a handshake."""
RETRY_FROM: Final = 16
"""From so many half-open connections on, addresses are validated first."""


class Listener(NamedTuple):
    """Who a listener is to the `Server`: where it first came from, and which one it was."""

    address: Address
    number: int


class _Member:
    """A connection: its session, and what the server knows it by once it has joined."""

    __slots__ = ("ids", "name", "sender", "session")

    def __init__(self, session: QuicSession, name: Listener) -> None:
        self.session = session
        self.name = name
        self.sender: Any = None
        self.ids: frozenset[bytes] = frozenset()


class QuicServer:
    """A datagram machine around a `Server`.

    `make_session(address)` makes the session of a listener, a `QuicSession` in `Role.SENDER`.
    `make_server(take)` makes the server around sessions that `take(address)` hands over:

        quic = QuicServer(make_session, lambda take: Server(voice, take, max_clients=100))
    """

    def __init__(
        self,
        make_session: Callable[[Address], QuicSession],
        make_server: Callable[[Callable[[Address], Any]], Server],
        *,
        half_open: int = HALF_OPEN,
        retry_from: int = RETRY_FROM,
    ) -> None:
        self.server = make_server(self._take)
        self.junk = 0
        """Datagrams that belonged to nobody and opened nothing."""
        self.retried = 0
        """Strangers that were sent a Retry."""
        self.turned_away = 0
        """Strangers for whom there was no room among the half-open."""
        self._make_session = make_session
        self._half_open = half_open
        self._retry_from = retry_from
        self._retry = QuicRetryTokenHandler()
        self._by_id: dict[bytes, _Member] = {}
        self._outside: dict[Listener, _Member] = {}  # not yet listeners, or no longer
        self._inside: dict[Listener, _Member] = {}  # driven by the server
        self._joining: _Member | None = None
        self._count = 0
        self._out: list[Datagram] = []
        self._events: list[Event] = []

    @property
    def half_open(self) -> int:
        """Connections that are about to open."""
        return sum(not member.session.closed for member in self._outside.values())

    # From the network -------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram. Never raises for what the bytes are."""
        header = read_header(data)
        if header is None:
            self._drop()
            return
        if header.version is not None and header.version not in VERSIONS:
            self._negotiate(header, len(data), source)
            return
        member = self._by_id.get(header.destination_cid)
        if member is None:
            member = self._meet(header, len(data), source, now)
        if member is None:
            return
        if member.sender is not None:
            member.sender.receive_datagram(data, source, now)
            self.server.settle(member.name, now)
        else:
            member.session.receive_datagram(data, source, now)
        self._look(member, now)

    def _negotiate(self, header: QuicHeader, size: int, source: Address) -> None:
        """Say which versions we speak (RFC 9000 section 6.1), but not to a Version Negotiation."""
        if header.packet_type is QuicPacketType.VERSION_NEGOTIATION or size < FULL_SIZE:
            self._drop()
            return
        answer = encode_quic_version_negotiation(
            source_cid=header.destination_cid,
            destination_cid=header.source_cid,
            supported_versions=list(VERSIONS),
        )
        self._out.append(Datagram(answer, source))

    def _meet(self, header: QuicHeader, size: int, source: Address, now: int) -> _Member | None:
        """A stranger: begin a session, ask it to come again, or do nothing."""
        if not invites(header, size) or self.server.closing:
            self._drop()
            return None
        original, retry = header.destination_cid, None
        waiting = self.half_open
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=source,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=float_seconds(now),
                )
            except ValueError:  # not ours, expired, or another's
                self._drop()
                return None
            retry = header.destination_cid
        elif waiting >= self._retry_from:
            self._ask_again(header, source, now)
            return None
        if waiting >= self._half_open or len(self._outside) >= 2 * self._half_open:
            self._turn_away()
            return None
        self._count += 1
        member = _Member(self._make_session(source), Listener(source, self._count))
        member.session.accept(original, retry, now)
        self._outside[member.name] = member
        return member

    def _ask_again(self, header: QuicHeader, source: Address, now: int) -> None:
        ours = SystemRandom().randbytes(CONNECTION_ID)
        try:
            token = self._retry.create_token(
                address=source,
                original_destination_connection_id=header.destination_cid,
                retry_source_connection_id=ours,
                now=float_seconds(now),
            )
        except (ValueError, TypeError, IndexError):  # in virtual time an address may be anything
            self._turn_away()
            return
        self.retried += 1
        assert header.version is not None  # every Initial has one
        packet = encode_quic_retry(
            version=header.version,
            source_cid=ours,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._out.append(Datagram(packet, source))

    def _drop(self, datagrams: int = 1) -> None:
        self.junk += datagrams
        self.server.refused[Reason.STRANGE] += datagrams

    def _turn_away(self) -> None:
        self.turned_away += 1
        self.server.refused[Reason.FULL] += 1

    # Who belongs where ------------------------------------------------------------------------

    def _look(self, member: _Member, now: int) -> None:
        """After a session was fed: what it is known by, and whether it joined or is over."""
        session = member.session
        if session.peer is None or session.over:  # it was no first packet at all, or is over
            self._drop(session.strangers)
            self._take_events(member)
            self._forget(member)
            return
        if session.connection_ids is not member.ids:
            self._note(member)
        if member.sender is None and session.ready:
            self._admit(member, now)
        self._harvest()

    def _admit(self, member: _Member, now: int) -> None:
        """It has shown who it is: now it is a listener, if there is room."""
        self._joining = member
        member.sender = self.server.admit(member.name)
        self._joining = None
        if member.sender is None:
            member.session.turn_away(now)
            return
        del self._outside[member.name]
        self._inside[member.name] = member
        self._wake(member, now)

    def _take(self, address: Address) -> Any:
        """The session that the server asks for when it admits somebody."""
        if self._joining is None:
            return self._make_session(address)
        return self._joining.session

    def _harvest(self) -> None:
        """Take what happened, and look after those whom the server has dismissed."""
        events = self.server.events()
        self._events += events
        for member in self._outside.values():
            self._take_events(member)
        if any(isinstance(event, Closed) for event in events):
            for name in [name for name in self._inside if name not in self.server.clients]:
                member = self._outside[name] = self._inside.pop(name)
                member.sender = None

    def _take_events(self, member: _Member) -> None:
        """What happened to somebody outside; a refusal counts like that of a listener."""
        for event in member.session.events():
            if isinstance(event, Refused):
                self.server.refused[reason_of(event.error)] += 1
            self._events.append(event)

    def _note(self, member: _Member) -> None:
        ids = member.session.connection_ids
        for number in member.ids - ids:
            self._by_id.pop(number, None)
        for number in ids - member.ids:
            self._by_id[number] = member
        member.ids = ids

    def _forget(self, member: _Member) -> None:
        for number in member.ids:
            self._by_id.pop(number, None)
        self._outside.pop(member.name, None)
        self._inside.pop(member.name, None)

    # Time and what comes out ------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Let the server speak, and every session do what is due."""
        self.server.tick(now)
        for member in self._due(now):
            self._wake(member, now)
        for member in list(self._outside.values()):
            member.session.tick(now)
            if member.session.over:
                self._take_events(member)
                self._forget(member)
        self._harvest()

    def deadline(self) -> int | None:
        """The first deadline of the server and of every session.

        All are asked: what a QUIC connection waits for changes whenever it sends, and the server
        asks before that.
        """
        members = (*self._outside.values(), *self._inside.values())
        return earliest(self.server.deadline(), *(each.session.deadline() for each in members))

    def _due(self, now: int) -> list[_Member]:
        inside = [(member, member.session.deadline()) for member in self._inside.values()]
        return [member for member, due in inside if due is not None and due <= now]

    def _wake(self, member: _Member, now: int) -> None:
        member.sender.tick(now)
        self.server.settle(member.name, now)

    def transmits(self) -> list[Datagram]:
        """What everybody wants sent."""
        out, self._out = self._out, []
        out += self.server.transmits()
        for member in self._outside.values():
            out += member.session.transmits()
        return out

    def events(self) -> list[Event]:
        """What happened to any listener, or to who wanted to become one."""
        events, self._events = self._events, []
        return events
