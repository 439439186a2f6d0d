"""Makes the ten delay traces in `netem/traces`: what a network did to one minute of packets.

    python netem/make_traces.py                       writes netem/traces/*.txt
    python netem/make_traces.py --seed 7 --out DIR    the same ten networks on another day

Each trace is the one-way delay of 3000 packets that leave every 20 ms, in milliseconds, one a
line, or `lost`. The networks are models, not recordings: each is a few lines below, with numbers
that are typical of what it is named after. On most of them packets cannot overtake, because they
wait in one queue; where they can, the model says so.

The shipped files have seed 2026. Delay policies are developed on other seeds.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

SEED = 2026
PACKETS = 3000
SPACING = 20.0
"""Milliseconds between two packets."""

Delays = npt.NDArray[np.float64]
"""One-way delays in milliseconds; NaN is a lost packet."""

SENT: Delays = np.arange(PACKETS) * SPACING


def in_order(delays: Delays) -> Delays:
    """The same network with one queue: a packet leaves no sooner than the one before it."""
    return np.maximum.accumulate(SENT + delays) - SENT


def lose(delays: Delays, chance: float, rng: np.random.Generator) -> Delays:
    """Each packet is lost with this chance, independently."""
    return np.where(rng.random(PACKETS) < chance, np.nan, delays)


def outage(delays: Delays, at: int, duration: float) -> None:
    """The link stops for `duration` ms when packet `at` is sent, then delivers what waited."""
    longest = delays[at] + duration
    for i in range(at, min(at + int(duration / SPACING) + 1, PACKETS)):
        delays[i] = max(delays[i], longest - (i - at) * SPACING)


def every(rng: np.random.Generator, mean: float, least: float = 0) -> list[int]:
    """Packet numbers of events that come by chance, `least` s apart and `mean` s on average."""
    numbers: list[int] = []
    at = 0.0
    while (at := at + least + rng.exponential(mean - least)) < PACKETS * SPACING / 1000:
        numbers.append(int(at * 1000 / SPACING))
    return numbers


def spells(
    rng: np.random.Generator, good: tuple[float, float], bad: tuple[float, float]
) -> list[tuple[int, int]]:
    """First and last packet of the bad spells; good and bad last so many seconds, at random."""
    numbers: list[tuple[int, int]] = []
    at = 0.0
    while (at := at + rng.uniform(*good)) < PACKETS * SPACING / 1000:
        begin, at = at, at + rng.uniform(*bad)
        numbers.append((int(begin * 1000 / SPACING), int(at * 1000 / SPACING)))
    return numbers


def quiet_lan(rng: np.random.Generator) -> Delays:
    """A quiet wired network: a tenth of a millisecond of jitter, a busy host now and then."""
    delays = 0.4 + rng.exponential(0.1, PACKETS)
    for at in every(rng, 6):
        delays[at] += rng.exponential(8)
    return in_order(delays)


def gamma_jitter(rng: np.random.Generator) -> Delays:
    """A shared link: gamma-distributed waiting of 16 ms on average, without memory."""
    return lose(in_order(40 + rng.gamma(2.0, 8.0, PACKETS)), 0.005, rng)


def spikes(rng: np.random.Generator) -> Delays:
    """A good link with bad spells, in which it stops for 100 to 300 ms every second or so."""
    delays = 30 + rng.gamma(2.0, 2.0, PACKETS)
    for begin, end in spells(rng, (4, 12), (3, 8)):
        for at in every(rng, 1.0, 0.4):
            if begin <= at < end:
                outage(delays, at, rng.uniform(100, 300))
    return in_order(delays)


def regimes(rng: np.random.Generator) -> Delays:
    """A link that is idle or busy for some seconds: waiting of 6 or of 50 ms on average."""
    mean = np.full(PACKETS, 6.0)
    for begin, end in spells(rng, (4, 12), (4, 12)):
        mean[begin:end] = 50.0
    return lose(in_order(25 + rng.gamma(3.0, mean / 3)), 0.005, rng)


def drift(rng: np.random.Generator) -> Delays:
    """The sender's clock is 200 ppm slow: delays seem to grow by 12 ms a minute."""
    return in_order(20 + SENT * 200e-6 + rng.exponential(6, PACKETS))


def wifi(rng: np.random.Generator) -> Delays:
    """A busy Wi-Fi: bursts of retries while others send, and a scan of other channels."""
    delays = 3 + rng.exponential(1.5, PACKETS)
    for at in every(rng, 2.5, 0.3):
        busy = slice(at, at + int(rng.uniform(0.2, 1.5) * 1000 / SPACING))
        delays[busy] += rng.exponential(25, len(delays[busy]))
    for at in every(rng, 20, 10):
        outage(delays, at, rng.uniform(80, 150))
    return lose(in_order(delays), 0.01, rng)


def mobile_4g(rng: np.random.Generator) -> Delays:
    """4G: uplink grants every 10 ms, some sent again 8 ms later; in a full cell many, and late."""
    waiting = rng.uniform(0, 10) + SENT * 0.01  # the two clocks slide past each other
    again, wait = np.full(PACKETS, 0.1), np.full(PACKETS, 1.0)
    for begin, end in spells(rng, (5, 12), (4, 10)):
        again[begin:end], wait[begin:end] = 0.4, 12.0
    delays = 35 + waiting % 10 + wait * rng.exponential(1, PACKETS)
    delays += 8 * rng.geometric(1 - again) - 8
    return lose(in_order(delays), 0.003, rng)


def train(rng: np.random.Generator) -> Delays:
    """In a train: the delay follows the signal; where it is bad, handovers stop the link."""
    signal = np.interp(SENT, np.arange(0, 61_000, 3000), rng.uniform(0, 40, 21))
    delays = 45 + signal + rng.gamma(1.5, 4 + signal / 8)
    lost = np.zeros(PACKETS, bool)
    for begin, end in spells(rng, (6, 15), (4, 8)):
        for at in every(rng, 2.0, 1.0):
            if begin <= at < end:
                outage(delays, at, rng.uniform(100, 400))
                lost[at : at + int(rng.integers(0, 3))] = True
    return np.where(lost, np.nan, in_order(delays))


def bufferbloat(rng: np.random.Generator) -> Delays:
    """A download fills the queue of the same line to 250 ms; a loss empties it by half."""
    delays = np.empty(PACKETS)
    queue, lost = 10.0, np.zeros(PACKETS, bool)
    for i in range(PACKETS):
        delays[i] = 20 + queue + rng.exponential(2)
        queue += rng.uniform(0.2, 1.0)
        if queue > 250:
            lost[i] = rng.random() < 0.5
            queue *= rng.uniform(0.3, 0.6)
    return np.where(lost, np.nan, in_order(delays))


def transatlantic(rng: np.random.Generator) -> Delays:
    """Across an ocean: little jitter, two changes of route; on the way back packets overtake."""
    delays = 85 + rng.gamma(2.0, 1.5, PACKETS)
    there, back = sorted(rng.integers(500, 2500, 2))
    delays[there:back] += 28
    for at in every(rng, 8):
        delays[at : at + 3] += rng.uniform(10, 40)
    return lose(delays, 0.003, rng)


NETWORKS: dict[str, Callable[[np.random.Generator], Delays]] = {
    "quiet-lan": quiet_lan,
    "gamma-jitter": gamma_jitter,
    "spikes": spikes,
    "regimes": regimes,
    "drift": drift,
    "wifi": wifi,
    "4g": mobile_4g,
    "train": train,
    "bufferbloat": bufferbloat,
    "transatlantic": transatlantic,
}


def make(name: str, seed: int = SEED) -> Delays:
    """The delays of one network. The same name and seed give the same delays."""
    index = list(NETWORKS).index(name)
    return NETWORKS[name](np.random.default_rng([seed, index]))


def render(name: str, seed: int = SEED) -> str:
    """The file of one network, as text."""
    head = [
        f"# {NETWORKS[name].__doc__}",
        f"# One-way delays in ms of {PACKETS} packets sent every {SPACING:g} ms.",
        f"# Made by netem/make_traces.py --seed {seed} (a model, not a recording).",
    ]
    lines = ["lost" if np.isnan(delay) else f"{delay:.2f}" for delay in make(name, seed)]
    return "\n".join(head + lines) + "\n"


def main() -> None:
    """Write every trace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "traces")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        (options.out / f"{name}.txt").write_text(render(name, options.seed))


if __name__ == "__main__":
    main()
