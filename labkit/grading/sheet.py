"""grades.csv: a line for each student, for a spreadsheet or a learning platform.

Its cells are safe to open (`labkit.grading.cells`). Days late and what they cost are those of this
week alone; a term has a budget and extensions, which are the gradebook's. The sheet says the same
for the same submissions, to the byte: no time of its making is in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Final

from labkit.checks.exercise import exercises
from labkit.grading.cells import Value, write
from labkit.grading.late import Policy, Work, days_late, kept
from labkit.grading.result import Result, Status, to_utc
from labkit.grading.submission import Submission
from labkit.words.errors import BadInput

LATE: Final = "--late 10, or --late 10,grace=2,least=50,closes=5"


@dataclass(frozen=True, slots=True)
class Lateness:
    """When it was due, and what lateness costs."""

    due: datetime | None = None
    policy: Policy = field(default_factory=Policy)


def read_policy(text: str) -> Policy:
    """PERCENT[,grace=HOURS][,least=PERCENT][,closes=DAYS]. `BadInput` when it is no such text."""
    percent, *others = text.replace("%", "").replace("/day", "").split(",")
    names = {"grace": "grace", "least": "at_least", "closes": "closes"}
    try:
        said = {names[name.strip()]: int(value) for name, _, value in
                (other.partition("=") for other in others)}  # fmt: skip
        return Policy(percent=int(percent), **said)
    except (ValueError, KeyError) as error:
        raise BadInput(f"{text!r} does not say what lateness costs", LATE) from error


def sheet(rows: Sequence[tuple[Submission, Result, str]], week: int, lateness: Lateness) -> str:
    """The whole file: (submission, record, page) of each student."""
    names = list(exercises(week))
    timed = any(submission.submitted or submission.marked_late for submission, _, _ in rows)
    late = ["submitted", "days_late", "final"] if timed or lateness.due else []
    head: list[Value] = ["student", "number", "status", *names, "points", "of", *late]
    lines = [[*head, "repairs", "problem", "file", "feedback"]]
    for submission, result, page in rows:
        points = {each.name: each.points for each in result.exercises}
        graded = result.status is not Status.FAILED
        lines.append([
            result.student,
            submission.number,
            result.status.value,
            *(points.get(name, 0.0) if graded else None for name in names),
            result.points if graded else None,
            result.of,
            *(_late(submission, result, lateness) if late else []),
            len(result.repairs),
            result.problem,
            submission.file,
            page,
        ])  # fmt: skip
    return write(lines)


def _late(submission: Submission, result: Result, lateness: Lateness) -> list[Value]:
    """When it came, days late, and the points that are left."""
    points, of = Fraction(str(result.points)), Fraction(str(result.of))
    work = Work(result.assignment, points, of, due=lateness.due, submitted=submission.submitted)
    days = days_late(work, lateness.policy.grace)
    left = float(round(points * kept(days, lateness.policy), 2))
    when = None if submission.submitted is None else to_utc(submission.submitted)
    known = lateness.due is not None and submission.submitted is not None
    told = days if known else "late" if submission.marked_late else None
    return [when, told, left if result.status is not Status.FAILED else None]
