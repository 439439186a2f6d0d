"""Many QUIC connections on one socket, in virtual time."""

import os
import tracemalloc
from random import Random

import numpy as np
import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicPacketType, encode_quic_version_negotiation
from quicparts import ALICE, BOB, clean, listening, lossy, sender, serving

from labkit.codec import Blank
from labkit.core.nat import Behaviour, Nat
from labkit.core.session import Closed, Joined, Limits, Received, Refused, Role
from labkit.core.source import Clip
from labkit.core.token import Gate, issue
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quicconnection import FULL_SIZE, read_header
from labkit.endpoints.quicmedia import Carriage
from labkit.endpoints.quicserver import HALF_OPEN, RETRY_FROM, QuicServer
from labkit.endpoints.quictls import ALPN
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.words.units import ms, seconds

SECRET = b"sixteen bytes or more"


def quic_server(frames: int = 250, *, max_clients: int = 64, **session) -> QuicServer:
    voice = Voice(Blank(), Clip(np.zeros((frames * 960, 1), np.int16)), rng=Random(1))
    return QuicServer(
        lambda address: sender(**session),
        lambda take: Server(voice, take, max_clients=max_clients),
    )


def client(token: str = "") -> QuicSession:
    return QuicSession(Role.RECEIVER, credentials=listening(), peer=ALICE, token=token)


class Room:
    """A server, and whoever connects to it."""

    def __init__(self, server: QuicServer, seed: int = 1) -> None:
        self.server = server
        self.tap = Tap()
        self.world = World(seed, tap=self.tap)
        self.world.add(server, ALICE)
        self.told: list = []
        self.world.on_event(server, self.told.append)
        self.heard: dict[int, list] = {}

    def come(self, machine: QuicSession, address=None, profile=None) -> QuicSession:
        number = len(self.heard)
        self.world.add(machine, address or ("10.0.1.1", 5000 + number))
        self.world.connect(machine, self.server, profile or clean())
        events = self.heard[id(machine)] = []
        self.world.on_event(machine, lambda e: events.append((self.world.now, e)))
        return machine

    def of(self, machine: QuicSession, kind: type) -> list:
        return [event for _, event in self.heard[id(machine)] if isinstance(event, kind)]

    def run(self, until: int) -> None:
        self.world.run(until=until)


@pytest.mark.parametrize("carriage", list(Carriage))
def test_everybody_hears_the_same_voice_to_its_end(carriage):
    room = Room(quic_server(100, carriage=carriage))
    people = [room.come(client()) for _ in range(5)]
    room.run(seconds(10))
    for person in people:
        assert [e.packet.seq for e in room.of(person, Received)] == [
            e.packet.seq for e in room.of(people[0], Received)
        ]
        assert len(room.of(person, Received)) == 100
        assert room.of(person, Closed) == [Closed(True, "peer", "BYE")]
    assert sum(isinstance(event, Joined) for event in room.told) == 5
    assert room.server.server.closed
    assert room.server.junk == room.server.retried == room.server.turned_away == 0


def test_who_left_is_forgotten():
    room = Room(quic_server(1000))
    person = room.come(client())
    room.run(seconds(1))
    assert room.server.server.listening() == 1
    person.close(room.world.now)
    room.world.wake(person)
    room.run(seconds(5))
    assert room.server.server.listening() == 0
    assert not room.server._by_id
    assert not room.server._inside
    assert not room.server._outside


def test_a_token_opens_one_gate_for_all():
    gate = Gate(SECRET)
    room = Room(quic_server(100, gate=gate))
    good = room.come(client(issue(SECRET, "bob", 10**9)))
    bad = room.come(client("nothing"))
    room.run(seconds(6))
    assert len(room.of(good, Received)) == 100
    assert room.of(bad, Received) == []
    assert len(room.of(bad, Refused)) == 1
    assert (gate.admitted, dict(gate.refused)) == (1, {"malformed": 1})
    assert room.server.server.refused == {"malformed": 1}  # for whoever exports the figures
    assert [type(e) for e in room.told if not isinstance(e, Joined)][:2] == [Refused, Closed]


def test_there_is_no_room():
    room = Room(quic_server(100, max_clients=2))
    first = [room.come(client()) for _ in range(2)]
    room.run(ms(500))
    third = room.come(client())
    room.run(seconds(6))
    assert [len(room.of(person, Received)) for person in first] == [100, 100]
    assert room.of(third, Joined) == []
    (closed,) = room.of(third, Closed)
    assert "no room for one more listener" in closed.why
    assert room.server.server.refused_clients == 1


# Addresses ----------------------------------------------------------------------------------------


def test_a_listener_whose_port_changes_keeps_its_session():
    """A NAT that is switched off and on gives another port: the connection ID is the same."""
    room = Room(quic_server(500))
    nat = Nat("198.51.100.1", "192.168.1.0/24", Behaviour())
    person = client()
    room.world.add(person, ("192.168.1.2", 5004))
    room.world.add(nat, nat.outside)
    room.world.connect(person, nat, clean(1), gateway=True)
    room.world.connect(nat, room.server, clean(15), gateway=True)
    events = room.heard[id(person)] = []
    room.world.on_event(person, lambda e: events.append((room.world.now, e)))
    room.run(seconds(4))
    (name,) = room.server.server.clients
    before = room.server.server.clients[name].session.peer
    nat._mappings.clear()
    nat._ports.clear()
    room.run(seconds(20))
    after = {c.source for c in room.tap.arrived if c.destination == ALICE}
    assert len(after) == 2
    assert before in after
    heard = [e.packet.seq for e in room.of(person, Received)]
    assert len(room.of(person, Joined)) == sum(isinstance(e, Joined) for e in room.told) == 1
    assert 500 - len(heard) <= 110  # a sign of life comes every two seconds
    assert heard[-1] - heard[0] == 499
    assert room.of(person, Closed) == [Closed(True, "peer", "BYE")]


# Strangers ----------------------------------------------------------------------------------------


def first_packet(**options) -> bytes:
    """The first datagram of a client that is aioquic's own."""
    configuration = QuicConfiguration(alpn_protocols=[ALPN], server_name="streamer.lab", **options)
    connection = QuicConnection(configuration=configuration)
    connection.connect(ALICE, 0.0)
    return connection.datagrams_to_send(0.0)[0][0]


def test_half_open_connections_are_few_and_then_a_stranger_is_asked_to_come_again():
    server = quic_server()
    for number in range(500):
        server.receive_datagram(first_packet(), ("10.9.0.1", number), 0)
    assert server.half_open == RETRY_FROM
    assert server.retried == 500 - RETRY_FROM
    assert len(server._by_id) <= 12 * RETRY_FROM
    answers = server.transmits()
    retries = [d for d, _ in answers if read_header(d).packet_type is QuicPacketType.RETRY]
    assert len(retries) == server.retried
    assert max(map(len, retries)) < 200
    server.tick(seconds(6))
    server.tick(seconds(9))
    assert server.half_open == 0
    assert not server._by_id


def test_a_flood_of_handshakes_does_not_keep_out_who_answers_a_retry():
    room = Room(quic_server(100))
    for number in range(100):
        room.server.receive_datagram(first_packet(), ("10.9.0.1", number), 0)
    person = room.come(client(), BOB)
    room.run(seconds(4))
    assert len(room.of(person, Received)) == 100
    assert room.server.retried == 100 - RETRY_FROM + 1


def test_too_many_half_open_connections_even_so():
    """Clients that answer the Retry and then say nothing more."""
    server = quic_server()
    for number in range(HALF_OPEN + 20):
        address = ("10.9.0.1", 1000 + number)
        configuration = QuicConfiguration(alpn_protocols=[ALPN])
        connection = QuicConnection(configuration=configuration)
        connection.connect(ALICE, 0.0)
        server.receive_datagram(connection.datagrams_to_send(0.0)[0][0], address, 0)
        for answer, _ in server.transmits():
            if read_header(answer).packet_type is QuicPacketType.RETRY:
                connection.receive_datagram(answer, ALICE, 0.0)
                server.receive_datagram(connection.datagrams_to_send(0.0)[0][0], address, 0)
    assert server.half_open == HALF_OPEN
    assert server.turned_away == 20


def test_the_token_of_a_retry_is_good_for_one_address_only():
    server = quic_server()
    for number in range(RETRY_FROM):
        server.receive_datagram(first_packet(), ("10.9.0.1", number), 0)
    server.transmits()
    connection = QuicConnection(configuration=QuicConfiguration(alpn_protocols=[ALPN]))
    connection.connect(ALICE, 0.0)
    server.receive_datagram(connection.datagrams_to_send(0.0)[0][0], BOB, 0)
    ((retry, _),) = server.transmits()
    connection.receive_datagram(retry, ALICE, 0.0)
    again = connection.datagrams_to_send(0.0)[0][0]
    server.receive_datagram(again, ("10.66.6.6", 1), 0)
    assert (server.half_open, server.junk) == (RETRY_FROM, 1)
    server.receive_datagram(again, BOB, 0)
    assert server.half_open == RETRY_FROM + 1


def test_no_more_than_three_times_what_a_stranger_sent():
    """RFC 9000 section 8.1: until its address is validated, however long it is waited for."""
    server = quic_server()
    asked = first_packet()
    server.receive_datagram(asked, BOB, 0)
    answered, now = 0, 0
    for _ in range(1000):
        answered += sum(len(data) for data, _ in server.transmits())
        due = server.deadline()
        if due is None or due > seconds(20):
            break
        now = max(now, due)
        server.tick(now)
    assert 0 < answered <= 3 * len(asked)
    assert now >= seconds(5)
    assert server.half_open == 0


def test_another_version_is_told_which_we_speak():
    server = quic_server()
    asked = bytearray(first_packet())
    asked[1:5] = b"\x1a\x2a\x3a\x4a"  # reserved to be unknown: RFC 9000 section 15
    server.receive_datagram(bytes(asked), BOB, 0)
    ((answer, to),) = server.transmits()
    header = read_header(answer)
    assert (header.packet_type, to) == (QuicPacketType.VERSION_NEGOTIATION, BOB)
    assert header.supported_versions == [1, 0x6B3343CF]
    assert server.half_open == 0
    server.receive_datagram(bytes(asked[: FULL_SIZE - 1]), BOB, 0)  # too short to be answered
    server.receive_datagram(encode_quic_version_negotiation(b"12345678", b"abcdefgh", [1]), BOB, 0)
    assert server.transmits() == []
    assert server.junk == 2


def test_who_offers_no_protocol_of_ours_is_refused():
    server = quic_server()
    connection = QuicConnection(configuration=QuicConfiguration(alpn_protocols=["h3"]))
    connection.connect(ALICE, 0.0)
    server.receive_datagram(connection.datagrams_to_send(0.0)[0][0], BOB, 0)
    (refused, closed) = server.events()
    assert "No common ALPN" in str(refused.error)
    assert not closed.clean


def mutations(rng: Random, real: list[bytes]) -> bytes:
    """Noise, noise that looks like QUIC, and damaged pieces of a real conversation."""
    match rng.randrange(5):
        case 0:
            return rng.randbytes(rng.randrange(1500))
        case 1:
            return bytes([0xC0 | rng.randrange(64)]) + b"\0\0\0\1" + rng.randbytes(1300)
        case 2:
            return b"\xc0\0\0\0\1\x08" + rng.randbytes(8) + b"\x08" + rng.randbytes(1250)
        case _:
            data = bytearray(rng.choice(real))
            for _ in range(rng.randrange(4)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            return bytes(data)[: rng.choice([len(data), rng.randrange(1, len(data) + 1)])]


def test_noise_neither_breaks_anything_nor_costs_memory():
    """While somebody listens: the sound goes on, and what is kept does not grow."""
    rng = Random(7)
    room = Room(quic_server(200))
    person = room.come(client())
    room.run(seconds(1))
    real = [c.data for c in room.tap.arrived]
    tracemalloc.start()
    sizes = []
    for step in range(100):
        for _ in range(20):
            source = rng.choice([BOB, ("10.0.1.1", 5000), ("10.9.9.9", rng.randrange(1, 65536))])
            room.server.receive_datagram(mutations(rng, real), source, room.world.now)
            room.server.transmits()
        room.tap.sent.clear()
        room.tap.arrived.clear()
        room.run(room.world.now + ms(20))
        if step in (50, 99):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    room.run(seconds(20))
    assert room.server.junk > 1000
    assert room.server.server.refused["from nobody who listens"] == room.server.junk
    assert sizes[1] < sizes[0] + 2_000_000
    assert room.of(person, Refused) == []
    assert len(room.of(person, Received)) > 150
    assert room.server.half_open == 0


def test_noise_at_a_client():
    rng = Random(8)
    room = Room(quic_server(100))
    person = room.come(client(), BOB, lossy(2))
    real = [first_packet(), os.urandom(1200)]
    for _ in range(40):
        room.run(room.world.now + ms(20))
        real = [c.data for c in room.tap.arrived if c.destination == BOB] or real
        for _ in range(10):
            person.receive_datagram(mutations(rng, real), ALICE, room.world.now)
        room.world.wake(person)
    room.run(seconds(8))
    assert room.of(person, Refused) == []
    assert len(room.of(person, Received)) > 90


def test_a_sender_alone_takes_the_first_client_and_no_other():
    """Without a `QuicServer`: one session, one connection."""
    session = sender(limits=Limits())
    session.tick(0)
    session.receive_datagram(b"noise", BOB, 0)
    session.receive_datagram(b"\xc0\0\0\0\1\x08" + bytes(1300), BOB, 0)
    assert session.strangers == 2
    assert session.peer is None
    session.receive_datagram(first_packet(), BOB, 0)
    assert session.peer == BOB
    session.receive_datagram(first_packet(), ("10.9.9.9", 9), 0)
    assert session.peer == BOB
    assert serving().pins is None
