"""Draws docs/img/jitter-buffers.png: two lines across one trace, and every policy in the plane.

    python benchmarks/policies_picture.py [PNG]

Left: twelve seconds of the trace `regimes`, its packets, and where `Adaptive` and `Fixed` draw the
line. Right: the mean over the ten shipped traces of what each policy and each of the two other
buffers makes the listener miss (frames lost and turns waited) and how long it makes him wait.
"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from policies import ADAPTIVE, EQUAL, FRAME, HERE, Delays, has_gstreamer, load, scores

from labkit.core.delaypolicy import Adaptive, DelayPolicy, Fixed
from labkit.core.delayscore import DelayScore, replay
from labkit.core.jitterbuffer import JitterBuffer
from labkit.lab.show import GREY, STYLE
from labkit.lab.show import LOST as ORANGE
from labkit.lab.show import PLAYED as BLUE
from labkit.words.packet import Packet
from labkit.words.units import ms, to_ms, to_seconds

FROM, UNTIL = 1000, 1600
"""The packets of `regimes` that are drawn."""
NUDGES = {"0.99 quantile": (-84, -4), "GStreamer 60": (-84, -4), "Ramjee 4": (-58, -4)}
"""Where a name does not stand to the right of its point, in points."""


def heights(policy: DelayPolicy, delays: Delays) -> tuple[list[float], list[float]]:
    """Seconds and ms: how long after it was sent each frame was played."""
    turns: list[tuple[int, int]] = []

    class Watched(JitterBuffer):
        def pull(self, now: int) -> Packet | None:
            packet = super().pull(now)
            if packet is not None:
                turns.append((packet.seq, now))
            return packet

    replay(Watched(policy), delays)
    drawn = [(seq, now) for seq, now in turns if FROM <= seq < UNTIL]
    return (
        [to_seconds(seq * FRAME) for seq, _ in drawn],
        [to_ms(now - seq * FRAME) for seq, now in drawn],
    )


def draw_lines(axes: Axes, delays: Delays) -> None:
    came = [(i, d) for i, d in enumerate(delays) if d is not None and FROM <= i < UNTIL]
    seconds = [to_seconds(i * FRAME) for i, _ in came]
    axes.plot(seconds, [to_ms(d) for _, d in came], ".", color=GREY, ms=3, label="packets")
    adaptive = replay(JitterBuffer(Adaptive()), delays)
    axes.plot(*heights(Adaptive(), delays), color=ORANGE, lw=1.6, label="Adaptive")
    fixed = Fixed(adaptive.delay)
    axes.plot(*heights(fixed, delays), ".", color=BLUE, ms=1.5)
    axes.plot([], [], color=BLUE, label="Fixed, same mean delay")
    axes.set(
        xlabel="sent at, s",
        ylabel="delay, ms",
        title="regimes: above its line a packet is late",
        ylim=(0, None),
    )
    axes.legend(loc="upper right", frameon=False)


def draw_plane(axes: Axes, rows: dict[str, dict[str, DelayScore]]) -> None:
    names = [name for name in next(iter(rows.values())) if name != EQUAL]
    for name in names:
        mine = [row[name] for row in rows.values()]
        missed = sum(s.lost_percent + s.waited_percent for s in mine) / len(mine)
        delay = sum(to_ms(s.delay) for s in mine) / len(mine)
        color = ORANGE if name == ADAPTIVE else GREY
        axes.plot(delay, missed, "o", color=color, ms=9 if name == ADAPTIVE else 6)
        nudge = NUDGES.get(name, (6, 5))
        axes.annotate(name, (delay, missed), nudge, textcoords="offset points", color=color)
    delays, misses = [], []
    for height in (20, 40, 60, 80, 100, 130, 160, 200, 250, 300):
        fixed = [replay(JitterBuffer(Fixed(ms(height))), trace) for trace in TRACES.values()]
        delays.append(sum(to_ms(s.delay) for s in fixed) / len(fixed))
        misses.append(sum(s.lost_percent + s.waited_percent for s in fixed) / len(fixed))
    axes.plot(delays, misses, color=BLUE, lw=1.2, label="Fixed, 20 to 300 ms")
    axes.set(
        xlabel="mean delay above the empty network, ms",
        ylabel="lost and waited, % of frames",
        title="mean of ten traces: left and low is better",
        yscale="log",
        xlim=(0, 370),
    )
    axes.legend(loc="upper right", frameon=False)


TRACES = load(None)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs/img/jitter-buffers.png"
    rows = {name: scores(delays, has_gstreamer()) for name, delays in TRACES.items()}
    plt.rcParams.update(STYLE)
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained")
    draw_lines(left, TRACES["regimes"])
    draw_plane(right, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
