"""NATs to play with: find out how one behaves, punch a hole through two, and all pairs as a table.

    discover(SYMMETRIC)                     what a client can find out about a NAT (RFC 5780)
    punch(FULL_CONE, SYMMETRIC).story()     who sent what, and what became of it
    nat_table()                             every pair, tried in virtual time, as a picture

Everything happens in virtual time and is the same for the same seed. This module decides nothing:
the NATs are `labkit.core.nat`'s, the peers `labkit.core.holepunch`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from random import Random
from typing import TYPE_CHECKING, Final

from labkit.core.holepunch import HolePuncher, Learned, Met, Phase, Punched, Unreachable
from labkit.core.nat import Behaviour, Dependence, Dropped, Mapped, Nat
from labkit.core.natdiscovery import Discovered, NatDiscovery
from labkit.core.punchable import obstacle
from labkit.endpoints.rendezvous import Rendezvous
from labkit.endpoints.stunserver import BehaviourServer, StunServer
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Event, Machine
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds, to_seconds

if TYPE_CHECKING:
    from labkit.lab.show import Picture

Endpoint = tuple[str, int]

ALICE: Final = ("192.168.1.2", 5004)
BOB: Final = ("192.168.2.2", 5004)
ALICE_NAT: Final = ("198.51.100.1", "192.168.1.0/24")
BOB_NAT: Final = ("203.0.113.1", "192.168.2.0/24")
STUN: Final = ("192.0.2.1", 3478)
OTHER_STUN: Final = "192.0.2.2"
RENDEZVOUS: Final = ("192.0.2.3", 7000)
NAMES: Final = ("alice", "bob", "alice's NAT", "bob's NAT")

LAN: Final = Profile("lan", "one room", "chosen", LinkSpec(delay=ms(1)), LinkSpec(delay=ms(1)))
WAN: Final = Profile("wan", "a country", "chosen", LinkSpec(delay=ms(15)), LinkSpec(delay=ms(15)))

KINDS: Final = tuple(
    Behaviour(mapping, filter_) for mapping in Dependence for filter_ in Dependence
)
"""Every mapping with every filtering."""


# What kind of NAT is this? ----------------------------------------------------------------------


def discover(behaviour: Behaviour, seed: int = 0) -> Discovered:
    """What a host behind such a NAT finds out with the help of a server: RFC 5780 section 4."""
    world = World(seed)
    nat = Nat(*ALICE_NAT, behaviour)
    server = BehaviourServer((STUN[0], OTHER_STUN))
    client = NatDiscovery(STUN, rng=Random(seed))
    world.add(client, ALICE)
    world.add(nat, nat.outside)
    world.add(server, STUN[0])
    world.connect(client, nat, LAN, gateway=True)
    world.connect(nat, server, WAN, gateway=True)
    found: list[Event] = []
    world.on_event(client, found.append)
    world.run(until=seconds(600), stop=lambda: bool(found))
    (result,) = found
    assert isinstance(result, Discovered)
    return result


# Two hosts, two NATs ----------------------------------------------------------------------------


@dataclass
class Attempt:
    """What became of one attempt to punch a hole."""

    alice: HolePuncher
    bob: HolePuncher
    tap: Tap
    """All datagrams, for Wireshark: `tap.write_pcapng(file)`."""
    happened: list[tuple[int, str, Event]] = field(default_factory=list)
    """When, to whom, what."""

    @property
    def open(self) -> bool:
        """Whether both reach each other."""
        return self.alice.phase is Phase.OPEN and self.bob.phase is Phase.OPEN

    @property
    def seconds(self) -> float:
        """How long it took, until both knew."""
        return to_seconds(max(now for now, _, event in self.happened if isinstance(event, DECIDES)))

    def story(self) -> str:
        """What happened, a line each."""
        return "\n".join(
            f"{to_seconds(now):7.3f} s  {who:<11}  {_told(event)}"
            for now, who, event in self.happened
        )


DECIDES: Final = (Punched, Unreachable)


def _told(event: Event) -> str:
    match event:
        case Learned(mapped):
            return f"is seen as {_address(mapped)}"
        case Met(peer):
            return f"is told that the other one is seen as {_address(peer)}"
        case Punched(peer):
            return f"reaches the other one at {_address(peer)}"
        case Unreachable(why):
            return f"gives up: {why}"
        case Mapped(inside, outside, remote):
            return f"maps {_address(inside)} to port {outside[1]} towards {_address(remote)}"
        case Dropped(source, destination, why):
            return f"drops {_address(source)} to port {destination[1]}: {why}"
    return str(event)


def _address(address: object) -> str:
    match address:
        case (str(host), int(port)):
            return f"{host}:{port}"
    return str(address)


def punch(one: Behaviour, other: Behaviour, seed: int = 0) -> Attempt:
    """Alice behind a NAT like `one` and bob behind one like `other` try to reach each other."""
    tap = Tap()
    world = World(seed, tap=tap)
    rng = Random(seed)
    alice = HolePuncher(STUN, RENDEZVOUS, "lab", b"between us", rng=rng)
    bob = HolePuncher(STUN, RENDEZVOUS, "lab", b"between us", rng=rng)
    nats = Nat(*ALICE_NAT, one), Nat(*BOB_NAT, other)
    join(world, (alice, bob), nats)
    attempt = Attempt(alice, bob, tap)
    machines: tuple[Machine, ...] = (alice, bob, *nats)
    for machine, name in zip(machines, NAMES, strict=True):
        _listen(world, attempt, machine, name)
    world.run(until=seconds(90), stop=lambda: alice.phase in ENDS and bob.phase in ENDS)
    return attempt


ENDS: Final = (Phase.OPEN, Phase.FAILED)


def join(world: World, peers: Sequence[Machine], nats: Sequence[Nat]) -> None:
    """Lay the links: alice and bob behind a NAT each, both NATs and two servers outside."""
    servers = (StunServer(), STUN), (Rendezvous(), RENDEZVOUS)
    for peer, address, nat in zip(peers, (ALICE, BOB), nats, strict=True):
        world.add(peer, address)
        world.add(nat, nat.outside)
        world.connect(peer, nat, LAN, gateway=True)
    for server, address in servers:
        world.add(server, address)
        for nat in nats:
            world.connect(nat, server, WAN)
    world.connect(nats[0], nats[1], WAN)


def _listen(world: World, attempt: Attempt, machine: Machine, name: str) -> None:
    world.on_event(machine, lambda event: attempt.happened.append((world.now, name, event)))


# Every pair -------------------------------------------------------------------------------------


def every_pair(kinds: Sequence[Behaviour] = KINDS) -> dict[tuple[Behaviour, Behaviour], bool]:
    """Whether hosts behind each two of these NATs reach each other: tried, in virtual time."""
    tried = {pair: punch(*pair).open for pair in combinations_with_replacement(kinds, 2)}
    return tried | {(b, a): found for (a, b), found in tried.items()}


SHORT: Final = {
    Dependence.INDEPENDENT: "any",
    Dependence.ADDRESS: "host",
    Dependence.PORT: "port",
}


def nat_table(kinds: Sequence[Behaviour] = KINDS) -> "Picture":
    """Every pair of NATs, tried: blue where a hole can be punched, vermilion where it cannot."""
    from labkit.lab.show import LOST, PLAYED, Picture, canvas

    results = every_pair(kinds)
    with canvas(width=4.4 + 0.36 * len(kinds), height=2.6 + 0.42 * len(kinds)) as (
        figure,
        all_axes,
    ):
        axes = all_axes[0]
        for row, one in enumerate(kinds):
            for column, other in enumerate(kinds):
                found = results[one, other]
                axes.plot(
                    column,
                    row,
                    "o" if found else "x",
                    color=PLAYED if found else LOST,
                    ms=13,
                    mew=3,
                )
        labels = [f"{SHORT[kind.mapping]} / {SHORT[kind.filtering]}" for kind in kinds]
        axes.set_xticks(range(len(kinds)), labels, rotation=40, ha="right")
        axes.set_yticks(range(len(kinds)), labels)
        axes.set_xlim(-0.6, len(kinds) - 0.4)
        axes.set_ylim(len(kinds) - 0.4, -0.6)
        axes.set_xlabel("the other NAT: mapping / filtering depends on …")
        axes.set_ylabel("one NAT: mapping / filtering depends on …")
        axes.set_title("Where a hole can be punched")
    works = sum(results.values())
    return Picture(figure, f"Of {len(results)} pairs of NATs, {works} let a hole be punched")


def text_table(kinds: Sequence[Behaviour] = KINDS) -> str:
    """The same in Markdown, with the reason for each pair that does not work."""
    results = every_pair(kinds)
    labels = [f"{SHORT[kind.mapping]}/{SHORT[kind.filtering]}" for kind in kinds]
    why: dict[str, int] = {}
    lines = [
        f"| | {' | '.join(labels)} |",
        f"| --- |{' :-: |' * len(kinds)}",
    ]
    for one, label in zip(kinds, labels, strict=True):
        cells = []
        for other in kinds:
            reason = obstacle(one, other)
            number = why.setdefault(reason, len(why) + 1) if reason else 0
            cells.append("yes" if results[one, other] else f"no ({number})")
        lines.append(f"| **{label}** | {' | '.join(cells)} |")
    reasons = [f"{number}. {reason}" for reason, number in why.items()]
    return "\n".join([*lines, "", *reasons])
