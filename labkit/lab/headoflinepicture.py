"""The picture of head-of-line blocking: some seconds frame by frame, then all frames at once.

Above, each way has a strip of its own: a dot is a frame, its height how long it took, a tick at the
floor one that never came. A stream that waits for a loss draws a saw tooth: everything behind the
loss comes at once, the oldest of it the latest. Below, the same frames sorted: how many were still
missing after so many milliseconds. Datagrams end on a floor, and that is what was lost.

This module computes nothing: `labkit.lab.headofline` does.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.axes import Axes

from labkit.lab.headofline import Delays, HeadOfLine, Way
from labkit.lab.show import GREY, LATE, LINE, LOST, PLAYED, RECOVERED, Picture, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = {
    Way.TCP: LOST,
    Way.STREAM: LATE,
    Way.STREAMS: PLAYED,
    Way.DATAGRAMS: RECOVERED,
}
WINDOW: Final = 6.0
"""Seconds that are shown frame by frame."""


def draw(result: HeadOfLine) -> Picture:
    """Strips above, distributions below."""
    with canvas(width=9, height=8.6) as (figure, _):
        figure.clear()
        figure.set_layout_engine("none")
        whole = figure.add_gridspec(
            2, 1, height_ratios=(5, 4), hspace=0.2, left=0.085, right=0.98, top=0.94, bottom=0.07
        )
        strips = whole[0].subgridspec(len(result.delays), 1, hspace=0.16)
        _strips(result, [figure.add_subplot(strips[row]) for row in range(len(result.delays))])
        _distribution(result, figure.add_subplot(whole[1]))
        _title(figure, result)
    return Picture(figure, str(result))


def _title(figure: "Figure", result: HeadOfLine) -> None:
    figure.suptitle(
        f"One voice, four ways to carry it · {result.link.name}: {result.link.title}",
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
    )


def _strips(result: HeadOfLine, rows: list[Axes]) -> None:
    first = _telling(result)
    count = round(WINDOW * 1000 / result.frame)
    shown = {way: delays[first : first + count] for way, delays in result.delays.items()}
    top = 1.3 * max(float(np.nanmax(delays)) for delays in shown.values())
    for axes, (way, delays) in zip(rows, shown.items(), strict=True):
        seconds = np.arange(len(delays)) * result.frame / 1000
        colour = COLOURS[way]
        lost = np.isnan(delays)
        axes.plot(seconds, delays, ".", color=colour, ms=3.5)
        axes.plot(
            seconds[lost], np.zeros(lost.sum()), "|", color=LINE, ms=9, mew=1.3, clip_on=False
        )
        axes.set_ylim(0, top)
        axes.set_xlim(0, WINDOW)
        axes.set_ylabel("ms")
        axes.text(
            0.006, 0.9, way.value, transform=axes.transAxes, va="top", color=colour, weight="bold"
        )
        if lost.any():
            where = (0.994, 0.9)
            axes.text(*where, "| never came", transform=axes.transAxes, va="top", ha="right")
        if axes is not rows[-1]:
            axes.tick_params(labelbottom=False)
    rows[-1].set_xlabel("when the frame was sent (s)")


def _telling(result: HeadOfLine) -> int:
    """Where the window begins: the worst second of TCP is in its middle."""
    delays = np.nan_to_num(result.delays[Way.TCP])
    width = round(1000 / result.frame)
    sums = np.convolve(delays, np.ones(width), mode="valid")
    middle = int(np.argmax(sums)) + width // 2
    half = round(WINDOW * 500 / result.frame)
    return max(0, min(middle - half, len(delays) - 2 * half))


def _distribution(result: HeadOfLine, axes: Axes) -> None:
    top = max(result.percentile(way, 99.9) for way in result.delays)
    for way, delays in result.delays.items():
        came = np.sort(delays[~np.isnan(delays)])
        later = 100 * (1 - np.arange(1, len(came) + 1) / len(delays))
        axes.step(
            np.concatenate(([0], came, [top * 2])),
            np.concatenate(([100], later, [later[-1]])),
            where="post",
            color=COLOURS[way],
            lw=1.8,
            label=_label(way, delays),
        )
    axes.axvline(result.link.down.delay / 1e6, color=GREY, lw=1, ls=":")
    axes.set_yscale("log")
    axes.set_ylim(0.08, 400)  # room for the legend above the curves
    axes.set_yticks([100, 10, 1, 0.1], ["100 %", "10 %", "1 %", "0.1 %"])
    axes.set_xlim(0, top * 1.05)
    axes.set_xlabel("milliseconds since the frame was sent  (dotted: what the link takes)")
    axes.set_ylabel("frames not there yet")
    axes.legend(loc="upper right")


def _label(way: Way, delays: Delays) -> str:
    lost = float(np.mean(np.isnan(delays)))
    worst = float(np.nanpercentile(delays, 99))
    if lost:
        return f"{way.value}: {lost:.1%} never, 99 % of the others within {worst:.0f} ms"
    return f"{way.value}: 99 % within {worst:.0f} ms"
