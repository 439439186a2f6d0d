"""What `labkit gradebook` takes in, shows and hands on; decisions are in `labkit.cli.gradebook`."""

import argparse
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli import common
from labkit.words.errors import BadInput, MissingCapability

if TYPE_CHECKING:
    from labkit.grading.gradebook import Gradebook

DEFAULT = "grades.db"


def open_book(options: argparse.Namespace, *, create: bool = False) -> "Gradebook":
    """The one that was meant: `--db`, the environment, or the one in this folder."""
    try:
        from labkit.grading.gradebook import Gradebook
    except ImportError as error:
        if error.name != "sqlalchemy":
            raise
        what = "SQLAlchemy is not installed, which keeps the gradebook"
        raise MissingCapability(what, 'pip install "labkit[grade]"') from error
    where = options.db or os.environ.get("LABKIT_GRADEBOOK") or DEFAULT
    return Gradebook(where, create=create)


def say(line: str) -> None:
    """Print what strangers may have named: it does nothing to a terminal."""
    print("".join(char if char.isprintable() else "\ufffd" for char in line))


def now() -> datetime:
    """In UTC, to the second."""
    return datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0)


def take(options: argparse.Namespace) -> int:
    """0 when all came in, 1 when something is named that did not."""
    from labkit.grading.importing import read_records
    from labkit.grading.regrade import tell

    read_records(options.out)  # before a gradebook is made for nothing
    book = open_book(options, create=True)
    taken = book.take_folder(options.out, now())
    names = {each.id: each.name for each in book.facts().students.values()}
    print(f"{len(taken.new)} new, {taken.same} as before, {taken.replaced} replaced ({book.name})")
    if taken.replaced:
        print(f"{len(taken.moves)} of {taken.replaced} moved" + (":" if taken.moves else ""))
    for move in taken.moves:
        for line in tell(move, names.get(move.student, "")):
            say(f"  {line}")
    for name, student in taken.known_as:
        say(f"  {name} is {student} in the class list")
    for student, exercise in taken.by_hand:
        say(f"  {student} {exercise}: moved, and the points by hand stand")
    for student, week in taken.absent:
        say(f"  {student} {week}: not among these results; the old one stays")
    for result in taken.kept:
        say(f"  {result.student}: the grader failed ({result.problem}); the old result stays")
    for each in taken.broken:
        say(f"  {each.name}: not taken in: {each.why}")
    if taken.broken:
        print("  try: labkit grade for those again, then this")
    return 1 if taken.broken or taken.kept else 0


def show(options: argparse.Namespace) -> int:
    """The class as a table, or one student."""
    from labkit.grading.standing import standings

    facts = open_book(options).facts()
    grades = list(standings(facts))
    if options.student is None:
        _table(grades)
        return 0
    grade = next((each for each in grades if each.student.id == options.student), None)
    if grade is None:
        import difflib

        near = difflib.get_close_matches(options.student, list(facts.students), 3)
        what = f"there is no student {options.student!r}"
        raise BadInput(what, ", ".join(near) or "labkit gradebook show: all of them")
    _one(grade)
    return 0


def _table(grades: Any) -> None:
    from labkit.grading.standing import percent, told

    rows = []
    for grade in grades:
        cells = [
            told(each.points) if each.state.value == "graded" else _state(each)
            for each in grade.standings
        ]
        total = percent(grade.share)
        rows.append([grade.student.id, grade.student.name, *cells, f"{total} %" if total else "-"])
    first = next(iter(grades), None)
    weeks = [f"{each.assignment.name}/{told(each.of)}" for each in first.standings] if first else []
    table = [["student", "name", *weeks, "total"], *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
        right = "  ".join(
            cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)
        )
        say(f"{left}  {right}".rstrip())


def _state(standing: Any) -> str:
    """What is shown where the checks gave nothing."""
    from labkit.grading.standing import told

    by_hand = any(cell.by_hand for cell in standing.cells)
    return told(standing.points) if by_hand else str(standing.state.value)


def _one(grade: Any) -> None:
    from labkit.grading.standing import percent, told

    say(f"{grade.student.id}  {grade.student.name}".rstrip())
    for each in grade.standings:
        late = each.worth.late
        unit = "day" if late == 1 else "days"
        days = f", {late} {unit} late, {each.worth.free} free" if late else ""
        dropped = ", dropped" if each.worth.dropped else ""
        points = f"{told(each.points)} of {told(each.of)}"
        print()
        say(f"{each.assignment.name}  {points}  {each.state.value}{days}{dropped}")
        if each.result is not None and each.result.problem:
            say(f"    {each.result.problem}")
        for cell in each.cells:
            hand = f" by hand, checks {told(cell.checked or 0)}" if cell.by_hand else ""
            points = f"{told(cell.points)} of {told(cell.column.of)}"
            say(f"  {cell.column.name}  {points}{hand}  {cell.column.title}")
            for part in cell.result.parts if cell.result else ():
                if not part.passed:
                    say(f"      {part.points:g} of {part.of:g}  {part.title} [{part.hint}]")
            if cell.remark.comment:
                say(f"      comment: {cell.remark.comment}")
    print(f"\ntotal  {percent(grade.share) or '-'} %")


def moves(options: argparse.Namespace) -> int:
    """Who moved; 1 when anybody did."""
    from labkit.grading.regrade import tell

    at, source, found = open_book(options).moves(options.number)
    print(f"import of {at} from {source}: {len(found)} moved")
    for move in found:
        for line in tell(move):
            say(line)
    return 1 if found else 0


def export(options: argparse.Namespace) -> int:
    """Grades for another program."""
    import sys

    from labkit.grading.exports import FORMATS, changed_names

    facts = open_book(options).facts()
    if options.format == "nbgrader":
        from labkit.grading.nbgraderbook import write_nbgrader

        if options.raw:
            raise BadInput("nbgrader keeps points and lateness apart", "without --raw")
        out = options.out or "gradebook.db"
        url = out if "://" in out else f"sqlite:///{out}"
        many = write_nbgrader(facts, url)
        print(f"{many} submissions in nbgrader's gradebook", file=sys.stderr)
        return 0
    text = FORMATS[options.format](facts, raw=options.raw)
    for name in changed_names(facts):
        said = f"{name}: its identifiers got an apostrophe, lest a spreadsheet compute them"
        print(said, file=sys.stderr)
    if options.out is None:
        print(text, end="")
        return 0
    try:
        path = common.output_path(options.out)
    except argparse.ArgumentTypeError as error:
        raise BadInput(str(error), "another --out") from error
    path.write_text(text, encoding="utf-8", newline="")
    print(f"{len(facts.students)} students in {path}", file=sys.stderr)
    return 0


def report(options: argparse.Namespace) -> int:
    """The class report of one assignment."""
    from labkit.grading.classpage import page
    from labkit.grading.classreport import class_figures

    facts = open_book(options).facts()
    begun = sorted({name for _, name in facts.results})
    if options.assignment is None and not begun:
        raise BadInput("nothing was graded yet", "labkit gradebook import graded")
    name = options.assignment or begun[-1]
    figures = class_figures(facts, name)
    path = options.out or Path(f"{name}.html")
    path.write_text(page(figures, facts.students, names=options.names), encoding="utf-8")
    print(f"{figures.graded} graded, median {figures.median:g} of {figures.of:g}: {path}")
    for each in figures.worst[:3]:
        say(f"  {each.many} of {figures.graded}  {each.exercise}  {each.said}")
    return 0


def similar(options: argparse.Namespace) -> int:
    """Compare all submissions of a week."""
    import json

    from labkit.checks.release import released
    from labkit.grading.reading import cells_of
    from labkit.grading.similarity import Work, compare
    from labkit.grading.similaritypage import page
    from labkit.grading.submission import CannotRead, find
    from labkit.resources import solution_path

    def code(data: bytes) -> dict[int, str]:
        return {each.number: each.source for each in cells_of(data) if each.kind == "code"}

    solution = solution_path(options.week)
    try:
        if options.released is not None:
            given = code(options.released.read_bytes())
        else:
            book = released(json.loads(solution.read_text(encoding="utf-8")))
            given = code(json.dumps(book).encode())
    except CannotRead as error:
        raise BadInput(f"{options.released}: {error}", "the notebook that was given out") from error
    works = []
    for each in find(options.submissions, options.week, solution.name).submissions:
        try:
            works.append(Work(each.student, code(each.read())))
        except CannotRead as error:
            say(f"  {each.student}: not compared: {error}")
    found = compare(works, given.values())
    path = options.out or Path("similarity.html")
    path.write_text(page(found, works, f"Week {options.week}"), encoding="utf-8")
    print(f"{len(works)} submissions compared: {path}")
    for pair in found.pairs[:5]:
        say(f"  {pair.score:4.0%}  {pair.left}  {pair.right}")
    print("Similarity is not proof: look, and talk with both.")
    return 0
