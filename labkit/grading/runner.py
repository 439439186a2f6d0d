"""A whole class: find, skip what is done, grade the rest, keep each at once, and write the sheet.

    summary = run(Batch(order, Path("submitted"), Path("graded")), progress)

What is graded is on disk before the next one is shown as done. A run that was interrupted, by
Ctrl-C or by the power, is begun again with the same command and does what is left; the sheet is the
same, to the byte, as if nothing had happened.

This module shows nothing: `Progress` is told, and a command shows it.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labkit.grading.crew import Crew, failed
from labkit.grading.grader import Grader, Order
from labkit.grading.result import Result
from labkit.grading.sheet import Lateness, sheet
from labkit.grading.store import Store, sweep, write
from labkit.grading.submission import Submission, find
from labkit.resources import solution_path

if TYPE_CHECKING:
    from labkit.grading.farm import Farm


class Progress(Protocol):
    """Is told how far a run is."""

    def begin(self, done: int, todo: int) -> None:
        """So many are done already, so many are to be graded."""

    def graded(self, submission: Submission, result: Result) -> None:
        """One more is on disk."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One run."""

    order: Order
    submissions: Path
    out: Path
    jobs: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))
    lateness: Lateness = field(default_factory=Lateness)
    again: bool = False
    """Also what was graded before."""
    scheduler: str = ""
    """Of Dask: its workers grade, and no job here."""
    certificates: Path | None = None
    """A folder with those that the scheduler wants (`labkit certs node`)."""


class Summary(NamedTuple):
    """What came of a run."""

    results: tuple[Result, ...]
    sheet: Path
    done_before: int
    ignored: tuple[str, ...]
    """Files that are nobody's notebook."""
    stale: tuple[str, ...]
    """Students of a run before who have handed in nothing now."""

    @property
    def counts(self) -> Counter[str]:
        """How many have each status."""
        return Counter(result.status.value for result in self.results)


def run(batch: Batch, progress: Progress) -> Summary:
    """Grade what is not yet graded. `KeyboardInterrupt` leaves everything that is done."""
    order = batch.order
    grader = Grader(order)
    released = solution_path(order.week).name
    found = find(batch.submissions, order.week, released, [batch.out])
    store = Store(batch.out)
    sweep(batch.out)
    blank = grader.begin(found.submissions[0])
    results: dict[str, Result] = {}
    todo: list[Submission] = []
    for submission in found.submissions:
        good = None if batch.again else store.good(submission, order, blank.seed, blank.checks)
        if good is None:
            todo.append(submission)
        else:
            results[submission.student] = good
    before = len(results)
    progress.begin(before, len(todo))
    with _graders(batch, len(todo)) as crew:
        for submission, graded, why in crew.grade(todo):
            kept = graded or failed(order, submission, why)
            store.keep(submission, kept)
            results[submission.student] = kept.result
            progress.graded(submission, kept.result)
    rows = [(each, results[each.student], store.page_name(each)) for each in found.submissions]
    path = batch.out / "grades.csv"
    write(path, sheet(rows, order.week, batch.lateness))
    stale = tuple(store.others(found.submissions))
    return Summary(tuple(row[1] for row in rows), path, before, found.ignored, stale)


def _graders(batch: Batch, count: int) -> "Crew | Farm":
    """Who grades: processes here, or the workers of a scheduler."""
    if not (batch.scheduler and count):
        return Crew(batch.order, batch.jobs)
    from labkit.grading.farm import Farm

    return Farm(batch.order, batch.scheduler, batch.certificates)
