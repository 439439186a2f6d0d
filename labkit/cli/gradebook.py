"""`labkit gradebook`: what came of all submissions, and what is made of it."""

import argparse
from pathlib import Path
from typing import Any

from labkit.cli import common
from labkit.cli.gradeviews import export, moves, now, open_book, report, show, similar, take
from labkit.words.errors import BadInput

IMPORT_EXAMPLES = """\
  labkit grade submitted --week 6 --seed seed
  labkit gradebook import graded        take in the results; again: only what changed
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
  labkit gradebook similar submitted --week 6
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
    sub.add_argument("out", type=Path, metavar="OUT", help="the folder: graded")
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


def change(options: argparse.Namespace) -> int:
    """Points and comments by hand."""
    if options.points is None and options.comment is None and not options.clear:
        raise BadInput("nothing to set", "--points, --comment or --clear")
    if options.clear and options.points is not None:
        raise BadInput("--points and --clear say different things", "one of them")
    book, at, where = open_book(options), now(), (options.student, options.exercise)
    if options.points is not None or options.clear:
        book.set_points(*where, options.points, at, bonus=options.bonus)
    if options.comment is not None:
        book.set_comment(*where, options.comment, at)
    return 0


def extend(options: argparse.Namespace) -> int:
    """More time for one student."""
    days = None if options.excuse else options.days
    open_book(options).extend(options.student, options.assignment, days, now(), options.why)
    return 0


def assignment(options: argparse.Namespace) -> int:
    """Deadline, weight and number of an assignment."""
    from labkit.grading.late import read_deadline
    from labkit.grading.result import to_utc

    book = open_book(options, create=True)
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
    new, changed = open_book(options, create=True).add_students(found)
    print(f"{len(found)} students: {new} new, {changed} changed")
    return 0


def policy(options: argparse.Namespace) -> int:
    """Show or change how totals are made."""
    from dataclasses import replace

    from labkit.grading.late import Policy

    book = open_book(options)
    held: Policy = book.facts().policy
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
        held = replace(held, **said)
        book.set_policy(held, now())
    print(f"each day late costs {held.percent} % of the points, at least {held.at_least} % stay")
    print(f"{held.budget} late days are free in the term, {held.grace} hours are not late")
    print(
        "late work is always taken" if held.closes is None else f"nothing after {held.closes} days"
    )
    print(f"the {held.drop} lowest are dropped" if held.drop else "nothing is dropped")
    return 0
