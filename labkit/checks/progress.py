"""How far a learner is: kept on this machine, in a file that can be read and deleted.

For each exercise: how often it was checked, the most points so far, and whether there has been an
honest attempt, which is code that ran and reached a point, or was checked three times after it
was begun. `labkit reveal` asks for that.

The file is progress.json in the platform's folder for data; LABKIT_HOME names another folder. What
cannot be read counts as nothing, and what cannot be written is not: a check never fails for it.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from labkit.checks.report import Report

TRIES: Final = 3
"""So many checks of something that was begun are an honest attempt, without a point."""


@dataclass(slots=True)
class Progress:
    """One exercise."""

    checks: int = 0
    """How often it was checked when something was written."""
    points: float = 0
    of: float = 0

    @property
    def attempted(self) -> bool:
        """There was an honest attempt."""
        return self.points > 0 or self.checks >= TRIES


def folder() -> Path:
    """Where progress is kept."""
    if home := os.environ.get("LABKIT_HOME"):
        return Path(home)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")).expanduser() / "labkit"
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/labkit").expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "labkit"


def read() -> dict[str, Progress]:
    """By exercise. Empty when there is no file, or none that can be read."""
    try:
        said = json.loads((folder() / "progress.json").read_text(encoding="utf-8"))
        return {str(name): Progress(**values) for name, values in said.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def record(report: Report) -> None:
    """Count one check. Nothing is counted while nothing is written yet."""
    if report.only or not report.parts or _unwritten(report):
        return
    known = read()
    one = known.setdefault(report.exercise, Progress())
    one.checks += 1
    one.points, one.of = max(one.points, report.points), report.of
    path = folder() / "progress.json"
    new = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: asdict(each) for name, each in sorted(known.items())}, indent=1)
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(path)
    except OSError:
        return


def _unwritten(report: Report) -> bool:
    """Whether every part that failed did so because nothing is there."""
    missing = [
        part.finding is not None and part.finding.name in ("unwritten", "missing")
        for part in report.parts
    ]
    return all(missing)
