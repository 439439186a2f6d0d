"""Rate control: what a rendition more costs, and what a controller for each of 200 clients does.

    python benchmarks/ratecontrol.py [--json]

A simulcast of one, two and three renditions of Opus makes frames of speech, for 200 listeners with
somebody to each rendition. Beside it bare encoders do nothing but encode: the rest is what the
simulcast adds: at most a fifth. A controller is told one report, as 200 clients send them twice a
second: less than 1 % of a core in all. Beside it aiortc's estimator, which does more: it is told of
each of the 25 packets in that time.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

from aiortc.rate import RemoteBitrateEstimator

from labkit.codec import Opus
from labkit.core.congestion import Feedback
from labkit.core.framer import Framer
from labkit.core.ratecontrol import adaptive
from labkit.endpoints.simulcast import BITRATES, Simulcast, renditions
from labkit.lab.sources import speech
from labkit.words.units import ms

ROUNDS = 9
FRAMES = 300
CLIENTS = 200
REPORTS = 2
"""A second, of each client."""


class Told:
    """A controller that allows what it is told goes through."""

    bitrate = 0

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        """Believe it."""
        self.bitrate = feedback.delivered or 0


def simulcast(bitrates: tuple[int, ...]) -> float:
    """Microseconds a frame, all but the first few listeners having the best rendition."""
    voice = Simulcast(renditions(Opus(), bitrates), speech(), start=64_000, make_controller=Told)
    for number in range(CLIENTS):
        voice.welcome(number)
        wants = bitrates[number] if number < len(bitrates) else bitrates[0]
        voice.hear(number, Feedback(delivered=wants), 0)
    voice.start(0)
    begin = time.perf_counter()
    for frame in range(FRAMES):
        packets = voice.tick(ms(20 * (frame + 1)))
        voice.moved()
        for packet in packets:
            for bitrate in bitrates:
                voice.version(packet, bitrate)
    return (time.perf_counter() - begin) / FRAMES * 1e6


def bare(bitrates: tuple[int, ...]) -> float:
    """The same encoding, and nothing else."""
    encoders = [Opus(bitrate).encoder() for bitrate in bitrates]
    frames = Framer(960, 1).push(speech().samples)[:FRAMES]
    begin = time.perf_counter()
    for frame in frames:
        for encoder in encoders:
            encoder.encode(frame.samples)
    return (time.perf_counter() - begin) / FRAMES * 1e6


def controllers() -> float:
    """Microseconds a report."""
    each, count = adaptive(), 5000
    reports = [Feedback(0.01, ms(50 + turn % 40), ms(3), delivered=60_000) for turn in range(count)]
    begin = time.perf_counter()
    for turn, report in enumerate(reports):
        each.on_feedback(report, ms(500 * turn))
    return (time.perf_counter() - begin) / count * 1e6


def aiortc() -> float:
    """Microseconds for what it is told in the time of one of our reports: 25 packets."""
    peer, count = RemoteBitrateEstimator(), 5000
    begin = time.perf_counter()
    for turn in range(count):
        peer.add(20 * turn + turn % 7, int(20 * turn * 262.144) & 0xFFFFFF, 160, 1)
    return (time.perf_counter() - begin) / count * 25 * 1e6


def median(*contestants: Callable[[], float]) -> list[float]:
    """Rounds take turns, so that a slow moment meets everybody."""
    found = [[contestant() for contestant in contestants] for _ in range(ROUNDS)]
    return [statistics.median(each) for each in zip(*found, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    sets = [BITRATES[:count] for count in (1, 2, 3)]
    found = median(
        *(partial(simulcast, each) for each in sets), *(partial(bare, each) for each in sets)
    )
    control, peer = median(controllers, aiortc)
    core = control * REPORTS * CLIENTS / 1e6
    rows = [
        (" + ".join(str(bitrate // 1000) for bitrate in each), us, alone)
        for each, us, alone in zip(sets, found[:3], found[3:], strict=True)
    ]
    if as_json:
        table = {name: {"simulcast": us, "bare Opus": alone} for name, us, alone in rows}
        print(json.dumps({**table, "controller": {"labkit": control, "aiortc": peer}}))
        return
    print("| renditions (kbit/s) | simulcast, us a frame | bare Opus | ratio | of a core |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, us, alone in rows:
        print(f"| {name} | {us:.0f} | {alone:.0f} | {us / alone:.2f} | {us / 20_000:.1%} |")
    print(f"\n{CLIENTS} controllers, {REPORTS} reports a second each: {core:.2%} of a core")
    print(f"half a second of one client: {control:.1f} us; aiortc, by packet: {peer:.1f} us")


if __name__ == "__main__":
    main()
