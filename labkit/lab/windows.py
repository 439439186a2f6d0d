"""Two windows, and the smaller one counts: flow control beside congestion control (week 4).

    windows(read=100)            the reader takes 100 kilobytes a second
    windows(rate=2.0)            the path carries 2 Mbit/s

What a TCP sender may have under way is the smaller of two numbers. The *receive window* is the room
at the reader's end, said in every acknowledgement (RFC 9293 section 3.8.6): flow control. The
*congestion window* is the sender's own guess at what the path bears, which grows while all goes
well and is halved at a loss (RFC 5681 section 3.1): congestion control.

A model: round trip by round trip, in whole segments, with slow start and congestion avoidance
after RFC 5681, a queue in front of the slowest link and a reader that reads evenly. It has no
time-outs. A real kernel counts by bytes and acknowledgements, and most have other laws of growth
(RFC 9438); who is the smaller of the two is the same.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from labkit.lab.show import LATE, LINE, LOST, PLAYED, WAITING, Picture, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MSS: Final = 1460
FIRST: Final = 10
"""Segments of the first window (RFC 6928)."""


@dataclass
class Windows:
    """One transfer: a value for each round trip. Windows in bytes, times in seconds."""

    title: str
    times: list[float] = field(default_factory=list)
    congestion: list[int] = field(default_factory=list)
    receive: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    delivered: int = 0

    @property
    def rate(self) -> float:
        """Megabits that arrived in a second."""
        return self.delivered * 8 / self.times[-1] / 1e6

    @property
    def by_reader(self) -> float:
        """The share of the round trips in which the reader's window was the smaller: 0 to 1."""
        pairs = list(zip(self.receive, self.congestion, strict=True))
        return sum(theirs < ours for theirs, ours in pairs) / len(pairs)

    def __str__(self) -> str:
        return (
            f"{self.title}: {self.rate:.2f} Mbit/s; held by the reader in {self.by_reader:.0%} of "
            f"the round trips, {len(self.losses)} losses"
        )

    __repr__ = __str__


def windows(
    title: str = "",
    *,
    rate: float = 20.0,
    round_trip: float = 50.0,
    queue: int = 30,
    read: float | None = None,
    room: int = 64,
    seconds: float = 8.0,
) -> Windows:
    """A sender with endless data.

    `rate` is the path's, in Mbit/s, `round_trip` in ms without waiting, `queue` in segments before
    the slowest link. The reader has `room` kilobytes and takes `read` kilobytes a second; None: it
    takes all at once.
    """
    run = Windows(title)
    now, window, threshold, unread = 0.0, FIRST * MSS, 1 << 30, 0.0
    path = rate * 1e6 / 8 * round_trip / 1000  # bytes that fit on the way
    while now < seconds:
        offered = max(0, room * 1000 - round(unread)) // MSS * MSS
        run.times.append(now)
        run.congestion.append(window)
        run.receive.append(offered)
        flight = min(window, offered)
        waiting = max(0.0, flight - path)
        trip = (round_trip + waiting * 8 / rate / 1000) / 1000
        now += trip
        run.delivered += flight
        unread = max(0.0, unread + flight - (read * 1000 * trip if read is not None else flight))
        if waiting > queue * MSS:
            run.losses.append(now)
            window = threshold = max(flight // 2, 2 * MSS)
        elif flight == window:  # who does not use a window learns nothing by it (RFC 7661)
            window = min(window * 2, threshold) if window < threshold else window + MSS
    run.times.append(now)
    run.congestion.append(window)
    run.receive.append(max(0, room * 1000 - round(unread)) // MSS * MSS)
    return run


def both(*runs: Windows) -> Picture:
    """A row for each: both windows over time, and what may be under way."""
    with canvas(height=2.3, rows=len(runs)) as (figure, rows):
        for axes, run in zip(rows, runs, strict=True):
            _draw(axes, run)
        rows[-1].set_xlabel("time (s)")
        handles, labels = rows[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return Picture(figure, "; ".join(map(str, runs)))


def _draw(axes: "Axes", run: Windows) -> None:
    ours, theirs = ([size / 1000 for size in sizes] for sizes in (run.congestion, run.receive))
    least = [min(pair) for pair in zip(ours, theirs, strict=True)]
    axes.fill_between(run.times, least, step="post", color=WAITING, label="may be under way")
    axes.step(run.times, theirs, where="post", color=LATE, lw=1.8, label="receive window")
    axes.step(run.times, ours, where="post", color=PLAYED, lw=1.8, label="congestion window")
    top = 1.25 * max(*least, min(max(theirs), max(ours)))
    lost = [0.94 * top] * len(run.losses)
    axes.plot(run.losses, lost, "x", color=LOST, ms=6, mew=1.6, label="a loss")
    axes.set_ylim(0, top)
    axes.set_xlim(0, run.times[-1])
    axes.set_ylabel("kilobytes")
    axes.set_title(str(run), fontsize=9.5, color=LINE)
