"""One voice and everybody who listens, stepped by hand."""

import gc
import sys
from random import Random

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.flowcontrol import Drop
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Limits, Received, Refused, Role
from labkit.core.source import Clip, Looped
from labkit.core.streamsession import StreamSession
from labkit.endpoints.sender import LINGER
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.sim.world import World
from labkit.wire import framing, rtcp, rtp
from labkit.wire.framing import Kind
from labkit.wire.minirtp import pack, unpack
from labkit.words.errors import AuthenticationError
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Datagram
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


# Who is sent to together ------------------------------------------------------------------------


def test_a_frame_is_packed_once_whoever_listens():
    """One set of copies, for all; who drains nothing but `transmits` gets a datagram for each."""
    machine = server()
    for address in (ANN, BEN):
        machine.receive_datagram(HELLO, address, 0)
    machine.transmits()
    machine.tick(ms(20))
    ((data, everybody),) = machine.copies()
    assert (unpack(data)[0], everybody) == (Kind.MEDIA, (ANN, BEN))
    assert machine.transmits() == []
    assert machine.copies() == []
    machine.receive_datagram(BYE, ANN, ms(30))
    machine.tick(ms(40))
    ((_, everybody),) = machine.copies()
    assert everybody == (BEN,)
    sent = {each.name: each.sent for each in machine.figures(ms(40)).clients}
    assert sent == {"10.0.0.3:2": 2}


def test_whoever_stands_around_a_session_is_not_passed_by():
    """What encrypts looks like the session inside it. Its listeners get nothing in the clear."""

    class Scrambled:
        def __init__(self, inner: DatagramSession) -> None:
            self.inner = inner

        def __getattr__(self, name: str):
            return getattr(self.inner, name)

        def transmits(self):
            return [Datagram(b"scrambled", to) for _, to in self.inner.transmits()]

    voice = Voice(Blank(), Clip(np.zeros((9600, 1), np.int16)), rng=Random(1))
    machine = Server(voice, lambda _: Scrambled(DatagramSession(Role.SENDER, "v=0")))
    machine.receive_datagram(HELLO, ANN, 0)
    machine.transmits()
    machine.tick(ms(20))
    assert machine.copies() == []
    assert machine.transmits() == [Datagram(b"scrambled", ANN)]


def test_a_session_that_took_another_ssrc_has_an_audience_of_its_own():
    """Who uses our SSRC (RFC 3550 section 8.2) changes its own stream, and nobody else's."""
    voice = Voice(Blank(), Clip(np.zeros((96_000, 1), np.int16)), rng=Random(1))
    machine = Server(
        voice, lambda a: RtpSession(Role.SENDER, "v=0", ssrc=voice.ssrc, rng=Random(str(a)))
    )
    for number, address in enumerate((ANN, BEN)):
        machine.receive_datagram(rtcp.pack(rtcp.ReceiverReport(number + 1, ())), address, 0)
    machine.receive_datagram(rtcp.pack(rtcp.ReceiverReport(voice.ssrc, ())), BEN, ms(1))
    machine.transmits()
    machine.tick(ms(20))
    (to_ann, ann), (to_ben, ben) = ((to, rtp.unpack(data)) for data, (to,) in machine.copies())
    assert (to_ann, to_ben) == (ANN, BEN)
    assert ann.ssrc == voice.ssrc != ben.ssrc
    assert ann[:5] == ben[:5]


# The door ---------------------------------------------------------------------------------------


def stream_server(**options) -> Server:
    voice = Voice(Blank(), Clip(np.zeros((96_000, 1), np.int16)), rng=Random(1))
    return Server(voice, lambda _: StreamSession(Role.SENDER, "v=0"), **options)


def ask(machine: Server, name: int, now: int) -> None:
    """A connection's client says HELLO, and its driver passes on what happened."""
    client = machine.clients[name]
    client.tick(now)
    client.receive_data(framing.pack(Packet(0, 0, b""), Kind.HELLO), now)
    for event in client.events():
        machine.receive_event(name, event, now)


def test_who_never_asks_takes_no_seat_and_the_oldest_goes_first():
    machine = stream_server(max_clients=2, max_waiting=3)
    hung_up = []
    machine.hang_up = hung_up.append
    for name in range(1000):
        assert machine.admit(name) is not None
    assert hung_up == list(range(997))
    assert list(machine.clients) == [997, 998, 999]
    ask(machine, 998, 0)
    assert machine.listening() == 1
    assert machine.admit(1000) is not None
    assert hung_up[997:] == []  # 998 has left the door
    assert machine.refused == {"never asked for the stream": 997}


def test_of_two_at_the_door_one_gets_the_last_seat():
    machine = stream_server(max_clients=1)
    hung_up = []
    machine.hang_up = hung_up.append
    for name in "ab":
        machine.admit(name)
    ask(machine, "b", 0)
    ask(machine, "a", 1)
    assert hung_up == ["a"]
    assert machine.admit("c") is None
    figures = machine.figures(0)
    assert (figures.listening, figures.refused_clients) == (1, 2)
    assert figures.refused == {"no room": 2}


def test_who_stands_at_the_door_is_in_no_metric():
    """A name of its own in the figures has who asked for the stream, and nobody else."""
    machine = stream_server()
    for name in range(20):
        machine.admit(name)
    ask(machine, 7, 0)
    figures = machine.figures(0)
    assert [client.name for client in figures.clients] == ["7"]
    assert figures.listening == 1


def test_a_deadline_that_begins_with_sending_is_kept():
    """As of a QUIC connection, which waits for an answer only to what it has sent; and the server
    had asked for the deadline before that."""

    class Waiting(DatagramSession):
        sent_at: int | None = None
        woken = False

        def transmits(self):
            out = super().transmits()
            if out:
                self.sent_at = ms(5)
            return out

        def deadline(self):
            return None if self.sent_at is None or self.woken else self.sent_at + ms(100)

        def tick(self, now):
            super().tick(now)
            self.woken = self.sent_at is not None and now >= self.sent_at + ms(100)

    machine = server()
    machine._make_session = lambda _: Waiting(Role.SENDER, "v=0")
    machine.admit(ANN)
    machine.receive_datagram(HELLO, ANN, ms(5))
    machine.voice = server(frames=0).voice
    assert machine.deadline() is None
    assert len(machine.transmits()) == 1
    assert machine.deadline() == ms(105)
    machine.tick(ms(105))
    assert machine.clients[ANN].session.woken


def test_refusals_are_counted_by_reason_and_never_by_what_a_peer_wrote():
    machine = server()
    machine.receive_datagram(HELLO, ANN, 0)
    machine.receive_datagram(b"\xff" * 9, ANN, 1)
    machine.receive_datagram(b"noise", BEN, 2)
    machine.settle(ANN, 3)
    wrong = Refused(AuthenticationError("the token has expired", reason="expired"))
    machine.receive_event(ANN, wrong, 4)
    assert machine.refused == {"unreadable": 1, "from nobody who listens": 1, "expired": 1}


def test_a_handshake_is_no_noise():
    """A session that has begun one, and says so, may stay at the door until it is through."""

    class Shaking(DatagramSession):
        opening = True

    voice = Voice(Blank(), None, rng=Random(1))
    machine = Server(voice, lambda _: Shaking(Role.SENDER, "v=0"), max_waiting=2)
    for port in range(9):
        machine.receive_datagram(b"hello?", ("10.0.0.9", port), port)
    assert list(machine.clients) == [("10.0.0.9", 7), ("10.0.0.9", 8)]


# Figures and load -------------------------------------------------------------------------------


def test_the_figures_of_a_listener_are_those_of_its_own_reports():
    voice = Voice(Blank(), Clip(np.zeros((96_000, 1), np.int16)), rng=Random(1))
    machine = Server(
        voice, lambda a: RtpSession(Role.SENDER, "v=0", ssrc=voice.ssrc, rng=Random(str(a)))
    )
    block = rtcp.ReportBlock(voice.ssrc, 64, 12, 99, 480, 0, 0)
    machine.receive_datagram(rtcp.pack(rtcp.ReceiverReport(5, ())), ANN, 0)
    machine.receive_datagram(rtcp.pack(rtcp.ReceiverReport(5, (block,))), ANN, ms(1))
    for now in range(ms(20), seconds(2), ms(20)):
        machine.tick(now)
        machine.transmits()
    figures = machine.figures(seconds(2))
    (ann,) = figures.clients
    assert (ann.name, ann.loss, ann.jitter) == ("10.0.0.2:1", 0.25, ms(10))
    assert (ann.sent, ann.queue_limit) == (99, 0)
    assert figures.bitrate == 32_000


def test_an_hour_of_a_listener_that_never_reads():
    """Virtual time: its queue stays at its bound, and memory where it was."""
    voice = Voice(Blank(), Looped(Clip(np.zeros((96_000, 1), np.int16))), rng=Random(1))
    limits = Limits(drop=Drop.TO_KEY_POINT)
    machine = Server(voice, lambda _: StreamSession(Role.SENDER, "v=0", limits=limits))
    for name in ("reads", "never reads"):
        machine.admit(name)
        ask(machine, name, 0)
    good, bad = machine.clients.values()
    bad.transmits()
    bad.pause_writing()
    received, blocks = 0, []
    hello = framing.pack(Packet(0, 0, b""), Kind.HELLO)
    for second in range(3600):
        for _ in range(50):
            now = machine.speaks()
            machine.speak(now)
            received += sum(len(each) > 20 for each in good.transmits())
        voice.trace.entries.clear()
        for client in (good, bad):  # both say that they are still there
            client.receive_data(hello, now)
            client.tick(now)
            assert client.events() == []
        if second % 600 == 60:
            gc.collect()
            blocks.append(sys.getallocatedblocks())
    figures = {each.name: each for each in machine.figures(now).clients}
    slow = figures["never reads"]
    assert received == figures["reads"].sent == 180_000
    assert (slow.queued, slow.queue_limit, slow.dropped) == (50, 50, 180_000 - 50)
    assert slow.lag == ms(20) * 49
    assert max(blocks) - min(blocks) < 200


def test_the_work_for_a_datagram_does_not_grow_with_the_listeners():
    """Counted, not timed: how many clients are asked for their deadline by one datagram."""
    machine = server()
    machine.max_clients = 1000
    asked = []
    for port in range(1000):
        machine.receive_datagram(HELLO, ("10.0.0.9", port), 0)
    machine.transmits()
    machine.deadline()
    for name, client in machine.clients.items():
        client.deadline = lambda name=name, real=client.deadline: (asked.append(name), real())[1]
    machine.receive_datagram(HELLO, ("10.0.0.9", 7), ms(1))
    machine.deadline()
    assert asked == [("10.0.0.9", 7)]
