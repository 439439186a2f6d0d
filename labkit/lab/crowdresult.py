"""What came of a crowd: what each listener heard, and what the server knew meanwhile (week 10).

    result["ann"]              a `Result`, as of a call: listen, show, STOI, delay
    result.apart("ann", "ben") how far apart two of them play the same sound, in ms
    print(result)              a line for each listener
    result.show()              queue, lag and drops over time

This module runs nothing: `labkit.lab.crowd` does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.core.figures import ClientFigures
from labkit.lab.result import Result
from labkit.lab.show import GREY, LATE, LOST, PLAYED, RECOVERED, Picture, canvas
from labkit.sim.tap import Tap
from labkit.words.errors import BadInput
from labkit.words.profile import Profile
from labkit.words.units import NS_PER_MS, NS_PER_S, to_ms


class Sample(NamedTuple):
    """What the server knew of one listener at one instant."""

    elapsed: int
    """Nanoseconds since the first word."""
    figures: ClientFigures


COLOURS: Final = (PLAYED, RECOVERED, LATE, LOST, GREY)
HEAD: Final = "listener   heard  delay (ms)  longest  STOI  dropped  lag (ms)"


@dataclass
class CrowdResult:
    """What came of a crowd, by listener."""

    results: dict[str, Result]
    """Of those who listened."""
    samples: dict[str, list[Sample]]
    """Of everybody: the server's figures, ten times a second."""
    refused: dict[str, int]
    """What the server refused, by reason."""
    profiles: dict[str, Profile]
    tap: Tap | None = None

    def __getitem__(self, name: str) -> Result:
        if name not in self.results:
            raise BadInput(f"nobody called {name!r} listened", " or ".join(self.results))
        return self.results[name]

    # Figures ----------------------------------------------------------------------------------

    def delays(self, name: str) -> npt.NDArray[np.float64]:
        """How old each frame was when it was heard, in ms."""
        return np.asarray(self[name].timeline.mouth_to_ear_ms(), np.float64)

    def arrivals(self, name: str) -> npt.NDArray[np.float64]:
        """How old each packet was when it came, in ms."""
        return np.asarray(self[name].timeline.network_delay_ms(), np.float64)

    def apart(self, one: str, other: str) -> npt.NDArray[np.float64]:
        """How far apart two listeners play the same sound, in ms, frame by frame."""
        first, second = self._played(one), self._played(other)
        both = [media for media in first if media in second]
        return np.array([abs(first[media] - second[media]) / NS_PER_MS for media in both])

    def _played(self, name: str) -> dict[int, int]:
        heard = self[name].heard
        return {h.timestamp % (1 << 32): h.now for h in heard if h.timestamp is not None}

    def dropped(self, name: str) -> int:
        """Packets that the queue of a listener had no room for, while the voice spoke."""
        return max((s.figures.dropped for s in self.samples[name]), default=0)

    def most_queued(self, name: str) -> int:
        """The longest that its queue has been, in packets."""
        return max((s.figures.queued for s in self.samples[name]), default=0)

    def longest_lag(self, name: str) -> float:
        """The longest that the oldest packet in its queue has waited, in ms."""
        return max((to_ms(s.figures.lag) for s in self.samples[name]), default=0.0)

    # Forms ------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return "\n".join([HEAD, *(self._row(name) for name in self.samples)])

    __repr__ = __str__

    def _row(self, name: str) -> str:
        end = f"{self.dropped(name):9d}{self.longest_lag(name):10.0f}"
        result = self.results.get(name)
        if result is None or not result.heard:
            return f"{name:<9}{'nothing':>7}{'-':>12}{'-':>9}{'-':>6}{end}"
        delays = self.delays(name)
        return (
            f"{name:<9}{1 - result.unheard:>7.0%}{np.median(delays):>12.0f}"
            f"{delays.max():>9.0f}{result.stoi:>6.2f}{end}"
        )

    def show(self, names: Sequence[str] = ()) -> Picture:
        """Queue, lag and drops over time, one above the other; a colour for each listener."""
        return telemetry({name: self.samples[name] for name in names or self.samples})

    def save_pcapng(self, path: str | Path) -> Path:
        """Write everything that crossed, as it left."""
        if self.tap is None:
            raise BadInput("this crowd was not captured", "simulate(capture=True)")
        with Path(path).open("wb") as file:
            self.tap.write_pcapng(file)
        return Path(path)


def telemetry(samples: Mapping[str, Sequence[Sample]]) -> Picture:
    """What a server knew of its listeners: packets that waited, how long, and how many went."""
    with canvas(height=1.75, rows=3) as (figure, rows):
        for (name, each), colour in zip(samples.items(), COLOURS, strict=False):
            time = [sample.elapsed / NS_PER_S for sample in each]
            for axes, values in zip(rows, _columns(each), strict=True):
                axes.plot(time, values, color=colour, lw=1.6, label=name)
        limits = [s.figures.queue_limit for each in samples.values() for s in each]
        limit = max(limits, default=0)
        if limit:
            rows[0].axhline(limit, color=GREY, lw=1, ls="--", label="the limit")
        labels = ("queued (packets)", "lag (ms)", "dropped (packets)")
        for axes, label, least in zip(rows, labels, (10, 100, 10), strict=True):
            axes.set_ylabel(label)
            axes.set_ylim(0, max(least, 1.1 * axes.get_ylim()[1]))
        rows[-1].set_xlabel("time (s)")
        rows[-1].set_xlim(left=0)
        figure.align_ylabels()
        handles, names = rows[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=6)
    return Picture(figure, "; ".join(_in_words(name, each) for name, each in samples.items()))


def _columns(samples: Sequence[Sample]) -> tuple[Any, Any, Any]:
    figures = [sample.figures for sample in samples]
    return (
        [each.queued for each in figures],
        [to_ms(each.lag) for each in figures],
        [each.dropped for each in figures],
    )


def _in_words(name: str, samples: Sequence[Sample]) -> str:
    queued, lag, dropped = _columns(samples)
    return (
        f"{name}: at most {max(queued, default=0)} queued, lag {max(lag, default=0):.0f} ms, "
        f"{max(dropped, default=0)} dropped"
    )
