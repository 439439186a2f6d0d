"""A rate controller at work: voices on a narrow line, in virtual time, and pictures (week 10).

    flow = adapt(adaptive(), NARROW)              one voice, a line that is widened on the way
    adaptation({"both": flow})                    bitrate, delay and loss over time
    flows = share([loss_based(), loss_based()], LinkSpec(rate=100_000))
    fairness(flows)                               how two voices come to share a line

A controller is anything with `on_feedback` and `bitrate`. The voices are silent (`Blank`), so that
a bitrate is exactly what it says. Everything else is real: RTP, RTCP twice a second, a line that
queues and drops as `tc netem` would. The same seed gives the same run.

This module decides nothing: it lays links, looks on, and draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from labkit.codec import Blank
from labkit.core.congestion import Feedback
from labkit.core.impairment import UDP_HEADERS
from labkit.core.ratecontrol import LOOK, RateController
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
from labkit.words.units import NS_PER_MS, NS_PER_S, ms, seconds, ticks_to_ns

if TYPE_CHECKING:
    from labkit.lab.show import Picture

HEADERS: Final = UDP_HEADERS + HEADER_SIZE
"""Bytes before each payload: IPv4, UDP and RTP. At 50 packets a second they are 16 kbit/s."""

NARROW: Final = LinkSpec(
    delay=ms(20),
    rate=40_000,
    limit=100,
    steps=(Step(seconds(60), LinkSpec(delay=ms(20), rate=120_000, limit=100)),),
)
"""40 kbit/s, of which 24 are left for a voice; after a minute three times as much."""


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
    return rate - HEADERS * 8 * 50 if rate else None


# Pictures ----------------------------------------------------------------------------------------


def adaptation(flows: Mapping[str, Flow]) -> "Picture":
    """Bitrate, wait and loss over time, one above the other; a colour for each flow."""
    from labkit.lab.show import GREY, LATE, LOST, PLAYED, RECOVERED, Picture, canvas

    colours = dict(zip(flows, (LATE, PLAYED, RECOVERED, LOST), strict=False))
    with canvas(height=2.3, rows=3) as (figure, (rates, waits, losses)):
        _draw_room(rates, next(iter(flows.values())), GREY)
        for name, flow in flows.items():
            colour = colours[name]
            times, said = _columns(flow.controller.said)
            rates.step(times, said / 1000, where="post", color=colour, lw=1.6, label=name)
            sent, wait = _waits(flow)
            waits.plot(sent, wait, color=colour, lw=1.2)
            when, share = _loss_each_second(flow)
            losses.step(when, 100 * share, where="post", color=colour, lw=1.4)
        for axes, label in (
            (rates, "bitrate (kbit/s)"),
            (waits, "wait in the queue (ms)"),
            (losses, "lost (% of each second)"),
        ):
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        losses.set_ylim(0, max(10.0, losses.get_ylim()[1]))
        losses.set_xlabel("time (s)")
        losses.set_xlim(0, None)
        rates.set_ylim(0, 70)
        figure.align_ylabels()
        figure.legend(loc="outside upper center", ncols=len(flows) + 1)
    return Picture(figure, "; ".join(f"{name}: {_in_words(flow)}" for name, flow in flows.items()))


def _draw_room(axes: Any, flow: Flow, colour: str) -> None:
    """What the line has room for, as a dark step."""
    end = flow.controller.said[-1][0]
    moments = [0, *(step.at for step in flow.line.steps if step.at < end), end]
    known = [(now, room(flow.line, now)) for now in moments]
    if all(value is not None for _, value in known):
        values = [value / 1000 for _, value in known if value is not None]
        times = [now / NS_PER_S for now, _ in known]
        axes.fill_between(times, values, step="post", color=colour, alpha=0.16, lw=0, label="room")


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
    table = np.array(pairs)
    return table[:, 0] / NS_PER_S, table[:, 1]


def _waits(flow: Flow) -> tuple[Any, Any]:
    sent = np.array([sent for _, sent, _ in flow.arrived]) / NS_PER_S
    return sent, flow.waits()


def _loss_each_second(flow: Flow) -> tuple[Any, Any]:
    lost = np.array(flow.lost, dtype=np.int64) // NS_PER_S
    came = np.array([sent for _, sent, _ in flow.arrived]) // NS_PER_S
    end = int(came.max()) + 1
    gone, there = np.bincount(lost, minlength=end)[:end], np.bincount(came, minlength=end)
    return np.arange(end), gone / np.maximum(gone + there, 1)


def _in_words(flow: Flow) -> str:
    rates, waits = flow.bitrates(), flow.waits()
    return (
        f"{rates.min() / 1000:.0f} to {rates.max() / 1000:.0f} kbit/s, "
        f"median wait {np.median(waits):.0f} ms, longest {waits.max():.0f}, "
        f"{100 * flow.loss():.1f} % lost"
    )


def fairness(flows: Sequence[Flow], title: str = "") -> "Picture":
    """The bitrates of two voices against each other, as Chiu and Jain draw them.

    Along a line of 45 degrees both get the same more; towards the origin both lose the same share.
    """
    from labkit.lab.show import GREY, LATE, LINE, PLAYED, Picture, canvas

    first, second = (_sampled(flow) for flow in flows)
    count = min(len(first), len(second))
    x, y = first[:count] / 1000, second[:count] / 1000
    start = int(np.argmax(y > 0))
    with canvas(width=6.2, height=5.6) as (figure, all_axes):
        axes = all_axes[0]
        top = 1.08 * max(x.max(), y.max())
        axes.plot((0, top), (0, top), color=GREY, lw=1, ls="--", label="both have the same")
        capacity = room(flows[0].line, 0)
        if capacity is not None:
            whole = (capacity - HEADERS * 8 * 50) / 1000
            axes.plot((0, whole), (whole, 0), color=GREY, lw=1, label="the line is full")
        axes.plot(x[start:], y[start:], color=PLAYED, lw=1.1, alpha=0.8)
        axes.plot(x[start], y[start], "o", color=LATE, ms=9, label="the second one comes")
        axes.plot(x[-1], y[-1], "o", color=LINE, ms=9, label="the end")
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_aspect("equal")
        axes.set_xlabel("bitrate of the first voice (kbit/s)")
        axes.set_ylabel("bitrate of the second voice (kbit/s)")
        axes.set_title(title)
        axes.legend(loc="upper right")
    index = jain([float(x[-count // 2 :].mean()), float(y[-count // 2 :].mean())])
    return Picture(figure, f"Two voices on one line; Jain's index of the second half {index:.3f}")


def _sampled(flow: Flow, every: int = ms(100)) -> npt.NDArray[np.int64]:
    """What a controller said, each tenth of a second; 0 before anything was sent."""
    said = flow.controller.said
    times, rates = np.array([now for now, _ in said]), np.array([rate for _, rate in said])
    moments = np.arange(0, times[-1], every)
    sampled = rates[np.searchsorted(times, moments, side="right") - 1]
    voice = flow.sender.voice
    assert voice is not None
    return np.where(moments < (voice.started or 0), 0, sampled)
