"""When what befell each packet of a call: rows to make a latency budget of (week 11).

    moments(result)[:3]     [(0, "spoken", 0), (20000000, "complete", 0), (20000000, "encoded", 0)]

Rows are in the order of time, nanoseconds first. A packet that was lost has no "arrived", one that
came too late no "played". In virtual time computing takes none.

This module adds nothing up: `labkit.core.latency` does, and students do.
"""

from typing import Final

from labkit.core.latency import departures
from labkit.core.timeline import NEVER
from labkit.lab.result import Result

ORDER: Final = ("spoken", "complete", "encoded", "left", "arrived", "played")
"""What can befall a packet, in this order."""

Moment = tuple[int, str, int]
"""Nanoseconds, what, sequence number."""


def moments(result: Result) -> list[Moment]:
    """Every moment of every packet of a call."""
    line = result.timeline
    left = departures(result.sent_trace)
    columns = (line.seq, line.captured, line.sent, line.arrived, line.played)
    rows: list[Moment] = []
    for seq, spoken, complete, arrived, played in zip(*(c.tolist() for c in columns), strict=True):
        times = (spoken, complete, left[seq].encoded, left[seq].left, arrived, played)
        rows += [(now, what, seq) for now, what in zip(times, ORDER, strict=True) if now != NEVER]
    return sorted(rows, key=lambda row: (row[0], row[2], ORDER.index(row[1])))
