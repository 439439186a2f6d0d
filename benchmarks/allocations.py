"""Where the hot path allocates: bytes that each stage of a voice has in hand, and what it keeps.

    python benchmarks/allocations.py [--packets 20000]

Each stage takes the same packets, alone. `in hand` is the most that tracemalloc saw beyond what was
there before a packet, the median of all packets; `kept` is what is still there afterwards, for each
packet. A stage that keeps anything grows for as long as the call lasts.

tracemalloc sees Python's objects and NumPy's arrays; what libopus has of its own it does not see.
"""

import argparse
import statistics
import tracemalloc
from collections.abc import Callable, Iterator

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
WARM = 300
"""Packets before any is measured: caches are filled then."""

Stage = Callable[[int], object]
"""Does its work for packet n."""


def stages() -> Iterator[tuple[str, Stage]]:
    """Each stage of a voice, fed by hand."""
    codec = Opus(32_000)
    sound = speech().samples
    frames = [sound[n * FRAME : (n + 1) * FRAME] for n in range(len(sound) // FRAME)]
    encoder, decoder = codec.encoder(), codec.decoder()
    payloads = [encoder.encode(frame) for frame in frames]
    packetizer = Packetizer(codec.format, ssrc=1)
    packets = [packetizer.packetize(p, n * FRAME)[0] for n, p in enumerate(payloads)]
    datagrams = [rtp.pack(packet) for packet in packets]
    count = len(frames)
    framer = Framer(FRAME, 1)
    yield "framer", lambda n: framer.push(frames[n % count])
    yield "Opus, encode", lambda n: encoder.encode(frames[n % count])
    yield "packetizer", lambda n: packetizer.packetize(payloads[n % count], n * FRAME)
    yield "RTP, pack", lambda n: rtp.pack(packets[n % count])
    yield "RTP, unpack", lambda n: rtp.unpack(datagrams[n % count])
    buffer = JitterBuffer()

    def jitter(n: int) -> None:
        now = n * ms(20)
        buffer.push(packets[0]._replace(seq=n & 0xFFFF, timestamp=n * FRAME), now)
        while (due := buffer.deadline()) is not None and due <= now:
            buffer.pull(due)

    yield "jitter buffer", jitter
    yield "Opus, decode", lambda n: decoder.decode(payloads[n % count])
    scaler = TimeScaler(RATE, 1)
    yield "time scaler, nothing to do", lambda n: scaler.process(frames[n % count], FRAME)
    ring = RingBuffer(RATE, 1)
    playout = Playout(ring, RATE // 20)
    out = np.zeros((FRAME, 1), np.int16)

    def play(n: int) -> None:
        playout.write(frames[n % count], n * ms(20))
        ring.read_into(out, n * ms(20))

    yield "playout and ring", play
    histogram, meter = Histogram(), RateMeter()

    def count_it(n: int) -> None:
        histogram.add(ms(40) + n % 1000 * 1000)
        meter.add(160, n * ms(20))

    yield "meters", count_it
    trace = Trace()

    def note(n: int) -> None:
        now = ms(20) * n
        trace.add((now, Did.ARRIVED, n, 160))
        trace.add((now + ns_to_ticks(n, 1), Did.PLAYED, n, 0))

    yield "trace, two lines", note


def measure(stage: Stage, packets: int) -> tuple[float, float]:
    """Bytes in hand and bytes kept, for each packet."""
    for n in range(WARM):
        stage(n)
    in_hand = []
    begin, _ = tracemalloc.get_traced_memory()
    for n in range(WARM, WARM + packets):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        stage(n)
        in_hand.append(tracemalloc.get_traced_memory()[1] - before)
    in_hand_bytes = statistics.median(in_hand)
    del in_hand[:]
    end, _ = tracemalloc.get_traced_memory()
    return in_hand_bytes, max(end - begin, 0) / packets


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--packets", type=int, default=20_000)
    packets = options.parse_args().packets
    made = list(stages())
    tracemalloc.start()
    print("| stage | in hand, bytes | kept, bytes a packet |")
    print("| --- | ---: | ---: |")
    for name, stage in made:
        in_hand, kept = measure(stage, packets)
        print(f"| {name} | {in_hand:,.0f} | {kept:,.1f} |")


if __name__ == "__main__":
    main()
