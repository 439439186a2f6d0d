"""Pictures of delay: before and after, and where the time goes in a call (week 11).

    before_after(before, after)     one-way delay of a voice on a full line, without and with QoS
    waterfall(result.budget)        the parts of the mouth-to-ear delay, one after the other

This module measures nothing: `labkit.lab.qos` and `labkit.core.latency` do.
"""

from typing import Any, Final

import numpy as np

from labkit.core import latency
from labkit.core.latency import Part
from labkit.lab.qos import BesideBulk
from labkit.lab.show import (
    GREY,
    LATE,
    LINE,
    LOST,
    PASTELS,
    PLAYED,
    RECOVERED,
    WAITING,
    Picture,
    canvas,
)
from labkit.words.units import to_ms

GOAL_MS: Final = 25
"""What the 99th percentile of a voice's one-way delay shall stay under."""
BINS: Final = 120
ZOOM: Final = 4
"""The small picture shows so many times less than the large one."""

COLOURS: Final = {
    Part.FRAMING: LINE,
    Part.PICK_UP: GREY,
    Part.ENCODER: LATE,
    Part.LOOKAHEAD: "#F3CD85",
    Part.SEND_QUEUE: LOST,
    Part.NETWORK: PLAYED,
    Part.JITTER_BUFFER: WAITING,
    Part.DECODER: LATE,
    Part.DEVICE: RECOVERED,
}
WHOLE: Final = PASTELS[-1]


class Budget(latency.Budget):
    """A budget that can be seen."""

    def show(self) -> Picture:
        """The parts, one after the other."""
        return waterfall(self)


# Before and after -------------------------------------------------------------------------------


def before_after(*runs: BesideBulk, title: str = "") -> Picture:
    """Histograms of one-way delay, one above the other, on one axis; a goal of 25 ms is marked.

    Where all of a run lies in a small part of the axis, that part is drawn again, larger.
    """
    top = 1.05 * max((to_ms(run.percentile(99.9)) for run in runs if len(run)), default=100.0)
    colours = (LATE, PLAYED, RECOVERED, LOST)
    with canvas(height=2.35, rows=len(runs)) as (figure, rows):
        for axes, run, colour in zip(rows, runs, colours, strict=False):
            _draw_run(axes, run, top, colour)
        rows[-1].set_xlabel("one-way delay of the voice (ms)")
        rows[0].set_xlim(0, top)
        if title:
            figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=LINE)
    return Picture(figure, "; ".join(map(repr, runs)))


def _draw_run(axes: Any, run: BesideBulk, top: float, colour: str) -> None:
    axes.set_title(run.name[:1].upper() + run.name[1:])
    axes.set_ylabel("packets (%)")
    axes.axvline(GOAL_MS, color=GREY, ls=(0, (4, 3)), lw=1)
    if not len(run):
        axes.text(0.5, 0.5, "no packet came", transform=axes.transAxes, ha="center", color=LOST)
        return
    lost = f"{100 * run.lost:.1f} % lost" if run.lost else "none lost"
    words = (
        f"median {to_ms(run.percentile(50)):.0f} ms, {lost}; bulk has {100 * run.bulk_share:.0f} %"
    )
    axes.set_title(f"{words} of the line", loc="right", fontsize=9, fontweight="normal")
    _draw_histogram(axes, run, np.linspace(0, top, BINS), colour)
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    tail = to_ms(run.percentile(99))
    if tail > 4 * GOAL_MS:
        axes.annotate(f"{GOAL_MS} ms", (GOAL_MS, 0.86), (4, 0), va="top", fontsize=8, color=GREY,
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points")  # fmt: skip
    right = tail < top / 2
    axes.axvline(tail, ymax=0.86, color=LINE, lw=1.2)
    axes.annotate(
        f"99 % under {tail:.0f} ms",
        (tail, 0.86),
        (5 if right else -5, 0),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        fontsize=9,
        fontweight="bold",
        color=LINE,
    )
    if to_ms(run.percentile(100)) < top / ZOOM:
        _draw_again(axes, run, colour)


def _draw_histogram(axes: Any, run: BesideBulk, edges: Any, colour: str) -> None:
    delays = np.minimum(run.delays_ms, edges[-1])
    weights = np.full(len(delays), 100 / len(delays))
    axes.hist(delays, edges, weights=weights, color=colour)


def _draw_again(axes: Any, run: BesideBulk, colour: str) -> None:
    """The same, as wide as it is."""
    inset = axes.inset_axes((0.5, 0.17, 0.47, 0.72))
    inset.set_title("the same, closer", fontsize=8, fontweight="normal", color=GREY, pad=2)
    low, high = float(run.delays_ms.min()), max(GOAL_MS + 1.0, float(run.delays_ms.max()))
    inset.axvline(GOAL_MS, color=GREY, ls=(0, (4, 3)), lw=1)
    inset.text(GOAL_MS - 0.3, 0.9, f"{GOAL_MS} ms", transform=inset.get_xaxis_transform(),
               ha="right", va="top", fontsize=8, color=GREY)  # fmt: skip
    _draw_histogram(inset, run, np.linspace(low, high, 50), colour)
    inset.set_yticks([])
    inset.tick_params(labelsize=8)
    inset.set_xlim(low - 1, high + 1)
    inset.spines["left"].set_visible(False)
    inset.grid(visible=False)


# Where the time goes ----------------------------------------------------------------------------


def waterfall(budget: latency.Budget, title: str = "") -> Picture:
    """Each part begins where the one before it ends. Bars are means, thin lines 5 to 95 %."""
    parts = [(p, c) for p, c in budget.parts.items() if float(np.max(np.abs(c))) > 0]
    total = float(np.mean(budget.mouth_to_ear)) / 1e6
    with canvas(height=0.36 * (len(parts) + 1) + 1.0) as (figure, rows):
        axes = rows[0]
        start = furthest = 0.0
        for row, (part, column) in enumerate(parts):
            mean = float(np.mean(column)) / 1e6
            axes.barh(row, mean, 0.62, start, color=COLOURS[part])
            low, high = np.percentile(column, (5, 95)) / 1e6
            if high - low > 0.01 * total:
                axes.hlines(row, start + low, start + high, color=LINE, lw=1)
                axes.plot([start + low, start + high], [row, row], "|", color=LINE, ms=6, mew=1)
            end = max(start + mean, start + high if high - low > 0.01 * total else 0)
            _label(axes, end, row, mean)
            if row:
                axes.vlines(start, row - 1, row, color=GREY, lw=0.7, zorder=0)
            start += mean
            furthest = max(furthest, end)
        last = len(parts)
        axes.vlines(start, last - 1, last, color=GREY, lw=0.7, zorder=0)
        axes.barh(last, total, 0.62, color=WHOLE)
        _label(axes, total, last, total, weight="bold")
        axes.set_yticks(range(last + 1), [*(p.value for p, _ in parts), "mouth to ear"])
        axes.set_ylim(last + 0.6, -0.6)
        axes.set_xlim(0, 1.1 * furthest)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ms since it was spoken (means; thin lines: 5 to 95 % of the packets)")
        if title:
            axes.set_title(title)
    said = ", ".join(f"{p.value} {float(np.mean(c)) / 1e6:.1f}" for p, c in parts)
    return Picture(figure, f"{said}: {total:.1f} ms from mouth to ear")


def _label(axes: Any, x: float, row: int, value: float, weight: str = "normal") -> None:
    words = f"{value:.1f} ms" if value >= 0.1 else f"{value * 1000:.0f} µs"
    axes.annotate(words, (x, row), (5, 0), textcoords="offset points", va="center",
                  fontsize=9, color=LINE, fontweight=weight)  # fmt: skip
