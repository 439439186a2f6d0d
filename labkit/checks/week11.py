"""Week 11: the mark, percentiles from a histogram, strict priority, and the latency budget.

Marks are held against three sentences of RFC 2474, 2597 and 3246, on packets written here by
`struct` and on those of a shipped capture; percentiles against the definition that the text gives;
the scheduler against the plain lists of `labkit.checks.priorities`; the budget against sums over
all moments. In the last part the student's scheduler stands before the kit's line, a voice and a
flood come, and what the listener gets is judged: delay, its tail, and R of the E-model.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from statistics import fmean
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import shown
from labkit.checks.priorities import SCHEDULER, Lent, Run, Step
from labkit.words.units import ms, to_ms

# 11.1: DSCP and TOS -----------------------------------------------------------------------------

EF: Final = 46


def name_of(dscp: int) -> str:
    """EF (RFC 3246), AFxy = 8x + 2y (RFC 2597 section 6), CSx = 8x (RFC 2474), or the number."""
    if dscp == EF:
        return "EF"
    x, rest = divmod(dscp, 8)
    if rest == 0:
        return f"CS{x}"
    if 1 <= x <= 4 and rest in (2, 4, 6):
        return f"AF{x}{rest // 2}"
    return str(dscp)


def _byte(bench: Bench) -> None:
    cases = [(EF, 1), *((bench.rng.randrange(1, 64), ecn) for ecn in (1, 2, 3, 0))]
    for dscp, ecn in cases:
        wanted = 4 * dscp + ecn
        mistakes = [
            (dscp, "shift"),
            (dscp + ecn, "shift"),
            (ecn << 6 | dscp, "side"),
            (dscp << 2, "ecn"),
            (dscp << 3 | ecn, "shift"),
        ]
        found = bench.call("tos", dscp, ecn)
        mistakes = [pair for pair in mistakes if pair[0] != wanted]
        bench.equal(found, wanted, "the second byte of the header", "byte", mistakes)


def _names(bench: Bench) -> None:
    dscps = list(range(64))
    bench.rng.shuffle(dscps)
    for dscp in (EF, 0, 34, 12, 40, *dscps):
        wanted, x = name_of(dscp), dscp // 8
        mistakes: list[tuple[Any, str]] = [
            (f"AF{dscp % 8 // 2}{x}", "order"),
            (f"AF{x}{dscp % 8 // 2}", "classes"),
            (f"CS{x}", "selectors"),
            (dscp, "text"),
            (None, "others"),
        ]
        found = bench.call("mark_name", dscp)
        hint = "others" if wanted.isdecimal() else "name"
        mistakes = [pair for pair in mistakes if pair[0] != wanted]
        bench.equal(found, wanted, "the name of this code point", hint, mistakes)


def ipv4(tos: int, body: bytes) -> bytes:
    """An IPv4 packet with UDP (RFC 791 section 3.1)."""
    ends = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 7, 0, 64, 17, 0) + ends + body


def ipv6(tos: int, body: bytes, flow: int) -> bytes:
    """An IPv6 packet with UDP (RFC 8200 section 3)."""
    ends = bytes(15) + b"\1" + bytes(15) + b"\2"
    return struct.pack("!IHBB", 6 << 28 | tos << 20 | flow, len(body), 17, 64) + ends + body


def _marked(rng: Random, count: int, *, six: bool) -> tuple[list[bytes], list[int]]:
    """Packets of a voice, a video and others, and the byte of each."""
    marks = [EF, 34, 0, rng.choice((10, 18, 38)), rng.choice((8, 48)), rng.choice((1, 44))]
    toses = [4 * rng.choices(marks, (5, 3, 4, 2, 1, 1))[0] + rng.randrange(4) for _ in range(count)]
    packets = [
        ipv6(tos, rng.randbytes(40), rng.randrange(1 << 20))
        if six and rng.random() < 0.5
        else ipv4(tos, rng.randbytes(40))
        for tos in toses
    ]
    return packets, toses


def _count(bench: Bench, packets: Sequence[bytes], toses: Sequence[int], hint: str) -> None:
    wanted = dict(Counter(name_of(tos >> 2) for tos in toses))
    found = bench.returned(bench.subject.call("marks", list(packets)))
    what = "how many packets there are of each name"
    table = type(found) is dict and all(type(key) is str for key in found)
    bench.holds(table, what, shown(wanted), shown(found), "table")
    low = dict(Counter(name_of(tos & 63) for tos in toses))
    size = dict.fromkeys(wanted, 0)
    for packet, tos in zip(packets, toses, strict=True):
        size[name_of(tos >> 2)] += len(packet)
    mistakes = [(low, "upper"), (size, "packets")]
    bench.equal(found, wanted, what, hint, [pair for pair in mistakes if pair[0] != wanted])


def _packets(bench: Bench) -> None:
    for count in (bench.rng.randrange(40, 90), 0):
        packets, toses = _marked(bench.rng, count, six=False)
        bench.step(f"marks of {count} packets of IPv4, some with ECN bits")
        _count(bench, packets, toses, "packets")


def _both(bench: Bench) -> None:
    packets, toses = _marked(bench.rng, bench.rng.randrange(60, 90), six=True)
    bench.step(f"marks of {len(packets)} packets, IPv4 and IPv6 among each other")
    _count(bench, packets, toses, "six")


def _capture(bench: Bench) -> None:
    packets, toses = _captured()
    bench.step(f"marks of the {len(packets)} packets of the capture 11_ef_first")
    _count(bench, packets, toses, "capture")
    share = bench.rng.randrange(200, 400)
    some = bench.rng.sample(range(len(packets)), share)
    bench.step(f"marks of {share} of them")
    _count(bench, [packets[i] for i in some], [toses[i] for i in some], "capture")


@lru_cache(maxsize=1)
def _captured() -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The capture's packets, and the byte of each as the kit's own reader names it."""
    from labkit.lab.captures import capture

    traffic = capture("11_ef_first")
    fields = [packet.found["IP"] for packet in traffic]
    return tuple(p.data for p in traffic), tuple(4 * f["DSCP"] + f["ECN"] for f in fields)


# 11.2: percentiles from a histogram -------------------------------------------------------------

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


def _tally(bench: Bench) -> None:
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


def _percentile(bench: Bench) -> None:
    rng = bench.rng
    for _ in range(2):
        edges = [float(edge) for edge in sorted(rng.sample(range(500), 9))]
        counts = [rng.choice((0, rng.randrange(1, 80))) for _ in range(7)] + [rng.randrange(3, 60)]
        counts[rng.randrange(7)] = rng.randrange(30, 90)
        for percent in (50, 95, 99, rng.randrange(5, 45)):
            _asks(bench, edges, counts, percent, "rank")


def _few(bench: Bench) -> None:
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


def _tails(bench: Bench) -> None:
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
    result = _call("wifi-busy", 40 + number)
    return tuple(round(float(delay), 3) for delay in result.timeline.mouth_to_ear_ms())


def _call(link: str, seed: int, length: float = 6) -> Any:
    """A call of packets without sound, which costs nothing but the protocol."""
    from labkit.codec.blank import Blank
    from labkit.lab.call import Call

    return Call(_silence(length), Blank(), link=link, seed=seed).simulate()


def _silence(length: float) -> Any:
    import numpy as np

    from labkit.core.source import Clip

    return Clip(np.zeros(round(48_000 * length), np.int16))


# 11.3: strict priority --------------------------------------------------------------------------

CLASSES: Final = ([[46, 44], [34, 36, 38]], [[46], [40]], [[48], [46], [34, 26]])


def _pushes(rng: Random, dscps: Sequence[int]) -> list[Step]:
    return [("push", ms(rng.randrange(1, 30)), dscp) for dscp in dscps]


def _pops(count: int) -> list[Step]:
    return [("pop", ms(3), 0)] * count


def _fifo(bench: Bench) -> None:
    script = _pushes(bench.rng, [46] * 4) + _pops(2) + _pushes(bench.rng, [46] * 2) + _pops(5)
    Run(bench, [[46]], 9, script).play()


def _first(bench: Bench) -> None:
    for classes in CLASSES:
        marks = [marks[0] for marks in classes]
        mixed = [0, *reversed(marks), 0, *marks, *(each[-1] for each in classes), 1]
        script = _pushes(bench.rng, mixed) + _pops(3) + _pushes(bench.rng, marks[:1])
        Run(bench, classes, 9, script + _pops(len(mixed))).play()


def _bounded(bench: Bench) -> None:
    limit = bench.rng.randrange(3, 6)
    voice, bulk = _pushes(bench.rng, [46] * (limit + 2)), _pushes(bench.rng, [0] * (limit + 3))
    script = bulk + _pushes(bench.rng, [46]) + _pops(2) + voice + _pops(2 * limit)
    Run(bench, [[46]], limit, script).play()


def _starves(bench: Bench) -> None:
    """The voice never pauses; the others wait, and it shows."""
    rng = bench.rng
    script = _pushes(rng, [0, 34, 34, 0])
    for _ in range(rng.randrange(8, 12)):
        script += [*_pushes(rng, [46]), *_pops(1)]
    Run(bench, [[46], [34]], 9, script + _pops(5)).play(waits=True)


def _anything(bench: Bench) -> None:
    for classes in CLASSES:
        marks = [*(mark for each in classes for mark in each), 0, 0, 8]
        script = [
            (bench.rng.choice(("push", "push", "pop")), ms(1), bench.rng.choice(marks))
            for _ in range(80)
        ]
        Run(bench, classes, bench.rng.randrange(3, 7), script).play(waits=True)


# 11.4: the latency budget -----------------------------------------------------------------------

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


def _is_budget(bench: Bench, trace: Moments, hint: str) -> dict[str, float]:
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
    return {part: fmean(column) for part, column in columns.items()}


def _adds(bench: Bench) -> None:
    trace = _made(bench.rng)
    bench.step(f"budget of a trace of {len(trace)} moments; all packets are played")
    _is_budget(bench, trace, "parts")


def _fates(bench: Bench) -> None:
    trace = _made(bench.rng, 60, losses=True)
    bench.step(f"budget of {len(trace)} moments; some packets are lost, late, or come twice")
    _is_budget(bench, trace, "fate")
    unheard = [row for row in trace if row[1] != "played"]
    bench.step("budget of the same, when nothing was played")
    found = bench.returned(bench.subject.call("budget", unheard))
    bench.equal(found, {}, "nothing was played, so there are no parts", "nothing")


def _largest(bench: Bench) -> None:
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

    return moments(_call("wifi-busy", 60 + number, 3))


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


def _line(bench: Bench) -> None:
    """A voice beside a flood: once with one queue, once with the student's scheduler."""
    from labkit.lab.qos import simulate

    rate = 500_000 * bench.rng.randrange(3, 7)
    classes, mark = bench.rng.choice((([[EF]], EF), ([[EF], [34]], EF), ([[EF], [34]], 34)))
    bench.step(f"a line of {rate / 1e6:g} Mbit/s, filled by others; the voice is {name_of(mark)}")
    bench.step(f"one queue: {_one_queue(rate)}")
    lent = Lent(bench, classes, QUEUE)
    call = _voice(bench.rng.randrange(100))
    after = simulate(lent, call=call, rate=rate, dscp=mark)
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
def _one_queue(rate: int) -> str:
    """What the same voice has without priority."""
    from labkit.core.scheduler import Fifo
    from labkit.lab.qos import simulate

    return _said(simulate(Fifo(QUEUE), call=_voice(0), rate=rate))


def _voice(seed: int) -> Any:
    from labkit.codec.blank import Blank
    from labkit.lab.call import Call

    return Call(_silence(3), Blank(), seed=seed)


def _said(run: Any) -> str:
    """Delay and R of a voice beside others."""
    if not len(run):
        return "no packet of the voice came"
    result = run.result
    return (
        f"99 % under {to_ms(run.percentile(99)):.0f} ms one way, {result.delay_ms:.0f} ms mouth to "
        f"ear, R {result.r:.0f}; the others have {run.bulk_share:.0%} of the line"
    )


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "11.1",
        "The mark",
        ("tos", "mark_name", "marks"),
        (
            Part("byte", "The byte, of DSCP and ECN", 1, _byte),
            Part("names", "The names of all 64", 1, _names),
            Part("packets", "Counted in packets of IPv4", 1, _packets),
            Part("both", "Counted in IPv4 and IPv6", 1, _both),
            Part("capture", "The same, of a capture", 1, _capture),
        ),
        {
            "byte": "Six bits and two bits make a byte. Write it in binary.",
            "shift": "How many bits stand behind the DSCP? So far it must be moved.",
            "side": "The DSCP is the upper six bits, ECN the lower two.",
            "ecn": "Where have the two bits of ECN gone?",
            "name": "EF is one code point. Class selectors end in three zeros; the rest are AF.",
            "order": "AFxy: x is the class, in the upper three bits; y says who is dropped first.",
            "classes": "Classes are 1 to 4 and drop precedences 1 to 3. Is this one of the twelve?",
            "selectors": "A class selector has three zeros behind its three bits.",
            "text": 'Text in every case, a number too: "1".',
            "others": "A code point that has no such name is called by its number, as text.",
            "table": "A dictionary: the key is the name as text, the value how many.",
            "packets": "One for each packet, by its second byte. What never comes is no key.",
            "upper": "Of that byte the upper six bits count, whatever ECN says in the others.",
            "six": "The first four bits are the version. In IPv6, where are the next eight?",
            "capture": "On made-up packets it is right. What does it take for granted of packets?",
        },
        ("labkit.words.dscp", "labkit.lab.answers", "labkit.lab.dissection"),
    ),
    Exercise(
        "11.2",
        "Percentiles from a histogram",
        ("tally", "percentile", "tails"),
        (
            Part("tally", "Into buckets", 1, _tally),
            Part("percentile", "The point below which so many lie", 1, _percentile),
            Part("few", "Nothing, one value, both ends", 1, _few),
            Part("tails", "Mouth to ear: p50, p95, p99", 1, _tails),
        ),
        {
            "bucket": "Between which two edges is each value? Count it there.",
            "how-many": "Two edges make one bucket: how many buckets do n edges make?",
            "edge": "A bucket begins at its lower edge, and ends just before the upper one.",
            "outside": "Nothing is thrown away: below is in the first bucket, above in the last.",
            "rank": "How many values must lie below? Go from bucket to bucket until there are.",
            "inside": "So many of this bucket lie below, evenly: how far into it is that?",
            "direction": "From which edge is it counted?",
            "below": "What the buckets before have counted, this bucket need not.",
            "percent": "A percentage is asked for: 99 means 99 of 100.",
            "side": "So many per cent lie below, not above.",
            "empty": "Of nothing there is no percentile: None.",
            "one": "One value lies evenly too: half of it below the middle of its bucket.",
            "ends": "Empty buckets hold nobody: pass over them. 0 is where the first value begins.",
            "three": "Three numbers: p50, p95 and p99.",
            "buckets": "From the histogram: tally with EDGES, then percentile.",
            "nothing": "Of a call of which nothing was heard, `tails` is None.",
        },
        ("labkit.core.meters",),
    ),
    Exercise(
        "11.3",
        "A strict-priority scheduler",
        (SCHEDULER,),
        (
            Part("fifo", "In one class: first in, first out", 1, _fifo),
            Part("first", "The highest class goes first", 1, _first),
            Part("bounded", "Each class has a queue with a limit", 1, _bounded),
            Part("starves", "Who starves can be seen", 1, _starves),
            Part("anything", "Arrivals that nobody has seen", 1, _anything),
        ),
        {
            "fifo": "Which packet of this class has waited longest?",
            "highest": "Which classes have a packet, and which of them is the highest?",
            "others": "Who is in none of the classes goes last.",
            "gone": "Each packet goes once, and only one that was taken.",
            "says": "True when it was taken, False when it was not.",
            "full": "Its queue is full. Then it is refused, and those who wait stay as they are.",
            "shared": "Whose queue is full? Each class has a limit of its own.",
            "dropped": "What is counted are packets that were refused, of all classes together.",
            "length": "len says how many packets wait, in all classes together.",
            "since": "How long ago did the one come that is next in this class?",
            "whose": "Of each class it is the oldest that has waited longest.",
            "unit": "Times are nanoseconds, whole numbers; so is what lies between them.",
            "nobody": "Where nobody waits it is 0; each class has its place in the list.",
            "classes": "One for each class, and one at the end for those that are in none.",
        },
        ("labkit.core.scheduler",),
    ),
    Exercise(
        "11.4",
        "The latency budget",
        ("budget", "largest", "tail", SCHEDULER),
        (
            Part("adds", "The parts, from a trace", 1, _adds),
            Part("fates", "Lost, late, doubled, nothing", 1, _fates),
            Part("largest", "The largest part, and the tail", 2, _largest),
            Part("line", "Your scheduler before a line that others fill", 2, _line),
        ),
        {
            "table": "A dictionary with the five parts as keys, spelt as the text says.",
            "parts": "Each part lies between two moments that follow each other in the order.",
            "unit": "Moments are nanoseconds, the parts milliseconds.",
            "mean": "Of each part the mean over all packets.",
            "fate": "Only packets that were played count, and of two arrivals the first.",
            "nothing": "When nothing was played: an empty dictionary.",
            "which": "The name of the part, not its milliseconds.",
            "tails": "Add up for each packet first, then take the tail. Tails do not add up.",
            "ear": "From the mouth to the ear: from spoken to played.",
            "share": "Sort the sums: which of them do so many per cent not exceed?",
            "says": "True or False says whether a packet was taken, as in 11.3.",
            "gone": "What was pushed comes out, each packet once; None when nobody waits.",
            "lost": "The voice has a queue of its own. Who fills it, and who empties it?",
            "late": "When the line is free and a packet of the voice waits, who goes?",
            "idle": "When no voice waits, the line is free for the others.",
        },
        ("labkit.core.latency", "labkit.core.scheduler", "labkit.lab.latencies"),
    ),
)
"""What people write in week 11."""
