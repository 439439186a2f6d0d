"""Prints what each engine did beside what is usual: the long form of test_engines.py.

    python -m engines.report relay network      ten times as many packets as in the tests
    python -m engines.report kernel             tc netem in User-Mode Linux

One line for each spec: the figures found, with `usual ± allowed` behind them, the median and the
95th percentile of the delay, and whether all of them agree. The exit code is 1 if one does not
that should, or does that should not.
"""

import sys
import time
from collections.abc import Mapping

from engines.agreement import DEVIATIONS, Observation, Verdict, compare, lateness, simulated
from engines.engines import (
    DIFFERENT,
    STEADY,
    TRACED,
    WORDS,
    in_the_kernel,
    moments,
    networked,
    relayed,
    shipped,
)

from labkit.words.linkspec import LinkSpec
from labkit.words.units import ms, to_ms

FIXED = shipped(steady=True) | WORDS | TRACED
UNLIKE = {name: spec for name, (spec, _) in DIFFERENT.items()}
ENGINES = {
    "relay": (relayed, shipped() | WORDS | TRACED, 20_000, ms(10)),
    "network": (networked, FIXED, 20_000, ms(10)),
    "kernel": (in_the_kernel, moments() | WORDS | UNLIKE, 6_000, ms(20)),
}
HEAD = "| | lost % | burst | reordered % | doubled % | delay: median, 95 % (ms) | distance | |"


def report(engine: str) -> bool:
    """Measure and print; whether everything is as it should be."""
    observe, specs, packets, interval = ENGINES[engine]
    seen = observe(specs, packets, interval)
    late = lateness(seen["delay"], STEADY.delay)
    print(f"\n{engine}, {time.strftime('%d %B %Y')}: {packets} packets for each line, one each")
    print(
        f"{to_ms(interval):g} ms; late: up to {to_ms(late):.1f} ms; ± is {DEVIATIONS} deviations\n"
    )
    print(HEAD)
    print("| --- " * (HEAD.count("|") - 1) + "|")
    right = [line(name, seen[name], specs, late, engine) for name in specs]
    return all(right)


def line(
    name: str, seen: Observation, specs: Mapping[str, LinkSpec], late: int, engine: str
) -> bool:
    """One line of the table."""
    verdicts = {verdict.figure: verdict for verdict in compare(seen, specs[name], late=late)}
    wrong = {figure for figure, verdict in verdicts.items() if not verdict.agrees}
    expected = DIFFERENT[name][1] if engine == "kernel" and name in DIFFERENT else set()
    runs = (seen, simulated(specs[name], "report", seen.sent))
    delays = " / ".join(f"{run.quantile(0.5):.1f}, {run.quantile(0.95):.1f}" for run in runs)
    cells = [
        name,
        _cell(verdicts["lost"], 100),
        _cell(verdicts["burst"], 1),
        _cell(verdicts["reordered"], 100),
        _cell(verdicts["doubled"], 100),
        delays.replace("nan", "-"),
        _cell(verdicts["delay"], 1, 3),
        _judgement(wrong, expected),
    ]
    print("| " + " | ".join(cells) + " |", flush=True)
    return wrong == expected


def _cell(verdict: Verdict, scale: int, digits: int = 2) -> str:
    if verdict.found == verdict.usual == 0:
        return "0"
    parts = (verdict.found, verdict.usual, verdict.allowed)
    found, usual, allowed = (f"{scale * part:.{digits}f}".replace("nan", "-") for part in parts)
    return f"{found} / {usual} ± {allowed}"


def _judgement(wrong: set[str], expected: set[str]) -> str:
    if wrong == expected:
        return f"differs in {', '.join(sorted(wrong))}, as it should" if wrong else "agrees"
    return f"**{', '.join(sorted(wrong ^ expected))}**"


if __name__ == "__main__":
    results = [report(engine) for engine in sys.argv[1:]]
    sys.exit(not all(results))
