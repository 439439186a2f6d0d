"""Pictures of rate control: what a controller did, and how two of them share a line (week 10).

    adaptation({"loss alone": adapt(loss_based()), "loss and delay": adapt(adaptive())})
    fairness({"loss and delay": share([adaptive(), adaptive()], SHARED, join_s=(0, 20))})

This module computes nothing but Jain's index: the runs are `labkit.lab.adaptation`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from labkit.core.ratecontrol import HIGHEST
from labkit.lab.adaptation import VOICE_HEADERS, Flow, jain, room
from labkit.lab.show import GREY, LATE, LINE, LOST, PLAYED, RECOVERED, STYLE, Picture, canvas
from labkit.words.units import NS_PER_S, ms


def adaptation(flows: Mapping[str, Flow]) -> Picture:
    """Bitrate, wait and loss over time, one above the other; a colour for each flow."""
    colours = dict(zip(flows, (LATE, PLAYED, RECOVERED, LOST), strict=False))
    with canvas(height=2.3, rows=3) as (figure, (rates, waits, losses)):
        _draw_room(rates, next(iter(flows.values())), GREY)
        for name, flow in flows.items():
            colour = colours[name]
            times, said = _columns(flow.controller.said)
            rates.step(times, said / 1000, where="post", color=colour, lw=1.6, label=name)
            sent, wait = _waits(flow)
            waits.plot(sent, wait, color=colour, lw=1.2)
            when, share = _loss_each_second(flow)
            losses.step(when, 100 * share, where="post", color=colour, lw=1.4)
        for axes, label in (
            (rates, "bitrate (kbit/s)"),
            (waits, "wait in the queue (ms)"),
            (losses, "lost (% of each second)"),
        ):
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        losses.set_ylim(0, max(10.0, losses.get_ylim()[1]))
        losses.set_xlabel("time (s)")
        losses.set_xlim(0, max(flow.controller.said[-1][0] for flow in flows.values()) / NS_PER_S)
        rates.set_ylim(0, 70)
        figure.align_ylabels()
        figure.legend(loc="outside upper center", ncols=len(flows) + 1)
    return Picture(figure, "; ".join(f"{name}: {_in_words(flow)}" for name, flow in flows.items()))


def _draw_room(axes: Axes, flow: Flow, colour: str) -> None:
    """What the line has room for, in grey."""
    end = flow.controller.said[-1][0]
    moments = [0, *(step.at for step in flow.line.steps if step.at < end), end]
    known = [(now, room(flow.line, now)) for now in moments]
    if all(value is not None for _, value in known):
        values = [value / 1000 for _, value in known if value is not None]
        times = [now / NS_PER_S for now, _ in known]
        axes.fill_between(
            times, values, step="post", color=colour, alpha=0.16, lw=0, label="room on the line"
        )


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
    table = np.array(pairs)
    return table[:, 0] / NS_PER_S, table[:, 1]


def _waits(flow: Flow) -> tuple[Any, Any]:
    sent = np.array([sent for _, sent, _ in flow.arrived]) / NS_PER_S
    return sent, flow.waits()


def _loss_each_second(flow: Flow) -> tuple[Any, Any]:
    lost = np.array(flow.lost, dtype=np.int64) // NS_PER_S
    came = np.array([sent for _, sent, _ in flow.arrived]) // NS_PER_S
    end = int(came.max()) + 1
    gone, there = np.bincount(lost, minlength=end)[:end], np.bincount(came, minlength=end)
    return np.arange(end), gone / np.maximum(gone + there, 1)


def _in_words(flow: Flow) -> str:
    rates, waits = flow.bitrates(), flow.waits()
    return (
        f"{rates.min() / 1000:.0f} to {rates.max() / 1000:.0f} kbit/s, "
        f"median wait {np.median(waits):.0f} ms, longest {waits.max():.0f}, "
        f"{100 * flow.loss():.1f} % lost"
    )


def fairness(runs: Mapping[str, Sequence[Flow]]) -> Picture:
    """The bitrates of two voices against each other, as Chiu and Jain draw them; one panel a run.

    Along a line of 45 degrees both get the same more; towards the origin both lose the same share.
    """
    words = []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(runs), 5.2), layout="constrained")
        panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for axes, (title, flows) in zip(panels, runs.items(), strict=True):
            x, y = _together(*flows[:2])
            start = int(np.argmax(y > 0))
            top = HIGHEST / 1000 + 6
            axes.plot((0, top), (0, top), color=GREY, lw=1, ls="--", label="both have the same")
            full = room(flows[0].line, 0)
            if full is not None:
                both = (full - VOICE_HEADERS) / 1000  # there is a second one's headers
                axes.plot((0, both), (both, 0), color=GREY, lw=1, label="the line is full")
            _draw_path(axes, x[start:], y[start:])
            axes.plot(x[start], y[start], "o", color=LATE, ms=9, label="the second one comes")
            axes.plot(x[-1], y[-1], "o", color=LINE, ms=9, label="the end", zorder=5)
            axes.set_xlim(0, top)
            axes.set_ylim(0, top)
            axes.set_aspect("equal")
            axes.set_xlabel("the first voice (kbit/s)")
            half = len(x) // 2
            index = jain([float(x[half:].mean()), float(y[half:].mean())])
            axes.set_title(f"{title}, Jain {index:.3f}")
            words.append(f"{title}: Jain's index of the second half {index:.3f}")
        panels[0].set_ylabel("the second voice (kbit/s)")
        handles, labels = panels[0].get_legend_handles_labels()
        columns = 4 if len(runs) > 1 else 2
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return Picture(figure, "; ".join(words))


def _draw_path(axes: Axes, x: Any, y: Any) -> None:
    """A line that grows darker with time."""
    points = np.column_stack([x, y])
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    path = LineCollection(list(pieces), cmap="Blues", lw=1.3)
    path.set_array(np.linspace(0.25, 1.0, len(pieces)))
    path.set_clim(0, 1)
    axes.add_collection(path)


def _together(first: Flow, second: Flow) -> tuple[Any, Any]:
    """Both bitrates in kbit/s, as long as both are known."""
    x, y = _sampled(first) / 1000, _sampled(second) / 1000
    count = min(len(x), len(y))
    return x[:count], y[:count]


def _sampled(flow: Flow, every: int = ms(500)) -> npt.NDArray[np.float64]:
    """What a controller said, each half second; 0 before anything was sent."""
    times, rates = np.array(flow.controller.said).T
    moments = np.arange(0, times[-1], every)
    voice = flow.sender.voice
    assert voice is not None
    there = moments >= (voice.started or 0)
    sampled: npt.NDArray[np.float64] = np.where(there, np.interp(moments, times, rates), 0.0)
    return sampled
