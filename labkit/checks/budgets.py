"""The latency budget, for week 11: sums over all moments, and a voice on a full line.

Parts of exercise 11.4. In the last one the student's scheduler stands before the kit's line; a
voice and a flood come, and what the listener gets is judged: delay, its tail, and R of the E-model.
"""

from functools import lru_cache
from random import Random
from statistics import fmean
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.marking import EF, name_of
from labkit.checks.plain import shown
from labkit.checks.priorities import Lent
from labkit.checks.silent import call, silent_call
from labkit.words.units import ms, to_ms

PARTS: Final = ("framing", "encoder", "send queue", "network", "jitter buffer")
ORDER: Final = ("spoken", "complete", "encoded", "left", "arrived", "played")
Moments = list[tuple[int, str, int]]


def _made(rng: Random, count: int = 40, *, losses: bool = False) -> Moments:
    """A trace: the jitter buffer waits the less, the longer the network took."""
    rows: Moments = []
    long, line = rng.randrange(5, 60), rng.randrange(90, 160)
    for seq in range(100, 100 + count):
        now = ms(20 * seq)
        network = ms(long + rng.random() * 40)
        steps = (ms(20), ms(rng.random() * 3), ms(rng.random() * 2), network, ms(line) - network)
        times = [now]
        for step in steps:
            times.append(times[-1] + step)
        fate = rng.random() if losses else 1.0
        kept = 4 if fate < 0.15 else 5 if fate < 0.3 else 6  # lost, late, played
        rows += [(now, what, seq) for now, what in zip(times[:kept], ORDER, strict=False)]
        if losses and kept > 4 and rng.random() < 0.3:  # a second copy comes later
            rows.append((times[4] + ms(2), "arrived", seq))
    return sorted(rows)


def parts_of(trace: Moments, *, keep_unplayed: bool = False) -> dict[str, list[float]]:
    """Of each packet that was played, each part in ms."""
    times: dict[int, dict[str, int]] = {}
    for now, what, seq in trace:
        times.setdefault(seq, {}).setdefault(what, now)
    whole = [found for found in times.values() if keep_unplayed or "played" in found]
    return {
        part: [to_ms(each[b] - each[a]) for each in whole if a in each and b in each]
        for part, a, b in zip(PARTS, ORDER, ORDER[1:], strict=False)
    }


def _is_budget(bench: Bench, trace: Moments, hint: str) -> None:
    found = bench.returned(bench.subject.call("budget", list(trace)))
    columns = parts_of(trace)
    what = f"a dictionary of {', '.join(PARTS)}"
    table = type(found) is dict and set(found) == set(PARTS)
    bench.holds(table, what, "those five", shown(found), "table")
    every = parts_of(trace, keep_unplayed=True)
    for part in PARTS:
        wanted = fmean(columns[part])
        mistakes = [
            (wanted * 1e6, "unit"),
            (wanted / 1000, "unit"),
            (sum(columns[part]), "mean"),
            (max(columns[part]), "mean"),
            (fmean(every[part]), "fate"),
        ]
        mistakes = [pair for pair in mistakes if abs(pair[0] - wanted) > 1e-6]
        bench.near(found[part], wanted, f"the mean of {part}, in ms", hint, mistakes, room=1e-6)


def adds(bench: Bench) -> None:
    """All packets are played."""
    trace = _made(bench.rng)
    bench.step(f"budget of a trace of {len(trace)} moments; all packets are played")
    _is_budget(bench, trace, "parts")


def fates(bench: Bench) -> None:
    """Some are lost, late, or come twice; at last none is played."""
    trace = _made(bench.rng, 60, losses=True)
    bench.step(f"budget of {len(trace)} moments; some packets are lost, late, or come twice")
    _is_budget(bench, trace, "fate")
    unheard = [row for row in trace if row[1] != "played"]
    bench.step("budget of the same, when nothing was played")
    found = bench.returned(bench.subject.call("budget", unheard))
    bench.equal(found, {}, "nothing was played, so there are no parts", "nothing")


def largest(bench: Bench) -> None:
    """Which part, and the tail; last on a call of the real pipeline."""
    values = [float(bench.rng.randrange(1, 90)) for _ in PARTS]
    values[bench.rng.randrange(len(PARTS))] = 120.5
    parts = dict(zip(PARTS, values, strict=True))
    mistakes: list[tuple[Any, str]] = [(max(values), "which"), (max(PARTS), "which")]
    wanted = max(parts, key=lambda part: parts[part])
    mistakes = [pair for pair in mistakes if pair[0] != wanted]
    bench.equal(bench.call("largest", parts), wanted, "the largest part", "which", mistakes)
    for trace, of in (
        (_made(bench.rng, 57, losses=True), "a trace"),
        (_real(bench.rng.randrange(3)), "a call"),
    ):
        if of == "a call":
            bench.step("budget of a call of the real pipeline")
            _is_budget(bench, trace, "parts")
        _tail(bench, trace, of)


@lru_cache(maxsize=3)
def _real(number: int) -> Moments:
    from labkit.lab.moments import moments

    return moments(call("wifi-busy", 60 + number, 3))


def _tail(bench: Bench, trace: Moments, of: str) -> None:
    columns = list(parts_of(trace).values())
    sums = sorted(sum(column[i] for column in columns) for i in range(len(columns[0])))
    bench.step(f"tail of {of}, 90 %")
    found = bench.returned(bench.subject.call("tail", list(trace), 90))
    at = -(-len(sums) * 90 // 100) - 1
    tails = sum(sorted(column)[at] for column in columns)
    network = sorted(columns[3])[at]
    mistakes = [(tails, "tails"), (network, "ear"), (sums[-1], "share"), (fmean(sums), "share")]
    near = type(found) in (int, float) and sums[at - 1] - 1e-6 <= found
    if near and found <= sums[min(at + 1, len(sums) - 1)] + 1e-6:
        return
    what = "the mouth-to-ear delay that 90 of 100 packets do not exceed, in ms"
    bench.near(found, sums[at], what, "share", mistakes, room=1e-6)


GOAL_MS: Final = 25
"""What 99 of 100 packets of the voice shall not exceed, one way."""
QUEUE: Final = 60


def line(bench: Bench) -> None:
    """A voice beside a flood: once with one queue, once with the student's scheduler."""
    from labkit.lab.qos import simulate

    rate = 500_000 * bench.rng.randrange(3, 7)
    classes, mark = bench.rng.choice((([[EF]], EF), ([[EF], [34]], EF), ([[EF], [34]], 34)))
    bench.step(f"a line of {rate / 1e6:g} Mbit/s, filled by others; the voice is {name_of(mark)}")
    bench.step(f"one queue: {one_queue(rate)}")
    lent = Lent(bench, classes, QUEUE)
    voice = silent_call(3, seed=bench.rng.randrange(100))
    after = simulate(lent, call=voice, rate=rate, dscp=mark)
    bench.step(f"yours: {_said(after)}")
    what = "the voice comes through"
    bench.holds(len(after) > 0 and after.lost < 0.01, what, "all of it", f"{after.lost:.0%} lost",
                "lost")  # fmt: skip
    bench.drawing = {
        "kind": "lines",
        "x": list(range(len(after))),
        "lines": {"with your scheduler": [float(each) for each in after.delays_ms]},
        "xlabel": "packet of the voice",
        "ylabel": "one-way delay (ms)",
        "level": [GOAL_MS, f"{GOAL_MS} ms"],
    }
    p99 = to_ms(after.percentile(99))
    what = "99 of 100 packets of the voice come within"
    bench.holds(p99 < GOAL_MS, what, f"{GOAL_MS} ms", f"{p99:.0f} ms", "late")
    what = "the others have what the voice leaves"
    share = after.bulk_share
    bench.holds(share > 0.9, what, "more than 90 % of the line", f"{share:.0%}", "idle")


@lru_cache(maxsize=4)
def one_queue(rate: int) -> str:
    """What the same voice has without priority."""
    from labkit.core.scheduler import Fifo
    from labkit.lab.qos import simulate

    return _said(simulate(Fifo(QUEUE), call=silent_call(3, seed=0), rate=rate))


def _said(run: Any) -> str:
    """Delay and R of a voice beside others."""
    if not len(run):
        return "no packet of the voice came"
    result = run.result
    return (
        f"99 % under {to_ms(run.percentile(99)):.0f} ms one way, {result.delay_ms:.0f} ms mouth to "
        f"ear, R {result.r:.0f}; the others have {run.bulk_share:.0%} of the line"
    )
