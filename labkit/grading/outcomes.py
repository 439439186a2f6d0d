"""How the cells of a submission went, as the process that ran them says.

It is a stranger's word and worth no point: it tells a student where his notebook stopped.
"""

import enum
import json
from typing import NamedTuple

from labkit.checks.blame import Where
from labkit.checks.pipe import tame
from labkit.grading.pipe import Forged


class CellState(enum.Enum):
    """How a cell went."""

    RAN = "ran"
    RAISED = "raised"
    ENDED = "ended the process"
    LEFT_OUT = "was not run"


class CellOutcome(NamedTuple):
    """One cell, and how it went."""

    label: str
    state: CellState
    error: str = ""
    where: Where | None = None
    """The student's own line."""
    printed: str = ""
    """The end of what it printed."""


def cell_from_text(label: str, answer: str, longest: int) -> CellOutcome:
    """A cell's outcome, as a stranger tells it."""
    try:
        ran, error, place, printed = json.loads(answer)
        where = None
        if place is not None:
            name, line, code = place
            where = Where(bounded(name, 80), min(max(int(line), 0), 10**6), bounded(code, 300))
        state = CellState.RAN if ran is True else CellState.RAISED
        return CellOutcome(label, state, bounded(error, 300), where, bounded(printed, longest + 1))
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise Forged("it said something about a cell that cannot be read") from None


def bounded(value: object, longest: int) -> str:
    """A stranger's words, or a `TypeError`."""
    if type(value) is not str:
        raise TypeError
    return tame(value[:longest])
