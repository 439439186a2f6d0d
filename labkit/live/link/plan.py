"""Who is in a lab, and how they are joined: hosts, links, addresses, routes.

    LabNetwork(profile)                      alice ═══ bob

    LabNetwork(profile, router=True)         alice ─── router ═══ bob

    LabNetwork(profile, hosts=(…three…))     alice ─── router ═══ bob
                                                         ╚══════ carol

    ═══ the profile: `up` is away from the first host, `down` is towards it      ─── nothing happens

Alone, alice and bob are 10.9.0.1 and 10.9.0.2. With a router each host has a network of its own:
10.9.1.1, 10.9.2.1 and so on, and the router is 254 in each. A host behind a NAT is
192.168.N.2, and the others see it as the address that it would have had.

This module makes no device: a plan is a value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.profile import Profile

NETMASK: Final = "255.255.255.0"
LAB: Final = ("10.9.0.0", "255.255.0.0")
MULTICAST: Final = ("224.0.0.0", "240.0.0.0", "")
ROUTER: Final = "router"
DEVICE: Final = "lab0"
"""The device of every host but the router."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,10}")
MTU_RANGE: Final = range(68, 65_536)
"""What IPv4 must carry (RFC 791), and the most that fits its length field."""

Route = tuple[str, str, str]
"""Network, mask, and the gateway; without one the device leads there."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A host's end of a link. `outside` is what others see, when there is a NAT before it."""

    host: str
    device: str
    address: str
    routes: tuple[Route, ...] = ()
    outside: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Two interfaces and what happens between them."""

    near: Interface
    far: Interface
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole lab."""

    hosts: tuple[str, ...]
    links: tuple[Link, ...]
    mtu: int
    seed: int
    dscp: bool
    police: int
    """Bits a second of EF that a bottleneck with `dscp` lets in; 0: all."""
    record: str
    """What a capture shows: "sent", or the name of a host. Empty: there is none."""

    def interface(self, host: str) -> Interface:
        """The first interface of a host."""
        ends = (end for link in self.links for end in (link.near, link.far))
        return next(end for end in ends if end.host == host)


def make_plan(
    profile: Profile,
    *,
    seed: int = 0,
    hosts: Sequence[str] = ("alice", "bob"),
    router: bool = False,
    nat: Sequence[str] = (),
    mtu: int = 1500,
    dscp: bool = False,
    police: int = 0,
    record: str = "",
) -> Plan:
    """Lay out a lab. `BadInput` when it cannot be."""
    _check(hosts, nat, mtu, record)
    if dscp and not (profile.up.rate or profile.down.rate):
        raise BadInput("dscp needs a rate: who never waits needs no priority", 'bottleneck="2mbit"')
    if police and not dscp:
        raise BadInput("who polices EF must know it", "dscp=True")
    if router or len(hosts) > 2:
        names = (*hosts, ROUTER)
        links = _star(hosts, nat, profile)
    else:
        names = tuple(hosts)
        links = (_direct(hosts, nat, profile),)
    return Plan(names, links, mtu, seed, dscp, police, record)


def _check(hosts: Sequence[str], nat: Sequence[str], mtu: int, record: str) -> None:
    for name in hosts:
        if not NAME.fullmatch(name) or name in (ROUTER, "sent"):
            raise BadInput(f"a host cannot be called {name!r}", "a short word such as alice")
    if len(set(hosts)) != len(hosts) or not 2 <= len(hosts) <= 200:
        raise BadInput("a lab has from 2 to 200 hosts with different names")
    for name in nat:
        if name not in hosts:
            raise BadInput(f"there is no host {name!r} to put a NAT before", ", ".join(hosts))
    if mtu not in MTU_RANGE:
        raise BadInput(f"an MTU of {mtu} is not IPv4's", f"{MTU_RANGE[0]} to {MTU_RANGE[-1]}")
    if record not in ("", "sent", ROUTER, *hosts):
        raise BadInput(f"a capture cannot be taken at {record!r}", f"sent, {', '.join(hosts)}")


def _direct(hosts: Sequence[str], nat: Sequence[str], profile: Profile) -> Link:
    near, far = (
        _end(name, number, f"10.9.0.{number}", "", name in nat)
        for number, name in enumerate(hosts, 1)
    )
    return Link(near, far, profile)


def _star(hosts: Sequence[str], nat: Sequence[str], profile: Profile) -> tuple[Link, ...]:
    links = []
    for number, name in enumerate(hosts, 1):
        gateway = f"10.9.{number}.254"
        host = _end(name, number, f"10.9.{number}.1", gateway, name in nat)
        middle = Interface(ROUTER, f"to-{name}", gateway)
        links.append(Link(host, middle) if number == 1 else Link(middle, host, profile))
    return tuple(links)


def _end(name: str, number: int, address: str, gateway: str, behind_nat: bool) -> Interface:
    """A host's interface: with a gateway that leads to the other networks, if there are any."""
    if behind_nat:
        inside = f"192.168.{number}"
        return Interface(name, DEVICE, f"{inside}.2", _routes(f"{inside}.1"), address)
    return Interface(name, DEVICE, address, _routes(gateway))


def _routes(gateway: str) -> tuple[Route, ...]:
    return ((*LAB, gateway), MULTICAST) if gateway else (MULTICAST,)


def with_rate(profile: Profile, rate: int) -> Profile:
    """The same network with a bottleneck of so many bits a second, in both directions."""
    return replace(profile, up=_with_rate(profile.up, rate), down=_with_rate(profile.down, rate))


def _with_rate(spec: LinkSpec, rate: int) -> LinkSpec:
    steps = tuple(Step(step.at, _with_rate(step.spec, rate)) for step in spec.steps)
    return replace(spec, rate=rate, steps=steps)
