"""Checks of what a receiver counts: exercise 07.2, RFC 3550 appendices A.1, A.3 and A.8.

What is expected is computed by `labkit.checks.arrivals` over whole lists. All packets of a part
make one journey, and `report` is asked on the way.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from labkit.checks.arrivals import Row, counted, jitter_of, stream
from labkit.checks.bench import Bench
from labkit.checks.plain import shown
from labkit.checks.rtpheader import by_hand, captured, number, simulated
from labkit.checks.subject import Ask
from labkit.words.seqnum import add16, ahead16

RECEPTION: Final = "Reception"


FIGURES: Final = ("fraction lost", "cumulative number lost", "extended highest number", "jitter")
Figures = tuple[Any, Any, Any, Any]


def ask(bench: Bench, rate: int, rows: Sequence[Row], after: Collection[int] = ()) -> list[Figures]:
    """Add these packets; what `report` says after some of them, or after the last alone."""
    numbers = ", ".join(str(row.seq) for row in rows[:12]) + (" …" if len(rows) > 12 else "")
    bench.step(f"{RECEPTION}({rate}), then add for {len(rows)} packets: {numbers}")
    handle = bench.subject.new_handle()
    asks, places = [Ask("make", RECEPTION, (rate,), into=handle)], []
    for index, row in enumerate(rows):
        asks.append(Ask("call", "add", tuple(row), handle))
        if index in (after or (len(rows) - 1,)):
            places.append(len(asks))
            asks.append(Ask("call", "report", (), handle))
    bench.step(f"report(), {len(places)} times")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[-1])
    return [_four(bench, bench.returned(outcomes[place])) for place in places]


def _four(bench: Bench, found: Any) -> Figures:
    right = type(found) in (tuple, list) and len(found) == 4
    right = right and all(type(each) in (int, float) for each in found)
    what = "report gives four numbers: fraction, lost, highest, jitter"
    bench.holds(right, what, "four numbers", shown(found), "four")
    return tuple(found)


def extends(bench: Bench) -> None:
    """After each packet the extended highest number, across a wrap and with late packets."""
    first = 65_536 - bench.rng.randrange(4, 7)
    rows = stream(bench.rng, first, 14, swapped=(65_535 - first, 9))
    answers = ask(bench, 8000, rows, range(14))
    for row, extended, (_, _, found, _) in zip(rows, counted(rows).extended, answers, strict=True):
        what = f"after {row.seq}, the extended highest number"
        mistakes = [(first + ahead16(row.seq, first), "highest"), (row.seq, "cycles")]
        bench.equal(found, extended, what, "cycles", mistakes)


def lost(bench: Bench) -> None:
    """Losses with copies among them, and copies alone."""
    first = bench.rng.randrange(100, 60_000)
    gone = bench.rng.sample(range(3, 27), 5)
    rows = stream(bench.rng, first, 30, gone=gone, twice=(1, 28), swapped=(1,))
    ((_, lost, _, _),) = ask(bench, 8000, rows)
    what = "30 were sent, five are missing, two came twice: lost"
    bench.equal(lost, 3, what, "copies", [(5, "copies"), (2, "one")])
    rows = stream(bench.rng, first, 12, twice=(2, 5, 6))
    ((_, lost, _, _),) = ask(bench, 8000, rows)
    bench.equal(lost, -3, "none is missing, three came twice: lost", "negative")


def fraction(bench: Bench) -> None:
    """Asked three times: ten lost, three lost, and then copies alone."""
    first = bench.rng.randrange(100, 60_000)
    gone = [*bench.rng.sample(range(1, 39), 10), *bench.rng.sample(range(41, 79), 3)]
    rows = stream(bench.rng, first, 120, gone=gone, twice=(85, 90))
    ends = [i for i, row in enumerate(rows) if ahead16(row.seq, first) in (39, 79, 119)]
    answers = ask(bench, 8000, rows, ends)
    wanted = (10, 10 / 40), (3, 13 / 80), (-2, 11 / 120)
    for (found, _, _, _), (lost, so_far) in zip(answers, wanted, strict=True):
        share = max(lost, 0) / 40
        what = f"{lost} lost of 40 since it was asked before, in 1/256"
        mistakes = [
            (share, "scale"),
            (100 * share, "scale"),
            (int(256 * so_far), "since"),
            (256 * lost // 40, "below-zero"),
            (int(256 * lost / 40), "below-zero"),
        ]
        mistakes = [each for each in mistakes if each[0] != int(256 * share)]
        bench.equal(found, int(256 * share), what, "scale", mistakes)


def jitter(bench: Bench) -> None:
    """At three clock rates, and across a wrap of the timestamp."""
    for rate, wraps in ((48_000, False), (8000, False), (16_000, True)):
        first = bench.rng.randrange(100, 60_000)
        start = (1 << 32) - rate // 2 if wraps else number(bench.rng, 3)
        rows = stream(bench.rng, first, 60, rate=rate, start=start, swapped=(30,), gone=(7, 20))
        ((_, _, _, found),) = ask(bench, rate, rows)
        wanted = jitter_of(rows, rate)
        if _is_near(found, wanted):
            continue
        what = f"the jitter, in ticks of a clock of {rate} Hz"
        signed = jitter_of(rows, rate, sign=True)
        mistakes = [
            (signed, "sign"),
            (abs(signed), "sign"),
            (jitter_of(rows, rate, share=1 / 8), "sixteenth"),
            (jitter_of(rows, rate, share=1), "sixteenth"),
            (jitter_of(_newest(rows), rate), "every"),
            (wanted * 1000 / rate, "unit"),
            (wanted / rate, "unit"),
            (wanted * 1e9 / rate, "unit"),
        ]
        close = (hint for value, hint in mistakes if _alike(found, value))
        beyond = "wrap" if wraps else "first"
        bench.fail(
            what,
            f"about {wanted:.0f}",
            shown(found),
            next(close, beyond if found > 10 * wanted else "formula"),
        )


def _newest(rows: Sequence[Row]) -> list[Row]:
    """Without what was overtaken, and without copies."""
    some = list(rows[:1])
    for row in rows:
        if ahead16(row.seq, some[-1].seq) > 0:
            some.append(row)
    return some


def _alike(found: Any, value: float) -> bool:
    """The same number, rounded down or not."""
    return bool(found == int(value) or abs(found - value) <= 0.01 * abs(value))


def _is_near(found: Any, ticks: float) -> bool:
    """A.8's integers round at each packet, and may be two ticks off at the end."""
    return bool(abs(found - ticks) <= 2 + 0.01 * ticks)


def strangers(bench: Bench) -> None:
    """Numbers at the limits of A.1 and far beyond them."""
    first = bench.rng.randrange(10_000, 40_000)
    rows = stream(bench.rng, first, 150)
    top = add16(first, 149)
    now, timestamp = rows[-1].now, rows[-1].timestamp
    steps = ((3000, False), (-100, False), (32_000, False), (-99, True), (2999, True))
    asks = [("add", *row) for row in rows]
    asks += [("add", add16(top, step), timestamp, now) for step, _ in steps]
    handle = bench.make(RECEPTION, 8000)
    bench.step(f"add for 150 packets up to {top}")
    outcomes = handle.run([*asks, ("report",)])
    for (step, belongs), outcome in zip(steps, outcomes[150:155], strict=False):
        what = f"add says whether {step:+d} from the highest belongs to the stream"
        hint = "limits" if abs(step) in (99, 100, 2999, 3000) else "stranger"
        found = bench.returned(outcome)
        bench.holds(type(found) is bool, what, "True or False", shown(found), "stranger")
        bench.equal(found, belongs, what, hint)
    _, lost, extended, _ = _four(bench, bench.returned(outcomes[-1]))
    wanted = 2999 - 2, first + 149 + 2999
    bench.equal((lost, extended), wanted, "strangers count for nothing: lost, highest", "untouched")


def rows_of(source: Sequence[tuple[bytes, int]]) -> list[Row]:
    """What `add` is told of these datagrams."""
    packets = [(by_hand(data), now) for data, now in source]
    return [Row(packet.seq, packet.timestamp, now) for packet, now in packets]


def of_capture(bench: Bench) -> None:
    """All four figures of the shipped capture and of a simulated call."""
    for source, rate, name in (
        (captured(), 48_000, "the capture 07_rtp_rtcp"),
        (simulated(), 16_000, "a call"),
    ):
        end = bench.rng.randrange(len(source) * 3 // 4, len(source))
        bench.step(f"the first {end} packets of {name}")
        tells(
            bench,
            ask(bench, rate, rows_of(source)[:end])[0],
            rows_of(source)[:end],
            rate,
            "capture",
        )


def tells(bench: Bench, found: Figures, rows: Sequence[Row], rate: int, hint: str) -> None:
    """All four figures of a whole stream."""
    right = counted(rows)
    wanted = max(right.lost, 0) * 256 // right.expected, right.lost, right.extended[-1]
    for name, value, true in zip(FIGURES, found, wanted, strict=False):
        bench.equal(value, true, name, hint)
    ticks = jitter_of(rows, rate)
    what = "the jitter, in ticks"
    bench.holds(_is_near(found[3], ticks), what, f"about {ticks:.0f}", shown(found[3]), hint)
