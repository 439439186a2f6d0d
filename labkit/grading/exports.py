"""Grades for others: a table for people and programs, and what Canvas and Moodle read in.

`table` has a row for each student and a column for each exercise. `canvas` has the columns that
Canvas's gradebook exports and imports: Student, ID, SIS User ID, SIS Login ID, Section, then one
for each assignment, headed by its name and Canvas's number, and below the head a row of the points
that are possible. `moodle` has a column of points and one of comments for each assignment, to be
mapped when it is read in; Moodle finds a student by ID number, username or address.

Whoever is excused is EX for Canvas and empty for Moodle; a submission that could not be graded yet
is empty everywhere; who handed in nothing has 0. Points are after lateness, or before it with
`raw`, for a system that counts late days itself. Files are UTF-8.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from labkit.grading.cells import Value, safe, write
from labkit.grading.result import to_utc
from labkit.grading.standing import Assignment, Facts, Grade, Standing, State, standings

Rows = Iterator[Sequence[Value]]
STANDARD: Final = ("student", "name", "email", "section")


def table(facts: Facts, *, raw: bool = False) -> str:
    """Everything: the points of each exercise, what was by hand, lateness, comments, the total."""
    return write(_table(facts, raw=raw))


def _table(facts: Facts, *, raw: bool) -> Rows:
    weeks = _begun(facts)
    head: list[Value] = [*STANDARD]
    for week in weeks:
        for column in facts.columns_of(week.name):
            head += [column.name, f"{column.name} by hand", f"{column.name} comment"]
        head += [
            f"{week.name} {what}" for what in ("state", "submitted", "days late", "points", "of")
        ]
    yield [*head, "total %"]
    for grade in standings(facts):
        student = grade.student
        row: list[Value] = [student.id, student.name, student.email, student.section]
        for each in grade.standings:
            for cell in each.cells:
                there = cell.by_hand or cell.checked is not None
                row.append(cell.points / 100 if there else None)
                row += ["yes" if cell.by_hand else "", cell.remark.comment]
            came = each.result.submitted if each.result else None
            row += [each.state.value, "" if came is None else to_utc(came), each.worth.late]
            row += [_points(each, raw=raw), float(each.of)]
        yield [*row, None if grade.share is None else round(float(grade.share * 100), 2)]


def canvas(facts: Facts, *, raw: bool = False) -> str:
    """A file for Grades, Import."""
    return write(_canvas(facts, raw=raw))


def _canvas(facts: Facts, *, raw: bool) -> Rows:
    weeks = _begun(facts)
    titles = [f"{week.name} ({week.canvas})" if week.canvas else week.name for week in weeks]
    yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles]
    yield ["    Points Possible", "", "", "", "", *(_possible(facts, week) for week in weeks)]
    for grade in standings(facts):
        one = grade.student
        points: list[Value] = [
            "EX" if each.state is State.EXCUSED else _points(each, raw=raw)
            for each in grade.standings
        ]
        login = one.login or one.email or one.id
        yield [one.name or one.id, one.canvas, one.id, login, one.section, *points]


def moodle(facts: Facts, *, raw: bool = False) -> str:
    """A file for Grades, Import, CSV."""
    return write(_moodle(facts, raw=raw))


def _moodle(facts: Facts, *, raw: bool) -> Rows:
    weeks = _begun(facts)
    head: list[Value] = ["ID number", "Username", "Email address", "Full name"]
    for week in weeks:
        head += [f"{week.name} (Real)", f"{week.name} (Feedback)"]
    yield head
    for grade in standings(facts):
        one = grade.student
        row: list[Value] = [one.id, one.login or one.id, one.email, one.name]
        for each in grade.standings:
            row += [_points(each, raw=raw), comments(each)]
        yield row


FORMATS: Final[Mapping[str, Callable[..., str]]] = {
    "csv": table,
    "canvas": canvas,
    "moodle": moodle,
}


def changed_names(facts: Facts) -> list[str]:
    """Students with an identifier that had to be made safe: the other system may not know it."""
    return [
        one.id
        for one in facts.students.values()
        if any(safe(text) != text for text in (one.id, one.login, one.email, one.canvas))
    ]


def comments(standing: Standing) -> str:
    """What was written to a student about an assignment."""
    said = [f"{c.column.name}: {c.remark.comment}" for c in standing.cells if c.remark.comment]
    if standing.state is State.UNREADABLE and standing.result is not None:
        said.append(f"The notebook could not be read: {standing.result.problem}")
    if standing.worth.late:
        days = f"{standing.worth.late} day" + ("s" if standing.worth.late > 1 else "")
        said.append(f"{days} late, {standing.worth.free} of them free")
    return "; ".join(said)


def _points(standing: Standing, *, raw: bool) -> float | None:
    graded_by_hand = any(cell.by_hand for cell in standing.cells)
    if standing.state is State.EXCUSED:
        return None
    if standing.state is State.FAILED and not graded_by_hand:
        return None
    return round(float(standing.before if raw else standing.points), 2)


def _possible(facts: Facts, week: Assignment) -> float:
    return sum(column.of for column in facts.columns_of(week.name)) / 100


def _begun(facts: Facts) -> list[Assignment]:
    """The assignments that a grade has, in its order."""
    first: Grade | None = next(standings(facts), None)
    return [] if first is None else [each.assignment for each in first.standings]
