"""Networks that nobody has seen: delays of packets, made from a seed.

Each is a model of a few lines, as those of `netem/make_traces.py`, and its dice decide the numbers
in it too: how busy, how often, for how long. What is tuned to one of them helps little with others.

A network is a list of one-way delays in nanoseconds, one for each packet sent every 20 ms, None for
a lost one. This module knows no policy.
"""

from random import Random
from typing import Final

from labkit.words.units import ms

SPACING: Final = ms(20)
PACKETS: Final = 1500
"""Half a minute."""

Delays = list[int | None]


def busy_and_idle(rng: Random) -> Delays:
    """A link that is idle or busy for some seconds."""
    base, calm, storm = rng.uniform(15, 60), rng.uniform(1.5, 5), rng.uniform(20, 45)
    mean, left, delays = calm, 0.0, []
    for _ in range(PACKETS):
        if left <= 0:
            mean, left = (storm if mean == calm else calm), rng.uniform(3, 8) * 50
        left -= 1
        delays.append(base + rng.gammavariate(3, mean / 3))
    return _queued(delays, rng, loss=0.005)


def spikes(rng: Random) -> Delays:
    """A good link that stops now and then, and delivers what waited at once."""
    base, longest = rng.uniform(15, 60), rng.uniform(120, 220)
    delays = [base + rng.gammavariate(2, 2) for _ in range(PACKETS)]
    at = 0.0
    while (at := at + rng.uniform(1.5, 5) * 50) < PACKETS:
        stop = rng.uniform(60, longest)
        for i in range(int(at), min(PACKETS, int(at + stop / 20) + 1)):
            delays[i] = max(delays[i], base + stop - (i - int(at)) * 20)
    return _queued(delays, rng, loss=0.002)


def filling_queue(rng: Random) -> Delays:
    """Somebody downloads: a queue fills slowly and is emptied by half."""
    base, full, queue = rng.uniform(15, 60), rng.uniform(100, 180), 5.0
    delays = []
    for _ in range(PACKETS):
        delays.append(base + queue + rng.expovariate(0.5))
        queue += rng.uniform(0.1, 0.6)
        if queue > full:
            queue *= rng.uniform(0.2, 0.5)
    return _queued(delays, rng, loss=0.003)


def one_bad_moment(rng: Random) -> Delays:
    """A phone changes cells, once, early; else a fair network."""
    base, waiting = rng.uniform(90, 140), rng.uniform(3, 8)
    delays = [base + rng.gammavariate(2, waiting) for _ in range(PACKETS)]
    at, stop = rng.randrange(100, 200), rng.uniform(300, 450)
    for i in range(at, at + int(stop / 20) + 1):
        delays[i] = max(delays[i], base + stop - (i - at) * 20)
    return _queued(delays, rng, loss=0.003)


def far_away(rng: Random) -> Delays:
    """Across an ocean: a long way, little jitter, and once another route."""
    base, change = rng.uniform(110, 150), rng.randrange(400, 1100)
    delays = [base + (20 if i >= change else 0) + rng.gammavariate(2, 1.5) for i in range(PACKETS)]
    return _queued(delays, rng, loss=0.003)


def quiet(rng: Random, packets: int = PACKETS) -> Delays:
    """A wired network at night."""
    base = rng.uniform(5, 60)
    return _queued([base + rng.expovariate(2) for _ in range(packets)], rng, loss=0.0)


def gust(rng: Random) -> tuple[Delays, int, int]:
    """Quiet, then ten seconds of a full network, then quiet; and where it begins and ends."""
    base, storm = rng.uniform(10, 60), rng.uniform(35, 60)
    begin, end = rng.randrange(300, 400), rng.randrange(850, 950)
    delays = [
        base + (rng.gammavariate(2, storm / 2) if begin <= i < end else rng.expovariate(1))
        for i in range(PACKETS)
    ]
    return _queued(delays, rng, loss=0.0), begin, end


NETWORKS: Final = (busy_and_idle, spikes, filling_queue, one_bad_moment, far_away)


def _queued(delays: list[float], rng: Random, loss: float) -> Delays:
    """One queue: no packet leaves before the one that was sent before it. Some are lost."""
    out: Delays = []
    last = 0
    for i, delay in enumerate(delays):
        last = max(last, i * SPACING + ms(delay))
        out.append(None if rng.random() < loss else last - i * SPACING)
    return out
