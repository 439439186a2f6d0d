"""A voice beside bulk traffic on a full line: how late it comes, first in line and not (week 11).

    before, after = simulate(Fifo(100)), simulate(StrictPriority(limit=100))
    before_after(before, after)                      one picture

    with LabNetwork(narrow(), bottleneck="2mbit", dscp=True) as net:
        measure(net, seconds=10)                     the same with real kernels: TCP fills the line

Everything random comes from a seed in virtual time; in the lab network the packets are real, and
both ends read one clock, so that a one-way delay is a difference of two readings.

Pictures are in `labkit.lab.latencies`.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from labkit.core.bottleneck import Bottleneck
from labkit.core.scheduler import Fifo, Scheduler
from labkit.core.timeline import NEVER
from labkit.endpoints.router import Flood, Router, Sink
from labkit.lab.call import ALICE, BOB, Call
from labkit.lab.notes import Notes
from labkit.lab.result import Result
from labkit.sim.world import World
from labkit.words.dscp import Dscp, name_of
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import NS_PER_S, ms, seconds, to_ms

if TYPE_CHECKING:
    from labkit.live.link import LabNetwork, Program

RATE: Final = 2_000_000
"""Of the line, in bits a second: the upstream of a modest DSL."""
DELAY: Final = ms(10)
"""Of the way behind it."""
QUEUE: Final = 100
"""Packets before the line: 600 ms of long ones. Home routers are sold with more."""

FLOODING: Final = 1.2
"""How many times the line's rate a flood has."""

FLOOD: Final = ("10.0.0.3", 9000)
SINK: Final = ("10.0.0.4", 9000)
ROUTER: Final = "10.0.0.254"
VOICE_PORT: Final = 5004
BULK_PORT: Final = 9000
PATIENCE: Final = 60


@dataclass(frozen=True)
class BesideBulk:
    """What became of a voice on a line that others fill."""

    name: str
    delays: npt.NDArray[np.int64]
    """One-way delay of each packet that came, in nanoseconds (RFC 7679)."""
    sent: int
    """Packets of the voice."""
    dscps: tuple[int, ...]
    """The marks with which they came."""
    bulk_rate: float
    """Bits a second that the bulk traffic brought through."""
    line_rate: int
    """Bits a second of the line."""
    result: Result | None = None
    """In virtual time: the whole call."""

    def __len__(self) -> int:
        return len(self.delays)

    @property
    def lost(self) -> float:
        """The share of the voice that never came, 0 to 1."""
        return 1 - len(self) / self.sent if self.sent else 0.0

    def percentile(self, percent: float) -> int:
        """The delay that so many per cent of what came do not exceed, in nanoseconds."""
        if not len(self):
            raise BadInput(f"{self.name}: no packet of the voice came", "a longer queue, or a mark")
        return int(np.percentile(self.delays, percent, method="inverted_cdf"))

    @cached_property
    def delays_ms(self) -> npt.NDArray[np.float64]:
        """The same delays, for pictures."""
        return self.delays / 1e6

    @property
    def bulk_share(self) -> float:
        """How much of the line the bulk traffic had, 0 to 1."""
        return self.bulk_rate / self.line_rate

    def __repr__(self) -> str:
        if not len(self):
            return f"{self.name}: no packet of the voice came"
        middle, tail = to_ms(self.percentile(50)), to_ms(self.percentile(99))
        marks = ", ".join(sorted({name_of(dscp) for dscp in self.dscps}))
        return (
            f"{self.name}: voice ({marks}) {middle:.1f} ms at the median, 99 % under {tail:.1f} "
            f"ms, {self.lost:.1%} lost; bulk has {self.bulk_share:.0%} of the line"
        )


def narrow(delay: int = DELAY, queue: int = QUEUE) -> Profile:
    """A way with a queue of so many packets; `bottleneck=` gives it a rate."""
    spec = LinkSpec(delay=delay, limit=queue)
    return Profile("narrow", "a line that others fill", "chosen", spec, spec)


# In virtual time --------------------------------------------------------------------------------


def simulate(
    scheduler: Scheduler | None = None,
    *,
    call: Call | None = None,
    dscp: int = Dscp.EF,
    rate: int = RATE,
    delay: int = DELAY,
    bulk: float = FLOODING,
    bulk_dscp: int = 0,
    seed: int = 0,
    name: str = "",
) -> BesideBulk:
    """A call beside a flood of `bulk` times the line's rate; the scheduler says who goes first.

    Without a scheduler there is one queue, first come, first served. Frames of other size or codec:
    another `call`.
    """
    call = call or Call(seed=seed)
    scheduler = scheduler if scheduler is not None else Fifo(QUEUE)
    world = World(seed)
    sender, receiver, sink = call.sender(), call.receiver(ALICE), Sink()
    line = Bottleneck(scheduler, LinkSpec(rate=rate))
    router = Router(line, (BOB[0], SINK[0]), {ALICE: dscp, FLOOD: bulk_dscp})
    flood = Flood(SINK, round(rate * bulk)) if bulk else None
    world.add(router, ROUTER)
    here, there = _way(0), _way(delay)
    for machine, address, way in (
        (sender, ALICE, here), (flood, FLOOD, here), (receiver, BOB, there), (sink, SINK, there),
    ):  # fmt: skip
        if machine is not None:
            world.add(machine, address)
            world.connect(machine, router, way, gateway=True)
    notes = Notes()
    world.on_event(receiver, notes.take)
    world.run(until=seconds(call.seconds * 2 + 60), stop=lambda: notes.finished)
    result = call.result(sender, receiver, notes)
    timeline = result.timeline
    came = timeline.arrived != NEVER
    return BesideBulk(
        name=name or type(scheduler).__name__,
        delays=timeline.arrived[came] - timeline.sent[came],
        sent=len(timeline),
        dscps=(dscp,),
        bulk_rate=sink.rate,
        line_rate=rate,
        result=result,
    )


def _way(delay: int) -> Profile:
    spec = LinkSpec(delay=delay)
    return Profile("way", "nothing but its length", "chosen", spec, spec)


# In the lab network -----------------------------------------------------------------------------

Start = Callable[[str, str], "Program"]
"""Starts a command at a host."""


def measure(
    net: "LabNetwork",
    duration: float = 10,
    *,
    bulk: str = "pour",
    dscp: str = "EF",
    bulk_dscp: str = "0",
    control: str = "cubic",
    line_rate: int = 0,
    start: Start | None = None,
    name: str = "",
) -> BesideBulk:
    """A voice from alice to bob beside bulk traffic, in a lab that is up and has a bottleneck.

    `bulk` is "pour" (one TCP connection, with the congestion control `control`), "flood" (UDP at
    1.2 times the line's rate) or "" (none). `start(host, command)` may be given to note down what
    is started. `line_rate` is the line's, if another one is narrower than the lab's own. Takes as
    long as the voice, and a second or two.
    """
    start = start or (lambda host, command: net[host].start(shlex.split(command)))
    rate = line_rate or net.profile.up.rate
    if not rate:
        raise BadInput("a line without a rate is never full", 'LabNetwork(bottleneck="2mbit")')
    bob, probe = net.bob.address, "python -m labkit.live.probe"
    source = drain = None
    if bulk:
        proto, how = "tcp", control
        if bulk == "flood":
            proto, how = "udp", f"{rate * FLOODING / 1000:.0f}kbit"
        drain = start("bob", f"{probe} drain {bob} {BULK_PORT} {proto}")
        net.bob.wait_for_port(BULK_PORT, proto=proto)
        words = f"{bob} {BULK_PORT} {duration + PATIENCE} {bulk_dscp} {how}"
        source = start("alice", f"{probe} {bulk} {words}")
        drain.stdout.wait_for("it flows", PATIENCE)
    last = round(duration * 50) - 1
    ear = start("bob", f"{probe} hear {bob} {VOICE_PORT} {last}")
    net.bob.wait_for_port(VOICE_PORT, proto="udp")
    voice = start("alice", f"{probe} voice {bob} {VOICE_PORT} {duration} {dscp}")
    voice.wait(duration + PATIENCE)
    ear.wait(PATIENCE)
    if source is not None:
        source.terminate()
        source.wait(PATIENCE)
    came = np.array(json.loads(ear.stdout.lines[-1]), np.int64).reshape(-1, 3)
    return BesideBulk(
        name=name or ("voice first" if net.dscp else "first come, first served"),
        delays=came[:, 1],
        sent=last + 1,
        dscps=tuple(sorted({int(mark) for mark in came[:, 2]})),
        bulk_rate=_bulk_rate(drain) if drain is not None else 0.0,
        line_rate=rate,
    )


def _bulk_rate(drain: "Program") -> float:
    """Bits a second, as the program at the far end has counted."""
    drain.wait(PATIENCE)
    counted = json.loads(drain.stdout.lines[-1])
    return float(counted["bytes"] * 8 * NS_PER_S / counted["ns"]) if counted["ns"] else 0.0
