"""Whole calls in which something happens that happens seldom."""

import gc
from random import Random

import numpy as np
import pytest

from labkit.codec import Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.playout import Playout
from labkit.core.ringbuffer import RingBuffer
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Role
from labkit.core.source import tone
from labkit.endpoints.receiver import Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.sim.clock import SkewedClock
from labkit.sim.devices import Card
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.trace import Did
from labkit.words.units import SAMPLE_RATE, ms, ns_to_ticks, seconds, to_ms, to_seconds

TRANSPORTS = ["rtp", "udp", "tcp"]
JITTER = LinkSpec(delay=ms(40), jitter=ms(5), distribution="normal")


# Numbers that begin again at zero -------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sequence_numbers_and_timestamps_wrap_within_a_call(talk, numbers, quiet, transport):
    """Two seconds on either side of both wraps: every frame is played once, and in its order."""
    rng = numbers(bits15=0x10000 - 100, bits32=0x1_0000_0000 - 150 * 960)
    call = talk(quiet(200), transport=transport, down=JITTER, rng=rng).run()
    assert call.sent() == list(range(0x10000 - 100, 0x10000 + 100))
    assert call.fates(Did.PLAYED) == call.sent()
    assert call.fates(Did.CONCEALED) == []
    stamps = [heard.timestamp for heard in call.heard if heard.timestamp is not None]
    assert np.diff(stamps).tolist() == [960] * 199
    assert call.receiver.session.stats.lost == 0


def test_packets_lost_across_the_wrap_are_counted_and_concealed(talk, numbers, quiet):
    """The last before the wrap and the first after it never arrive."""
    gone = {0xFFFE, 0xFFFF, 0x10000, 0x10001}
    rng = numbers(bits15=0x10000 - 50)
    call = talk(quiet(100), rng=rng, policy=Fixed(ms(150)))
    send = call.sender.session.send
    turns = iter(range(0x10000 - 50, 0x10000 + 50))
    call.sender.session.send = lambda packet, now: (
        None if next(turns) in gone else send(packet, now)
    )
    call.run()
    assert set(call.fates(Did.CONCEALED)) == gone
    assert call.receiver.session.stats.lost == 4
    assert len(call.fates(Did.PLAYED)) == 96


# Duplicates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["rtp", "udp"])
def test_a_link_that_doubles_everything(talk, quiet, transport):
    """Every packet comes twice and is played once, nothing is late or lost."""
    link = LinkSpec(delay=ms(40), jitter=ms(5), distribution="normal", duplicate=1.0)
    call = talk(quiet(200), transport=transport, down=link).run()
    assert call.fates(Did.PLAYED) == call.sent()
    assert len(call.fates(Did.ARRIVED)) == 400
    assert call.receiver.session.stats.duplicates == 200
    assert call.receiver.buffer.duplicates == 200


def test_a_storm_of_copies_of_one_packet(talk, quiet):
    """A thousand copies at one instant cost nothing but their counting."""
    call = talk(quiet(100))
    receive = call.receiver.receive_datagram
    depths = []

    def storm(data: bytes, source: object, now: int) -> None:
        copies = 1000 if call.receiver.session.stats.received == 50 else 1
        for _ in range(copies):
            receive(data, source, now)
        if call.receiver.buffer is not None:
            depths.append(len(call.receiver.buffer))

    call.receiver.receive_datagram = storm
    call.run()
    assert call.receiver.buffer.duplicates == 999
    assert max(depths) <= 10
    assert call.fates(Did.PLAYED) == call.sent()
    assert call.fates(Did.CONCEALED) == []


# Clocks that do not agree ---------------------------------------------------------------------


class Endless:
    """An hour of silence that takes no memory."""

    sample_rate, channels = SAMPLE_RATE, 1

    def __init__(self, duration_s: float) -> None:
        self._frames = round(duration_s * 50)
        self._silence = np.zeros((960, 1), np.int16)

    def read(self, samples: int):
        self._frames -= 1
        return self._silence if self._frames >= 0 else None


class CardThatForgets(Card):
    """A loudspeaker that keeps nothing of what it plays."""

    def __init__(self, ring: RingBuffer, ppm: int) -> None:
        super().__init__(ppm=ppm, block=480)
        self._ring = ring
        self._out = np.empty((480, 1), np.int16)

    def _turn(self, now: int) -> None:
        self._ring.read_into(self._out, now)


class Minutes:
    """What a receiver has in hand, minute by minute, in ms; traces are forgotten as time goes."""

    def __init__(self, call) -> None:
        self.call = call
        self.played = 0
        """Samples that were heard."""
        self.first: int | None = None
        self.last = 0
        """When the first and the last turn were."""
        self.objects: list[int] = []
        """How many objects Python keeps, at the end of each minute."""
        self._turns: list[list[float]] = [[]]

    def take(self, event) -> None:
        if not isinstance(event, Heard):
            self.call.take(event)
            return
        self.played += len(event.played)
        self.first = event.now if self.first is None else self.first
        self.last = event.now
        self._turns[-1].append(to_ms(self.call.receiver.buffer.depth(event.now)))
        if len(self._turns[-1]) == 3000:
            self._turns.append([])
            self.call.events.clear()
            for trace in (self.call.receiver.trace, self.call.voice.trace):
                trace.entries.clear()  # which a call keeps on purpose
            self.objects.append(len(gc.get_objects()))

    @property
    def depth(self) -> list[float]:
        """The mean of each whole minute."""
        return [float(np.mean(turns)) for turns in self._turns if len(turns) == 3000]


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_clock_200_ppm_off_for_an_hour(talk, ppm):
    """Too fast or too slow by 720 ms in an hour, thirty-six frames: no delay grows, nothing leaks.

    All of the sound is played, in the time that it lasts by our clock.
    """
    call = talk(Endless(3600), down=JITTER, clock=SkewedClock(ppm, offset=seconds(77)))
    minutes = Minutes(call)
    call.world.on_event(call.receiver, minutes.take)
    call.world.run(until=seconds(3700), stop=lambda: call.finished)
    assert call.finished
    buffer = call.receiver.buffer
    assert buffer.played + buffer.late == 180_000
    assert buffer.late < 20  # of those that a jitter of 5 ms made late
    assert buffer.skipped == buffer.strays == 0
    took = ns_to_ticks(minutes.last - minutes.first, SAMPLE_RATE)
    assert 0 < minutes.played - took < 2 * 960  # the last frame, and what is not scaled yet
    said_in = 3600 * 1_000_000 / (1_000_000 + ppm)
    assert to_seconds(minutes.last - minutes.first) == pytest.approx(said_in + 0.3, abs=0.1)
    depth = minutes.depth
    print(f"\nin the buffer: {depth[0]:.2f} ms in the first minute, {depth[-1]:.2f} in the last")
    assert len(depth) == 60
    assert abs(depth[-1] - depth[0]) < 5  # a quarter of a frame
    assert max(depth) - min(depth) < 10
    assert minutes.objects[-1] - minutes.objects[5] < 500


@pytest.mark.parametrize("ppm", [200, -200])
def test_three_clocks_and_none_agrees(talk, ppm):
    """The sender's is off one way, the sound card's the other: two buffers stay as they were."""
    call = talk(Endless(600), down=JITTER, clock=SkewedClock(ppm))
    ring = RingBuffer(SAMPLE_RATE, 1)
    playout = Playout(ring, round(0.04 * SAMPLE_RATE))
    minutes, levels = Minutes(call), []

    def take(event) -> None:
        if isinstance(event, Heard):
            playout.write(event.played, event.now)
            levels.append(to_ms(ring.fill * seconds(1) // SAMPLE_RATE))
        minutes.take(event)

    call.world.add(CardThatForgets(ring, -ppm))
    call.world.on_event(call.receiver, take)
    call.world.run(until=seconds(10))
    underruns = ring.underruns
    call.world.run(until=seconds(590))
    level = [np.mean(levels[minute * 3000 :][:3000]) for minute in range(9)]
    print(f"\nin the ring: {level[0]:.1f} ms in the first minute, {level[-1]:.1f} in the last")
    assert ring.underruns == underruns
    assert playout.skipped == 0
    assert playout.drift == pytest.approx(-ppm, abs=50)
    assert max(level) - min(level) < 20
    assert level[-1] == pytest.approx(level[0], abs=10)


# A sender that starts again -------------------------------------------------------------------


class Restartable:
    """A machine in whose place another one can be put, as when a program is started again."""

    def __init__(self, machine) -> None:
        self.machine = machine

    def __getattr__(self, verb: str):
        return getattr(self.machine, verb)


def test_a_sender_that_starts_again_is_heard_again():
    """Without a goodbye: another SSRC, other numbers, from the same address. The call goes on.

    The new one is asked by the receiver's next report; until then silence is concealed.
    """
    alice, bob = ("10.0.0.1", 5004), ("10.0.0.2", 5006)
    codec = Opus(24_000)
    often = {"rtcp_interval": seconds(1)}

    def sender(seed: int) -> Sender:
        session = RtpSession(Role.SENDER, "v=0", rng=Random(seed), **often)
        return Sender(session, Voice(codec, tone(duration_s=4), rng=Random(seed)))

    session = RtpSession(Role.RECEIVER, "v=0", peer=alice, rng=Random(3), **often)
    receiver = Receiver(session, codec, policy=Fixed(ms(60)))
    place = Restartable(sender(1))
    heard: list[Heard] = []
    world = World(1)
    world.add(place, alice)
    world.add(receiver, bob)
    world.connect(receiver, place)
    world.on_event(receiver, lambda e: heard.append(e) if isinstance(e, Heard) else None)
    world.run(until=seconds(2))
    first, place.machine = place.machine, sender(2)
    world.run(until=seconds(30), stop=lambda: receiver.finished)

    assert receiver.closed == Closed(clean=True, by="peer", why="BYE")
    assert first.voice.ssrc != place.voice.ssrc
    loud = [abs(int(h.played.max())) > 4000 for h in heard]
    before, after = loud[5:95], loud[-190:-30]  # four seconds, and the wait for the goodbye
    assert all(before)
    assert all(after)
    assert 0 < loud.count(False) < 2 * 50
    assert receiver.buffer.played == 100 + 200  # of the first in two seconds, of the second all
