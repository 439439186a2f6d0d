"""The sandbox: processor time that it costs a submission, beside a Jupyter kernel in the same run.

    python benchmarks/grading_sandbox.py [--json]

The submissions are the solved notebooks of weeks 1 and 6. Each is run by bare Python, which is what
its own code takes; by our sandbox, cells and all checks; by the same without walls (`Trusted`); and
its cells alone by a kernel through nbclient, which is the least that nbgrader does. What the checks
themselves take in this process is taken off. The goal is 0.25 s more than its own code.
"""

import argparse
import contextlib
import ctypes
import json
import logging
import os
import resource
import statistics
import subprocess
import warnings
from collections.abc import Callable
from functools import partial

import nbformat
from nbclient import NotebookClient

from labkit.checks.exercise import Exercise, exercises
from labkit.checks.notebook import Cell, execute, read
from labkit.checks.subject import InProcess
from labkit.grading import bubblewrap
from labkit.grading.process import PATIENCE
from labkit.grading.sandbox import Box, Sandbox, Trusted
from labkit.resources import solution_path

ROUNDS = 7
WEEKS = (1, 6)
GOAL = 0.25
PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): whoever outlives his parent becomes a child of this process."""

Cells = list[Cell]


def processor() -> float:
    """Seconds of the processor, of this process and of all that it has buried."""
    with contextlib.suppress(ChildProcessError):
        while True:  # a worker that ended by itself is buried by us: see `main`
            os.waitpid(-1, 0)
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in whose)


def bare(cells: Cells) -> None:
    """Python alone, with the same packages, one cell after the other."""
    path = [*map(str, bubblewrap.packages()), str(bubblewrap.KIT.parent)]
    code = "\n".join(["import sys", f"sys.path += {path}", *(cell.source for cell in cells)])
    words = [str(bubblewrap.interpreter()), "-S", "-s", "-P", "-c", code]
    subprocess.run(words, env=bubblewrap.environment(), check=True)


def boxed(kind: type[Box], cells: Cells, asked: list[Exercise]) -> None:
    """A sandbox, cells and checks."""
    hides = {module for exercise in asked for module in exercise.hides}
    with kind() as box:
        loaded = box.load([(cell.label, cell.source) for cell in cells], hides)
        for exercise in asked:
            assert exercise.run(loaded.fresh(), seed=5).passed
        # It ends by itself, so that what it took is counted: who is killed inside is not.
        assert box._process is not None
        assert box._process._popen.stdin is not None
        box._process._popen.stdin.close()
        box._process.end(PATIENCE)
        box._process = None


def kernel(cells: Cells) -> None:
    """A Jupyter kernel, cells alone."""
    book = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    book.cells = [
        nbformat.v4.new_code_cell(cell.source)  # type: ignore[no-untyped-call]
        for cell in cells
    ]
    quiet = ["--log-level=CRITICAL"]
    NotebookClient(book, kernel_name="python3", extra_arguments=quiet).execute()


def checks(names: dict[str, object], asked: list[Exercise]) -> None:
    """The checks alone, in this process."""
    for exercise in asked:
        assert exercise.run(InProcess(names), seed=5).passed


def measure(week: int) -> dict[str, float]:
    """Seconds of the processor for one submission, by who ran it: the median."""
    cells = [cell for cell in read(solution_path(week)) if not cell.skipped]
    names, _ = execute(cells)
    asked = list(exercises(week).values())
    contestants: dict[str, Callable[[], None]] = {
        "bare Python": partial(bare, cells),
        "checks": partial(checks, names, asked),
        "sandbox": partial(boxed, Sandbox, cells, asked),
        "trusted": partial(boxed, Trusted, cells, asked),
        "kernel": partial(kernel, cells),
    }
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS + 1):  # the first one warms caches
        for name, contestant in contestants.items():
            begun = processor()
            contestant()
            found[name].append(processor() - begun)
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    warnings.simplefilter("ignore")
    logging.disable()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    results = {}
    for week in WEEKS:
        took = measure(week)
        own = took["bare Python"] + took["checks"]
        results[f"week {week}"] = took | {
            "sandbox adds": took["sandbox"] - own,
            "trusted adds": took["trusted"] - own,
            "kernel adds": took["kernel"] - took["bare Python"],
            "kernel adds / sandbox adds": (took["kernel"] - took["bare Python"])
            / (took["sandbox"] - own),
        }
    if as_json:
        print(json.dumps({"goal": GOAL, **results}))
        return
    for name, figures in results.items():
        print(f"{name}, seconds of the processor for a submission")
        for what, figure in figures.items():
            print(f"  {what:28} {figure:6.2f}")
    worst = max(figures["sandbox adds"] for figures in results.values())
    print(f"the sandbox adds at most {worst:.2f} s; the goal is {GOAL} s")


if __name__ == "__main__":
    main()
