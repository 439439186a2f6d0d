"""Taking in what the grader left, and telling who moved.

A record that is there already changes nothing. One that cannot be read, or does not fit, is named,
and the others come in, all in one transaction. A record of a submission at which the grader itself
failed never takes the place of one that was graded. Points given by hand are in another table, so
an import cannot touch them; where a check moved under them, that is told too.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from labkit.grading import tables as t
from labkit.grading.regrade import Move, compare
from labkit.grading.result import Result, Status, fingerprint, to_utc
from labkit.grading.rows import add, current, ensure, remarks
from labkit.grading.standing import Student, hundredths
from labkit.words.errors import BadInput

LARGEST: Final = 8_000_000
"""Bytes of a file with a record."""


@dataclass(frozen=True)
class Broken:
    """A file that holds no record."""

    name: str
    why: str


@dataclass(frozen=True)
class Taken:
    """What an import did."""

    new: tuple[str, ...]
    """Students who had no record of this assignment before."""
    same: int
    moves: tuple[Move, ...]
    """Who has other points than before, or could be graded and now cannot."""
    replaced: int
    """Records that took the place of another, moved or not."""
    kept: tuple[Result, ...]
    """The grader failed at these, and what there was before stays."""
    absent: tuple[tuple[str, str], ...]
    """(student, assignment) that there was a record of before, and not in this import."""
    by_hand: tuple[tuple[str, str], ...]
    """(student, exercise) that moved where points given by hand stand, and go on standing."""
    known_as: tuple[tuple[str, str], ...] = ()
    """(name of the submission, student) where the list of the class says who that is."""
    broken: tuple[Broken, ...] = ()


def read_records(out: Path) -> tuple[list[Result], list[Broken]]:
    """The records that the grader left in a folder. Those that cannot be read are named."""
    folder = out / "results" if (out / "results").is_dir() else out
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise BadInput(f"there are no results in {folder}", "labkit grade SUBMISSIONS --week N")
    found: dict[tuple[str, str], tuple[Path, Result]] = {}
    broken = []
    for path in paths:
        try:
            result = _read(path)
        except BadInput as error:
            broken.append(Broken(path.name, error.what))
            continue
        first, _ = found.setdefault((result.student, result.assignment), (path, result))
        if first is not path:
            broken.append(Broken(path.name, f"{result.student} has a record in {first.name} too"))
    return [result for _, result in found.values()], broken


def _read(path: Path) -> Result:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise BadInput(f"it is larger than {LARGEST // 1_000_000} MB")
        return Result.from_json(data.decode())
    except OSError as error:
        raise BadInput(f"the system refused it: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput("it is not text in UTF-8") from error


def take(db: Connection, results: Sequence[Result], source: str, now: datetime) -> Taken:
    """Take in records, within a transaction that writes."""
    results, broken = _fitting(db, results)
    results, known_as, twice = _named(db, results)
    broken += twice
    before = current(db)
    _columns(db, results)
    new: list[str] = []
    moves: list[Move] = []
    kept: list[Result] = []
    same = replaced = 0
    number: int | None = None
    for result in results:
        was_id, was = before.get((result.student, result.assignment), (None, None))
        if was == result:
            same += 1
            continue
        if was and result.status is Status.FAILED and was.status is not Status.FAILED:
            kept.append(result)
            continue
        if number is None:
            number = add(db, t.imports, at=to_utc(now), source=source)
        _adopt(db, number, result, was_id)
        if was is None:
            new.append(result.student)
            continue
        replaced += 1
        move = compare(was, result)
        if move is not None:
            moves.append(move)
    came = {(result.student, result.assignment) for result in results}
    weeks = {result.assignment for result in results}
    changed = {(move.student, each.exercise) for move in moves for each in move.changes}
    hand = {key for key, remark in remarks(db).items() if remark.points is not None}
    return Taken(
        new=tuple(new),
        same=same,
        moves=tuple(sorted(moves, key=lambda move: (move.assignment, move.points, move.student))),
        replaced=replaced,
        kept=tuple(kept),
        absent=tuple(sorted(key for key in before if key[1] in weeks and key not in came)),
        by_hand=tuple(sorted(changed & hand)),
        known_as=tuple(known_as),
        broken=tuple(broken),
    )


def _named(
    db: Connection, results: Sequence[Result]
) -> tuple[list[Result], list[tuple[str, str]], list[Broken]]:
    """The records under the names of the class list.

    A download of Canvas calls its files by a short name and Canvas's number, one of Moodle by the
    full name. Who is in the list by that number, or is the only one of that name, is meant.
    """
    there = [Student(*row) for row in db.execute(select(t.students))]
    ids = {each.id for each in there}
    numbers = {each.canvas: each.id for each in there if each.canvas}
    names: dict[str, set[str]] = defaultdict(set)
    for each in there:
        names[each.name.casefold()].add(each.id)
    found: dict[tuple[str, str], Result] = {}
    known_as, twice = [], []
    for result in results:
        alike = names.get(result.student.casefold(), set())
        student = result.student
        if result.canvas in numbers:
            student = numbers[result.canvas]
        elif student not in ids and len(alike) == 1:
            (student,) = alike
        key = student, result.assignment
        if key in found:
            why = f"{student} has a record as {found[key].student} too"
            twice.append(Broken(result.student, why))
            continue
        if student != result.student:
            known_as.append((result.student, student))
        found[key] = result
    mine = [replace(result, student=key[0]) for key, result in found.items()]
    return mine, known_as, twice


def _fitting(db: Connection, results: Sequence[Result]) -> tuple[list[Result], list[Broken]]:
    """Those whose exercises belong to their assignment; and the others."""
    owners = {row.name: row.assignment for row in db.execute(select(t.exercises))}
    fitting, broken = [], []
    for result in results:
        for each in result.exercises:
            owner = owners.setdefault(each.name, result.assignment)
            if owner != result.assignment:
                why = f"it has {each.name} in {result.assignment}, which belongs to {owner}"
                broken.append(Broken(result.student, why))
                break
        else:
            fitting.append(result)
    return fitting, broken


def last_moves(db: Connection, number: int | None) -> tuple[str, str, tuple[Move, ...]]:
    """When and from where an import came, and who moved then; of the last one, or of one."""
    those = select(t.imports).order_by(t.imports.c.id.desc()).limit(1)
    if number is not None:
        those = those.where(t.imports.c.id == number)
    row = db.execute(those).first()
    if row is None:
        raise BadInput("there is no such import", "labkit gradebook moves: the last one")
    before, after = t.results.alias("before"), t.results.alias("after")
    pairs = db.execute(
        select(before.c.record, after.c.record)
        .select_from(t.adoptions)
        .join(before, before.c.id == t.adoptions.c.before)
        .join(after, after.c.id == t.adoptions.c.result)
        .where(t.adoptions.c.import_id == row.id)
        .order_by(t.adoptions.c.assignment, t.adoptions.c.student)
    ).all()
    found = (compare(Result.from_json(old), Result.from_json(new)) for old, new in pairs)
    return row.at, row.source, tuple(move for move in found if move is not None)


def _columns(db: Connection, results: Iterable[Result]) -> None:
    """The students, assignments and exercises that records speak of."""
    seen: dict[str, dict[str, Any]] = {}
    for result in results:
        for each in result.exercises:
            row = {"assignment": result.assignment, "title": each.title, "of": hundredths(each.of)}
            seen.setdefault(each.name, row)
    for name in dict.fromkeys(result.assignment for result in results):
        ensure(db, t.assignments, t.assignments.c.name, name)
    there = set(db.execute(select(t.students.c.id)).scalars())
    new = {each.student: each.canvas for each in results if each.student not in there}
    if new:
        rows = [Student(student, canvas=number)._asdict() for student, number in new.items()]
        db.execute(insert(t.students), rows)
    known = {row.name: row for row in db.execute(select(t.exercises))}
    for name, row in seen.items():
        was = known.get(name)
        if was is None:
            add(db, t.exercises, name=name, **row)
        elif (was.title, was.of) != (row["title"], row["of"]):
            db.execute(update(t.exercises).where(t.exercises.c.name == name).values(**row))


def _adopt(db: Connection, number: int, result: Result, before: int | None) -> None:
    record = result.to_json()
    row = {
        "student": result.student,
        "assignment": result.assignment,
        "digest": fingerprint(record.encode()),
    }
    same = (getattr(t.results.c, name) == value for name, value in row.items())
    there = db.execute(select(t.results.c.id).where(*same)).scalar()
    identity = there if there is not None else add(db, t.results, record=record, **row)
    db.execute(
        insert(t.adoptions).values(
            import_id=number,
            student=result.student,
            assignment=result.assignment,
            result=identity,
            before=before,
        )
    )
