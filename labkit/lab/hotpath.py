"""The hot path, stage by stage: what each has in hand for a packet, and how long it takes.

    print(allocations(stages()))                 bytes, as tracemalloc sees them
    print(pace(stages()))                        microseconds here and now, and their ratios
    print(pace({"joined": one, "in place": other}))

A stage is a function of n, the number of the packet. It is fed by hand, alone, with packets of real
speech. Bytes are the same on every machine with the same libraries; times are not, and on a busy
one they are not the same twice. So times are shown beside each other, and a ratio is what counts.

tracemalloc sees Python's objects and NumPy's arrays; what libopus has of its own it does not see.
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from labkit.codec import Opus
from labkit.core.framer import Framer
from labkit.core.jitterbuffer import JitterBuffer
from labkit.core.meters import Histogram, RateMeter
from labkit.core.packetizer import Packetizer
from labkit.core.playout import Playout
from labkit.core.ringbuffer import RingBuffer
from labkit.core.timescale import TimeScaler
from labkit.lab.sources import speech
from labkit.wire import rtp
from labkit.words.trace import Did, Trace
from labkit.words.units import ms, ns_to_ticks

FRAME, RATE = 960, 48_000
FRAME_US: Final = 20_000
WARM: Final = 300
"""Packets before any is measured: caches are filled then."""
ROUNDS: Final = 5
"""Of times, all stages one after the other in each; the quickest round of a stage counts."""

Stage = Callable[[int], object]
"""Does its work for packet n."""


def stages() -> dict[str, Stage]:
    """Each stage of a voice, from the microphone's samples to those for the card."""
    codec = Opus(32_000)
    sound = speech().samples
    frames = [sound[n * FRAME : (n + 1) * FRAME] for n in range(len(sound) // FRAME)]
    encoder, decoder = codec.encoder(), codec.decoder()
    payloads = [encoder.encode(frame) for frame in frames]
    packetizer = Packetizer(codec.format, ssrc=1)
    packets = [packetizer.packetize(p, n * FRAME)[0] for n, p in enumerate(payloads)]
    datagrams = [rtp.pack(packet) for packet in packets]
    count = len(frames)
    framer, buffer, scaler = Framer(FRAME, 1), JitterBuffer(), TimeScaler(RATE, 1)
    ring = RingBuffer(RATE, 1)
    playout = Playout(ring, RATE // 20)
    out = np.zeros((FRAME, 1), np.int16)
    histogram, meter, trace = Histogram(), RateMeter(), Trace()

    def jitter(n: int) -> None:
        now = n * ms(20)
        buffer.push(packets[0]._replace(seq=n & 0xFFFF, timestamp=n * FRAME), now)
        while (due := buffer.deadline()) is not None and due <= now:
            buffer.pull(due)

    def play(n: int) -> None:
        playout.write(frames[n % count], n * ms(20))
        ring.read_into(out, n * ms(20))

    def count_it(n: int) -> None:
        histogram.add(ms(40) + n % 1000 * 1000)
        meter.add(160, n * ms(20))

    def note(n: int) -> None:
        now = ms(20) * n
        trace.add((now, Did.ARRIVED, n, 160))
        trace.add((now + ns_to_ticks(n, 1), Did.PLAYED, n, 0))

    return {
        "framer": lambda n: framer.push(frames[n % count]),
        "Opus, encode": lambda n: encoder.encode(frames[n % count]),
        "packetizer": lambda n: packetizer.packetize(payloads[n % count], n * FRAME),
        "RTP, pack": lambda n: rtp.pack(packets[n % count]),
        "RTP, unpack": lambda n: rtp.unpack(datagrams[n % count]),
        "jitter buffer": jitter,
        "Opus, decode": lambda n: decoder.decode(payloads[n % count]),
        "time scaler, nothing to do": lambda n: scaler.process(frames[n % count], FRAME),
        "playout and ring": play,
        "meters": count_it,
        "trace, two lines": note,
    }


# Bytes ------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """What a stage has of memory."""

    in_hand: float
    """Bytes: the most beyond what was there before a packet, the median of all packets."""
    kept: float
    """Bytes a packet that are still there at the end. Who keeps anything grows with the call."""


class Allocations(dict[str, Held]):
    """By stage; it prints itself."""

    def __repr__(self) -> str:
        lines = [f"{'bytes for each packet':28}{'in hand':>10}{'kept':>9}"]
        lines += [f"{n:28}{held.in_hand:10,.0f}{held.kept:9.0f}" for n, held in self.items()]
        return "\n".join(lines)


def allocations(of: Mapping[str, Stage], packets: int = 300) -> Allocations:
    """Let each stage do its work for so many packets, under tracemalloc's eyes."""
    asleep = not tracemalloc.is_tracing()
    if asleep:
        tracemalloc.start()
    try:
        return Allocations((name, _held(stage, packets)) for name, stage in of.items())
    finally:
        if asleep:
            tracemalloc.stop()


def _held(stage: Stage, packets: int) -> Held:
    for n in range(WARM):
        stage(n)
    in_hand: list[int] = []
    begin, _ = tracemalloc.get_traced_memory()
    for n in range(WARM, WARM + packets):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        stage(n)
        in_hand.append(tracemalloc.get_traced_memory()[1] - before)
    middle = statistics.median(in_hand)
    del in_hand[:]
    end, _ = tracemalloc.get_traced_memory()
    return Held(middle, max(end - begin, 0) / packets)


# Time -------------------------------------------------------------------------------------------


class Pace(dict[str, float]):
    """Microseconds a packet, by stage; it prints itself, with ratios to the first stage."""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as long as the first stage each takes."""
        first = next(iter(self.values()), 0.0) or 1.0
        return {name: each / first for name, each in self.items()}

    def __repr__(self) -> str:
        lines = [f"{'for each packet':28}{'µs':>8}{'times':>8}{'of 20 ms':>10}"]
        for (name, each), ratio in zip(self.items(), self.ratios.values(), strict=True):
            lines.append(f"{name:28}{each:8.1f}{ratio:8.2f}{each / FRAME_US:10.2%}")
        return "\n".join(lines)


def pace(of: Mapping[str, Stage], packets: int = 100) -> Pace:
    """Time each stage, in turns, so that what disturbs one round disturbs all of them alike."""
    best = dict.fromkeys(of, float("inf"))
    for turn in range(ROUNDS):
        for name, stage in of.items():
            begun = time.perf_counter_ns()
            for n in range(turn * packets, (turn + 1) * packets):
                stage(n)
            best[name] = min(best[name], (time.perf_counter_ns() - begun) / packets / 1000)
    return Pace(best)
