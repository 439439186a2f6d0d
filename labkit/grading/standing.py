"""Where everybody stands: facts in, grades out, and nothing kept in between.

`Facts` are what a gradebook stores. `standings` makes of them, for each student, the points of each
exercise (by hand where somebody gave some, otherwise by the checks), what lateness leaves of them,
and the total of the term. The same facts give the same grades, whoever asks and whenever.

Points are whole hundredths. This module knows no database and no clock.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from labkit.grading.late import Policy, Term, Work, Worth, term
from labkit.grading.result import ExerciseResult, Result, Status


class Student(NamedTuple):
    """Somebody in the class; what is not known is empty."""

    id: str
    name: str = ""
    email: str = ""
    section: str = ""
    canvas: str = ""
    """The number that Canvas calls ID."""
    login: str = ""


class Assignment(NamedTuple):
    """Something that is due."""

    name: str
    due: datetime | None = None
    zone: str = "UTC"
    weight: int = 100
    """Hundredths."""
    canvas: str = ""


class Column(NamedTuple):
    """An exercise."""

    name: str
    assignment: str
    title: str
    of: int
    """Hundredths of a point."""


class Remark(NamedTuple):
    """What somebody said about an exercise of a student."""

    points: int | None = None
    """Hundredths, instead of those of the checks."""
    comment: str = ""


class Extension(NamedTuple):
    """More time for one student."""

    days: int | None
    """None: excused."""
    why: str = ""


@dataclass(frozen=True)
class Facts:
    """All that is stored, as it counts now."""

    students: Mapping[str, Student]
    assignments: Mapping[str, Assignment]
    columns: Mapping[str, Column]
    results: Mapping[tuple[str, str], Result]
    """By student and assignment."""
    remarks: Mapping[tuple[str, str], Remark] = field(default_factory=dict)
    """By student and exercise."""
    extensions: Mapping[tuple[str, str], Extension] = field(default_factory=dict)
    """By student and assignment."""
    policy: Policy = field(default_factory=Policy)

    def columns_of(self, assignment: str) -> list[Column]:
        """Its exercises, in order."""
        return [each for each in self.columns.values() if each.assignment == assignment]


class State(StrEnum):
    """What came of an assignment of a student."""

    GRADED = "graded"
    UNREADABLE = "unreadable"
    FAILED = "failed"
    """The grader could not: counts for nothing until it is graded again."""
    MISSING = "missing"
    EXCUSED = "excused"


class Cell(NamedTuple):
    """One exercise of one student, in hundredths of a point."""

    column: Column
    points: int
    checked: int | None
    """What the checks gave; None where there was nothing to check."""
    remark: Remark
    result: ExerciseResult | None

    @property
    def by_hand(self) -> bool:
        """Whether somebody gave these points."""
        return self.remark.points is not None


class Standing(NamedTuple):
    """One assignment of one student."""

    assignment: Assignment
    state: State
    cells: tuple[Cell, ...]
    worth: Worth
    result: Result | None

    @property
    def points(self) -> Fraction:
        """After lateness, in points."""
        return self.worth.points

    @property
    def before(self) -> Fraction:
        """Before lateness."""
        return self.worth.work.points

    @property
    def of(self) -> Fraction:
        """How many there are."""
        return self.worth.work.of


class Grade(NamedTuple):
    """Everything of one student."""

    student: Student
    standings: tuple[Standing, ...]
    share: Fraction | None
    """Of the term, 0 to 1; None while nothing counts."""


def standings(facts: Facts) -> Iterator[Grade]:
    """Where everybody stands, in the order of their names.

    An assignment counts for everybody as soon as there is a result of anybody: who has none has no
    points. Who is excused, or whose submission the grader could not finish, is not counted there.
    """
    begun = {assignment for _, assignment in facts.results}
    begun |= {facts.columns[name].assignment for _, name in facts.remarks}
    for student in sorted(
        facts.students.values(), key=lambda each: (each.name.casefold(), each.id)
    ):
        parts = [
            _assignment(facts, student, assignment)
            for assignment in facts.assignments.values()
            if assignment.name in begun
        ]
        whole: Term = term([work for *_, work, _ in parts], facts.policy)
        yield Grade(
            student,
            tuple(
                Standing(assignment, state, cells, worth, result)
                for (assignment, state, cells, _, result), worth in zip(
                    parts, whole.worths, strict=True
                )
            ),
            whole.share,
        )


_Parts = tuple[Assignment, State, tuple[Cell, ...], Work, Result | None]


def _assignment(facts: Facts, student: Student, assignment: Assignment) -> _Parts:
    result = facts.results.get((student.id, assignment.name))
    extension = facts.extensions.get((student.id, assignment.name), Extension(0))
    cells = tuple(
        _cell(column, facts.remarks.get((student.id, column.name), Remark()), result)
        for column in facts.columns_of(assignment.name)
    )
    state = State.MISSING if result is None else State(result.status.value)
    if extension.days is None:
        state = State.EXCUSED
    ungraded = state is State.FAILED and not any(cell.by_hand for cell in cells)
    work = Work(
        assignment.name,
        Fraction(sum(cell.points for cell in cells), 100),
        Fraction(sum(cell.column.of for cell in cells), 100),
        Fraction(assignment.weight, 100),
        assignment.due,
        assignment.zone,
        None if result is None else result.submitted,
        extension.days or 0,
        excused=state is State.EXCUSED or ungraded,
    )
    return assignment, state, cells, work, result


def _cell(column: Column, remark: Remark, result: Result | None) -> Cell:
    found = None
    if result is not None and result.status is Status.GRADED:
        found = next((each for each in result.exercises if each.name == column.name), None)
    checked = None if found is None else hundredths(found.points)
    points = remark.points if remark.points is not None else (checked or 0)
    return Cell(column, points, checked, remark, found)


def hundredths(points: float) -> int:
    """Points as they are stored."""
    return round(points * 100)


def told(points: Fraction | int) -> str:
    """Points as people write them: hundredths, or an exact fraction of points."""
    exact = Fraction(points, 100) if isinstance(points, int) else points
    return f"{float(round(exact, 2)):g}"


def percent(share: Fraction | None) -> str:
    """A share as people write it."""
    return "" if share is None else f"{float(round(share * 100, 1)):g}"
