"""A slow listener never costs a fast one: a server with a simulcast, in virtual time."""

from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.ratecontrol import LOOK
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Received, Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.simulcast import Simulcast
from labkit.endpoints.voice import Voice
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.profile import Profile
from labkit.words.seqnum import ahead32
from labkit.words.units import NS_PER_MS, ms, seconds, ticks_to_ns

BLANKS = {64_000: Blank(160), 32_000: Blank(80), 16_000: Blank(40)}
SERVER = ("10.0.0.1", 5004)

FAST = LinkSpec(delay=ms(10), jitter=ms(2), rate=10_000_000)
THIN = LinkSpec(delay=ms(20), rate=40_000, limit=100)
"""16 of the 40 kbit/s are headers: there is room for the rendition of 16, not for that of 32."""
WIDENED = LinkSpec(
    delay=ms(20), rate=40_000, limit=100, steps=(Step(seconds(60), LinkSpec(delay=ms(20))),)
)


class Room:
    """A server and its listeners, each behind a line of its own."""

    def __init__(self, voice: Voice, lines: dict[str, LinkSpec], session: Any = None) -> None:
        self.voice = voice
        self.server = Server(voice, session or self.rtp)
        self.world = World(1)
        self.world.add(self.server, SERVER)
        self.addresses = {name: (f"10.0.1.{n}", 6000) for n, name in enumerate(lines)}
        self.packets: dict[str, list] = {name: [] for name in lines}
        for name, line in lines.items():
            self.join(name, line, mini=session is not None)

    def rtp(self, address) -> RtpSession:
        return RtpSession(
            Role.SENDER, ssrc=self.voice.ssrc, rtcp_interval=LOOK, rng=Random(str(address))
        )

    def join(self, name: str, line: LinkSpec, *, mini: bool) -> None:
        listener: Any
        if mini:
            listener = DatagramSession(Role.RECEIVER, peer=SERVER)
        else:
            rng = Random(name)
            listener = RtpSession(Role.RECEIVER, peer=SERVER, rtcp_interval=LOOK, rng=rng)
        self.world.add(listener, self.addresses[name])
        profile = Profile("line", "", "", LinkSpec(delay=line.delay), line)
        self.world.connect(listener, self.server, profile)
        self.world.on_event(listener, lambda event: self.take(name, event))

    def take(self, name: str, event) -> None:
        if isinstance(event, Received):
            packet, voice = event.packet, self.voice
            assert voice.started is not None
            ticks = ahead32(packet.timestamp, voice.first_timestamp)
            sent = voice.started + voice.frame_ns + ticks_to_ns(ticks, 48_000)
            self.packets[name].append((sent, event.now - sent, packet))

    def run(self, seconds_: float = 120) -> "Room":
        self.world.run(until=seconds(seconds_))
        return self

    def rendition(self, name: str) -> int | None:
        assert isinstance(self.voice, Simulcast)
        return self.voice.rendition_of(self.addresses[name])

    def delays(self, name: str, start_s: float = 0, end_s: float = 1e9) -> np.ndarray:
        inside = range(seconds(start_s), seconds(end_s))
        return np.array([d for sent, d, _ in self.packets[name] if sent in inside]) / NS_PER_MS

    def sizes(self, name: str, start_s: float = 0, end_s: float = 1e9) -> set[int]:
        inside = range(seconds(start_s), seconds(end_s))
        return {len(packet.payload) for sent, _, packet in self.packets[name] if sent in inside}


def silence() -> Clip:
    return Clip(np.zeros((7000 * 960, 1), np.int16))


def simulcast(**options) -> Simulcast:
    return Simulcast(BLANKS, silence(), rng=Random(1), **options)


@pytest.fixture(scope="module")
def room() -> Room:
    lines = {"ann": FAST, "ben": FAST, "dora": THIN, "emil": WIDENED}
    return Room(simulcast(), lines).run()


def test_each_gets_what_its_line_carries(room):
    """Ann and Ben come to 64 kbit/s and stay there; Dora has 16 most of the time."""
    assert room.sizes("ann", 40) == room.sizes("ben", 40) == {160}
    sizes = [len(p.payload) for sent, _, p in room.packets["dora"] if sent > seconds(10)]
    assert sizes.count(40) > 0.75 * len(sizes)
    assert sizes.count(160) == 0
    assert room.rendition("ann") == 64_000


def test_the_slow_one_hears_everything_and_soon(room):
    """Nothing is lost at 40 kbit/s, and the queue is that of a try now and then."""
    seqs = [packet.seq for _, _, packet in room.packets["dora"]]
    assert {b - a for a, b in pairwise(seqs)} == {1}
    delays = room.delays("dora", 10)
    assert np.median(delays) < 60
    assert delays.max() < 700


def test_who_gets_a_wider_line_climbs(room):
    assert room.sizes("emil", 20, 60) <= {40, 80}
    assert room.sizes("emil", 110) == {160}
    assert np.percentile(room.delays("emil", 110), 99) < 30


def test_the_fast_ones_do_not_notice(room):
    """Packet by packet the delays are those of a room without slow listeners and of one voice.

    The dice of a link are thrown for each packet alike, so the same delays mean the very same.
    """
    lines = {"ann": FAST, "ben": FAST}
    plain = Room(Voice(Blank(160), silence(), rng=Random(1)), lines).run()
    for name in lines:
        before, after = plain.delays(name, 40), room.delays(name, 40)
        for share in (1, 50, 99, 100):
            assert np.percentile(after, share) == pytest.approx(
                np.percentile(before, share), abs=0.1
            )


def test_only_what_somebody_gets_is_encoded(room):
    """Three renditions all the time would be 18 000 frames in two minutes."""
    encoded = {bitrate: each.encoded for bitrate, each in room.voice.renditions.items()}
    assert encoded[64_000] < 5500  # not before somebody gets it
    assert encoded[32_000] < 3000  # while somebody is on its way, or tries
    assert sum(encoded.values()) < 14_000


def test_figures_name_the_rendition_of_each(room):
    figures = room.server.figures(room.world.now)
    assert sorted(client.bitrate for client in figures.clients)[-2:] == [64_000, 64_000]
    assert figures.bitrate == pytest.approx(64_000, rel=0.05)


def test_those_with_one_rendition_get_the_same_bytes(room):
    """A frame is packed once for each rendition, not for each listener."""
    last = range(seconds(118), seconds(119))  # all that was said in it has come, however late
    ann, ben = ([p for at, _, p in room.packets[name] if at in last] for name in ("ann", "ben"))
    assert len(ann) == 50
    assert ann == ben


def test_who_reports_nothing_keeps_what_it_began_with():
    """The datagrams of week 5 have no feedback; RTCP is what adds it."""
    voice = simulcast(start=32_000)
    room = Room(voice, {"ann": FAST}, lambda _: DatagramSession(Role.SENDER, "v=0")).run(30)
    assert room.sizes("ann") == {80}


def test_over_a_stream_the_queue_at_the_door_tells():
    """TCP loses nothing and says nothing: what is known is what waits in our own queue.

    Before it, 64 kB of window and 16 kB of buffer must fill, which nobody can see from here. So it
    takes a while until Dora comes down to 16 kbit/s, and each try of more takes as long. The tries
    get rare, and Ann has 64 all the time. (With the headers of TCP and ours 16 kbit/s are 42.)
    """
    voice = simulcast()
    server = Server(voice, lambda _: StreamSession(Role.SENDER, "v=0"))
    world, renditions = World(1), []
    clients: dict[str, Any] = {}
    for name, line in (("ann", FAST), ("dora", LinkSpec(delay=ms(20), rate=50_000))):
        clients[name] = server.admit(name)
        profile = Profile("line", "", "", LinkSpec(delay=line.delay), line)
        world.connect(StreamSession(Role.RECEIVER), clients[name], profile, stream=True)
        world.on_event(clients[name], partial(take, server, world, name))

    def speak() -> None:
        server.speak(world.now)
        for client in clients.values():
            world.wake(client)
        renditions.append((voice.rendition_of("ann"), voice.rendition_of("dora")))
        world.at(world.now + ms(20), speak)

    world.at(ms(500), speak)
    world.run(until=seconds(130))
    assert not any(client.session.closed for client in clients.values())
    ann, dora = zip(*renditions, strict=True)
    assert set(ann[40 * 50 :]) == {64_000}
    assert dora.count(64_000) < 30 * 50  # of 130 seconds
    assert dora.count(16_000) > 40 * 50
    assert clients["ann"].session.queue.dropped == 0


def take(server: Server, world: World, name: str, event) -> None:
    server.receive_event(name, event, world.now)
