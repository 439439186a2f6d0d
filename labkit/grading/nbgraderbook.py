"""Grades into nbgrader's gradebook, through nbgrader's own API.

An assignment is one notebook there, and an exercise is the cell that checks it: its `grade_id` is
read from the notebook of the course. Points of the checks are its `auto_score`; points by hand its
`manual_score`, so that nbgrader shows which is which. What lateness costs is its
`late_submission_penalty`. Writing again updates what is there; nothing in it is removed.
"""

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.checks.notebook import checked
from labkit.grading.standing import Facts, Grade, Standing, State, standings
from labkit.words.errors import BadInput, MissingCapability


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where nbgrader looks for the points of an assignment."""

    assignment: str
    notebook: str
    """The name of the file, without its ending."""
    cells: dict[str, str]
    """By exercise, the `grade_id` of the cell that checks it."""
    comments: dict[str, str]
    """By exercise, the `grade_id` of its first solution cell: comments hang there."""


def read_sheet(assignment: str, path: Path) -> Sheet:
    """The checks and solutions of a notebook, by their `grade_id`."""
    cells: dict[str, str] = {}
    comments: dict[str, str] = {}
    solution = ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        meta = cell["metadata"].get("nbgrader", {})
        if meta.get("solution"):
            solution = solution or meta["grade_id"]
        for name in checked("".join(cell["source"])) if meta.get("grade") else ():
            cells[name] = meta["grade_id"]
            comments[name] = solution
            solution = ""
    return Sheet(assignment, path.stem, cells, comments)


def course_sheets(assignments: Iterable[str]) -> Iterator[Sheet]:
    """Of the notebooks of the course, those of assignments called weekNN."""
    from labkit.resources import solution_path

    for name in assignments:
        if name.startswith("week") and name[4:].isdecimal():
            yield read_sheet(name, solution_path(int(name[4:])))


def write_nbgrader(facts: Facts, url: str, sheets: Iterable[Sheet] | None = None) -> int:
    """Put all grades into nbgrader's database; how many submissions there were."""
    try:
        from nbgrader.api import Gradebook
    except ImportError as error:
        raise MissingCapability("nbgrader is not installed", "pip install nbgrader") from error
    grades = list(standings(facts))
    names = {each.assignment.name for grade in grades for each in grade.standings}
    known = {s.assignment: s for s in (course_sheets(sorted(names)) if sheets is None else sheets)}
    if names - set(known):
        missing = ", ".join(sorted(names - set(known)))
        raise BadInput(f"there is no notebook for {missing}", "assignments called weekNN")
    with _its_tools(), Gradebook(url) as book:
        for sheet in known.values():
            _layout(book, facts, sheet)
        return sum(_student(book, grade, known) for grade in grades)


@contextmanager
def _its_tools() -> Iterator[None]:
    """For a new database it calls `alembic` by name, which stands beside this Python.

    And what SQLAlchemy warns it of is its own business.
    """
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ["PATH"] = path


def _layout(book: Any, facts: Facts, sheet: Sheet) -> None:
    """The assignment, its notebook and its cells."""
    due = facts.assignments[sheet.assignment].due
    more = {} if due is None else {"duedate": due.replace(tzinfo=None).isoformat(" ") + " UTC"}
    book.update_or_create_assignment(sheet.assignment, **more)
    book.update_or_create_notebook(sheet.notebook, sheet.assignment)
    for column in facts.columns_of(sheet.assignment):
        if column.name not in sheet.cells:
            what = f"{sheet.notebook} has no cell that checks {column.name}"
            raise BadInput(what, "the notebook that was graded")
        book.update_or_create_grade_cell(
            sheet.cells[column.name],
            sheet.notebook,
            sheet.assignment,
            max_score=column.of / 100,
            cell_type="code",
        )
        if sheet.comments[column.name]:
            place = sheet.comments[column.name], sheet.notebook, sheet.assignment
            book.update_or_create_solution_cell(*place)


def _student(book: Any, grade: Grade, sheets: dict[str, Sheet]) -> int:
    """One student; how many submissions of theirs there are."""
    one = grade.student
    first, _, last = one.name.rpartition(" ")
    names = {"first_name": first or None, "last_name": last or None, "email": one.email or None}
    book.update_or_create_student(one.id, **names)
    handed = [each for each in grade.standings if _is_there(each)]
    for each in handed:
        _submission(book, one.id, each, sheets[each.assignment.name])
    book.db.commit()
    return len(handed)


def _is_there(standing: Standing) -> bool:
    """Whether nbgrader has anything to show: a submission, or points by hand instead of one."""
    if any(cell.by_hand for cell in standing.cells):
        return True
    return standing.result is not None and standing.state not in (State.FAILED, State.EXCUSED)


def _submission(book: Any, student: str, standing: Standing, sheet: Sheet) -> None:
    came = standing.result.submitted if standing.result else None
    more = {} if came is None else {"timestamp": came.replace(tzinfo=None).isoformat(" ") + " UTC"}
    submission = book.update_or_create_submission(sheet.assignment, student, **more)
    if standing.worth.work.extension:
        days = standing.worth.work.extension
        book.grant_extension(sheet.assignment, student, days=days)
    for notebook in submission.notebooks:
        notebook.late_submission_penalty = float(round(standing.before - standing.points, 2))
    for cell in standing.cells:
        where = sheet.notebook, sheet.assignment, student
        points = book.find_grade(sheet.cells[cell.column.name], *where)
        points.auto_score = (cell.checked or 0) / 100
        points.manual_score = cell.points / 100 if cell.by_hand else None
        points.needs_manual_grade = False
        if sheet.comments[cell.column.name]:
            comment = book.find_comment(sheet.comments[cell.column.name], *where)
            comment.manual_comment = cell.remark.comment or None
