"""Percentiles from a histogram, for week 11: by the definition that the exercise's text gives.

Parts of exercise 11.2. In a bucket values lie evenly between its edges, so a percentile is a point
on a line. The delays of the last part are those of calls in virtual time.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from labkit.checks.bench import Bench
from labkit.checks.silent import call

EDGES: Final = list(range(0, 1001, 5))
"""Of `tails`: 200 buckets of 5 ms."""


def tally_of(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Bucket i is from edge i up to, and without, edge i + 1; what is outside is in the nearest."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        at = sum(edge <= value for edge in edges) - 1
        counts[min(max(at, 0), len(counts) - 1)] += 1
    return counts


def percentile_of(edges: Sequence[float], counts: Sequence[int], percent: float) -> float | None:
    """In each bucket values lie evenly: the point below which that share of them lies."""
    rank, below = sum(counts) * percent / 100, 0
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count and below + count >= rank:
            return low + (high - low) * (rank - below) / count
        below += count
    return None


def tally(bench: Bench) -> None:
    """Inside, on edges, outside."""
    rng = bench.rng
    edges = sorted(rng.sample(range(10, 400), 8))
    inside = [rng.randrange(edges[0], edges[-1]) for _ in range(40)]
    for values, what, hint in (
        ([edges[0] + 1, edges[1] + 1, edges[1] + 1], "each in its bucket", "bucket"),
        (inside + edges[1:-1], "what is on an edge begins a bucket", "edge"),
        ([*inside, 0, 3, edges[-1], 5000], "what is outside is in the nearest bucket", "outside"),
    ):
        wanted = tally_of(values, edges)
        found = bench.call("tally", values, edges)
        found = list(found) if isinstance(found, tuple) else found
        bench.equal(found, wanted, what, hint, [([*wanted, 0], "how-many")])


def _asks(
    bench: Bench, edges: Sequence[float], counts: Sequence[int], percent: float, hint: str
) -> None:
    wanted = percentile_of(edges, counts, percent)
    found = bench.call("percentile", list(edges), list(counts), percent)
    what = f"the {percent:g}th percentile"
    if wanted is None or found is None:
        bench.equal(found, wanted, what, "empty" if wanted is None else hint, [(0, "empty")])
        return
    at = next(i for i, edge in enumerate(edges) if edge <= wanted <= edges[i + 1] and counts[i])
    low, high = edges[at], edges[at + 1]
    rank, below = sum(counts) * percent / 100, sum(counts[:at])
    mistakes = [
        (low, "inside"),
        (high, "inside"),
        ((low + high) / 2, "inside"),
        (low + (high - low) * (1 - (rank - below) / counts[at]), "direction"),
        (low + (high - low) * rank / sum(counts), "below"),
        (low + (high - low) * rank / counts[at], "below"),
        (percentile_of(edges, counts, percent / 100) or 0.0, "percent"),
        (percentile_of(edges, counts, 100 - percent) or 0.0, "side"),
    ]
    mistakes = [pair for pair in mistakes if abs(pair[0] - wanted) > 1e-6]
    bench.near(found, wanted, what, hint, mistakes, room=1e-6)


def percentile(bench: Bench) -> None:
    """Any histogram with enough in it."""
    rng = bench.rng
    for _ in range(2):
        edges = [float(edge) for edge in sorted(rng.sample(range(500), 9))]
        counts = [rng.choice((0, rng.randrange(1, 80))) for _ in range(7)] + [rng.randrange(3, 60)]
        counts[rng.randrange(7)] = rng.randrange(30, 90)
        for percent in (50, 95, 99, rng.randrange(5, 45)):
            _asks(bench, edges, counts, percent, "rank")


def few(bench: Bench) -> None:
    """Nothing, one value, and both ends of some."""
    rng = bench.rng
    edges = [10.0 * n for n in range(rng.randrange(6, 9))]
    buckets, at = len(edges) - 1, rng.randrange(1, 4)
    one = [int(i == at) for i in range(buckets)]
    _asks(bench, edges, [0] * buckets, 50, "empty")
    for percent in (50, 99):
        _asks(bench, edges, one, percent, "one")
    gap = [0, 5, *[0] * (buckets - 3), 5]
    for percent in (0, 100, 50):
        _asks(bench, edges, gap, percent, "ends")


def tails(bench: Bench) -> None:
    """Mouth-to-ear delays of a call over a bad wireless network, and none at all."""
    delays = _delays(bench.rng.randrange(6))
    bench.step(f"tails of the {len(delays)} delays of a call: p50, p95 and p99 in ms")
    found = bench.returned(bench.subject.call("tails", list(delays)))
    triple = type(found) in (tuple, list) and len(found) == 3
    bench.holds(triple, "three numbers", "three numbers", found, "three")
    counts = tally_of(delays, EDGES)
    ordered = sorted(delays)
    for value, percent in zip(found, (50, 95, 99), strict=True):
        wanted = percentile_of(EDGES, counts, percent)
        assert wanted is not None
        exact = ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
        what = f"p{percent} from buckets of 5 ms; among the delays themselves it is {exact:.1f} ms"
        bench.near(value, wanted, what, "buckets", [(exact, "buckets")], room=1e-6)
    found = bench.call("tails", [])
    bench.equal(found, None, "of a call of which nothing was heard", "nothing")


@lru_cache(maxsize=6)
def _delays(number: int) -> tuple[float, ...]:
    result = call("wifi-busy", 40 + number)
    return tuple(round(float(delay), 3) for delay in result.timeline.mouth_to_ear_ms())
