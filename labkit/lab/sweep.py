"""Parameter sweeps: the same call many times, with one thing or several that change.

    found = sweep(Call(speech()), policy=[Fixed(ms(40)), Adaptive()], link=["wifi-busy", "train"])
    found                                 a table: mean, and from least to most over the seeds
    found.show("unheard")                 a picture of one measure
    found.frontier()                      loss against delay, a line for each link
    found.values("mos", link="train")     numbers, for one's own mathematics

One seed is one day of a network: what holds on twenty days is no accident. The calls run in virtual
time, on all processors of this machine or, with `scheduler`, on those of a Dask cluster
(docs/many-machines.md); the figures are the same wherever they are made.
"""

import html
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from labkit.lab import sweepruns
from labkit.lab.call import Call
from labkit.lab.show import LATE, LINE, LOST, PLAYED, RECOVERED, Picture, canvas, frontier
from labkit.lab.spread import Processes, Spreading
from labkit.lab.sweepruns import Axis, Plan
from labkit.words.errors import BadInput

MEASURES: Final = ("unheard", "delay_ms", "mos")
FEW: Final = 4
"""So many calls are made at once: other processes take longer to start."""
PORTIONS: Final = 6
"""Each place gets its calls in so many portions, so that none waits long for another."""
UNITS: Final = {
    "unheard": ("frames not heard (%)", 100.0),
    "delay_ms": ("mouth-to-ear delay (ms)", 1.0),
    "mos": ("mean opinion score", 1.0),
    "r": ("R of the E-model", 1.0),
    "stoi": ("STOI", 1.0),
    "bitrate": ("payload (kbit/s)", 0.001),
}
"""How a measure is called on a picture, and what it is multiplied by."""
COLOURS: Final = (PLAYED, LATE, RECOVERED, LOST, LINE)

Progress = Callable[[int, int], object]


def sweep(
    call: Call | None = None,
    *,
    seeds: Iterable[int] = range(20),
    measures: Sequence[str] = MEASURES,
    processes: int | None = None,
    scheduler: str | None = None,
    certificates: str | Path | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> "Sweep":
    """Make `call` with every combination of `changes`, once for each seed, and measure.

    `changes` are fields of `Call` with their values, in a list, or in a dict that names them:
    `policy={"short": Fixed(ms(20)), "long": Fixed(ms(200))}`. `measures` are numbers that a
    `Result` has. `processes=1` stays in this process; without it all processors are used.
    `scheduler` is the address of a Dask scheduler, `certificates` the folder of those it wants.
    `progress` is called with how many calls are made, and of how many.

    An error in one of the calls is raised as it is, with a note which call that was.
    """
    plan = sweepruns.planned(call or Call(), changes, list(seeds), measures)
    found: list[tuple[float, ...]] = [()] * len(plan)
    if scheduler is not None:
        from labkit.lab.cluster import Cluster

        with Cluster(scheduler, Path(certificates) if certificates else None) as cluster:
            _spread(plan, cluster, found, progress)
    elif (places := Processes(processes)).places > 1 and len(plan) > FEW:
        _spread(plan, places, found, progress)
    else:
        for number in range(len(plan)):
            found[number] = _here(plan, number)
            if progress is not None:
                progress(number + 1, len(plan))
    shape = (*(len(axis.labels) for axis in plan.axes), len(plan.seeds), len(plan.measures))
    return Sweep(plan.axes, plan.seeds, plan.measures, np.array(found).reshape(shape))


def _spread(
    plan: Plan, there: Spreading, found: list[tuple[float, ...]], progress: Progress | None
) -> None:
    data = sweepruns.packed(plan)
    size = -(-len(plan) // (there.places * PORTIONS))
    portions = [range(at, min(at + size, len(plan))) for at in range(0, len(plan), size)]
    jobs = [sweepruns.job(data, portion) for portion in portions]
    done = 0
    for number, answer in there.spread(sweepruns.run, jobs):
        measured = pickle.loads(answer)  # noqa: S301  (what `sweepruns.run` wrote)
        if isinstance(measured, str):
            raise BadInput(
                f"what changes in this sweep cannot be read elsewhere ({measured})",
                "write the class in the notebook, not in a file beside it; or processes=1",
            )
        for which, figures in zip(portions[number], measured, strict=True):
            found[which] = figures if figures is not None else _here(plan, which)
        done += len(portions[number])
        if progress is not None:
            progress(done, len(plan))


def _here(plan: Plan, number: int) -> tuple[float, ...]:
    """One call in this process. What goes wrong is raised with the student's own lines."""
    try:
        return plan.measure(number)
    except Exception as error:
        error.add_note(f"in the sweep, at {plan.words(number)}")
        raise


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep. It prints itself as a table."""

    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    measures: tuple[str, ...]
    figures: Any
    """Shape (…, seeds, measures), with the axes in their order before that."""

    def values(self, measure: str, **where: str) -> Any:
        """One measure, shape (…, seeds); an axis whose label is given is left out."""
        self._known(measure, where)
        chosen = tuple(
            axis.labels.index(str(where[axis.name])) if axis.name in where else slice(None)
            for axis in self.axes
        )
        return self.figures[..., self.measures.index(measure)][chosen]

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each call: pandas makes a table of them."""
        flat = self.figures.reshape(-1, len(self.seeds), len(self.measures))
        return [
            dict(zip((axis.name for axis in self.axes), labels, strict=True))
            | {"seed": seed}
            | dict(zip(self.measures, map(float, figures), strict=True))
            for labels, of_seeds in zip(self._combinations(), flat, strict=True)
            for seed, figures in zip(self.seeds, of_seeds, strict=True)
        ]

    def _combinations(self) -> list[tuple[str, ...]]:
        return Plan(None, self.axes, self.seeds, self.measures).labels()  # type: ignore[arg-type]

    def _known(self, measure: str, where: Mapping[str, str]) -> None:
        if measure not in self.measures:
            raise BadInput(f"{measure!r} was not measured", ", ".join(self.measures))
        for name, wanted in where.items():
            labels = next((axis.labels for axis in self.axes if axis.name == name), None)
            if labels is None:
                raise BadInput(f"{name!r} did not change", ", ".join(a.name for a in self.axes))
            if str(wanted) not in labels:
                raise BadInput(f"{name} was never {wanted!r}", ", ".join(labels))

    # As a table -------------------------------------------------------------------------------

    def _table(self) -> list[list[str]]:
        head = [axis.name for axis in self.axes]
        head += [UNITS.get(measure, (measure, 1.0))[0] for measure in self.measures]
        flat = self.figures.reshape(-1, len(self.seeds), len(self.measures))
        rows = [
            [*labels, *(_cell(m, of[:, i]) for i, m in enumerate(self.measures))]
            for labels, of in zip(self._combinations(), flat, strict=True)
        ]
        return [head, *rows]

    def __str__(self) -> str:
        table = self._table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([*lines, self._below()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = [[html.escape(cell) for cell in row] for row in self._table()]
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        top = "".join(f"<th>{cell}</th>" for cell in head)
        return (
            f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
            f"<p><small>{html.escape(self._below())}</small></p>"
        )

    def _below(self) -> str:
        count = len(self.seeds)
        if count == 1:
            return f"seed {self.seeds[0]}"
        return f"mean, and from least to most, over {count} seeds"

    # As a picture -----------------------------------------------------------------------------

    def show(self, measure: str = "") -> Picture:
        """One measure: the first axis below, a colour for each combination of the others.

        A dot is the mean over the seeds, its bar goes from the least to the most.
        """
        measure = measure or self.measures[0]
        name, scale = UNITS.get(measure, (measure, 1.0))
        values = self.values(measure) * scale
        first = self.axes[0] if self.axes else Axis("", ("",), (None,))
        values = values.reshape(len(first.labels), -1, len(self.seeds))
        series = Plan(None, self.axes[1:], self.seeds, ()).labels()  # type: ignore[arg-type]
        with canvas(height=3.8) as (figure, rows):
            axes = rows[0]
            for number, labels in enumerate(series):
                of = values[:, number]
                place = np.arange(len(of)) + 0.5 * ((number + 0.5) / len(series) - 0.5)
                mean = of.mean(axis=1)
                bars = np.abs(np.stack([of.min(axis=1), of.max(axis=1)]) - mean)
                colour = COLOURS[number % len(COLOURS)]
                axes.errorbar(
                    place, mean, bars, fmt="o", color=colour, capsize=3, label=", ".join(labels)
                )
            axes.set_xticks(range(len(first.labels)), first.labels)
            axes.set_xlabel(first.name)
            axes.set_ylabel(name)
            axes.margins(x=0.08)
            if len(series) > 1:
                figure.legend(loc="outside right upper")
        return Picture(figure, f"{name} against {first.name}; {self._below()}")

    def frontier(self) -> Picture:
        """Means of loss against delay: a line for each value of the last axis, or one."""
        loss, delay = (self.values(m).mean(axis=-1) for m in ("unheard", "delay_ms"))
        last = self.axes[-1].labels if len(self.axes) > 1 else ("",)
        labels = [", ".join(each) for each in self._combinations()[:: len(last)]]
        if len(self.axes) > 1:
            labels = [", ".join(each[:-1]) for each in self._combinations()[:: len(last)]]
        lines = {}
        for number, name in enumerate(last):
            pairs = zip(
                delay.reshape(-1, len(last))[:, number],
                100 * loss.reshape(-1, len(last))[:, number],
                strict=True,
            )
            lines[name] = dict(zip(labels, ((float(x), float(y)) for x, y in pairs), strict=True))
        return frontier(lines)


def _cell(measure: str, values: Any) -> str:
    scaled = values * UNITS.get(measure, ("", 1.0))[1]
    if len(scaled) == 1:
        return _number(scaled[0])
    low, high = _number(scaled.min()), _number(scaled.max())
    return f"{_number(scaled.mean())} ({low} to {high})"


def _number(value: float) -> str:
    """Three digits that count."""
    if value != value:
        return "never"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
