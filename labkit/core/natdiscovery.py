"""Find out how the NAT on the way behaves: RFC 5780 section 4 (week 9).

The server has two hosts with two ports each, and answers from whichever it is asked to. Two
questions, two tests each, and one more:

    filtering   answer from the other host and port       it comes: endpoint-independent
                answer from the other port                it comes: address-dependent; else by port
    mapping     ask the other host                        we look the same: endpoint-independent
                ask the other host at the other port      the same as there: address-dependent
    hairpin     ask our own mapped address                our own request comes in

Filtering comes first, for having asked the other host would open the filter for it. A test that
fails by silence takes as long as a client is patient, so one lost datagram changes nothing.

What is found holds for this port, now: NATs are known to change their ways under load (section 1).
This module knows no socket.
"""

from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import Final

from labkit.core.nat import Dependence
from labkit.core.stunclient import DEFAULT_RETRY, Answered, Retry, StunClient, Unanswered
from labkit.wire.stun import Attribute, Change, Class, Endpoint, unpack
from labkit.words.errors import WireError
from labkit.words.machine import Address, Datagram, Event

ELSEWHERE: Final = Change.ADDRESS | Change.PORT


@dataclass(frozen=True, slots=True)
class Discovered(Event):
    """What was found; None where it could not be."""

    mapped: Endpoint | None = None
    mapping: Dependence | None = None
    filtering: Dependence | None = None
    hairpins: bool | None = None

    def __str__(self) -> str:
        if self.mapped is None:
            return "no answer: UDP does not get through, or there is no server"
        if self.mapping is None or self.filtering is None:
            return f"seen as {self.mapped[0]}:{self.mapped[1]}; the server has no second address"
        return (
            f"seen as {self.mapped[0]}:{self.mapped[1]}; {self.mapping.value} mapping, "
            f"{self.filtering.value} filtering, {'hairpins' if self.hairpins else 'no hairpin'}"
        )


Steps = Generator[tuple[Address, Change], Answered | None, Discovered]
"""Asks a server for an answer from somewhere; is sent the answer, or None when there is none."""


def steps(server: Address) -> Steps:
    """The tests, in their order."""
    first = yield server, Change.NOTHING
    if first is None or first.mapped is None:
        return Discovered()
    origin = first.response.get(Attribute.RESPONSE_ORIGIN)
    other = first.response.get(Attribute.OTHER_ADDRESS)
    if origin is None or other is None:
        return Discovered(first.mapped)
    if (yield server, ELSEWHERE):
        filtering = Dependence.INDEPENDENT
    elif (yield server, Change.PORT):
        filtering = Dependence.ADDRESS
    else:
        filtering = Dependence.PORT
    mapping = yield from _mapping(first.mapped, (other[0], origin[1]), other)
    hairpin = yield first.mapped, Change.NOTHING
    return Discovered(first.mapped, mapping, filtering, hairpin is not None)


def _mapping(
    mapped: Endpoint, other_host: Endpoint, other: Endpoint
) -> Generator[tuple[Address, Change], Answered | None, Dependence | None]:
    there = yield other_host, Change.NOTHING
    if there is None:
        return None
    if there.mapped == mapped:
        return Dependence.INDEPENDENT
    further = yield other, Change.NOTHING
    if further is None:
        return None
    return Dependence.ADDRESS if further.mapped == there.mapped else Dependence.PORT


class NatDiscovery:
    """A datagram machine that begins at its first tick and ends with a `Discovered`."""

    def __init__(
        self, server: Address, *, rng: Random | None = None, retry: Retry = DEFAULT_RETRY
    ) -> None:
        self.result: Discovered | None = None
        self._client = StunClient(rng=rng, retry=retry)
        self._steps = steps(server)
        self._asked = b""
        self._started = False
        self._events: list[Event] = []

    def _go_on(self, answer: Answered | None, now: int) -> None:
        """To the next test, with what came of the last."""
        try:
            server, change = self._steps.send(answer)
        except StopIteration as end:
            self.result = end.value
            self._events.append(end.value)
            return
        said = ((Attribute.CHANGE_REQUEST, change),) if change else ()
        self._asked = self._client.ask(server, now, said)

    def _look(self, now: int) -> None:
        for event in self._client.events():
            if isinstance(event, Answered):
                self._go_on(event, now)
            elif isinstance(event, Unanswered):
                self._go_on(None, now)

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """An answer; or our own request, if it came round the hairpin."""
        try:
            message = unpack(data)
        except WireError:
            return
        if message.kind is Class.REQUEST and message.transaction == self._asked:
            self._client.forget(message.transaction)
            self._go_on(Answered(source, None, None, message), now)
        else:
            self._client.receive_datagram(data, source, now)
            self._look(now)

    def tick(self, now: int) -> None:
        """Begin; later, ask again or go on without an answer."""
        if not self._started:
            self._started = True
            self._go_on(None, now)
        self._client.tick(now)
        self._look(now)

    def deadline(self) -> int | None:
        """The next repetition."""
        return self._client.deadline()

    def transmits(self) -> list[Datagram]:
        """Requests."""
        return self._client.transmits()

    def events(self) -> list[Event]:
        """`Discovered`, once."""
        events, self._events = self._events, []
        return events
