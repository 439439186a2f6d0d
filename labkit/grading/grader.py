"""One submission: read, repaired, loaded into a box, checked from outside, written up.

    grader = Grader(week=6, seed=seed)
    graded = grader.grade(submission)          a record for the gradebook, a page for the student

Whatever a submission is, there is a record and a page at the end: one that cannot be read gets a
page that says so. Only the machine itself can fail, and that raises. The seed stays in this
process: not in the box, not in the record, and on the page only if it is released.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

import labkit
from labkit.checks.exercise import Exercise, exercises
from labkit.checks.release import released
from labkit.checks.report import Report
from labkit.grading.limits import Limits
from labkit.grading.outcomes import CellOutcome, CellState
from labkit.grading.page import Sheet, page
from labkit.grading.reading import cells_of
from labkit.grading.repair import Given, Plan, again, repair
from labkit.grading.result import ExerciseResult, Result, Status, fingerprint, seed_id
from labkit.grading.sandbox import Box, Loaded, Sandbox, Trusted
from labkit.grading.source import defined
from labkit.grading.submission import CannotRead, Submission
from labkit.resources import solution_path
from labkit.words.errors import BadInput

MISSED: Final = re.compile(r"NameError: name '(\w+)' is not defined")
DECIDING: Final = (
    "checks/*.py", "core/*.py", "wire/*.py", "words/*.py",
    *(f"grading/{name}.py" for name in (
        "grader", "limits", "names", "pipe", "reading", "repair", "sandbox", "source", "worker",
    )),
)  # fmt: skip
"""The code that decides about points."""


class Graded(NamedTuple):
    """What came of one submission."""

    result: Result
    page: str
    """A whole page of HTML."""


@dataclass(frozen=True, slots=True)
class Order:
    """How submissions are graded: the same for all of them."""

    week: int
    seed: int
    trust: bool = False
    """Without a sandbox: for one's own notebook."""
    release: bool = False
    """The seed is shown on the pages."""
    limits: Limits = field(default_factory=Limits)

    def __repr__(self) -> str:
        return f"Order(week={self.week}, trust={self.trust})"  # never the seed


class Grader:
    """Grades the submissions of one week, one after the other."""

    def __init__(self, order: Order, *, ahead: bool = False) -> None:
        """With `ahead` a box is started while the submission before it is graded."""
        found = exercises(order.week)
        if not found:
            weeks = ", ".join(map(str, sorted({int(name[:2]) for name in exercises()})))
            raise BadInput(f"week {order.week} has no exercises", f"--week {weeks}")
        self._order = order
        self._ahead = ahead
        self._next: Box | None = None
        self._exercises: list[Exercise] = list(found.values())
        self._hides = {module for exercise in self._exercises for module in exercise.hides}
        text = solution_path(order.week).read_text(encoding="utf-8")
        self._given = Given.of(
            cells_of(json.dumps(released(json.loads(text))).encode()), self._exercises
        )
        self._seed_id = seed_id(order.seed)
        self._checks = checks_id(text)

    def begin(self, submission: Submission) -> Result:
        """The record before anything is known of the notebook."""
        return Result(
            submission.student,
            f"week{self._order.week:02}",
            Status.GRADED,
            "",
            self._seed_id,
            self._checks,
            submission.submitted,
            canvas=submission.number if submission.layout == "canvas" else "",
        )

    def grade(self, submission: Submission) -> Graded:
        """Read, repair, run and check one."""
        blank = self.begin(submission)
        try:
            data = submission.read()
            blank = replace(blank, content=fingerprint(data))
            plan = repair(cells_of(data), self._given)
        except CannotRead as error:
            return self.closed(submission, blank, Status.UNREADABLE, str(error))
        before = _cpu()
        with self._box() as box:
            self._begin_next()
            plan, subject = self._load(box, plan)
            reports = [self._check(exercise, subject) for exercise in self._exercises]
        result = replace(
            blank,
            repairs=(*plan.told, *_troubles(subject.cells))[:200],
            exercises=tuple(
                ExerciseResult.from_report(r, round(1000 * r.seconds)) for r in reports
            ),
            cpu_ms=round(1000 * (_cpu() - before)),
        )
        return self._written(submission, result, reports)

    def closed(self, submission: Submission, blank: Result, status: Status, problem: str) -> Graded:
        """A record without points, and its page."""
        none = [
            ExerciseResult.from_report(_unchecked(exercise, problem, self._order.seed))
            for exercise in self._exercises
        ]
        result = replace(blank, status=status, problem=problem, exercises=tuple(none))
        return self._written(submission, result, [])

    def end(self) -> None:
        """End the box that was started ahead, if there is one."""
        if self._next is not None:
            self._next.end()
            self._next = None

    def _box(self) -> Box:
        """One for this submission: the one that was started ahead, or a new one."""
        box, self._next = self._next, None
        return box or self._new_box()

    def _begin_next(self) -> None:
        if self._ahead:
            self._next = self._new_box()
            self._next.start_ahead(self._hides)

    def _new_box(self) -> Box:
        return (Trusted if self._order.trust else Sandbox)(self._order.limits)

    def _load(self, box: Box, plan: Plan) -> tuple[Plan, Loaded]:
        """Run the cells; and once more in another order, if one missed what stood below it."""
        subject = box.load(plan.steps, withheld=self._hides)
        names = {name: label for label, source in plan.steps for name in defined(source)}
        missed = [
            cell.label
            for cell in subject.cells
            if (match := MISSED.match(cell.error)) and names.get(match[1], cell.label) != cell.label
        ]
        if not missed:
            return plan, subject
        steps = again(plan.steps, missed)
        told = [f"{label} needs what stands below it; it was run behind it" for label in missed]
        return Plan(steps, (*plan.told, *told)), box.load(steps, withheld=self._hides)

    def _check(self, exercise: Exercise, subject: Loaded) -> Report:
        return exercise.run(subject.fresh(), self._order.seed)

    def _written(self, submission: Submission, result: Result, reports: list[Report]) -> Graded:
        return Graded(result, page(Sheet(result, tuple(reports), submission.file, self._seed())))

    def _seed(self) -> int | None:
        return self._order.seed if self._order.release else None


def _unchecked(exercise: Exercise, problem: str, seed: int) -> Report:
    """No points, in each part: so that a record of this one has the columns of the others."""
    from labkit.checks.report import Finding, PartReport

    finding = Finding("there is a notebook to be read", "one", problem, problem, "unreadable")
    parts = tuple(PartReport(p.name, p.title, 0, p.points, (), finding) for p in exercise.parts)
    return Report(exercise.name, exercise.title, seed, exercise.wants, parts, problem=problem)


def _troubles(cells: Iterable[CellOutcome]) -> list[str]:
    """Cells that did not run to their end."""
    told = {
        CellState.RAISED: "stopped",
        CellState.ENDED: "ended the process, and was left out",
        CellState.LEFT_OUT: "was not run",
    }
    return [
        f"{cell.label} {told[cell.state]}: {cell.error}"
        + (f", in line {cell.where.line}: `{cell.where.code}`" if cell.where else "")
        for cell in cells
        if cell.state in told
    ]


def _cpu() -> float:
    """Seconds of the processor: ours, and of processes that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def checks_id(notebook: str) -> str:
    """Names the code that decides about points, and the notebook that was given out."""
    kit = Path(labkit.__file__).parent
    files = sorted(path for pattern in DECIDING for path in kit.glob(pattern))
    return fingerprint(notebook.encode(), *(path.read_bytes() for path in files))
