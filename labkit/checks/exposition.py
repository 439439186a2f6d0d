"""Exercise 12.1: what Prometheus reads (text format 0.0.4).

Whether a text says what it should is decided by a client that is not ours: the parser of
`prometheus_client`. What it would let pass and Prometheus would not (a family told twice, a last
line without an end) is looked for in the lines.

A family is `(name, kind, help, samples)`, a sample `(labels, value)`; a value that is not known is
None, and stands nowhere.
"""

import math
from random import Random
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from labkit.checks.bench import Bench
from labkit.checks.plain import shown

Sample = tuple[dict[str, str], float | None]
Family = tuple[str, str, str, list[Sample]]
Found = dict[str, tuple[str, str, list[tuple[tuple[tuple[str, str], ...], float]]]]
"""By name: kind, help, and every sample in order."""

WORDS: Final = ("lost_packets", "jitter_seconds", "depth_seconds", "rate_bytes", "listeners")
COUNTS: Final = ("packets_total", "late_frames_total", "refused_total")
HELPS: Final = ("Packets that came.", "How long it waits.", "Of the last minute: all of them.")


def _gauge(rng: Random, samples: list[Sample]) -> Family:
    return f"voice_{rng.choice(WORDS)}", "gauge", rng.choice(HELPS), samples


def _counter(rng: Random, samples: list[Sample]) -> Family:
    return f"voice_{rng.choice(COUNTS)}", "counter", rng.choice(HELPS), samples


def wanted_of(families: list[Family]) -> Found:
    """What a client should read."""
    return {
        name: (
            kind,
            help_,
            [(tuple(sorted(labels.items())), float(v)) for labels, v in samples if v is not None],
        )
        for name, kind, help_, samples in families
    }


def read(text: str) -> Found:
    """What a client reads. `ValueError` where it cannot."""
    found: Found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            row = found.setdefault(sample.name, (family.type, family.documentation, []))
            row[2].append((tuple(sorted(sample.labels.items())), float(sample.value)))
    return found


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _try(bench: Bench, families: list[Family], hints: dict[str, str]) -> None:
    """Ask for the text, let the client read it, and compare. `hints` for what differs."""
    text = bench.call("expose", families)
    bench.holds(type(text) is str, "expose gives text", "str", text, "text")
    what = "the last line ends, too"
    bench.holds(text.endswith("\n"), what, "a text that ends with \\n", text[-30:], "newline")
    try:
        found = read(text)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        found_ = f"{type(error).__name__}: {error}"[:200]
        bench.fail("a client reads it", "no error", found_, hints.get("error", "line"))
    for name, (kind, help_, samples) in wanted_of(families).items():
        if not samples:
            bench.holds(name not in found, f"nothing is known of {name}", "no sample",
                        shown(found.get(name)), "unknown")  # fmt: skip
            continue
        bench.holds(name in found, f"there is {name}", name, ", ".join(found) or "nothing", "name")
        its_kind, its_help, its_samples = found[name]
        bench.equal(its_kind, kind, f"the type of {name}", "type")
        bench.equal(its_help, help_, f"the help of {name}", hints.get("help", "help"))
        labels, its_labels = ([each for each, _ in row] for row in (samples, its_samples))
        idea = "unknown" if len(its_labels) > len(labels) else hints.get("labels", "labels")
        bench.equal(its_labels, labels, f"the labels of {name}, sample by sample", idea)
        for (_, value), (_, its_value) in zip(samples, its_samples, strict=True):
            what = f"a value of {name}"
            bench.holds(_same(value, its_value), what, shown(value), shown(its_value), "value")
    for mark in ("# TYPE ", "# HELP "):
        lines = [line for line in text.splitlines() if line.startswith(mark)]
        what = f"each family is told once, by a line {mark.strip()}"
        bench.holds(len(lines) <= len(families), what, len(families), len(lines), "once")


def lines(bench: Bench) -> None:
    """A gauge and a counter, without labels."""
    for _ in range(2):
        families = [
            _gauge(bench.rng, [({}, bench.rng.randrange(100) / 8)]),
            _counter(bench.rng, [({}, bench.rng.randrange(1000))]),
        ]
        _try(bench, families, {})


def labels(bench: Bench) -> None:
    """Several samples of one family, told apart by labels."""
    rng = bench.rng
    clients = [f"10.0.0.{n}:{rng.randrange(1024, 65536)}" for n in rng.sample(range(2, 250), 3)]
    rows: list[Sample] = [
        ({"client": c, "codec": rng.choice(["opus", "L16"])}, rng.random()) for c in clients
    ]
    _try(bench, [_gauge(rng, rows), _counter(rng, [({"reason": "late"}, 4), ({}, 7)])], {})


def escapes(bench: Bench) -> None:
    """What must not stand there as it is."""
    rng = bench.rng
    room = rng.choice(["hall", "studio", "attic"])
    odd = [f'the "{room}"', f"C:\\{room}", f"{room}\nnext", f'{room}\\"', f"{room}\\n, no line"]
    for value in odd:
        rows: list[Sample] = [({"room": value}, 1)]
        _try(bench, [_gauge(rng, rows)], {"error": "escape", "labels": "escape"})
    for help_ in (f"Of {room}.\nAll of it.", f"C:\\{room}", f'The "{room}".'):
        family: Family = ("voice_lag_seconds", "gauge", help_, [({}, 0.5)])
        _try(bench, [family], {"error": "help-escape", "help": "help-escape"})


def numbers(bench: Bench) -> None:
    """Not a number, without an end, large, small, and not known."""
    rng = bench.rng
    nan, inf = math.nan, math.inf
    values = [nan, inf, -inf, 0.0, -1.5, rng.randrange(10**8, 10**9), rng.random() / 1e6]
    rows: list[Sample] = [({"n": str(n)}, value) for n, value in enumerate(values)]
    _try(bench, [_gauge(rng, rows)], {"error": "special"})
    some: list[Sample] = [({"n": "1"}, 0), ({"n": "2"}, None), ({"n": "3"}, rng.random())]
    nothing: Family = ("voice_round_trip_seconds", "gauge", "Nobody knows it.", [({}, None)])
    _try(bench, [_gauge(rng, some), nothing], {"error": "unknown"})
