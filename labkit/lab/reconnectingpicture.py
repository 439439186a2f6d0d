"""The picture of a reconnection: a row for each listener, and one time for all.

    lifelines([patient, gave_up])

A row has a bar where sound came, a shade where the server was out of reach (another one where it
hung up at once), and a mark for each attempt to connect: a cross that was refused, a line that was
not.

This module computes nothing: `labkit.lab.reconnecting` does.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from labkit.lab.followers import Followed
from labkit.lab.show import GREY, LINE, LOST, PLAYED, Picture, canvas

PAUSE: Final = 0.1
"""Seconds without a packet after which a bar ends."""
GONE, BUSY = "#F6D3C4", "#FBE3BF"


def lifelines(runs: Sequence[Followed]) -> Picture:
    """When there was a server, when it was looked for, and when there was sound."""
    with canvas(height=0.75 * len(runs) + 1.3) as (figure, rows):
        axes = rows[0]
        for row, run in enumerate(runs):
            _outages(axes, run, row)
            for begin, end in _stretches(run.sound):
                axes.barh(row, end - begin, 0.34, begin, color=PLAYED)
            for attempt in run.attempts:
                mark, colour = ("|", LINE) if attempt.worked else ("x", LOST)
                size = 13 if attempt.worked else 6
                axes.plot(attempt.second, row - 0.3, mark, color=colour, ms=size, mew=1.5)
        axes.set_yticks(range(len(runs)), [run.name for run in runs])
        axes.set_ylim(len(runs) - 0.45, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("time since the voice began (s)")
        axes.set_title("Sound, and attempts to connect")
        handles: list[Any] = [
            Patch(color=PLAYED, label="sound"),
            Patch(color=GONE, label="out of reach"),
        ]
        if any(outage.busy for run in runs for outage in run.outages):
            handles.append(Patch(color=BUSY, label="it hangs up at once"))
        handles.append(_mark("|", LINE, "connected"))
        handles.append(_mark("x", LOST, "refused"))
        figure.legend(handles=handles, loc="outside lower center", ncols=5, labelcolor=LINE)
    return Picture(figure, "; ".join(map(str, runs)))


def _mark(mark: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], marker=mark, ls="", ms=9, mew=1.5, color=colour, label=label)


def _outages(axes: Any, run: Followed, row: int) -> None:
    for outage in run.outages:
        axes.barh(row, outage.ends - outage.begins, 0.9, outage.begins, color=GONE)
        if outage.busy > outage.ends:
            axes.barh(row, outage.busy - outage.ends, 0.9, outage.ends, color=BUSY)
        axes.plot([outage.over] * 2, [row - 0.45, row + 0.45], color=GREY, lw=1, ls=":")


def _stretches(times: Sequence[float]) -> list[tuple[float, float]]:
    """Where packets follow each other."""
    if not times:
        return []
    begins = [times[0], *(b for a, b in pairwise(times) if b - a > PAUSE)]
    ends = [*(a for a, b in pairwise(times) if b - a > PAUSE), times[-1]]
    return list(zip(begins, ends, strict=True))
