"""Whether two ways of making a bad network are one: the test by which engines are compared.

What an engine did to some packets is an `Observation`. The same packets, sent at the same
instants, are put through many simulations with other seeds; these say what is usual. An engine
agrees with them if none of this is a surprise:

    lost         share of the packets that never arrive
    burst        mean length of a run of lost packets
    reordered    share of the packets that arrive after one that was sent later (RFC 4737)
    doubled      share of the packets that arrive more than once
    delay        largest distance between its distribution of delays and that of all simulations
                 together (the statistic of Kolmogorov and Smirnov)

A surprise is what lies further from the simulations' mean than `DEVIATIONS` of their standard
deviations and `PACKETS` packets. No formula for the deviations is needed, and none would be right:
packets that wait for the same slot, or are lost in the same burst, are not independent.

A real timer is late. A packet may be up to `late` later than simulated, never earlier; the
distance of the delays is that which is left when each delay is moved in this range at will. And
a share of the packets, `STRAY`, may come at any time: now and then a computer is elsewhere.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from math import isnan

import numpy as np

from labkit.core.impairment import UDP_HEADERS, Impairment
from labkit.resources import load_delays
from labkit.words.linkspec import LinkSpec
from labkit.words.units import ms

SIZE = 200
"""Bytes of a datagram."""
DEVIATIONS = 4.5
PACKETS = 2
STRAY = 0.01
SIMULATIONS = 32
SHARES = ("lost", "burst", "reordered", "doubled")


@dataclass(frozen=True)
class Observation:
    """What became of packets 0, 1, 2 …: `sent` has an instant for each, in nanoseconds since
    the link came up; `numbers` and `instants` say which one arrived when, in order of arrival.
    """

    sent: np.ndarray
    numbers: np.ndarray
    instants: np.ndarray

    @cached_property
    def _first(self) -> np.ndarray:
        """For each packet that arrived the place of its first copy, in order of arrival."""
        return np.sort(np.unique(self.numbers, return_index=True)[1])

    @cached_property
    def delays(self) -> np.ndarray:
        """In nanoseconds, sorted."""
        numbers = self.numbers[self._first]
        return np.sort(self.instants[self._first] - self.sent[numbers])

    @property
    def missing(self) -> np.ndarray:
        """Which packets never arrived."""
        flags = np.ones(len(self.sent), bool)
        flags[self.numbers] = False
        return flags

    @property
    def lost(self) -> float:
        return float(self.missing.mean())

    @property
    def bursts(self) -> int:
        """How many runs of lost packets there are."""
        return int((np.diff(self.missing.astype(int), prepend=0) == 1).sum())

    @property
    def burst(self) -> float:
        """Not a number if nothing was lost."""
        return float(self.missing.sum() / self.bursts) if self.bursts else float("nan")

    @property
    def reordered(self) -> float:
        numbers = self.numbers[self._first]
        behind = numbers < np.maximum.accumulate(numbers) if len(numbers) else np.zeros(1)
        return float(behind.sum() / len(self.sent))

    @property
    def doubled(self) -> float:
        return float((len(self.numbers) - len(self._first)) / len(self.sent))

    def quantile(self, share: float) -> float:
        """A delay in milliseconds."""
        return float(np.quantile(self.delays, share) / 1e6) if len(self.delays) else float("nan")


recorded = cache(load_delays)


def simulated(spec: LinkSpec, seed: int | str, sent: np.ndarray) -> Observation:
    """The packets as engine (a), virtual time, has them."""
    delays = recorded(spec.delay_trace) if spec.delay_trace else ()
    link = Impairment(spec, seed, delays, headers=UDP_HEADERS)
    data = bytes(SIZE)
    arrivals = [
        (leaves, number)
        for number, instant in enumerate(sent.tolist())
        for leaves, _ in link.push(data, instant)
    ]
    arrivals.sort(key=lambda arrival: arrival[0])  # stable: of one instant, the first in first out
    instants, numbers = np.array(arrivals, np.int64).reshape(-1, 2).T
    return Observation(sent, numbers, instants)


def distance(delays: np.ndarray, usual: np.ndarray, late: int) -> float:
    """Kolmogorov's distance of two sorted samples, when a delay may be up to `late` longer."""
    if not len(delays) or not len(usual):
        return float(len(delays) != len(usual))
    later = _share_up_to(usual, usual) - _share_up_to(delays, usual + late)
    earlier = _share_up_to(delays, delays) - _share_up_to(usual, delays)
    return float(max(later.max(), earlier.max()))


def _share_up_to(sample: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The empirical distribution function of a sorted sample."""
    return np.searchsorted(sample, points, side="right") / len(sample)


def lateness(steady: Observation, delay: int) -> int:
    """How late this machine is, found on a link that only delays, always by the same.

    Two milliseconds are granted to any machine; one that is busy grants itself more.
    """
    return max(ms(2), int(np.quantile(steady.delays, 1 - STRAY / 2)) - delay)


@dataclass(frozen=True)
class Verdict:
    """One figure of an engine beside what is usual, and whether it is no surprise."""

    figure: str
    found: float
    usual: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return (
            isnan(self.found) or isnan(self.usual) or abs(self.found - self.usual) <= self.allowed
        )

    def __str__(self) -> str:
        sign = "=" if self.agrees else "≠"
        return f"{self.figure} {self.found:.4f} {sign} {self.usual:.4f} ± {self.allowed:.4f}"


def compare(seen: Observation, spec: LinkSpec, *, late: int = 0) -> list[Verdict]:
    """An engine's observation against simulations of the same packets, figure by figure."""
    runs = [simulated(spec, f"usual {n}", seen.sent) for n in range(SIMULATIONS)]
    verdicts = []
    for figure in SHARES:
        usual = np.array([getattr(run, figure) for run in runs])
        usual = usual[~np.isnan(usual)] if not np.isnan(usual).all() else usual
        counted = seen.bursts if figure == "burst" else len(seen.sent)
        allowed = DEVIATIONS * usual.std() + PACKETS / max(1, counted)
        verdicts.append(Verdict(figure, getattr(seen, figure), float(usual.mean()), allowed))
    verdicts.append(_compare_delays(seen, runs, late))
    return verdicts


def _compare_delays(seen: Observation, runs: list[Observation], late: int) -> Verdict:
    together = np.sort(np.concatenate([run.delays for run in runs]))
    usual = np.array([distance(run.delays, together, 0) for run in runs])
    found = distance(seen.delays, together, late)
    # Less distance than usual is no surprise: `late` makes it less.
    found = max(found, usual.mean())
    return Verdict("delay", found, float(usual.mean()), DEVIATIONS * usual.std() + STRAY)
