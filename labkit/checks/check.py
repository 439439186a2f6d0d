"""`check`: what a notebook calls.

    check("06.1", FixedBuffer)                       a card: what holds, and what does not
    check("06.1", FixedBuffer, only="late")          one part
    check("06.2", delay_needed, slowest=31.5)        values by their names

It raises nothing: what cannot be checked is a card that says why. Whoever checks has a time limit
(`labkit.checks.limit`), and an unfinished notebook runs to its end.

The seed is the published one. An instructor who grades with nbgrader sets another in the
environment, LABKIT_SEED.
"""

import os
from typing import Any

from labkit.checks import progress
from labkit.checks.exercise import find
from labkit.checks.report import PUBLISHED, Report, graded_by_nbgrader
from labkit.checks.subject import InProcess
from labkit.words.errors import LabError


def check(
    exercise: str, *given: Any, seed: int | None = None, only: str = "", **values: Any
) -> Report:
    """Check one exercise: its functions and classes in their order, its values by name."""
    seed = _seed() if seed is None else seed
    try:
        exercise = str(exercise)
        asked = find(exercise)
        if len(given) > len(asked.wants):
            problem = f"{len(given)} things were given; wanted are {', '.join(asked.wants)}."
            return Report(exercise, asked.title, seed, asked.wants, problem=problem)
        names = dict(zip(asked.wants, given, strict=False)) | values
        report = asked.run(InProcess(names), seed, only)
    except LabError as error:
        return Report(exercise, "", seed, problem=str(error))
    if not graded_by_nbgrader():
        progress.record(report)
    return report


def _seed() -> int:
    said = os.environ.get("LABKIT_SEED", "")
    return int(said) if said.isdecimal() else PUBLISHED
