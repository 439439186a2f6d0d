"""STUN servers: they say where a request came from, and nothing else (week 9).

- `StunServer` has one address: RFC 8489 section 6.3.
- `BehaviourServer` has two hosts with two ports each, and answers from whichever it is asked to,
  so that a client can find out how its NAT behaves: RFC 5780.

Nothing is remembered, so nobody can fill the memory. An answer to IPv4 has 32 bytes, for a request
of at least 20: with the headers of IP and UDP a forged source gets 60 bytes for 48, which makes
nobody an amplifier. So there is no SOFTWARE in it and no reason phrase. What is no request is never
answered, so two servers cannot keep each other busy.

This module knows no socket, and asks nobody for a password: who hides the answer from whom?
"""

from typing import Final

from labkit.wire.stun import (
    BINDING,
    Attribute,
    Change,
    Class,
    Endpoint,
    ErrorCode,
    Message,
    is_stun,
    pack,
    unpack,
)
from labkit.words.errors import LocalProtocolError, WireError
from labkit.words.machine import Address, Datagram, Event
from labkit.words.routed import Routed

PORT: Final = 3478
"""Section 18.6."""
UNDERSTOOD: Final = frozenset({Attribute.USERNAME, Attribute.REALM, Attribute.NONCE})
"""Credentials are no offence, even if nobody asks for them."""
UNKNOWN_ATTRIBUTE: Final = ErrorCode(420)


def read_request(data: bytes) -> Message | None:
    """A Binding request; None for all else, which is not answered."""
    if not is_stun(data):
        return None
    try:
        message = unpack(data)
    except WireError:
        return None
    is_request = message.kind is Class.REQUEST and message.method == BINDING
    return message if is_request else None


def answer(
    request: Message,
    source: Address,
    more: tuple[tuple[int, object], ...] = (),
    understood: frozenset[int] = UNDERSTOOD,
) -> Message:
    """What to say to a request: its source, or which attributes nobody here understands."""
    unknown = request.not_understood(understood)
    if unknown:
        refusal = (
            (Attribute.ERROR_CODE, UNKNOWN_ATTRIBUTE),
            (Attribute.UNKNOWN_ATTRIBUTES, unknown),
        )
        return Message(Class.ERROR, request.transaction, refusal, request.fingerprint)
    said = ((Attribute.XOR_MAPPED_ADDRESS, source), *more)
    return Message(Class.SUCCESS, request.transaction, said, request.fingerprint)


class StunServer:
    """Answers every Binding request. A datagram machine that never wants a tick."""

    def __init__(self) -> None:
        self.answered = 0
        self.refused = 0
        """Datagrams that were no request, or came from an address that STUN cannot write."""
        self._out: list[Datagram] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """A request, or something that is none."""
        request = read_request(data)
        try:
            if request is not None:
                self._out.append(Datagram(pack(answer(request, source)), source))
        except LocalProtocolError:
            request = None
        self.answered += request is not None
        self.refused += request is None

    def tick(self, now: int) -> None:
        """Nothing is ever due."""

    def deadline(self) -> int | None:
        """Never."""
        return None

    def transmits(self) -> list[Datagram]:
        """Answers."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """There are none."""
        return []


class BehaviourServer:
    """A `RoutedMachine` at two hosts and two ports: RFC 5780 sections 6 and 7.

    A request may ask for an answer from another of the four addresses. Whether that answer arrives
    is what the client wants to know.
    """

    def __init__(self, hosts: tuple[str, str], ports: tuple[int, int] = (PORT, PORT + 1)) -> None:
        self.hosts = hosts
        self.ports = ports
        self._out: list[Routed] = []

    def receive_routed(
        self, data: bytes, source: Endpoint, destination: Endpoint, now: int
    ) -> None:
        """A request to one of our addresses."""
        request = read_request(data)
        if request is None or destination[0] not in self.hosts or destination[1] not in self.ports:
            return
        origin = self._changed(destination, request.get(Attribute.CHANGE_REQUEST) or Change.NOTHING)
        more = (
            (Attribute.RESPONSE_ORIGIN, origin),
            (Attribute.OTHER_ADDRESS, self._changed(destination, Change.ADDRESS | Change.PORT)),
        )
        understood = UNDERSTOOD | {Attribute.CHANGE_REQUEST}
        message = answer(request, source, more, understood)
        self._out.append(Routed(pack(message), origin, source))

    def _changed(self, address: Endpoint, change: Change) -> Endpoint:
        host, port = address
        if change & Change.ADDRESS:
            host = self.hosts[1 - self.hosts.index(host)]
        if change & Change.PORT:
            port = self.ports[1 - self.ports.index(port)]
        return host, port

    def tick(self, now: int) -> None:
        """Nothing is ever due."""

    def deadline(self) -> int | None:
        """Never."""
        return None

    def transmits(self) -> list[Routed]:
        """Answers."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """There are none."""
        return []
