"""What a run writes, and what of it is still good.

    OUT/results/STUDENT.json       a record each (`labkit.grading.result`)
    OUT/feedback/STUDENT.html      a page each
    OUT/grades.csv                 when all are done

A file is there whole or not at all, and a record only after its page: so what a run that was
interrupted has left needs no second look. A record is good for the same notebook, the same seed and
the same checks. The folder is its owner's alone.

This module knows what the files are called, and grades nothing.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.grading.grader import Graded, Order
from labkit.grading.page import MARK, page_id
from labkit.grading.result import Result, Status, fingerprint
from labkit.grading.submission import CannotRead, Submission, slug
from labkit.words.errors import BadInput


class Store:
    """The folder of one run. `BadInput` when it cannot be one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results, self._pages = folder / "results", folder / "feedback"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._results.mkdir(exist_ok=True)
            self._pages.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise BadInput(f"{error.filename} is no folder", "--out with another one") from error

    def good(self, submission: Submission, order: Order, seed: str, checks: str) -> Result | None:
        """The record of a run before, if nothing has changed since."""
        try:
            path = self._path(self._results, submission, ".json")
            result = Result.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, BadInput):
            return None
        try:
            content = fingerprint(submission.read())
        except CannotRead as error:
            content = "" if str(error) == result.problem else "another"
        same = (result.student, result.content, result.seed, result.checks)
        if result.status is Status.FAILED or same != (submission.student, content, seed, checks):
            return None
        if not self._has_page(submission, page_id(result, released=order.release)):
            return None
        return result if result.submitted == submission.submitted else None

    def _has_page(self, submission: Submission, name: str) -> bool:
        try:
            with self._path(self._pages, submission, ".html").open(encoding="utf-8") as file:
                return f'name="{MARK}" content="{name}"' in file.read(400)
        except (OSError, ValueError):
            return False

    def keep(self, submission: Submission, graded: Graded) -> None:
        """Write a page, and then the record."""
        write(self._path(self._pages, submission, ".html"), graded.page)
        write(self._path(self._results, submission, ".json"), graded.result.to_json())

    def _path(self, folder: Path, submission: Submission, ending: str) -> Path:
        return folder / (slug(submission.student) + ending)

    def page_name(self, submission: Submission) -> str:
        """Where a student's page is, in this folder."""
        return f"feedback/{slug(submission.student)}.html"

    def others(self, submissions: Sequence[Submission]) -> list[str]:
        """Records of students who have handed in nothing this time."""
        names = {slug(each.student) for each in submissions}
        return sorted(p.stem for p in self._results.glob("*.json") if p.stem not in names)


def write(path: Path, text: str) -> None:
    """A file, whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with new.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text)
    new.replace(path)


def sweep(folder: Path, names: Iterable[str] = ("results", "feedback")) -> None:
    """Remove what a run that was killed had begun to write."""
    for name in names:
        for path in (folder / name).glob(".*.[0-9]*"):
            path.unlink(missing_ok=True)
