"""The gradebook: what came of all submissions, what was given by hand, and what was decided.

Three things happen to it. *Records* of the grader are taken in (`take`): a record that is there
already changes nothing, one that cannot be read is named and the others come in, and what moved is
told (`labkit.grading.regrade`). *Decisions* are written down: points and comments by hand,
extensions, deadlines, the policy. And everything is read at once, as `Facts`, from which
`labkit.grading.standing` makes the grades.

Nothing is changed in place that a person decided; `labkit.grading.tables` says how. Times are
given from outside: this module reads no clock.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select, update

from labkit.grading import tables as t
from labkit.grading.database import Database
from labkit.grading.importing import Taken, last_moves, read_records, take
from labkit.grading.late import Policy, find_zone
from labkit.grading.regrade import Move
from labkit.grading.result import Result, from_utc, to_utc
from labkit.grading.rows import add, current, ensure, known, name, remarks, text
from labkit.grading.standing import Assignment, Column, Extension, Facts, Student, hundredths
from labkit.words.errors import BadInput

MOST_DAYS: Final = 366


class Gradebook:
    """One of them: the name of an SQLite file, or a URL."""

    def __init__(self, where: str | Path, *, create: bool = False) -> None:
        self._database = Database(where, create=create)
        self.name = self._database.name

    # Records ------------------------------------------------------------------------------------

    def take_folder(self, out: Path, now: datetime) -> Taken:
        """Take in what `labkit grade` left in a folder."""
        results, broken = read_records(out)
        taken = self.take(results, str(out), now)
        return replace(taken, broken=(*broken, *taken.broken))

    def take(self, results: Sequence[Result], source: str, now: datetime) -> Taken:
        """Take in records, all or none. The same ones again change nothing."""
        with self._database.writing() as db:
            return take(db, results, source, now)

    def moves(self, number: int | None = None) -> tuple[str, str, tuple[Move, ...]]:
        """When and from where an import came, and who moved then; of the last one, or of one."""
        with self._database.reading() as db:
            return last_moves(db, number)

    # Decisions ----------------------------------------------------------------------------------

    def set_points(
        self,
        student: str,
        exercise: str,
        points: float | None,
        now: datetime,
        *,
        bonus: bool = False,
    ) -> None:
        """Give points by hand; None: those of the checks again. More than there are is a bonus."""
        with self._database.writing() as db:
            known(db, t.students.c.id, student, "student")
            known(db, t.exercises.c.name, exercise, "exercise")
            of = db.execute(select(t.exercises.c.of).where(t.exercises.c.name == exercise)).scalar()
            if points is not None and not 0 <= points <= 10_000:
                raise BadInput(f"{points:g} are not points", "0 or more")
            if points is not None and hundredths(points) > (of or 0) and not bonus:
                what = f"{exercise} has {(of or 0) / 100:g} points, {points:g} are more"
                raise BadInput(what, "--bonus, if that is meant")
            add(
                db,
                t.remarks,
                at=to_utc(now),
                student=student,
                exercise=exercise,
                kind="points",
                points=None if points is None else hundredths(points),
            )

    def set_comment(self, student: str, exercise: str, comment: str, now: datetime) -> None:
        """Write something to a student about an exercise; empty: nothing any more."""
        with self._database.writing() as db:
            known(db, t.students.c.id, student, "student")
            known(db, t.exercises.c.name, exercise, "exercise")
            row = {"student": student, "exercise": exercise, "comment": text(comment, "comment")}
            add(db, t.remarks, at=to_utc(now), kind="comment", **row)

    def extend(
        self, student: str, assignment: str, days: int | None, now: datetime, why: str = ""
    ) -> None:
        """Give one student so many days more in all; None: the assignment is not asked of them."""
        if days is not None and not 0 <= days <= MOST_DAYS:
            raise BadInput(f"{days} is no number of days", f"0 to {MOST_DAYS}")
        with self._database.writing() as db:
            known(db, t.students.c.id, student, "student")
            known(db, t.assignments.c.name, assignment, "assignment")
            row = {"student": student, "assignment": assignment, "days": days}
            add(db, t.extensions, at=to_utc(now), why=text(why, "reason"), **row)

    def set_assignment(self, assignment: str, **fields: Any) -> None:
        """Set `due`, `zone`, `weight` in hundredths, `canvas`; what is None stays as it was."""
        if "due" in fields and fields["due"] is not None:
            fields["due"] = to_utc(fields["due"])
        name(fields.get("canvas") or "", "number")
        if fields.get("zone"):
            find_zone(fields["zone"])
        if fields.get("weight") is not None and not 0 <= fields["weight"] <= 1_000_000:
            raise BadInput("that is no weight", "0 or more")
        with self._database.writing() as db:
            ensure(db, t.assignments, t.assignments.c.name, assignment)
            said = {key: value for key, value in fields.items() if value is not None}
            if said:
                db.execute(
                    update(t.assignments).where(t.assignments.c.name == assignment).values(**said)
                )

    def add_students(self, students: Iterable[Student]) -> tuple[int, int]:
        """Put students in, or fill in what a list says of those who are; (new, changed)."""
        new = changed = 0
        with self._database.writing() as db:
            there = {row.id: Student(*row) for row in db.execute(select(t.students))}
            for each in students:
                was = there.get(each.id)
                said = {key: value for key, value in each._asdict().items() if value}
                for value in said.values():
                    name(value, "entry of the list")
                if was is None:
                    new += 1
                    add(db, t.students, **{**Student(each.id)._asdict(), **said})
                elif was._replace(**said) != was:
                    changed += 1
                    db.execute(update(t.students).where(t.students.c.id == each.id).values(**said))
                there[each.id] = (was or Student(each.id))._replace(**said)
        return new, changed

    def set_policy(self, policy: Policy, now: datetime) -> None:
        """How totals are made from now on, of everything there is."""
        with self._database.writing() as db:
            add(db, t.policies, at=to_utc(now), policy=json.dumps(asdict(policy)))

    # Reading ------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        """Everything, of one moment."""
        with self._database.reading() as db:
            students = {row.id: Student(*row) for row in db.execute(select(t.students))}
            assignments = {
                row.name: Assignment(
                    row.name, row.due and from_utc(row.due), row.zone, row.weight, row.canvas
                )
                for row in db.execute(select(t.assignments).order_by(t.assignments.c.name))
            }
            columns = {
                row.name: Column(row.name, row.assignment, row.title, row.of)
                for row in db.execute(select(t.exercises).order_by(t.exercises.c.name))
            }
            extensions = {
                (row.student, row.assignment): Extension(row.days, row.why)
                for row in db.execute(select(t.extensions).order_by(t.extensions.c.id))
            }
            last = select(t.policies.c.policy).order_by(t.policies.c.id.desc()).limit(1)
            said = db.execute(last).scalar()
            return Facts(
                students,
                assignments,
                columns,
                {key: result for key, (_, result) in current(db).items()},
                remarks(db),
                extensions,
                Policy(**json.loads(said)) if said else Policy(),
            )
