"""Exercise 12.3: counters that begin again, alerts that wait, and rules that wake somebody.

A rule is `(figure, "above" or "below", threshold, seconds)`. Rules are tried on nights that nobody
has seen: a figure every five seconds, short troubles that mend themselves, and outages that do not.
What a rule says is evaluated here, as Prometheus evaluates `expr` and `for`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple

from labkit.checks.bench import Bench
from labkit.checks.plain import shown

EVERY: Final = 5
"""Seconds between two looks."""
HOURS: Final = 2
TOLD: Final = 90
"""Seconds within which an outage must be told."""
FIGURES: Final = ("loss", "late", "packets")

Value = float | None
Series = list[tuple[int, Value]]
Span = tuple[int, int | None]


def firing(values: Series, threshold: float, wait: int) -> list[Span]:
    """When it fires: above the threshold at every look for `wait` seconds, until it is not."""
    found: list[Span] = []
    since: int | None = None
    fired = False
    for t, value in values:
        if value is None or not value > threshold:
            if fired:
                found[-1] = found[-1][0], t
            since, fired = None, False
            continue
        since = t if since is None else since
        if not fired and t - since >= wait:
            found.append((t, None))
            fired = True
    return found


def rate_of(samples: Sequence[tuple[int, int]]) -> float:
    """Increase a second; a counter that is smaller than before began again at 0."""
    grown = 0
    for (_, before), (_, count) in pairwise(samples):
        grown += count - before if count >= before else count
    return grown / (samples[-1][0] - samples[0][0])


# rate -------------------------------------------------------------------------------------------


def _counter(rng: Random, restarts: Sequence[int]) -> list[tuple[int, int]]:
    t, count = rng.randrange(1000), rng.randrange(100, 10**6)
    samples = []
    for n in range(12):
        if n in restarts:
            count = 0
        count += rng.randrange(1, 90)
        samples.append((t, count))
        t += rng.choice([5, 5, 5, 10])
    return samples


def rates(bench: Bench) -> None:
    """Counters, as they are looked at; some began again."""
    for restarts in ((), (), (6,), (3, 8)):
        samples = _counter(bench.rng, restarts)
        wanted = rate_of(samples)
        (t0, c0), (t1, c1) = samples[0], samples[-1]
        mistakes = [
            ((c1 - c0) / (t1 - t0), "restart"),
            (wanted * (t1 - t0), "second"),
            (wanted * (t1 - t0) / (len(samples) - 1), "second"),
            (wanted * (t1 - t0) / len(samples), "second"),
        ]
        mistakes = [m for m in mistakes if not math.isclose(m[0], wanted, rel_tol=1e-6)]
        idea = "restart" if restarts else "rate"
        found = bench.call("rate", samples)
        bench.near(found, wanted, "its rate, a second", idea, mistakes)
    bench.equal(bench.call("rate", [(5, 100)]), None, "of one look nobody knows a rate", "one")
    bench.equal(bench.call("rate", []), None, "nor of none", "one")


# firing -----------------------------------------------------------------------------------------


def _look(bench: Bench, values: Sequence[Value], threshold: float, wait: int, hint: str) -> None:
    t0 = EVERY * bench.rng.randrange(1000)
    series = [(t0 + EVERY * n, value) for n, value in enumerate(values)]
    found = bench.call("firing", series, threshold, wait)
    if isinstance(found, (list, tuple)):
        found = [tuple(span) if isinstance(span, list) else span for span in found]
    bench.equal(found, firing(series, threshold, wait), "when it fires: [(from, to), …]", hint)


def fires(bench: Bench) -> None:
    """An alert waits, begins again, and ends."""
    rng = bench.rng
    level = rng.randrange(2, 9)
    low, high = level - 1.0, level + rng.random() + 0.5
    _look(bench, [low, low, high, high, low, high, low], level, 0, "plain")
    _look(bench, [low] * 2 + [high] * 6 + [low] * 2, level, 20, "wait")
    _look(bench, [low, high, high, high, low, high, high, low] * 2, level, 15, "again")
    _look(bench, [low] + [high] * 7, level, 15, "open")
    _look(bench, [low, float(level), float(level), low], level, 0, "equal")
    _look(bench, [high] * 3 + [None] + [high] * 3 + [low], level, 15, "unknown")
    values = [rng.choice([low, high, high, high, high, None]) for _ in range(80)]
    _look(bench, values, level, 10, "wait")


# Nights -----------------------------------------------------------------------------------------


class Night(NamedTuple):
    """Figures every five seconds, and what was an outage: (first, last look)."""

    figures: dict[str, list[Value]]
    outages: list[tuple[int, int]]


def night(rng: Random) -> Night:
    """Two hours of one listener."""
    count = HOURS * 3600 // EVERY
    loss: list[Value] = [rng.uniform(0.2, 2.5) for _ in range(count)]
    late: list[Value] = [rng.uniform(0, 1.2) for _ in range(count)]
    packets: list[Value] = [rng.uniform(46, 51) for _ in range(count)]
    figures = {"loss": loss, "late": late, "packets": packets}
    outages = []
    kinds = ["loss", "late", "silence"] * 2
    rng.shuffle(kinds)
    room = count // len(kinds)
    for number, kind in enumerate(kinds):
        base = number * room
        for half in (5, 60):  # two that touch would be one of a whole minute
            _blip(rng, figures, base + half + rng.randrange(40))
        begin = base + room // 2 + rng.randrange(0, 20)
        length = rng.randrange(150, 290) // EVERY
        _outage(rng, figures, kind, begin, length)
        outages.append((begin, begin + length))
        if number % 2:
            _busy(rng, figures, base + room // 2 - 14 - 40)
    return Night(figures, outages)


def _blip(rng: Random, figures: dict[str, list[Value]], at: int) -> None:
    """Half a minute of bad Wi-Fi, or a pause in which nobody speaks."""
    kind = rng.choice(["loss", "late", "pause"])
    for n in range(at, at + rng.randrange(2, 7)):
        if kind == "pause":
            figures["packets"][n] = rng.uniform(2.2, 2.6)
        else:
            figures[kind][n] = rng.uniform(10, 35)


def _busy(rng: Random, figures: dict[str, list[Value]], at: int) -> None:
    """Minutes in which more is lost than usual, and all is understood."""
    for n in range(max(at, 0), at + 36):
        if figures["loss"][n] is not None and figures["loss"][n] < 5:  # type: ignore[operator]
            figures["loss"][n] = rng.uniform(3.0, 4.4)
            figures["packets"][n] = rng.uniform(2.2, 2.6) if n % 2 else rng.uniform(44, 48)


def _outage(
    rng: Random, figures: dict[str, list[Value]], kind: str, begin: int, length: int
) -> None:
    for n in range(begin, begin + length):
        if kind == "silence":
            figures["packets"][n] = 0.0
            figures["loss"][n] = figures["late"][n] = None  # 0 of 0
        else:
            figures[kind][n] = rng.uniform(8.5, 22)


class Judged(NamedTuple):
    """What rules did in a night."""

    told: int
    outages: int
    false: int
    spans: list[tuple[int, int]]


def judge(night_: Night, rules: Sequence[tuple[str, str, float, float]]) -> Judged:
    """Which outages were told in time, and how often somebody was woken for nothing."""
    spans = []
    for figure, side, threshold, wait in rules:
        sign = 1 if side == "above" else -1
        values = [None if v is None else sign * v for v in night_.figures[figure]]
        series: Series = [(EVERY * n, value) for n, value in enumerate(values)]
        found = firing(series, sign * threshold, int(wait))
        last = EVERY * len(values)
        spans += [(a // EVERY, (last if b is None else b) // EVERY) for a, b in found]
    late = TOLD // EVERY
    told = sum(
        any(begin <= a <= min(begin + late, end) for a, _ in spans) for begin, end in night_.outages
    )
    false = sum(not any(b <= a <= e for b, e in night_.outages) for a, _ in spans)
    return Judged(told, len(night_.outages), false, spans)


def _rules(bench: Bench) -> list[tuple[str, str, float, float]]:
    given: Any = bench.call("rules")
    rules = []
    bench.holds(
        type(given) in (list, tuple), "rules gives a list of rules", "a list", given, "rules"
    )
    bench.holds(len(given) <= 20, "twenty rules at most", 20, len(given), "rules")
    for rule in given:
        row = tuple(rule) if type(rule) in (list, tuple) else ()
        right = len(row) == 4 and row[0] in FIGURES and row[1] in ("above", "below") and all(
            type(n) in (int, float) and 0 <= n < 1e6 for n in row[2:]
        )  # fmt: skip
        what = '("loss", "late" or "packets", "above" or "below", threshold, seconds)'
        bench.holds(right, "a rule has four parts", what, shown(rule), "rules")
        rules.append(row)
    return rules


def nights(bench: Bench) -> float:
    """Three nights."""
    rules = _rules(bench)
    told = outages = false = 0
    for number in range(3):
        tonight = night(bench.rng)
        judged = judge(tonight, rules)
        if number == 0:
            bench.drawing = _drawing(tonight, judged)
        bench.step(
            f"night {number + 1}: {judged.told} of {judged.outages} outages told in time, "
            f"woken {judged.false} times for nothing"
        )
        told, outages, false = told + judged.told, outages + judged.outages, false + judged.false
    share = max(0.0, told / outages - 0.15 * false)
    if told < outages or false:
        idea = "missed" if told < outages else "false"
        what = f"every outage is told within {TOLD} s, and nothing else is"
        bench.fail(what, f"{outages} of {outages}, 0 for nothing",
                   f"{told} of {outages}, {false} for nothing", idea, share=share)  # fmt: skip
    return 1.0


def _drawing(tonight: Night, judged: Judged) -> dict[str, Any]:
    """The night, with a bar where somebody was woken."""
    count = len(tonight.figures["loss"])
    woken, bad = [0.0] * count, [0.0] * count
    for a, b in judged.spans:
        for n in range(a, min(b, count)):
            woken[n] = 60.0
    for a, b in tonight.outages:
        for n in range(a, min(b, count)):
            bad[n] = 56.0
    return {
        "kind": "lines",
        "x": [n * EVERY / 60 for n in range(count)],
        "lines": {
            "lost (%)": [v or 0.0 for v in tonight.figures["loss"]],
            "late (%)": [v or 0.0 for v in tonight.figures["late"]],
            "packets a second": [v or 0.0 for v in tonight.figures["packets"]],
            "an outage": bad,
            "somebody is woken": woken,
        },
        "xlabel": "minutes",
        "ylabel": "% of the packets; packets a second",
        "level": [5.0, "5 %"],
    }
