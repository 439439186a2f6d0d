"""An exercise: what it asks for, its parts with their points, and its hints.

A part is a function of a `Bench`. It returns nothing when all is well, or the share of its points
from 0 to 1. Parts do not know of each other: one that fails leaves the others as they are, and each
has dice of its own.

The exercises of a week are in `labkit.checks.weekNN`, under `EXERCISES`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, util
from random import Random
from typing import Final

from labkit.checks.bench import Bench, Failed
from labkit.checks.report import PUBLISHED, Finding, PartReport, Report
from labkit.checks.subject import Subject
from labkit.words.errors import BadInput

WEEKS: Final = range(1, 13)
FAULT: Final = "That is a fault of the check, not yours: please report this line."


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that an exercise asks for."""

    name: str
    title: str
    points: float
    run: Callable[[Bench], float | None]


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise."""

    name: str
    """Week and number: "06.1"."""
    title: str
    wants: tuple[str, ...]
    """What of the notebook it looks at: functions, classes, values, in the order of `check`."""
    parts: tuple[Part, ...]
    hints: Mapping[str, str]
    hides: tuple[str, ...] = ()
    """Modules of the kit that are the answer: a grader's sandbox refuses to import them."""

    @property
    def points(self) -> float:
        """How many there are."""
        return sum(part.points for part in self.parts)

    def run(self, subject: Subject, seed: int = PUBLISHED, only: str = "") -> Report:
        """Check a subject with this seed. Nothing that the student's code does raises out of it."""
        begun = time.perf_counter()
        reports: list[PartReport] = []
        over: Finding | None = None
        for part in self._chosen(only):
            if over is not None:
                reports.append(PartReport(part.name, part.title, 0, part.points, (), over))
                continue
            bench = Bench(subject, Random(f"{seed} {self.name} {part.name}"), self.hints)
            report, ended = _run(part, bench)
            reports.append(report)
            if ended and report.finding is not None:
                over = Finding(
                    "this part is reached",
                    "an answer to the parts before",
                    report.finding.found,
                    report.finding.hint,
                    report.finding.name,
                    report.finding.where,
                )
        return Report(
            self.name,
            self.title,
            seed,
            self.wants,
            tuple(reports),
            subject.printed(),
            only=only,
            seconds=time.perf_counter() - begun,
        )

    def _chosen(self, only: str) -> tuple[Part, ...]:
        chosen = tuple(part for part in self.parts if only in ("", part.name))
        if not chosen:
            names = ", ".join(part.name for part in self.parts)
            raise BadInput(f"exercise {self.name} has no part {only!r}", f"one of {names}")
        return chosen


def _run(part: Part, bench: Bench) -> tuple[PartReport, bool]:
    """One part; and whether nothing more can be asked."""
    finding, over = None, False
    try:
        share = part.run(bench)
        share = 1.0 if share is None else share
    except Failed as failed:
        finding, share, over = failed.finding, failed.share, failed.over
    except Exception as error:  # noqa: BLE001  (no batch stops, and no lesson, for a fault of ours)
        what, found = "the check runs to its end", f"{type(error).__name__}: {error}"
        finding, share = Finding(what, "a result", found[:300], FAULT, "fault"), 0.0
    points = round(part.points * min(max(share, 0.0), 1.0), 2)
    report = PartReport(
        part.name, part.title, points, part.points, tuple(bench.steps), finding, bench.drawing
    )
    return report, over


def exercises(week: int | None = None) -> dict[str, Exercise]:
    """The exercises of a week, or all, by their names."""
    found: dict[str, Exercise] = {}
    for number in WEEKS if week is None else (week,):
        module = f"labkit.checks.week{number:02}"
        if util.find_spec(module) is not None:
            found |= {each.name: each for each in import_module(module).EXERCISES}
    return found


def find(name: str) -> Exercise:
    """One exercise. `BadInput` names those that there are."""
    week, _, _ = name.partition(".")
    known = exercises(int(week)) if week.isdecimal() else {}
    if name not in known:
        names = ", ".join(known or exercises())
        raise BadInput(f"there is no exercise {name!r}", f"one of {names}")
    return known[name]
