"""Ask a STUN server how one looks from outside: RFC 8489 section 6 (week 9).

    client = StunClient()
    client.ask(("203.0.113.1", 3478), now)
    …                                       Answered(mapped=("198.51.100.1", 5004), …)

A request is sent again until an answer comes, each time after twice the wait: at 0, 0.5, 1.5, 3.5,
7.5, 15.5 and 31.5 s, and given up at 39.5 s (section 6.2.1).

Answers are known by their transaction ID, 96 random bits: who cannot see the request cannot make
one. This module does not know what the answer is good for, and forgets servers that were answered.
"""

from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any, Final

from labkit.wire.stun import Attribute, Class, Endpoint, Message, pack, unpack
from labkit.words.errors import WireError
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.units import ms

UNDERSTOOD: Final = frozenset(Attribute)
"""Attributes that do not make an answer unreadable."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is sent again: section 6.2.1, with its names."""

    rto: int = ms(500)
    """Nanoseconds until the first repetition."""
    rc: int = 7
    """How often it is sent in all."""
    rm: int = 16
    """How many times `rto` the last one is waited for."""


DEFAULT_RETRY: Final = Retry()


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """A server answered with success."""

    server: Address
    mapped: Endpoint | None
    """How we look to it, if it said so."""
    round_trip: int | None
    """Nanoseconds; None when it was sent twice or more: nobody knows which one was answered."""
    response: Message


@dataclass(frozen=True, slots=True)
class Unanswered(Event):
    """A server answered with an error, or not at all."""

    server: Address
    transaction: bytes
    why: str


class Transaction:
    """One request on its way: when to send it again."""

    def __init__(self, server: Address, data: bytes, now: int, retry: Retry) -> None:
        self.server = server
        self.data = data
        self.retry = retry
        self.sent = 0
        self.first = now
        self.due = now

    def tick(self, now: int) -> bool:
        """Whether to send it now. Not, when it was sent `rc` times: then it has failed."""
        if now < self.due or self.sent == self.retry.rc:
            return False
        wait = self.retry.rto << self.sent
        self.sent += 1
        self.due = now + (self.retry.rto * self.retry.rm if self.sent == self.retry.rc else wait)
        return True

    def failed(self, now: int) -> bool:
        """It was sent often enough, and the last one was waited for."""
        return self.sent == self.retry.rc and now >= self.due


class StunClient:
    """Asks any number of servers at once. `rng` makes transaction IDs; tests give a seeded one."""

    def __init__(self, *, rng: Random | None = None, retry: Retry = DEFAULT_RETRY) -> None:
        self.refused = 0
        """Datagrams that were no answer to anything asked."""
        self._rng = rng if rng is not None else SystemRandom()
        self._retry = retry
        self._transactions: dict[bytes, Transaction] = {}
        self._out: list[Datagram] = []
        self._events: list[Event] = []

    def ask(self, server: Address, now: int, attributes: tuple[tuple[int, Any], ...] = ()) -> bytes:
        """Send a Binding request to a server. The transaction ID."""
        transaction = self._rng.randbytes(12)
        data = pack(Message(Class.REQUEST, transaction, attributes))
        self._transactions[transaction] = Transaction(server, data, now, self._retry)
        self.tick(now)
        return transaction

    def forget(self, transaction: bytes) -> None:
        """Ask no more: the answer does not matter now."""
        self._transactions.pop(transaction, None)

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """An answer, or something that is none and is counted."""
        try:
            message = unpack(data)
        except WireError:
            self.refused += 1
            return
        asked = self._transactions.get(message.transaction)
        if asked is None or message.kind not in (Class.SUCCESS, Class.ERROR):
            self.refused += 1
            return
        del self._transactions[message.transaction]
        self._events.append(_outcome(asked, message, now))

    def tick(self, now: int) -> None:
        """Send again what was not answered, or give it up."""
        for transaction, asked in list(self._transactions.items()):
            if asked.failed(now):
                del self._transactions[transaction]
                why = f"no answer to {asked.sent} requests"
                self._events.append(Unanswered(asked.server, transaction, why))
            elif asked.tick(now):
                self._out.append(Datagram(asked.data, asked.server))

    def deadline(self) -> int | None:
        """The next repetition or end of patience."""
        return earliest(*(asked.due for asked in self._transactions.values()))

    def transmits(self) -> list[Datagram]:
        """Requests."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """`Answered` and `Unanswered`: one for each that was asked."""
        events, self._events = self._events, []
        return events


def _outcome(asked: Transaction, message: Message, now: int) -> Event:
    error = message.get(Attribute.ERROR_CODE)
    if message.kind is Class.ERROR:
        return Unanswered(asked.server, message.transaction, f"refused: {error or 'no reason'}")
    if message.not_understood(UNDERSTOOD):
        why = "the answer has attributes that one must understand"
        return Unanswered(asked.server, message.transaction, why)
    round_trip = now - asked.first if asked.sent == 1 else None
    return Answered(asked.server, message.mapped, round_trip, message)
