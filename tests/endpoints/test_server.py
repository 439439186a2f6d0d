"""One voice and everybody who listens, stepped by hand."""

from random import Random

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Received, Role
from labkit.core.source import Clip
from labkit.endpoints.sender import LINGER
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.sim.world import World
from labkit.wire.framing import Kind
from labkit.wire.minirtp import pack, unpack
from labkit.words.linkspec import LinkSpec
from labkit.words.packet import Packet
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

HELLO = pack(Packet(0, 0, b""), Kind.HELLO)
BYE = pack(Packet(0, 0, b""), Kind.BYE)
ANN, BEN = ("10.0.0.2", 1), ("10.0.0.3", 2)


def server(frames: int = 50, **options) -> Server:
    voice = Voice(Blank(), Clip(np.zeros((frames * 960, 1), np.int16)), rng=Random(1))
    return Server(voice, lambda _: DatagramSession(Role.SENDER, "v=0"), **options)


def kinds(server: Server) -> list[tuple[Kind, object]]:
    """What it wants sent, and to whom."""
    return [(unpack(data)[0], to) for data, to in server.transmits()]


def test_the_voice_begins_when_the_first_listener_joins():
    """Nobody misses the first word; the first frame leaves when its last sample exists."""
    machine = server()
    machine.tick(0)
    assert machine.deadline() is None
    machine.receive_datagram(HELLO, ANN, ms(7))
    assert machine.deadline() == ms(27)
    assert kinds(machine) == [(Kind.DESCRIPTION, ANN)]
    machine.tick(ms(27))
    assert kinds(machine) == [(Kind.MEDIA, ANN)]


def test_each_frame_is_made_once_and_sent_to_all():
    machine = server()
    for address in (ANN, BEN):
        machine.receive_datagram(HELLO, address, 0)
    machine.transmits()
    machine.tick(ms(20))
    (to_ann, ann), (to_ben, ben) = machine.transmits()
    assert {ann, ben} == {ANN, BEN}
    assert to_ann == to_ben
    assert machine.listening() == 2


@pytest.mark.parametrize("noise", [b"", b"noise", BYE, pack(Packet(1, 2, b"x"))])
def test_noise_from_strangers_costs_no_memory(noise):
    """A million addresses may be forged: only who says HELLO has a place."""
    machine = server()
    for port in range(1000):
        machine.receive_datagram(noise, ("10.9.9.9", port), ms(port))
        machine.transmits()
        machine.events()
    assert machine.clients == {}
    assert machine.refused_clients == 0


def test_a_full_house_refuses_and_lets_in_again():
    machine = server(max_clients=1)
    machine.receive_datagram(HELLO, ANN, 0)
    machine.receive_datagram(HELLO, BEN, 1)
    assert kinds(machine) == [(Kind.DESCRIPTION, ANN)]
    assert machine.refused_clients == 1
    machine.receive_datagram(BYE, ANN, 2)
    assert kinds(machine) == [(Kind.BYE, ANN)]  # its last words are still sent
    machine.receive_datagram(HELLO, BEN, 3)
    assert kinds(machine) == [(Kind.DESCRIPTION, BEN)]
    assert list(machine.clients) == [BEN]


def test_who_is_silent_for_long_is_forgotten():
    """A receiver asks again every two seconds; one that does not is gone."""
    machine = server(frames=2000)
    machine.receive_datagram(HELLO, ANN, 0)
    now = 0
    while (now := machine.deadline()) is not None and now < seconds(16):
        machine.tick(now)
        machine.transmits()
    assert machine.clients == {}
    closed = [event for event in machine.events() if isinstance(event, Closed)]
    assert [(event.clean, event.why) for event in closed] == [(False, "nothing heard for 15 s")]


def test_after_the_last_word_everybody_gets_a_goodbye():
    """Not at once: it must not overtake the last word."""
    machine = server(frames=2)
    for address in (ANN, BEN):
        machine.receive_datagram(HELLO, address, 0)
    said: list[tuple[int, Kind]] = []
    while (now := machine.deadline()) is not None and not machine.closed:
        machine.tick(now)
        said += [(now, kind) for kind, _ in kinds(machine)]
        if machine.closing:
            for address in (ANN, BEN):
                machine.receive_datagram(BYE, address, now)
    last_word = max(now for now, kind in said if kind is Kind.MEDIA)
    goodbyes = [now for now, kind in said if kind is Kind.BYE]
    assert goodbyes == [last_word + ms(20) + LINGER] * 2  # 20 ms later the source is at its end
    assert machine.closed


def test_rtp_listeners_come_and_go_in_virtual_time():
    """Three join at different times; each hears what is said while it is there."""
    codec = Blank()
    voice = Voice(codec, Clip(np.zeros((200 * 960, 1), np.int16)), rng=Random(1))

    def make(address) -> RtpSession:
        return RtpSession(Role.SENDER, "v=0", ssrc=voice.ssrc, rng=Random(str(address)))

    machine = Server(voice, make)
    world = World(1)
    world.add(machine, ("10.0.0.1", 5004))
    link = Profile("", "", "", LinkSpec(delay=ms(10)), LinkSpec(delay=ms(10)))
    heard: dict[int, list[int]] = {}
    sessions = {}
    for start in (0, 1, 2):
        session = RtpSession(Role.RECEIVER, peer=("10.0.0.1", 5004), rng=Random(start))
        sessions[start], heard[start] = session, []

        def come(session=session, start=start) -> None:
            world.add(session, ("10.0.1.1", 6000 + start))
            world.connect(session, machine, link)
            world.on_event(session, lambda e, to=heard[start]: note(e, to))
            session.tick(world.now)
            world.wake(session)

        world.at(seconds(start), come)

    def note(event, to: list[int]) -> None:
        if isinstance(event, Received):
            to.append(event.packet.seq)

    def leave() -> None:
        sessions[1].close(world.now)
        world.wake(sessions[1])

    world.at(ms(2500), leave)
    joined = []
    world.on_event(machine, lambda e: joined.append(e) if isinstance(e, Joined) else None)
    world.run(until=seconds(10))
    first = heard[0][0]
    assert heard[0] == list(range(first, first + 200))
    assert heard[1] == list(range(heard[1][0], heard[1][-1] + 1))
    assert 70 <= len(heard[1]) <= 76  # a second and a half
    assert heard[2][-1] == first + 199
    assert 98 <= len(heard[2]) <= 101
    assert len(joined) == 3
    assert all(session.closed for session in sessions.values())
    assert machine.closed
