"""A rate controller at work: voices on a narrow line, in virtual time (week 10).

    flow = adapt(adaptive(), NARROW)              one voice, a line that is widened on the way
    flow.waits(), flow.loss()                     how long its packets queued, how many were lost
    share([adaptive(), adaptive()], SHARED)       two voices on one line

A controller is anything with `on_feedback` and `bitrate`. The voices are silent (`Blank`), so that
a bitrate is exactly what it says. Everything else is real: RTP, RTCP twice a second, a line that
queues and drops as `tc netem` would. The same seed gives the same run.

This module decides nothing: it lays links and looks on. `labkit.lab.ratepictures` draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from labkit.codec import Blank
from labkit.core.congestion import Feedback, LossDetector
from labkit.core.impairment import UDP_HEADERS
from labkit.core.ratecontrol import LOOK, Aimd, RateController
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Received, Role
from labkit.core.source import Clip
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.sim.world import World
from labkit.wire.rtp import HEADER_SIZE
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.machine import Address, Event
from labkit.words.profile import Profile
from labkit.words.routed import Routed
from labkit.words.seqnum import Unwrapper, ahead32
from labkit.words.units import NS_PER_MS, ms, seconds, ticks_to_ns

HEADERS: Final = UDP_HEADERS + HEADER_SIZE
"""Bytes before each payload: IPv4, UDP and RTP."""
VOICE_HEADERS: Final = HEADERS * 8 * 50
"""Bits a second that they take: 16 kbit/s, as much as the thinnest voice itself."""

NARROW: Final = LinkSpec(
    delay=ms(20),
    rate=40_000,
    limit=100,
    steps=(Step(seconds(60), LinkSpec(delay=ms(20), rate=120_000, limit=100)),),
)
"""40 kbit/s, of which 24 are left for a voice; after a minute three times as much."""

SHARED: Final = LinkSpec(delay=ms(20), rate=112_000, limit=20)
"""Room for two voices of 40 kbit/s."""


class Watched:
    """Any controller, with a record of what it was told and what it said."""

    def __init__(self, controller: RateController) -> None:
        self.controller = controller
        self.told: list[tuple[int, Feedback]] = []
        self.said: list[tuple[int, int]] = [(0, controller.bitrate)]

    @property
    def bitrate(self) -> int:
        """What the controller says."""
        return self.controller.bitrate

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        """Tell it, and write down both."""
        self.controller.on_feedback(feedback, now)
        self.told.append((now, feedback))
        self.said.append((now, self.controller.bitrate))


@dataclass
class Flow:
    """One voice and its listener, and what became of each packet."""

    controller: Watched
    sender: Sender
    session: RtpSession
    line: LinkSpec
    arrived: list[tuple[int, int, int]] = field(default_factory=list)
    """Sequence number, when it was sent, how long it took; in nanoseconds."""
    _unwrap: Unwrapper = field(default_factory=lambda: Unwrapper(16))

    def hear(self, event: Event) -> None:
        """What the listener's session tells."""
        if isinstance(event, Received):
            voice = self.sender.voice
            assert voice is not None
            assert voice.started is not None
            packet = event.packet
            ticks = ahead32(packet.timestamp, voice.first_timestamp)
            sent = voice.started + voice.frame_ns + ticks_to_ns(ticks, voice.codec.sample_rate)
            self.arrived.append((self._unwrap(packet.seq), sent, event.now - sent))

    def bitrates(self, start_s: float = 0) -> npt.NDArray[np.int64]:
        """What the controller said from so many seconds on, in bits a second."""
        return np.array([rate for now, rate in self.controller.said if now >= seconds(start_s)])

    def waits(self, start_s: float = 0, end_s: float = 1e9) -> npt.NDArray[np.float64]:
        """How long packets sent in this time queued, in ms: their delay less the shortest."""
        shortest = min(delay for _, _, delay in self.arrived)
        inside = range(seconds(start_s), seconds(end_s))
        waits = [delay - shortest for _, sent, delay in self.arrived if sent in inside]
        return np.array(waits) / NS_PER_MS

    @property
    def lost(self) -> list[int]:
        """When the packets that never came were sent, in nanoseconds."""
        voice = self.sender.voice
        assert voice is not None
        assert voice.started is not None
        first, started, _ = self.arrived[0]
        came = {seq for seq, _, _ in self.arrived}
        gone = sorted(set(range(first, max(came))) - came)
        return [started + (seq - first) * voice.frame_ns for seq in gone]

    def loss(self, start_s: float = 0, end_s: float = 1e9) -> float:
        """The share of packets, sent in this time, that never came."""
        inside = range(seconds(start_s), seconds(end_s))
        gone = sum(when in inside for when in self.lost)
        came = sum(sent in inside for _, sent, _ in self.arrived)
        return gone / (gone + came) if gone + came else 0.0


class Junction:
    """Passes every datagram on, unchanged and at once: where lines meet."""

    def __init__(self) -> None:
        self._out: list[Routed] = []

    def receive_routed(self, data: bytes, source: Address, destination: Address, now: int) -> None:
        """Pass it on."""
        self._out.append(Routed(data, source, destination))

    def tick(self, now: int) -> None:
        """It has nothing to do."""

    def deadline(self) -> None:
        """It never wants to be woken."""

    def transmits(self) -> list[Routed]:
        """What it passes on."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """It says nothing."""
        return []


# Runs --------------------------------------------------------------------------------------------

WIRE: Final = LinkSpec(delay=ms(1))


def adapt(controller: RateController, line: LinkSpec | Profile = NARROW, **options: Any) -> Flow:
    """One voice on one line. Options as of `share`."""
    return share([controller], line, **options)[0]


def yes_or_no() -> Aimd:
    """AIMD by the plainest signal: some packets were lost, or none (Chiu and Jain 1989)."""
    return Aimd(LossDetector(0.02, 0.02, reports=1))


def share(
    controllers: Sequence[RateController],
    line: LinkSpec | Profile,
    *,
    duration_s: float = 120,
    report_interval: int = LOOK,
    join_s: Sequence[float] = (),
    seed: int = 1,
) -> list[Flow]:
    """Several voices, each with its controller, that go over one line: a dumbbell.

    `line` carries the voices, and an empty one of the same delay what comes back; a profile brings
    its own. `join_s` says when each listener comes, in seconds. `seed` decides what the line does
    at random.
    """
    world, near, far = World(seed), Junction(), Junction()
    profile = line if isinstance(line, Profile) else _profile(line)
    world.add(near, "near")
    world.add(far, "far")
    # `up` leads away from a listener. Each junction sends all that it does not know to the other.
    world.connect(far, near, profile, gateway=True)
    world.connect(near, far, replace(profile, up=profile.down, down=profile.up), gateway=True)
    frames = round(duration_s * 50)
    flows = []
    for number, controller in enumerate(controllers):
        flow = _flow(Watched(controller), profile.down, frames, number, report_interval)
        world.add(flow.sender, _speaker(number))
        world.connect(flow.sender, near, _profile(WIRE), gateway=True)
        start = seconds(join_s[number]) if join_s else 0
        world.at(start, partial(_come, world, far, flow, number))
        flows.append(flow)
    world.run(until=seconds(duration_s))
    return flows


def _flow(controller: Watched, line: LinkSpec, frames: int, number: int, interval: int) -> Flow:
    voice = Voice(Blank(), Clip(np.zeros((frames * 960, 1), np.int16)), rng=Random(number))
    source = RtpSession(
        Role.SENDER, ssrc=voice.ssrc, rtcp_interval=interval, rng=Random(f"from {number}")
    )
    session = RtpSession(
        Role.RECEIVER, peer=_speaker(number), rtcp_interval=interval, rng=Random(f"to {number}")
    )
    return Flow(controller, Sender(source, voice, controller), session, line)


def _come(world: World, far: Junction, flow: Flow, number: int) -> None:
    world.add(flow.session, ("10.0.2.1", 6000 + number))
    world.connect(flow.session, far, _profile(WIRE), gateway=True)
    world.on_event(flow.session, flow.hear)
    flow.session.tick(world.now)
    world.wake(flow.session)


def _speaker(number: int) -> Address:
    return f"10.0.1.{number + 1}", 5004


def _profile(spec: LinkSpec) -> Profile:
    return Profile("line", "an experiment", "chosen", LinkSpec(delay=spec.delay), spec)


def jain(rates: Sequence[float]) -> float:
    """Jain's index of fairness: 1 when all have the same, 1/n when one has everything.

    Jain, Chiu and Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
    """
    return sum(rates) ** 2 / (len(rates) * sum(rate**2 for rate in rates))


def room(line: LinkSpec, now: int) -> float | None:
    """Bits of payload a second for which a line has room, at an instant; None: no limit."""
    rate = line.at(now).rate
    return rate - VOICE_HEADERS if rate else None
