"""STUN and hole punching through NATs before real kernels, as whoever runs the tests."""

import sys

import pytest

from labkit.live.link import LabNetwork

pytestmark = [pytest.mark.live, pytest.mark.net]

COMMAND = """
import sys
from labkit.cli.labkit import main
sys.exit(main(sys.argv[1:]))
"""
SERVERS = """
import asyncio, sys
from labkit.endpoints.rendezvous import Rendezvous
from labkit.endpoints.stunserver import StunServer
from labkit.live.udp import open_udp

async def main():
    await open_udp(StunServer(), host=sys.argv[1], port=3478)
    await open_udp(Rendezvous(), host=sys.argv[1], port=7000)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
PEER = """
import asyncio, sys
from labkit.core.holepunch import HolePuncher, Punched, Unreachable
from labkit.endpoints.throughnat import ThroughNat
from labkit.live.udp import open_udp
from labkit.words.machine import Datagram, Event

class Word(Event):
    def __init__(self, word):
        self.word = word

class Speaker:
    "Says its name twice a second; whom it hears it tells."
    def __init__(self, name, peer):
        self.name, self.peer, self.due, self.out, self.heard = name, peer, 0, [], []
    def receive_datagram(self, data, source, now):
        self.heard.append(Word(f"heard {data.decode()} from {source[0]}:{source[1]}"))
    def tick(self, now):
        if now >= self.due:
            self.due = now + 500_000_000
            self.out.append(Datagram(self.name.encode(), self.peer))
    def deadline(self):
        return self.due
    def transmits(self):
        out, self.out = self.out, []
        return out
    def events(self):
        heard, self.heard = self.heard, []
        return heard

async def main():
    name, server, local = sys.argv[1:]
    puncher = HolePuncher((server, 3478), (server, 7000), "lab", b"between us")
    def tell(event):
        print(event.word if isinstance(event, Word) else event, flush=True)
    machine = ThroughNat(puncher, lambda peer: Speaker(name, peer))
    await open_udp(machine, host=local, port=5004, on_event=tell)
    await asyncio.sleep(30)

asyncio.run(main())
"""


def python(code, *arguments):
    return [sys.executable, "-c", code, *arguments]


def test_stun_says_how_a_host_behind_a_nat_looks():
    """Alice is 192.168.1.2 and does not know that bob sees 10.9.0.1; her port is preserved."""
    with LabNetwork("clear", nat=True) as net:
        server = net.bob.start(python(COMMAND, "stun", "serve", "--host", net.bob.address))
        server.stdout.wait_for("Ctrl-C ends it")
        asked = ["stun", "ask", f"{net.bob.address}:3478", "--port", "5004"]
        done = net.alice.run(python(COMMAND, *asked), timeout=30)
        assert done.returncode == 0, done.stderr
        assert net.alice.public_address != net.alice.address
        assert f"seen as {net.alice.public_address}:5004" in done.stdout
        assert f"here    {net.alice.address}:5004: a NAT stands between" in done.stdout


def test_without_a_nat_there_is_none():
    with LabNetwork("clear") as net:
        server = net.bob.start(python(COMMAND, "stun", "serve", "--host", net.bob.address))
        server.stdout.wait_for("Ctrl-C ends it")
        done = net.alice.run(python(COMMAND, "stun", "ask", f"{net.bob.address}:3478"), timeout=30)
        assert "no NAT between" in done.stdout, done.stderr


def test_two_hosts_behind_two_nats_reach_each_other():
    """Real packets, two NATs with port-restricted filters, and nobody but carol can be called."""
    with LabNetwork("clear", hosts=("alice", "bob", "carol"), nat=("alice", "bob")) as net:
        servers = net.carol.start(python(SERVERS, net.carol.address))
        servers.stdout.wait_for("ready")
        alice, bob = (
            host.start(python(PEER, host.name, net.carol.address, host.address))
            for host in (net.alice, net.bob)
        )
        alice.stdout.wait_for(f"heard bob from {net.bob.public_address}:5004", 20)
        bob.stdout.wait_for(f"heard alice from {net.alice.public_address}:5004", 20)
