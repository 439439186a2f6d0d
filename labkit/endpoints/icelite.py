"""ICE lite: a browser finds us, and we know that it is the one we spoke with (week 12).

    browser                                  we
       |-- Binding request, USERNAME ours:theirs, MESSAGE-INTEGRITY -->|
       |<- Binding success, XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY -----|
       |-- the same with USE-CANDIDATE ------------------------------->|   Nominated
       |<================ DTLS, then SRTP ============================>|

A lite agent (RFC 8445 section 2.5) has an address that everybody can reach, so it sends no checks
and only answers those that were made with its password (section 7.3). The first address that is
nominated is the peer's for the whole call; a peer that moves has to call again. All that comes from
elsewhere is refused. The three protocols on the port are told apart by their first byte (RFC 7983).

This module knows neither DTLS nor RTP: `make(peer)` makes what speaks to the peer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any, Final

from labkit.wire.sdpice import IceParameters
from labkit.wire.stun import (
    BINDING,
    Attribute,
    Class,
    ErrorCode,
    Message,
    is_stun,
    pack,
    unpack,
    verify,
)
from labkit.words.errors import LocalProtocolError, WireError
from labkit.words.machine import Address, Datagram, Event

PRIORITY, USE_CANDIDATE = 0x0024, 0x0025
"""RFC 8445 section 16.1; ICE-CONTROLLED and ICE-CONTROLLING need not be understood."""
UNDERSTOOD: Final = {PRIORITY, USE_CANDIDATE, Attribute.USERNAME}
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def new_words(rng: Random | None = None) -> IceParameters:
    """Words for one call, of 48 and 144 bits: RFC 8445 section 5.3 wants 24 and 128 or more."""
    letters = (rng or SystemRandom()).choices(LETTERS, k=8 + 24)
    return IceParameters("".join(letters[:8]), "".join(letters[8:]))


@dataclass(frozen=True, slots=True)
class Nominated(Event):
    """The peer is at this address."""

    peer: Address


class IceLite:
    """A datagram machine in front of the one that `make(peer)` makes when the peer is known."""

    def __init__(
        self, ours: IceParameters, theirs: IceParameters, make: Callable[[Address], Any]
    ) -> None:
        self.peer: Address | None = None
        self.machine: Any = None
        self.answered = 0
        """Checks that were the peer's."""
        self.refused = 0
        """Checks that were not, and what came from an address that nobody nominated."""
        self._key = ours.password.encode()
        self._username = f"{ours.ufrag}:{theirs.ufrag}"
        self._make = make
        self._out: list[Datagram] = []
        self._events: list[Event] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """A check, or something for the machine behind."""
        if is_stun(data):
            self._receive_check(data, source, now)
        elif self.machine is not None and source == self.peer:
            self.machine.receive_datagram(data, source, now)
        else:
            self.refused += 1

    def tick(self, now: int) -> None:
        """For the machine behind."""
        if self.machine is not None:
            self.machine.tick(now)

    def deadline(self) -> int | None:
        """That of the machine behind."""
        if self.machine is None:
            return None
        due: int | None = self.machine.deadline()
        return due

    def transmits(self) -> list[Datagram]:
        """Answers to checks, then what the machine says."""
        out, self._out = self._out, []
        return out if self.machine is None else [*out, *self.machine.transmits()]

    def events(self) -> list[Event]:
        """`Nominated`, then what the machine tells."""
        events, self._events = self._events, []
        return events if self.machine is None else [*events, *self.machine.events()]

    def _receive_check(self, data: bytes, source: Address, now: int) -> None:
        """RFC 8445 section 7.3, RFC 8489 section 9.1.3. What is no check of the peer's is dropped.

        A server would tell by an error what was wrong with it; here the peer knows, and nobody
        else needs to.
        """
        try:
            check = unpack(data)
            ours = (
                check.kind is Class.REQUEST
                and check.method == BINDING
                and check.get(Attribute.USERNAME) == self._username
                and verify(data, self._key)
            )
            if not ours:
                self.refused += 1
                return
            self._answer(check, source)
        except (WireError, LocalProtocolError):
            self.refused += 1
            return
        self.answered += 1
        if check.get(USE_CANDIDATE) is not None and not check.not_understood(UNDERSTOOD):
            self._nominate(source, now)

    def _answer(self, check: Message, source: Address) -> None:
        kind: Class = Class.SUCCESS
        said: tuple[tuple[int, Any], ...] = ((Attribute.XOR_MAPPED_ADDRESS, source),)
        unknown = check.not_understood(UNDERSTOOD)
        if unknown:
            kind = Class.ERROR
            said = (
                (Attribute.ERROR_CODE, ErrorCode(420)),
                (Attribute.UNKNOWN_ATTRIBUTES, unknown),
            )
        message = Message(kind, check.transaction, said, fingerprint=True)
        self._out.append(Datagram(pack(message, key=self._key), source))

    def _nominate(self, source: Address, now: int) -> None:
        """The first nomination makes the machine; later ones change nothing."""
        if self.machine is None:
            self.peer = source
            self.machine = self._make(source)
            self.machine.tick(now)
            self._events.append(Nominated(source))
