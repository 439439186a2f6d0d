"""Grading: seconds for one submission more, beside nbgrader and otter in the same run.

    python benchmarks/grading_peers.py [--otter otter-venv/bin/otter] [--json]

Everybody grades the same small notebook, the solution of week 1, with the same checks, one after
the other: `--jobs 1` for us, since nbgrader has no more. What a class takes beyond one submission
is divided by the others, so that starting is not counted; starting is told apart. Four ways:

- our grader, in the sandbox and without it (`trust`), checks from outside
- `nbgrader autograde`, in its own kernel, and in the kernel of our sandbox
- `otter run`, which starts for each submission. It is no dependency: its path is an option, and
  without it it is left out. Its tests call the same checks, which find labkit by PYTHONPATH; its
  environment needs ipykernel and numpy

What is measured is the clock, since processor time of what is ended in a sandbox is counted by
nobody. The goal is 10 times nbgrader's speed and 40 times otter's.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from labkit.checks.exercise import exercises
from labkit.grading import bubblewrap, provisioner
from labkit.resources import solution_path

ROUNDS = 3
MORE = 6
"""Submissions beyond the first."""
WEEK = 1
SEED = 4711
NAME = f"week{WEEK:02}"
NOTEBOOK = solution_path(WEEK)
OURS = """\
import sys
from pathlib import Path
from labkit.grading.grader import Order
from labkit.grading.runner import Batch, run
class Silent:
    def begin(self, done, todo): pass
    def graded(self, submission, result): assert result.points == result.of, result
run(Batch(Order(int(sys.argv[1]), 4711, sys.argv[2] == "trust"), Path(sys.argv[3]),
    Path(sys.argv[4]), 1, again=True), Silent())
"""
OTTER_TEST = """\
OK_FORMAT = True
test = {{"name": "{name}", "points": {points}, "suites": [{{"scored": True, "type": "doctest",
    "cases": [{{"code": ">>> bool(check({name!r}, {wants}, seed=4711))\\nTrue"}}]}}]}}
"""


def command(words: list[str], folder: Path, **environment: str) -> None:
    """Run it here; what it says is shown when it fails."""
    done = subprocess.run(
        words, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


def course(folder: Path) -> None:
    """What nbgrader wants to find, and the kernel of our sandbox."""
    (folder / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    for where in (folder / "source" / NAME, *(at / NAME for at in submitted(folder, MORE + 1))):
        where.mkdir(parents=True)
        shutil.copy(NOTEBOOK, where)
    provisioner.install(str(folder / "prefix"))
    nbgrader(folder, "generate_assignment")


def submitted(folder: Path, count: int) -> list[Path]:
    return [folder / "submitted" / f"student{n}" for n in range(count)]


def nbgrader(folder: Path, verb: str, *options: str) -> None:
    words = [sys.executable, "-m", "nbgrader", verb, NAME, *options]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it looks for alembic there
    jupyter = str(folder / "prefix" / "share" / "jupyter")
    command(words, folder, PATH=path, JUPYTER_PATH=jupyter, LABKIT_SEED=str(SEED))


def our_grader(folder: Path, count: int, how: str) -> None:
    some = folder / f"some{count}"
    if not some.exists():
        for student in submitted(folder, count):
            shutil.copytree(student, some / student.name)
    words = [sys.executable, "-c", OURS, str(WEEK), how, str(some), str(folder / f"out-{how}")]
    command(words, folder)


def autograde(folder: Path, count: int, kernel: str) -> None:
    student = "student0" if count == 1 else "*"
    name = f"--ExecutePreprocessor.kernel_name={kernel}"
    nbgrader(folder, "autograde", name, f"--student={student}", "--force")


def otter_tests(folder: Path) -> None:
    """An autograder as otter wants it, of the checks of the week."""
    with zipfile.ZipFile(folder / "autograder.zip", "w") as archive:
        archive.writestr("otter_config.json", "{}")
        archive.writestr("environment.yml", "name: otter\n")
        for name, exercise in exercises(WEEK).items():
            wants = ", ".join(exercise.wants)
            test = OTTER_TEST.format(name=name, points=exercise.points, wants=wants)
            archive.writestr(f"tests/q{name.replace('.', '_')}.py", test)


def otter(folder: Path, count: int, program: str) -> None:
    for student in submitted(folder, count):
        shutil.copy(student / NAME / NOTEBOOK.name, folder / NOTEBOOK.name)
        words = [program, "run", "-a", "autograder.zip", "-o", ".", NOTEBOOK.name]
        command(words, folder, PYTHONPATH=str(bubblewrap.KIT.parent))
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        points = sum(test.get("score", 0) for test in found["tests"])
        assert points == sum(e.points for e in exercises(WEEK).values()), found


def contestants(folder: Path, otter_program: str | None) -> dict[str, Callable[[int], None]]:
    """Who grades so many submissions, by name."""
    found: dict[str, Callable[[int], None]] = {
        "labkit, sandbox": lambda count: our_grader(folder, count, "sandbox"),
        "labkit, no sandbox": lambda count: our_grader(folder, count, "trust"),
        "nbgrader": lambda count: autograde(folder, count, "python3"),
        "nbgrader, kernel in our sandbox": lambda count: autograde(folder, count, provisioner.NAME),
    }
    if otter_program is not None:
        program = otter_program
        otter_tests(folder)
        found["otter"] = lambda count: otter(folder, count, program)
    return found


def measure(graders: dict[str, Callable[[int], None]]) -> dict[str, tuple[float, float]]:
    """Seconds for the first submission, and for each one more: medians of rounds in turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in graders}
    for _ in range(ROUNDS):
        for name, grade in graders.items():
            begun = time.perf_counter()
            grade(1)
            one = time.perf_counter() - begun
            if name == "otter":  # which starts anew for each
                found[name].append((one, one))
                continue
            grade(MORE + 1)
            found[name].append((one, (time.perf_counter() - begun - 2 * one) / MORE))
    return {
        name: (statistics.median(a for a, _ in times), statistics.median(b for _, b in times))
        for name, times in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--otter", metavar="PROGRAM", help="of a virtual environment of its own")
    options = parser.parse_args()
    program = options.otter or shutil.which("otter")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        course(folder)
        found = measure(contestants(folder, program and str(Path(program).absolute())))
    if options.json:
        print(json.dumps(found))
        return
    rows = {name: (first, more) for name, (first, more) in found.items()}
    boxed, bare = rows["labkit, sandbox"][1], rows["labkit, no sandbox"][1]
    print("| | the first, s | one more, s | times ours in the sandbox | times ours without |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (first, more) in rows.items():
        print(f"| {name} | {first:.2f} | {more:.2f} | {more / boxed:.1f} | {more / bare:.1f} |")
    if program is None:
        print("\notter was left out: pip install otter-grader elsewhere, and --otter PROGRAM")


if __name__ == "__main__":
    main()
