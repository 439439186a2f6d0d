"""A voice between two hosts that are both behind NATs, in virtual time."""

from random import Random

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.holepunch import HolePuncher, Phase, Punched
from labkit.core.nat import PORT_RESTRICTED_CONE, RESTRICTED_CONE, SYMMETRIC, Nat
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.throughnat import ThroughNat
from labkit.endpoints.voice import Voice
from labkit.lab.nat import ALICE_NAT, BOB_NAT, RENDEZVOUS, STUN, join
from labkit.sim.world import World
from labkit.words.machine import DatagramMachine
from labkit.words.units import seconds

SESSIONS = {
    "rtp": lambda role, peer: RtpSession(role, "v=0", peer=peer, rng=Random(role.value)),
    "udp": lambda role, peer: DatagramSession(role, "v=0", peer=peer),
}


def call(one, other, transport="rtp", frames=250):
    """Alice speaks, bob listens; the machines, the world, and what bob's told."""
    rng, codec, session = Random(9), Blank(), SESSIONS[transport]
    clip = Clip(np.zeros((frames * 960, 1), np.int16))
    punchers = [HolePuncher(STUN, RENDEZVOUS, "lab", b"secret", rng=rng) for _ in "ab"]
    alice = ThroughNat(
        punchers[0], lambda peer: Sender(session(Role.SENDER, peer), Voice(codec, clip, rng=rng))
    )
    bob = ThroughNat(punchers[1], lambda peer: Receiver(session(Role.RECEIVER, peer), codec))
    world, told = World(9), []
    join(world, (alice, bob), (Nat(*ALICE_NAT, one), Nat(*BOB_NAT, other)))
    world.on_event(bob, told.append)
    return alice, bob, world, told


def finished(told):
    return any(isinstance(event, Finished) for event in told)


@pytest.mark.parametrize("transport", SESSIONS)
@pytest.mark.parametrize("kind", [PORT_RESTRICTED_CONE, RESTRICTED_CONE])
def test_a_voice_crosses_two_nats(transport, kind):
    """Five seconds, of which no frame is lost, whatever the punching has dropped before."""
    other = SYMMETRIC if kind is RESTRICTED_CONE else kind
    alice, bob, world, told = call(kind, other, transport)
    assert isinstance(alice, DatagramMachine)
    world.run(until=seconds(30), stop=lambda: finished(told))
    assert finished(told)
    assert sum(isinstance(event, Punched) for event in told) == 1
    played = [event for event in told if isinstance(event, Heard) and event.timestamp is not None]
    assert len(played) == 250
    assert bob.machine.session.stats.lost == 0


def test_without_a_hole_there_is_no_machine_and_nothing_is_heard():
    alice, bob, world, _ = call(SYMMETRIC, SYMMETRIC)
    world.run(until=seconds(30))
    assert alice.machine is None
    assert bob.machine is None
    assert bob.puncher.phase is Phase.FAILED
    bob.receive_datagram(bytes(200), ("203.0.113.9", 5), seconds(30))
    assert bob.transmits() == []


class Listener:
    """Keeps what it is given."""

    def __init__(self):
        self.given = []

    def receive_datagram(self, data, source, now):
        self.given.append((data, source))

    def tick(self, now):
        pass

    def deadline(self):
        return None

    def transmits(self):
        return []

    def events(self):
        return []


def test_what_the_peer_says_early_is_kept_and_what_others_say_is_not():
    punchers = [HolePuncher(STUN, RENDEZVOUS, "lab", b"secret", rng=Random(n)) for n in (1, 2)]
    bob = ThroughNat(punchers[1], lambda peer: Listener())
    world, peer = World(), (ALICE_NAT[0], 5004)
    nats = Nat(*ALICE_NAT, PORT_RESTRICTED_CONE), Nat(*BOB_NAT, PORT_RESTRICTED_CONE)
    join(world, (punchers[0], bob), nats)
    bob.receive_datagram(b"early", peer, 0)
    bob.receive_datagram(b"noise", ("203.0.113.9", 5), 0)
    world.run(until=seconds(5))
    assert bob.machine.given == [(b"early", peer)]
    bob.receive_datagram(b"later", peer, seconds(5))
    assert bob.machine.given[1:] == [(b"later", peer)]


def test_a_hole_is_kept_open_while_nobody_speaks():
    """Five minutes of silence after the call, and the NATs forget after two."""
    _, bob, world, told = call(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE, frames=10)
    nat = next(h.machine for h in world._hosts.values() if isinstance(h.machine, Nat))
    world.run(until=seconds(300))
    assert finished(told)
    dropped = nat.dropped
    nat.receive_routed(b"later", bob.puncher.mapped, (nat.outside, 5004), seconds(300))
    assert len(nat.transmits()) == 1
    assert nat.dropped == dropped
