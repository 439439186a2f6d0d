"""`labkit check` and `labkit reveal`: for those who learn without an instructor."""

import argparse
import contextlib
import io
from pathlib import Path
from typing import Any

from labkit.cli import common

CHECK_EXAMPLES = """\
  labkit check week06_jitter_buffer.ipynb          run its code, check its exercises
  labkit check week06_jitter_buffer.ipynb 06.2     only this one
  labkit check                                     how far you are
"""
REVEAL_EXAMPLES = """\
  labkit reveal 06.2                    a solution, after an honest attempt
  labkit reveal 06.2 --give-up          without one
"""


def add(commands: Any) -> None:
    """Hang both into the commands of `labkit`."""
    sub = common.subcommand(
        commands, "check", "check the exercises of a notebook", CHECK_EXAMPLES, check
    )
    sub.add_argument("notebook", nargs="?", type=Path, metavar="NOTEBOOK.ipynb")
    sub.add_argument("exercise", nargs="?", metavar="NN.N", help="only this one")
    sub.add_argument("--seed", type=common.count, help="of the inputs (the published one)")
    sub = common.subcommand(
        commands, "reveal", "show the solution of an exercise", REVEAL_EXAMPLES, reveal
    )
    sub.add_argument("exercise", metavar="NN.N")
    sub.add_argument("--give-up", action="store_true", help="without an honest attempt")


def check(options: argparse.Namespace) -> int:
    """0 when every exercise is solved, 1 when not."""
    if options.notebook is None:
        return _progress()
    from labkit.checks import progress
    from labkit.checks.exercise import find
    from labkit.checks.notebook import execute, read
    from labkit.checks.report import PUBLISHED
    from labkit.checks.subject import InProcess
    from labkit.words.errors import BadInput

    cells = read(options.notebook)
    named = list(dict.fromkeys(name for cell in cells for name in cell.checks))
    wanted = [name for name in named if options.exercise in (None, name)]
    if not wanted:
        what = f"{options.notebook.name} does not check {options.exercise or 'any exercise'}"
        raise BadInput(what, ", ".join(named) or "a notebook of the folder exercises")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        names, troubles = execute(cells)
    for trouble in troubles:
        print(f"{trouble.label} did not run to its end: {trouble.error}")
        if trouble.where is not None:
            print(f"    line {trouble.where.line}: {trouble.where.code}")
    right = True
    for name in wanted:
        seed = PUBLISHED if options.seed is None else options.seed
        report = find(name).run(InProcess(names), seed)
        progress.record(report)
        print(report)
        right = right and report.passed
    return 0 if right else 1


def _progress() -> int:
    from labkit.checks import progress
    from labkit.checks.exercise import exercises

    known = progress.read()
    for name, exercise in exercises().items():
        one = known.get(name, progress.Progress())
        points = f"{one.points:g} of {exercise.points:g}" if one.checks else "not yet"
        print(f"{name}  {points:<10}  {exercise.title}")
    print(f"\nkept in {progress.folder()}")
    return 0


def reveal(options: argparse.Namespace) -> int:
    """Print a solution; 1 when there was no honest attempt yet."""
    import json

    from labkit.checks import progress
    from labkit.checks.exercise import find
    from labkit.checks.release import solved
    from labkit.resources import solution_path

    exercise = find(options.exercise)
    one = progress.read().get(exercise.name, progress.Progress())
    if not (one.attempted or options.give_up):
        print(f"{exercise.name}, {exercise.title}: try it first. One point opens the solution,")
        print(f"or {progress.TRIES} checks of something that you wrote; or --give-up.")
        return 1
    book = json.loads(solution_path(int(exercise.name[:2])).read_text(encoding="utf-8"))
    print(solved(book, exercise.name))
    return 0
