"""NATs as people have them at home, in the terms of RFC 4787 (week 9).

    inside                                              outside
    192.168.1.2:5004 ── [ Nat: 198.51.100.1 ] ── 198.51.100.1:5004 ── anywhere

A host inside sends, and the NAT makes a *mapping*: a port of its own that stands for the host's
address and port. Two questions tell NATs apart, and each has three answers (`Dependence`):

- mapping: to whom may the host send through the same mapping?
- filtering: who outside may answer to it?

    nat = Nat("198.51.100.1", "192.168.1.0/24", SYMMETRIC)
    world.add(nat, nat.outside)
    world.connect(alice, nat, gateway=True)
    world.connect(nat, server)

A mapping, and whom it lets in, is kept alive by what is sent from inside (REQ-6), and forgotten
after `Behaviour.timeout`. Filtering looks at the mapping that a datagram comes to, not at all that
its host has sent.

This module knows no socket and no protocol above UDP; `labkit.live.link` has a NAT for packets of
the kernel.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from random import Random
from typing import Final

from labkit.words.machine import Event
from labkit.words.routed import Routed
from labkit.words.units import seconds

Endpoint = tuple[str, int]
"""An IP address in digits, and a port."""

FIRST_PORT: Final = 1024
LAST_PORT: Final = 65_535
MOST_MAPPINGS: Final = 4096
"""Inside may be a host that runs wild: memory is bounded."""
MOST_REMOTES: Final = 256
"""Whom one mapping lets in; the one that was sent to longest ago is forgotten."""


class Dependence(Enum):
    """What, of the other side, something depends on: RFC 4787 sections 4.1 and 5."""

    INDEPENDENT = "endpoint-independent"
    ADDRESS = "address-dependent"
    PORT = "address and port-dependent"

    def part(self, remote: Endpoint) -> Hashable:
        """What of a remote endpoint counts."""
        if self is Dependence.INDEPENDENT:
            return None
        return remote[0] if self is Dependence.ADDRESS else remote


class Ports(Enum):
    """Which port a new mapping gets: RFC 4787 section 4.2."""

    PRESERVED = "preserved"
    """The same number as inside, or the next one that is free."""
    SEQUENTIAL = "sequential"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a NAT treats UDP. The defaults are those of most routers at home."""

    mapping: Dependence = Dependence.INDEPENDENT
    filtering: Dependence = Dependence.PORT
    ports: Ports = Ports.PRESERVED
    hairpins: bool = True
    """Whether a host inside can reach another by its mapping: section 6."""
    timeout: int = seconds(120)
    """Nanoseconds without anything sent after which a mapping is forgotten: REQ-5."""

    def __str__(self) -> str:
        return f"{self.mapping.value} mapping, {self.filtering.value} filtering"


FULL_CONE: Final = Behaviour(filtering=Dependence.INDEPENDENT)
RESTRICTED_CONE: Final = Behaviour(filtering=Dependence.ADDRESS)
PORT_RESTRICTED_CONE: Final = Behaviour(filtering=Dependence.PORT)
SYMMETRIC: Final = Behaviour(mapping=Dependence.PORT, filtering=Dependence.PORT)
"""The four kinds of RFC 3489 section 5, in the words that replaced them."""


@dataclass(frozen=True, slots=True)
class Mapped(Event):
    """A new mapping was made."""

    inside: Endpoint
    outside: Endpoint
    remote: Endpoint
    """Whom the host sends to."""


@dataclass(frozen=True, slots=True)
class Dropped(Event):
    """A datagram did not get through."""

    source: Endpoint
    destination: Endpoint
    why: str


class Mapping:
    """One port outside: for whom it stands, and when whom was sent to through it."""

    __slots__ = ("inside", "port", "sent_to", "used")

    def __init__(self, inside: Endpoint, port: int) -> None:
        self.inside = inside
        self.port = port
        self.used = 0
        self.sent_to: dict[Hashable, int] = {}

    def allow(self, part: Hashable, now: int) -> None:
        """Something was sent to this part of a remote endpoint."""
        self.used = now
        self.sent_to.pop(part, None)
        self.sent_to[part] = now  # at the end: the first is always the oldest
        if len(self.sent_to) > MOST_REMOTES:
            del self.sent_to[next(iter(self.sent_to))]


class Nat:
    """A `RoutedMachine` that hides the network `inside` behind the address `outside`.

    `rng` decides ports where they are random.
    """

    def __init__(
        self,
        outside: str,
        inside: str,
        behaviour: Behaviour = PORT_RESTRICTED_CONE,
        *,
        rng: Random | None = None,
    ) -> None:
        self.outside = outside
        self.inside = inside
        self.behaviour = behaviour
        self.dropped = 0
        """Datagrams that did not get through."""
        self._rng = rng if rng is not None else Random(outside)
        self._mappings: dict[tuple[Endpoint, Hashable], Mapping] = {}
        self._ports: dict[int, Mapping] = {}
        self._next_port = self._rng.randint(FIRST_PORT, LAST_PORT)
        self._out: list[Routed] = []
        self._events: list[Event] = []

    def receive_routed(
        self, data: bytes, source: Endpoint, destination: Endpoint, now: int
    ) -> None:
        """A datagram from inside to anywhere, or from anywhere to a port of ours."""
        if not _within(source[0], self.inside):
            self._inbound(data, source, destination, now)
        elif _within(destination[0], self.inside):
            self._out.append(Routed(data, source, destination))  # the same network: no NAT
        else:
            self._outbound(data, source, destination, now)

    def _outbound(self, data: bytes, source: Endpoint, destination: Endpoint, now: int) -> None:
        mapping = self._mapping(source, destination, now)
        if mapping is None:
            self._drop(source, destination, "no port is free")
            return
        mapping.allow(self.behaviour.filtering.part(destination), now)
        seen_as = self.outside, mapping.port
        if destination[0] != self.outside:
            self._out.append(Routed(data, seen_as, destination))
        elif self.behaviour.hairpins:
            self._inbound(data, seen_as, destination, now)
        else:
            self._drop(source, destination, "this NAT does not hairpin")

    def _inbound(self, data: bytes, source: Endpoint, destination: Endpoint, now: int) -> None:
        mapping = self._ports.get(destination[1]) if destination[0] == self.outside else None
        if mapping is None:
            self._drop(source, destination, "nobody inside has this port")
            return
        sent = mapping.sent_to.get(self.behaviour.filtering.part(source))
        if sent is None or self._idle(sent, now):
            self._drop(source, destination, "nothing was sent to there from this port")
            return
        self._out.append(Routed(data, source, mapping.inside))

    def _drop(self, source: Endpoint, destination: Endpoint, why: str) -> None:
        self.dropped += 1
        self._events.append(Dropped(source, destination, why))

    # Mappings ---------------------------------------------------------------------------------

    def _mapping(self, inside: Endpoint, remote: Endpoint, now: int) -> Mapping | None:
        """The mapping for what `inside` sends to `remote`; None: there is no place for one."""
        key = inside, self.behaviour.mapping.part(remote)
        mapping = self._mappings.get(key)
        if mapping is not None and self._idle(mapping.used, now):
            self._forget(key)
            mapping = None
        if mapping is None:
            mapping = self._new_mapping(key, now)
            if mapping is not None:
                self._events.append(Mapped(inside, (self.outside, mapping.port), remote))
        return mapping

    def _new_mapping(self, key: tuple[Endpoint, Hashable], now: int) -> Mapping | None:
        if len(self._mappings) >= MOST_MAPPINGS:
            for each in [k for k, m in self._mappings.items() if self._idle(m.used, now)]:
                self._forget(each)
        if len(self._mappings) >= MOST_MAPPINGS:
            return None
        inside, _ = key
        mapping = Mapping(inside, self._free_port(inside[1], now))
        self._mappings[key] = self._ports[mapping.port] = mapping
        return mapping

    def _free_port(self, wanted: int, now: int) -> int:
        """A port outside. There are more ports than mappings, so one is free."""
        ports = self.behaviour.ports
        if ports is Ports.PRESERVED:
            port = max(wanted, FIRST_PORT)
        elif ports is Ports.RANDOM:
            port = self._rng.randint(FIRST_PORT, LAST_PORT)
        else:
            port = self._next_port
        while (holder := self._ports.get(port)) is not None and not self._idle(holder.used, now):
            port = port + 1 if port < LAST_PORT else FIRST_PORT
        if holder is not None:
            self._forget(next(key for key, m in self._mappings.items() if m is holder))
        self._next_port = port + 1 if port < LAST_PORT else FIRST_PORT
        return port

    def _forget(self, key: tuple[Endpoint, Hashable]) -> None:
        del self._ports[self._mappings.pop(key).port]

    def _idle(self, used: int, now: int) -> bool:
        return now - used > self.behaviour.timeout

    # The machine ------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Nothing is ever due: what is too old is forgotten when somebody looks at it."""

    def deadline(self) -> int | None:
        """Never."""
        return None

    def transmits(self) -> list[Routed]:
        """What is passed on."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """`Mapped` and `Dropped`."""
        events, self._events = self._events, []
        return events

    def __str__(self) -> str:
        lines = [f"{self.outside}: {self.behaviour}"]
        for mapping in self._mappings.values():
            host, port = mapping.inside
            lines.append(f"  {host}:{port} is seen as {self.outside}:{mapping.port}")
        return "\n".join(lines)


@lru_cache(maxsize=4096)
def _within(host: str, network: str) -> bool:
    """Whether a host belongs to a network; what is no address belongs to none."""
    try:
        return ip_address(host) in ip_network(network)
    except ValueError:
        return False
