"""What came of one submission: the record between the grader and the gradebook.

The grader writes one file of JSON for each submission, `OUT/results/STUDENT.json`, whole or not at
all. The gradebook, the exports and the class report read those files and nothing else. A record
holds what is needed to count, to compare and to explain: points by exercise and part, and for each
part that lost some, the expectation that was not met and the name of the hint. What a student saw
in full, steps and pictures, is on the feedback page.

A record says which inputs it was graded with, but not the secret: `seed` is a fingerprint of it.
`checks` is one of the checks' code, so that two runs can be told apart after a check has changed.
This module opens no file.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from labkit.checks.report import Report
from labkit.words.errors import BadInput

VERSION: Final = 1
LONGEST: Final = 10_000
"""Characters of any text in a record."""
MOST: Final = 1000
"""Exercises of a record, parts of an exercise, repairs of a notebook."""


class Status(StrEnum):
    """How far a submission came."""

    GRADED = "graded"
    UNREADABLE = "unreadable"
    """It is no notebook, or not one that can be repaired."""
    FAILED = "failed"
    """The grader itself could not finish: the machine, not the student."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """One part of an exercise."""

    name: str
    title: str
    points: float
    of: float
    expectation: str = ""
    """The sentence that was not met; empty when all is well."""
    hint: str = ""
    """The name of the hint, for statistics: which wrong answer this is."""
    said: str = ""
    """The hint itself."""

    @property
    def passed(self) -> bool:
        """All its points."""
        return self.points >= self.of


@dataclass(frozen=True, slots=True)
class ExerciseResult:
    """One exercise."""

    name: str
    """Week and number: "06.2"."""
    title: str
    parts: tuple[PartResult, ...]
    problem: str = ""
    """Why nothing was checked."""
    cpu_ms: int = 0
    """CPU time of the student's code and of its questions; 0 when not measured."""

    @property
    def points(self) -> float:
        """How many were reached, to the hundredth."""
        return round(sum(part.points for part in self.parts), 2)

    @property
    def of(self) -> float:
        """How many there are."""
        return round(sum(part.of for part in self.parts), 2)

    @classmethod
    def from_report(cls, report: Report, cpu_ms: int = 0) -> "ExerciseResult":
        """The same without steps, values and pictures."""
        parts = tuple(
            PartResult(part.name, part.title, part.points, part.of)
            if part.finding is None
            else PartResult(
                part.name,
                part.title,
                part.points,
                part.of,
                _clean(part.finding.what),
                part.finding.name,
                _clean(part.finding.hint),
            )
            for part in report.parts
        )
        return cls(report.exercise, report.title, parts, _clean(report.problem), cpu_ms)


@dataclass(frozen=True, slots=True)
class Result:
    """One submission."""

    student: str
    """As the folder or file of the submission says."""
    assignment: str
    """Such as "week06"."""
    status: Status
    content: str
    """`fingerprint` of the notebook's bytes."""
    seed: str
    """`seed_id` of the seed."""
    checks: str
    """`fingerprint` of the checks that graded it."""
    submitted: datetime | None = None
    """When it was handed in, in UTC; None when nobody knows."""
    repairs: tuple[str, ...] = ()
    """What had to be put right before it ran, as sentences."""
    exercises: tuple[ExerciseResult, ...] = ()
    problem: str = ""
    """Why it is unreadable, or the grader failed."""
    cpu_ms: int = 0
    """CPU time of the whole submission."""
    canvas: str = ""
    """The student's number in Canvas, where the file came from there."""

    @property
    def points(self) -> float:
        """How many were reached, to the hundredth."""
        return round(sum(each.points for each in self.exercises), 2)

    @property
    def of(self) -> float:
        """How many there are."""
        return round(sum(each.of for each in self.exercises), 2)

    def to_json(self) -> str:
        """Text for a file: the same for the same result, to the byte."""
        said = {"version": VERSION, **asdict(self)}
        said["submitted"] = None if self.submitted is None else to_utc(self.submitted)
        return json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """What `to_json` wrote. `BadInput` says what is wrong with anything else."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"it is not JSON ({str(error)[:100]})", REMEDY) from error
        return _Reader("result", said).result()


REMEDY: Final = "grade this submission again"


def fingerprint(*chunks: bytes) -> str:
    """Names contents: 16 hexadecimal digits of their SHA-256."""
    whole = hashlib.sha256()
    for chunk in chunks:
        whole.update(len(chunk).to_bytes(8) + chunk)
    return whole.hexdigest()[:16]


def seed_id(seed: int) -> str:
    """Names a seed without telling it: who tries seeds pays scrypt for each.

    The salt is fixed, for two runs with one seed shall have one name. Choose a seed of twelve
    digits or more.
    """
    secret = str(seed).encode()
    return hashlib.scrypt(secret, salt=b"labkit seed", n=2**14, r=8, p=1, dklen=8).hex()


def to_utc(when: datetime) -> str:
    """2026-11-21T13:40:00Z."""
    if when.tzinfo is None:
        raise BadInput(f"the time {when} has no zone", "a time in UTC")
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_utc(text: str) -> datetime:
    """The time that `to_utc` wrote, or any in ISO 8601 that has a zone. `BadInput` otherwise."""
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            raise BadInput(f"the time {text} has no zone", f"{text}Z, if it is in UTC")
        return when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{text[:60]!r} is no time", "2026-11-21T13:40:00Z") from error


def _control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def _clean(text: str) -> str:
    """What every file and database takes: some of it may be a student's."""
    return text[:LONGEST].encode(errors="replace").decode().replace("\0", "")


class _Reader:
    """Reads a dict of JSON field by field, and says where it was when one is wrong."""

    def __init__(self, where: str, said: Any) -> None:
        self.where = where
        if not isinstance(said, Mapping):
            raise BadInput(f"{where} is not an object of JSON", REMEDY)
        self.said = said

    def _value(self, name: str, kinds: type | tuple[type, ...]) -> Any:
        value = self.said.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise BadInput(f"{self.where}: {name} is missing or of another kind", REMEDY)
        return value

    def text(self, name: str, *, least: int = 0) -> str:
        value: str = self._value(name, str)
        if not least <= len(value) <= LONGEST:
            raise BadInput(f"{self.where}: {name} is empty or too long", REMEDY)
        if "\0" in value or (least and any(_control(char) for char in value)):
            raise BadInput(f"{self.where}: {name} has control characters", REMEDY)
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half a pair, which no database takes
            raise BadInput(f"{self.where}: {name} is not Unicode", REMEDY) from error
        return value

    def number(self, name: str) -> float:
        value = self._value(name, (int, float))
        if not (math.isfinite(value) and 0 <= value <= 1e6):
            raise BadInput(f"{self.where}: {name} is not a number of points", REMEDY)
        return round(float(value), 2)

    def count(self, name: str) -> int:
        value: int = self._value(name, int)
        if not 0 <= value < 2**31:
            raise BadInput(f"{self.where}: {name} is not a count", REMEDY)
        return value

    def several(self, name: str) -> list[Any]:
        value: list[Any] = self._value(name, list)
        if len(value) > MOST:
            raise BadInput(f"{self.where}: {len(value)} {name}", REMEDY)
        return value

    def result(self) -> Result:
        version = self.count("version")
        if version != VERSION:
            what = f"it is of version {version} of the record, not {VERSION}"
            raise BadInput(what, "the labkit that wrote it, or grade again")
        if self.said.get("status") not in set(Status):
            raise BadInput("status is none of " + ", ".join(Status), REMEDY)
        submitted = self.said.get("submitted")
        repairs = self.several("repairs")
        if not all(isinstance(repair, str) and len(repair) <= LONGEST for repair in repairs):
            raise BadInput("repairs are not sentences", REMEDY)
        exercises = [_Reader("exercise", each).exercise() for each in self.several("exercises")]
        _once("exercise", (each.name for each in exercises))
        return Result(
            student=self.text("student", least=1),
            assignment=self.text("assignment", least=1),
            status=Status(self.said["status"]),
            content=self.text("content"),
            seed=self.text("seed"),
            checks=self.text("checks"),
            submitted=None if submitted is None else from_utc(self.text("submitted")),
            repairs=tuple(repairs),
            exercises=tuple(exercises),
            problem=self.text("problem"),
            cpu_ms=self.count("cpu_ms"),
            canvas=self.text("canvas") if "canvas" in self.said else "",
        )

    def exercise(self) -> ExerciseResult:
        name = self.text("name", least=1)
        parts = [_Reader(f"exercise {name}", each).part() for each in self.several("parts")]
        _once(f"part of {name}", (part.name for part in parts))
        return ExerciseResult(
            name, self.text("title"), tuple(parts), self.text("problem"), self.count("cpu_ms")
        )

    def part(self) -> PartResult:
        part = PartResult(
            name=self.text("name", least=1),
            title=self.text("title"),
            points=self.number("points"),
            of=self.number("of"),
            expectation=self.text("expectation"),
            hint=self.text("hint"),
            said=self.text("said"),
        )
        if part.points > part.of:
            raise BadInput(f"part {part.name} has {part.points} of {part.of} points", REMEDY)
        return part


def _once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadInput(f"{what} {name} is there twice", REMEDY)
        seen.add(name)
