"""`labkit grade`: a class's notebooks, each run in a sandbox and checked from outside."""

import argparse
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli import common

if TYPE_CHECKING:
    from labkit.grading.result import Result
    from labkit.grading.runner import Batch, Summary
    from labkit.grading.submission import Submission

EXAMPLES = """\
  labkit token secret seed                            a secret seed, made once
  labkit grade submitted --week 6 --seed seed         every notebook of week 6 below submitted/
  labkit grade submissions.zip --week 6 --seed seed   a download of Canvas or Moodle, as it is
  labkit grade submitted --week 6 --seed seed --due "2026-11-27 23:59" --late 10
  labkit grade submitted --week 6 --seed seed --scheduler tls://10.0.0.1:8786 --certificates grading
  labkit grade week06_jitter_buffer.ipynb --week 6 --trust     your own, without a sandbox

Run again after Ctrl-C, or after new notebooks have come, it does only what is left. Results are in
graded/: grades.csv, a page each in feedback/, a record each in results/.
"""
SEED = "LABKIT_SEED"


def add(commands: Any) -> None:
    """Hang it into the commands of `labkit`."""
    sub = common.subcommand(commands, "grade", "grade a class's notebooks", EXAMPLES, grade)
    sub.add_argument(
        "submissions", type=Path, metavar="SUBMISSIONS", help="a folder, a zip, or one notebook"
    )
    sub.add_argument("--week", type=common.some, required=True, metavar="N")
    sub.add_argument(
        "--seed",
        metavar="FILE",
        help=f"of the inputs: a file that only you can read, or a number; or set {SEED} "
        "(the published one)",
    )
    sub.add_argument(
        "--release-seed",
        action="store_true",
        help="show the seed on the pages, with the lines that do the same again",
    )
    sub.add_argument(
        "--jobs", type=common.some, default=os.cpu_count() or 1, metavar="N", help="(every core)"
    )
    sub.add_argument("--out", type=Path, default=Path("graded"), metavar="FOLDER", help="(graded)")
    sub.add_argument("--again", action="store_true", help="also what was graded before")
    sub.add_argument(
        "--trust", action="store_true", help="one notebook, of your own, without a sandbox"
    )
    many = sub.add_argument_group("more than one machine")
    many.add_argument("--scheduler", metavar="URL", help="of Dask, whose workers grade")
    many.add_argument(
        "--certificates", type=Path, metavar="FOLDER", help="its TLS: labkit certs node"
    )
    late = sub.add_argument_group("lateness")
    late.add_argument("--due", metavar="TIME", help='"2026-11-27 23:59"')
    late.add_argument("--zone", default="UTC", metavar="ZONE", help="of that time (UTC)")
    late.add_argument(
        "--late",
        metavar="PERCENT",
        help="of the points, lost each day; with ,grace=HOURS ,least=PERCENT ,closes=DAYS",
    )


def grade(options: argparse.Namespace) -> int:
    """0 when each has its grade, 1 when the grader could not finish one, 130 after Ctrl-C."""
    batch = _batch(options)
    from labkit.grading.runner import run

    with common.closing_status() as status:
        progress = _Shown(status)
        try:
            summary = run(batch, progress)
        except KeyboardInterrupt:
            status.end()
            done = f"{progress.done} of {progress.total}"
            print(f"stopped; {done} are graded, and the same command does the rest")
            return 130
    _tell(batch, summary)
    return 1 if summary.counts["failed"] else 0


def _batch(options: argparse.Namespace) -> "Batch":
    """What the options ask for, and whether it can be done here."""
    from labkit.grading import bubblewrap
    from labkit.grading.grader import Order
    from labkit.grading.late import Policy, read_deadline
    from labkit.grading.runner import Batch
    from labkit.grading.sheet import Lateness, read_policy
    from labkit.words.errors import BadInput

    if options.trust and not options.submissions.is_file():
        what = "--trust runs code as you, with all that you may do; that is for one notebook"
        raise BadInput(what, "the notebook; and for a class, Linux with bubblewrap")
    if options.trust and options.scheduler:
        raise BadInput("--trust is for a notebook of your own, here", "without --scheduler")
    if not options.trust and not options.scheduler:
        bubblewrap.require()
    if options.late and not options.due:
        raise BadInput("--late needs to know when it was due", '--due "2026-11-27 23:59"')
    due = read_deadline(options.due, options.zone) if options.due else None
    policy = read_policy(options.late) if options.late else Policy()
    order = Order(options.week, _seed(options.seed), options.trust, options.release_seed)
    lateness = Lateness(due, policy)
    return Batch(
        order,
        options.submissions,
        options.out,
        options.jobs,
        lateness,
        again=options.again,
        scheduler=options.scheduler or "",
        certificates=options.certificates,
    )


def _seed(said: str | None) -> int:
    """The secret, from a file, the environment, or the command line."""
    from labkit.checks.report import PUBLISHED
    from labkit.words.errors import BadInput

    said = said or os.environ.pop(SEED, "")
    if not said:
        print(
            "graded with the published seed, which everybody knows; a secret one: --seed FILE",
            file=sys.stderr,
        )
        return PUBLISHED
    text = said
    if not said.isdecimal():
        path = Path(said)
        try:
            with path.open(encoding="ascii") as file:
                text = file.read(1000).strip()
        except (OSError, UnicodeDecodeError) as error:
            what = f"{said} is no number, and no file with one"
            raise BadInput(what, f"labkit token secret {said}") from error
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadInput(f"{said} can be read by others", f"chmod 600 {said}")
    try:
        return int(text, 10 if text.isdecimal() else 16)
    except ValueError:
        what = f"there is no number in {said}"
        raise BadInput(what, "labkit token secret FILE makes one") from None


class _Shown:
    """The line that says how far it is."""

    def __init__(self, status: common.StatusLine) -> None:
        self._status = status
        self._begun = time.monotonic()
        self.done = self.total = self._before = 0

    def begin(self, done: int, todo: int) -> None:
        """So many are done already, so many are to be graded."""
        self.done = self._before = done
        self.total = done + todo
        if done:
            self._status.say(f"{done} of {self.total} are graded already")

    def graded(self, submission: "Submission", result: "Result") -> None:
        """One more is on disk."""
        self.done += 1
        took = time.monotonic() - self._begun
        left = took / (self.done - self._before) * (self.total - self.done)
        if result.status.value == "failed":
            self._status.say(f"{submission.student}: not graded: {result.problem}")
        text = f"{self.done} of {self.total} graded"
        self._status.show(f"{text}, about {_span(left)} to go" if left >= 1 else text)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _tell(batch: "Batch", summary: "Summary") -> None:
    """What came of it, and where it is."""
    results = [result for result in summary.results if result.status.value == "graded"]
    if results:
        mean = sum(result.points for result in results) / len(results)
        repaired = sum(bool(result.repairs) for result in results)
        told = f"{len(results)} graded, {mean:.1f} of {results[0].of:g} points on average"
        print(told + (f"; {repaired} put right, or with a note" if repaired else ""))
    for result in summary.results:
        if result.status.value != "graded":
            print(f"{result.student}: {result.status.value}: {result.problem}")
    if summary.ignored:
        some = ", ".join(summary.ignored[:5]) + (", …" if len(summary.ignored) > 5 else "")
        print(f"passed over, as no notebook of week {batch.order.week}: {some}")
    if summary.stale:
        some = ", ".join(summary.stale[:5]) + (", …" if len(summary.stale) > 5 else "")
        print(f"of a run before, and not in the sheet: {some}")
    print(f"{summary.sheet}, and a page each in {summary.sheet.parent / 'feedback'}")
