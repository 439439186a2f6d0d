"""`labkit gradebook`: what came of all submissions, and what is made of it."""

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
IMPORT_EXAMPLES = """\
  labkit grade SUBMISSIONS --week 6 --out out
  labkit gradebook import out           take in the results; again: only what changed
"""
SHOW_EXAMPLES = """\
  labkit gradebook show                 the class
  labkit gradebook show doe_jane        one student, exercise by exercise
"""
SET_EXAMPLES = """\
  labkit gradebook set doe_jane 06.2 --points 3 --comment "The idea is right"
  labkit gradebook set doe_jane 06.2 --clear        the points of the checks again
"""
EXTEND_EXAMPLES = """\
  labkit gradebook extend doe_jane week06 --days 2 --why "ill"
  labkit gradebook extend doe_jane week06 --days 0  no longer
  labkit gradebook extend doe_jane week06 --excuse  it does not count
"""
ASSIGNMENT_EXAMPLES = """\
  labkit gradebook assignment week06 --due "2026-11-27 23:59" --zone Europe/Berlin
  labkit gradebook assignment week06 --weight 2 --canvas 12345
"""
STUDENTS_EXAMPLES = """\
  labkit gradebook students class.csv   id,name,email,section; or an export of Canvas or Moodle
"""
POLICY_EXAMPLES = """\
  labkit gradebook policy               what holds now
  labkit gradebook policy --per-day 10 --budget 5 --grace 2 --drop 1
"""
MOVES_EXAMPLES = """\
  labkit gradebook moves                who moved with the last import, and why
"""
EXPORT_EXAMPLES = """\
  labkit gradebook export --out grades.csv
  labkit gradebook export --format canvas --raw --out canvas.csv
  labkit gradebook export --format nbgrader --out gradebook.db
"""
REPORT_EXAMPLES = """\
  labkit gradebook report week06        a page to show in the lecture: no names at mistakes
  labkit gradebook report week06 --names --out mine.html
"""
SIMILAR_EXAMPLES = """\
  labkit gradebook similar SUBMISSIONS --week 6
"""


def add(commands: Any) -> None:
    """Hang it into the commands of `labkit`."""
    book = commands.add_parser(
        "gradebook",
        help="keep, change and hand on grades",
        description="Grades: taken in from `labkit grade`, changed by hand, handed on.",
        epilog="examples:\n"
        + IMPORT_EXAMPLES
        + SHOW_EXAMPLES
        + EXPORT_EXAMPLES
        + "\nThe gradebook is --db, or $LABKIT_GRADEBOOK, or grades.db in this folder.",
        formatter_class=common.Help,
    )
    kinds = book.add_subparsers(metavar="COMMAND", required=True)

    def one(name: str, what: str, examples: str, run: Any) -> argparse.ArgumentParser:
        sub = common.subcommand(kinds, name, what, examples, run)
        place = "FILE or postgresql://user@host/name (grades.db)"
        sub.add_argument("--db", metavar="BOOK", help=place)
        return sub

    sub = one("import", "take in what labkit grade left", IMPORT_EXAMPLES, take)
    sub.add_argument("out", type=Path, metavar="OUT", help="the folder")
    sub = one("show", "show the class, or one student", SHOW_EXAMPLES, show)
    sub.add_argument("student", nargs="?", metavar="STUDENT")
    sub = one("set", "give points or a comment by hand", SET_EXAMPLES, change)
    sub.add_argument("student", metavar="STUDENT")
    sub.add_argument("exercise", metavar="NN.N")
    sub.add_argument("--points", type=common.number, help="instead of those of the checks")
    sub.add_argument("--clear", action="store_true", help="the points of the checks again")
    sub.add_argument("--bonus", action="store_true", help="more points than there are")
    sub.add_argument("--comment", help="to the student; empty: none")
    sub = one("extend", "give one student more time", EXTEND_EXAMPLES, extend)
    sub.add_argument("student", metavar="STUDENT")
    sub.add_argument("assignment", metavar="ASSIGNMENT")
    how = sub.add_mutually_exclusive_group(required=True)
    how.add_argument("--days", type=common.count, help="in all, after the deadline")
    how.add_argument("--excuse", action="store_true", help="it does not count for them")
    sub.add_argument("--why", default="", help="for yourself")
    sub = one(
        "assignment", "say when it is due and what it weighs", ASSIGNMENT_EXAMPLES, assignment
    )
    sub.add_argument("assignment", metavar="ASSIGNMENT")
    sub.add_argument("--due", metavar="TIME", help='"2026-11-27 23:59"')
    sub.add_argument("--zone", metavar="ZONE", help="of that time: Europe/Berlin (UTC)")
    sub.add_argument("--weight", type=common.number, help="in the total (1)")
    sub.add_argument("--canvas", metavar="ID", help="the number that Canvas gave it")
    sub = one("students", "put in who is in the class", STUDENTS_EXAMPLES, students)
    sub.add_argument("list", type=Path, metavar="LIST.csv")
    sub = one("policy", "say how totals are made", POLICY_EXAMPLES, policy)
    sub.add_argument("--per-day", type=common.count, metavar="PERCENT", help="lost by day late (0)")
    sub.add_argument("--budget", type=common.count, metavar="DAYS", help="free in the term (0)")
    sub.add_argument("--grace", type=common.count, metavar="HOURS", help="not late yet (0)")
    sub.add_argument("--at-least", type=common.count, metavar="PERCENT", help="always kept (0)")
    sub.add_argument("--closes", type=_days, metavar="DAYS", help="late, then nothing; or never")
    sub.add_argument("--drop", type=common.count, metavar="N", help="the lowest assignments (0)")
    sub = one("moves", "tell who moved with an import, and why", MOVES_EXAMPLES, moves)
    sub.add_argument("number", nargs="?", type=common.some, metavar="IMPORT", help="(the last)")
    sub = one("export", "hand grades on", EXPORT_EXAMPLES, export)
    sub.add_argument("--format", choices=["csv", "canvas", "moodle", "nbgrader"], default="csv")
    sub.add_argument("--raw", action="store_true", help="before lateness")
    sub.add_argument("--out", metavar="FILE", help="(standard output; for nbgrader: gradebook.db)")
    sub = one("report", "write the class report", REPORT_EXAMPLES, report)
    sub.add_argument("assignment", nargs="?", metavar="ASSIGNMENT", help="(the last)")
    sub.add_argument("--names", action="store_true", help="who made which mistake")
    sub.add_argument(
        "--out", type=common.output_path, metavar="FILE.html", help="(ASSIGNMENT.html)"
    )
    sub = common.subcommand(
        kinds, "similar", "report submissions that are alike", SIMILAR_EXAMPLES, similar
    )
    sub.add_argument("submissions", type=Path, metavar="SUBMISSIONS")
    sub.add_argument("--week", type=common.some, required=True, metavar="N")
    sub.add_argument("--released", type=Path, metavar="FILE.ipynb", help="what was given out")
    sub.add_argument(
        "--out", type=common.output_path, metavar="FILE.html", help="(similarity.html)"
    )


def _days(text: str) -> int:
    """A number of days; -1 for never, as an argument type."""
    return -1 if text == "never" else common.count(text)


def _book(options: argparse.Namespace, *, create: bool = False) -> "Gradebook":
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


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0)


def take(options: argparse.Namespace) -> int:
    """0 when all came in, 1 when something is named that did not."""
    from labkit.grading.importing import read_records
    from labkit.grading.regrade import tell

    read_records(options.out)  # before a gradebook is made for nothing
    book = _book(options, create=True)
    taken = book.take_folder(options.out, _now())
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

    facts = _book(options).facts()
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


def change(options: argparse.Namespace) -> int:
    """Points and comments by hand."""
    if options.points is None and options.comment is None and not options.clear:
        raise BadInput("nothing to set", "--points, --comment or --clear")
    if options.clear and options.points is not None:
        raise BadInput("--points and --clear say different things", "one of them")
    book, now, where = _book(options), _now(), (options.student, options.exercise)
    if options.points is not None or options.clear:
        book.set_points(*where, options.points, now, bonus=options.bonus)
    if options.comment is not None:
        book.set_comment(*where, options.comment, now)
    return 0


def extend(options: argparse.Namespace) -> int:
    """More time for one student."""
    days = None if options.excuse else options.days
    _book(options).extend(options.student, options.assignment, days, _now(), options.why)
    return 0


def assignment(options: argparse.Namespace) -> int:
    """Deadline, weight and number of an assignment."""
    from labkit.grading.late import read_deadline
    from labkit.grading.result import to_utc

    book = _book(options, create=True)
    name = options.assignment
    there = book.facts().assignments.get(name)
    zone = options.zone or (there.zone if there else "UTC")
    due = read_deadline(options.due, zone) if options.due else None
    weight = None if options.weight is None else round(options.weight * 100)
    book.set_assignment(name, due=due, zone=options.zone, weight=weight, canvas=options.canvas)
    one = book.facts().assignments[name]
    when = f"due {to_utc(one.due)} ({one.zone})" if one.due else "no deadline"
    print(f"{name}: {when}, weight {one.weight / 100:g}")
    return 0


def students(options: argparse.Namespace) -> int:
    """A list of the class."""
    from labkit.grading.roster import read_roster

    try:
        text = options.list.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{options.list} is not in UTF-8", "save it as CSV UTF-8") from error
    found = read_roster(text)
    new, changed = _book(options, create=True).add_students(found)
    print(f"{len(found)} students: {new} new, {changed} changed")
    return 0


def policy(options: argparse.Namespace) -> int:
    """Show or change how totals are made."""
    from dataclasses import replace

    from labkit.grading.late import Policy

    book = _book(options)
    now: Policy = book.facts().policy
    names = {"per_day": "percent", "budget": "budget", "grace": "grace"}
    names |= {"at_least": "at_least", "drop": "drop"}
    said: dict[str, Any] = {
        field: getattr(options, name)
        for name, field in names.items()
        if getattr(options, name) is not None
    }
    if options.closes is not None:
        said["closes"] = None if options.closes < 0 else options.closes
    if said:
        now = replace(now, **said)
        book.set_policy(now, _now())
    print(f"each day late costs {now.percent} % of the points, at least {now.at_least} % stay")
    print(f"{now.budget} late days are free in the term, {now.grace} hours are not late")
    print("late work is always taken" if now.closes is None else f"nothing after {now.closes} days")
    print(f"the {now.drop} lowest are dropped" if now.drop else "nothing is dropped")
    return 0


def moves(options: argparse.Namespace) -> int:
    """Who moved; 1 when anybody did."""
    from labkit.grading.regrade import tell

    at, source, found = _book(options).moves(options.number)
    print(f"import of {at} from {source}: {len(found)} moved")
    for move in found:
        for line in tell(move):
            say(line)
    return 1 if found else 0


def export(options: argparse.Namespace) -> int:
    """Grades for another program."""
    import sys

    from labkit.grading.exports import FORMATS, changed_names

    facts = _book(options).facts()
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

    facts = _book(options).facts()
    begun = sorted({name for _, name in facts.results})
    if options.assignment is None and not begun:
        raise BadInput("nothing was graded yet", "labkit gradebook import OUT")
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
