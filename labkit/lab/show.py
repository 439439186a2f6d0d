"""Pictures, in one visual style: what a call did, packet by packet.

A picture is a `Picture`: a notebook shows it, `save` writes it as PNG. Nothing here goes through
`pyplot`, so no figure is left open and no backend is chosen behind anybody's back. Colours are
safe for the colour-blind (Okabe and Ito 2008) and mean the same everywhere: blue is played, orange
is late, vermilion is lost, green is recovered.

This module computes nothing: figures come from `labkit.core.timeline` and `labkit.core.quality`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from labkit.core.timeline import NEVER, Fate, Timeline
from labkit.words.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from labkit.lab.result import Result

PLAYED, LATE, LOST, RECOVERED, LINE, GREY, WAITING = (
    "#0072B2", "#E69F00", "#D55E00", "#009E73", "#333333", "#8A8A8A", "#C7DCEA",
)  # fmt: skip

PASTELS = ("#CFE3F1", "#FBE3BF", "#D5EEDF", "#F6D3C4", "#E6E0F2", "#E8E8E8")
"""Fields of headers, side by side."""

STYLE: Any = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": LINE,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E8E8E8",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "font.size": 10,
    "font.family": "DejaVu Sans",
}


class Picture:
    """A finished drawing. `alt` says in words what it shows."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    def png(self) -> bytes:
        """The picture as PNG bytes."""
        out = BytesIO()
        self.figure.savefig(out, format="png")
        return out.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the picture as a PNG file."""
        path = Path(path)
        path.write_bytes(self.png())
        return path

    def _repr_png_(self) -> bytes:
        return self.png()

    def __repr__(self) -> str:
        return f"<Picture: {self.alt}>"


@contextmanager
def canvas(width: float = 9, height: float = 3.4, rows: int = 1) -> Iterator[tuple[Figure, Any]]:
    """A figure with `rows` of axes in our style; laid out when the block ends."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        yield figure, figure.subplots(rows, 1, sharex=rows > 1, squeeze=False)[:, 0]


def timelines(results: Sequence["Result"], titles: Sequence[str] = ()) -> Picture:
    """One row for each call: when every packet came, and whether it was played.

    Height is the delay since the packet was spoken. The dark line is when it was played: dots
    above the line came too late.
    """
    highest = max(_ceiling(r.timeline) for r in results)
    with canvas(rows=len(results)) as (figure, rows):
        for axes, result, title in zip(
            rows, results, titles or [r.title for r in results], strict=True
        ):
            _draw_timeline(axes, result.timeline, highest)
            axes.set_title(title)
        handles, labels = rows[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, markerscale=1.6)
        rows[-1].set_xlabel("time (s)")
    return Picture(figure, "; ".join(_in_words(r.timeline) for r in results))


def _ceiling(timeline: Timeline) -> float:
    came = timeline.arrived != NEVER
    delays = (timeline.arrived[came] - timeline.captured[came]) / NS_PER_MS
    ear = timeline.mouth_to_ear_ms()
    tops = [float(np.percentile(d, 99.5)) for d in (delays, ear) if len(d)]
    return 1.15 * max(tops, default=100.0)


def _draw_timeline(axes: Axes, timeline: Timeline, highest: float) -> None:
    time = (timeline.captured - timeline.captured[0]) / NS_PER_S
    fate = timeline.fate
    played, late, lost = (fate == f for f in (Fate.PLAYED, Fate.LATE, Fate.LOST))
    recovered = (~played) & (timeline.concealed == 1)
    network = (timeline.arrived - timeline.captured) / NS_PER_MS
    ear = (timeline.played[played] - timeline.captured[played]) / NS_PER_MS
    axes.plot(time[played], ear, color=LINE, lw=1.1, drawstyle="steps-post", label="played at")
    axes.plot(time[played], network[played], ".", color=PLAYED, ms=3, label="in time")
    shown = np.minimum(network[late], highest * 0.97)
    axes.plot(time[late], shown, "^", color=LATE, ms=4, label="came, not played")
    floor = np.full(len(timeline), 0.02 * highest)
    gone = lost & ~recovered
    axes.plot(time[gone], floor[gone], "|", color=LOST, ms=9, mew=1.4, label="lost")
    axes.plot(
        time[recovered],
        floor[recovered] * 3.5,
        "|",
        color=RECOVERED,
        ms=9,
        mew=1.4,
        label="recovered (FEC)",
    )
    axes.set_ylim(0, highest)
    axes.set_xlim(0, float(time[-1]) if len(time) else 1)
    axes.set_ylabel("delay since spoken (ms)")


def _in_words(timeline: Timeline) -> str:
    return (
        f"{len(timeline)} packets: {timeline.count(Fate.PLAYED)} played, "
        f"{timeline.count(Fate.LATE)} too late, {timeline.count(Fate.LOST)} lost"
    )


def histogram(
    delays_ms: dict[str, Sequence[float]],
    label: str = "one-way delay (ms)",
    bins: int = 60,
    *,
    ylabel: str = "packets",
) -> Picture:
    """Distributions of delay, one for each name, on one axis."""
    colours = (PLAYED, LATE, RECOVERED, LOST)
    top = max((float(np.percentile(d, 99.5)) for d in delays_ms.values() if len(d)), default=1.0)
    edges = np.linspace(0, top, bins)
    with canvas() as (figure, rows):
        axes = rows[0]
        for (name, delays), colour in zip(delays_ms.items(), colours, strict=False):
            axes.hist(np.minimum(delays, top), edges, color=colour, alpha=0.6, label=name)
        axes.set_xlabel(label)
        axes.set_ylabel(ylabel)
        axes.legend(loc="best")  # asked for, so that a busy machine draws no warning
    words = (f"{n}: median {np.median(d):.1f} ms" for n, d in delays_ms.items() if len(d))
    return Picture(figure, f"Histogram of {label}; " + "; ".join(words))


Point = tuple[float, float]
Points: TypeAlias = "Sequence[Point | Result] | Mapping[Any, Point | Result]"


def frontier(
    points: Mapping[str, Points],
    ylabel: str = "frames not heard (%)",
    xlabel: str = "mouth-to-ear delay (ms)",
) -> Picture:
    """What a buffer costs against what it saves: delay in ms to the right, loss upward.

    Points are pairs, or calls. With a mapping its keys stand beside them. One point is a star,
    several are a line.
    """
    colours = (PLAYED, LATE, RECOVERED, LOST, LINE)
    with canvas(height=3.8) as (figure, rows):
        axes = rows[0]
        for (name, given), colour in zip(points.items(), colours, strict=False):
            _draw_frontier(axes, name, given, colour)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.06)
        axes.legend(loc="best")  # asked for, so that a busy machine draws no warning
    return Picture(figure, f"{ylabel} against delay for {', '.join(points)}")


def _draw_frontier(axes: Axes, name: str, given: Any, colour: str) -> None:
    keys = list(given) if isinstance(given, Mapping) else [""] * len(given)
    pairs = [_point(p) for p in (given.values() if isinstance(given, Mapping) else given)]
    single = len(pairs) == 1
    marker, size = ("*", 15) if single else ("o-", 5)
    line = sorted(pairs)
    axes.plot(
        [x for x, _ in line],
        [y for _, y in line],
        marker,
        ms=size,
        color=colour,
        label=name,
        zorder=4 if single else 2,
        clip_on=False,
    )
    for key, pair in zip(keys, pairs, strict=True):
        axes.annotate(str(key), pair, (5, 5), textcoords="offset points", fontsize=8, color=colour)


def _point(point: Any) -> Point:
    if isinstance(point, tuple):
        return point
    return point.delay_ms, 100 * point.unheard


def journeys(result: "Result", first: int = 0, count: int = 12) -> Picture:
    """Some packets of a call, one a row: spoken, on the way, waiting, played; or what befell them.

    The middle of the bars is ragged, their right end is not: that is what the buffer is for.
    """
    timeline = result.timeline
    chosen = range(first, min(first + count, len(timeline)))
    zero = int(timeline.captured[chosen[0]])
    with canvas(height=0.27 * len(chosen) + 1.2) as (figure, rows):
        axes = rows[0]
        for row, index in enumerate(chosen):
            _draw_journey(axes, timeline, index, row, zero)
        kinds = ((LINE, "spoken"), (PLAYED, "on the way"), (WAITING, "waits for its turn"))
        handles: list[Any] = [Patch(color=colour, label=label) for colour, label in kinds]
        handles.append(Line2D([], [], marker="|", ls="", ms=11, mew=2, color=LINE, label="played"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
        axes.set_yticks(range(len(chosen)), [f"packet {i}" for i in chosen])
        axes.set_ylim(len(chosen) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.02)
        axes.set_xlabel(f"ms since packet {first} began to be spoken")
        axes.set_title(result.title)
    return Picture(figure, "; ".join(f"{i}: {_befell(timeline, i)}" for i in chosen))


def _draw_journey(axes: Axes, timeline: Timeline, index: int, row: int, zero: int) -> None:
    moments = (timeline.captured, timeline.sent, timeline.arrived, timeline.played)
    spoken, sent, arrived, played = (
        (int(m[index]) - zero) / NS_PER_MS if m[index] != NEVER else None for m in moments
    )
    assert spoken is not None
    assert sent is not None
    axes.barh(row, sent - spoken, 0.5, spoken, color=LINE)
    end, words = sent, ""
    if arrived is not None:
        axes.barh(row, arrived - sent, 0.5, sent, color=PLAYED)
        end = arrived
    if arrived is not None and played is not None:
        axes.barh(row, played - arrived, 0.5, arrived, color=WAITING)
        axes.plot(played, row, "|", color=LINE, ms=13, mew=2)
        return
    colour = LOST if arrived is None else LATE
    axes.plot(end, row, "x" if arrived is None else "^", color=colour, ms=7, mew=2)
    words = _befell(timeline, index)
    axes.annotate(
        words, (end, row), (9, 0), textcoords="offset points", va="center", fontsize=9, color=LINE
    )


def _befell(timeline: Timeline, index: int) -> str:
    """What became of one packet, in words."""
    fate = timeline.fate[index]
    if fate == Fate.PLAYED:
        return "played"
    how = {0: "", 1: ", recovered by FEC", 2: ", concealed", 3: ", silence"}[
        int(timeline.concealed[index])
    ]
    return ("lost" if fate == Fate.LOST else "came, not played") + how
