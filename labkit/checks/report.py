"""What came of a check, as plain data: it can be kept, sent and shown, and says nothing by itself.

A `Report` has a `PartReport` for each part of an exercise, and that has a `Finding` where something
was not as expected. All of it can be written as JSON and read back. How it looks is decided
in `labkit.checks.card`, and how its pictures are drawn in `labkit.checks.picture`.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

PUBLISHED: Final = 2026
"""The seed of the notebooks. An instructor's is another, and secret."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation that was not met."""

    what: str
    """The expectation, as a sentence."""
    wanted: str
    found: str
    hint: str
    """An idea, never the answer."""
    name: str
    """Of the hint, for statistics and for the tests."""
    where: str = ""
    """The student's own line, when it raised or took too long."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part of an exercise."""

    name: str
    title: str
    points: float
    of: float
    steps: tuple[str, ...] = ()
    """What was done, in order; the last one is where it went wrong."""
    finding: Finding | None = None
    drawing: Mapping[str, Any] | None = None
    """What `labkit.checks.picture` makes a picture and a capture from."""

    @property
    def passed(self) -> bool:
        """All its points."""
        return self.points >= self.of


@dataclass(frozen=True, slots=True)
class Report:
    """One exercise. It shows itself as a card in a notebook and prints itself as text."""

    exercise: str
    title: str
    seed: int
    wants: tuple[str, ...] = ()
    """What was checked: the names that the exercise asks for."""
    parts: tuple[PartReport, ...] = ()
    printed: str = ""
    """What the student's code printed meanwhile, or the beginning of it."""
    problem: str = ""
    """Why nothing was checked."""
    only: str = ""
    """The one part that was checked, if not all."""
    seconds: float = field(default=0.0, compare=False)

    @property
    def points(self) -> float:
        """How many were reached; to the hundredth."""
        return round(sum(part.points for part in self.parts), 2)

    @property
    def of(self) -> float:
        """How many there are."""
        return sum(part.of for part in self.parts)

    @property
    def passed(self) -> bool:
        """All parts."""
        return not self.problem and all(part.passed for part in self.parts)

    def __bool__(self) -> bool:
        return self.passed

    def replay(self, part: str = "") -> str:
        """The one line that does the same again; with a part, only that."""
        words = [repr(self.exercise).replace("'", '"'), *self.wants, f"seed={self.seed}"]
        only = part or self.only
        if only:
            words.append(f'only="{only}"')
        return f"check({', '.join(words)})"

    def as_dict(self) -> dict[str, Any]:
        """The same as dicts, lists, numbers and text."""
        return asdict(self)

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> "Report":
        """What `as_dict` gave, also by way of JSON."""
        parts = tuple(
            PartReport(
                **{
                    **part,
                    "steps": tuple(part["steps"]),
                    "finding": Finding(**part["finding"]) if part["finding"] else None,
                }
            )
            for part in said["parts"]
        )
        return cls(**{**said, "parts": parts, "wants": tuple(said["wants"])})

    # Shown ------------------------------------------------------------------------------------

    def __str__(self) -> str:
        from labkit.checks.card import text

        return text(self)

    def __repr__(self) -> str:
        """The text; for nbgrader, which reads points from the last line of a cell, the number."""
        return f"{self.points:g}" if graded_by_nbgrader() else str(self)

    def _repr_html_(self) -> str:
        from labkit.checks.card import html

        return html(self)

    def show(self, part: str = "") -> Any:
        """The picture of a part; without a name, of the first that has one."""
        from labkit.checks.picture import draw

        return draw(self._drawing(part))

    def save_pcapng(self, path: str | Path, part: str = "") -> Path:
        """The packets of a part as a capture for Wireshark."""
        from labkit.checks.picture import pcapng

        Path(path).write_bytes(pcapng(self._drawing(part)))
        return Path(path)

    def _drawing(self, name: str) -> Mapping[str, Any]:
        from labkit.words.errors import BadInput

        for part in self.parts:
            if part.drawing is not None and name in ("", part.name):
                return part.drawing
        raise BadInput("there is no picture of that", "the name of a part that has one")


def graded_by_nbgrader() -> bool:
    """Whether nbgrader runs this notebook. It reads a number as points, and all else as full."""
    return "NBGRADER_EXECUTION" in os.environ
