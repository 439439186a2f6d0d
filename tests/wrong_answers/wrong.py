"""What a wrong answer is: what somebody wrote, the part it fails, and the hint it must get."""

from pathlib import Path
from typing import Any, NamedTuple

from labkit.checks.notebook import execute, read

SOLUTIONS = Path(__file__).parents[2] / "solutions"


class Wrong(NamedTuple):
    """One of them. What it does not replace is as in the solution."""

    exercise: str
    mistake: str
    part: str
    hint: str
    names: dict[str, Any]


def solution(week: int) -> dict[str, Any]:
    """What the solved notebook of a week defines."""
    (path,) = SOLUTIONS.glob(f"week{week:02}_*.ipynb")
    names, troubles = execute(read(path))
    assert troubles == []
    return names
