"""A class of 300: right grades, the same after a kill; its cost, beside nbgrader in the same run.

    python benchmarks/grading.py [--count 300] [--jobs 2] [--json]

The class hands in week 6: right, wrong as people are wrong, one of ten clumsy, one of twenty
hostile (tests/grading/classroom.py). It is graded in sandboxes; then again, killed with SIGKILL
when half is done, and begun anew: the two sheets must be equal to the byte.

What a submission costs is measured on the solved notebook, without walls, since the time of who is
killed inside a namespace is counted by nobody; what the walls add is in grading_sandbox.py. The
student's own part is bare Python running the cells. nbgrader autogrades the same notebook. Goals:
0.25 s of the processor more than the student's own, and a tenth of nbgrader's.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from labkit.checks.notebook import read
from labkit.grading import bubblewrap
from labkit.grading.grader import Order
from labkit.grading.result import Result
from labkit.grading.runner import Batch, Summary, run
from labkit.grading.submission import Submission
from labkit.resources import solution_path

SEED = 590_221_846_117
SAME = 20
"""Solved notebooks, for what one costs."""
THEIRS = 4
"""Of them for nbgrader."""
GOAL, TIMES = 0.25, 10
GRADE = "from labkit.cli.labkit import main; raise SystemExit(main())"


class Quiet:
    """Is told how far a run is."""

    def begin(self, done: int, todo: int) -> None:
        """So many are done already, so many are to be graded."""

    def graded(self, submission: Submission, result: Result) -> None:
        """One more is on disk."""


def processor() -> float:
    """Seconds of the processor, of this process and of all that it has buried."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in whose)


def timed(what: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    begun, spent = time.perf_counter(), processor()
    what()
    return time.perf_counter() - begun, processor() - spent


# A class ----------------------------------------------------------------------------------------


def wrong_grades(handed: list[Any], out: Path) -> list[str]:
    """Who got something else than he deserves, or no page."""
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    return [
        f"{each.student} ({each.kind})"
        for each in handed
        if {name: float(rows[each.student][name]) for name in each.points} != each.points
        or not (out / rows[each.student]["feedback"]).is_file()
    ]


def grade(folder: Path, out: Path, jobs: int) -> "subprocess.Popen[bytes]":
    """The command, in a process of its own."""
    words = ["grade", str(folder), "--week", "6", "--out", str(out), "--jobs", str(jobs)]
    environment = os.environ | {"LABKIT_SEED": str(SEED)}
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-c", GRADE, *words]
    return subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)


def a_class(count: int, jobs: int, here: Path) -> dict[str, Any]:
    """Graded in one go; killed, and begun again."""
    classroom = import_module("grading.classroom")
    handed = classroom.classroom(count, 1, SEED)
    classroom.hand_in(handed, here / "submitted")
    whole, broken = here / "whole", here / "broken"
    wall, _ = timed(lambda: grade(here / "submitted", whole, jobs).wait())
    process = grade(here / "submitted", broken, jobs)
    while process.poll() is None and len(list(broken.glob("results/*.json"))) < count // 2:
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in broken.glob("results/*.json")}
    grade(here / "submitted", broken, jobs).wait()
    touched = [n for n, at in before.items() if (broken / "results" / n).stat().st_mtime_ns != at]
    return {
        "submissions": count,
        "jobs": jobs,
        "wrong grades": wrong_grades(handed, whole),
        "seconds": wall,
        "seconds for one": wall / count,
        "done when killed": len(before),
        "graded again without need": len(touched),
        "the same sheet": (whole / "grades.csv").read_bytes()
        == (broken / "grades.csv").read_bytes(),
    }


# One submission ---------------------------------------------------------------------------------


def ours(here: Path, *, trust: bool) -> tuple[float, float]:
    """Seconds of the clock and of the processor for one."""
    folder = here / "same"
    folder.mkdir(exist_ok=True)
    for n in range(SAME):
        shutil.copy(solution_path(6), folder / f"student{n}.ipynb")
    batch = Batch(Order(6, SEED, trust), folder, here / "same-out", 1, again=True)
    summaries: list[Summary] = []
    wall, spent = timed(lambda: summaries.append(run(batch, Quiet())))
    assert all(result.points == result.of for result in summaries[0].results)
    return wall / SAME, spent / SAME


def bare() -> float:
    """Python alone, with the same packages, one cell after the other."""
    cells = [cell.source for cell in read(solution_path(6)) if not cell.skipped]
    path = [*map(str, bubblewrap.packages()), str(bubblewrap.KIT.parent)]
    code = "\n".join(["import sys", f"sys.path += {path}", *cells])
    words = [str(bubblewrap.interpreter()), "-S", "-s", "-P", "-c", code]
    rounds = 5

    def often() -> None:
        for _ in range(rounds):
            subprocess.run(words, env=bubblewrap.environment(), check=True)

    return timed(often)[1] / rounds


def nbgrader(here: Path) -> tuple[float, float]:
    """Seconds of the clock and of the processor for one, autogrades alone."""
    course = here / "course"
    name = solution_path(6).name
    (course / "source" / "week06").mkdir(parents=True)
    shutil.copy(solution_path(6), course / "source" / "week06" / name)
    command = [sys.executable, "-m", "nbgrader"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts alembic by its name

    def call(*words: str) -> None:
        done = subprocess.run(
            [*command, *words],
            cwd=course,
            env=os.environ | {"PATH": path},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-1000:])

    call("generate_assignment", "week06", "--create")
    for n in range(THEIRS):
        folder = course / "submitted" / f"student{n}" / "week06"
        folder.mkdir(parents=True)
        shutil.copy(solution_path(6), folder / name)
    patient = "--ExecutePreprocessor.iopub_timeout=120"  # a busy machine
    wall, spent = timed(lambda: call("autograde", "week06", "--create", patient))
    return wall / THEIRS, spent / THEIRS


def show(name: str, figures: dict[str, Any]) -> None:
    """A table of them."""
    print(name)
    for what, figure in figures.items():
        told = f"{figure:.3f}" if isinstance(figure, float) else figure
        print(f"  {what:28} {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    sys.path[0] = str(Path(__file__).parents[1] / "tests")  # and not here, where this is `grading`
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        own = bare()
        boxed_wall, _ = ours(here, trust=False)
        wall, spent = ours(here, trust=True)
        their_wall, their_spent = nbgrader(here)
        one = {
            "its own code, CPU s": own,
            "ours without walls, CPU s": spent,
            "of that not its own": spent - own,
            "nbgrader autograde, CPU s": their_spent,
            "nbgrader / ours, CPU": their_spent / spent,
            "ours, s": boxed_wall,
            "ours without walls, s": wall,
            "nbgrader autograde, s": their_wall,
            "nbgrader / ours, s": their_wall / boxed_wall,
        }
        if not options.json:
            show("one submission", one)
        several = a_class(options.count, options.jobs, here)
    if options.json:
        print(json.dumps({"goal": GOAL, "times": TIMES, "one": one, "class": several}))
        return
    show("a class", several)
    print(f"goals: {GOAL} s more than its own, and a tenth of nbgrader's")


if __name__ == "__main__":
    main()
