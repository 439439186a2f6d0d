"""Who moved: two records of one student, compared part by part.

A check that changes, another seed, a second submission: each can change points, and none may do so
silently. A `Move` names every part whose points, or whose possible points, are others than before,
also where the sum stays the same.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from labkit.grading.result import ExerciseResult, PartResult, Result


class Cause(StrEnum):
    """What differs between two records. The first that holds."""

    SUBMISSION = "another submission"
    CHECKS = "the checks changed"
    SEED = "another seed"
    NONE = "the same submission, checks and seed: its code has dice or a clock"


class Change(NamedTuple):
    """One part of an exercise that has other points than before."""

    exercise: str
    part: str
    before: float | None
    """None: there was no such part."""
    after: float | None
    of_before: float
    of_after: float
    expectation: str
    """The sentence that is not met now; or that was not, before."""
    hint: str


class Move(NamedTuple):
    """One student, from one record to the next."""

    student: str
    assignment: str
    before: Result
    after: Result
    changes: tuple[Change, ...]
    cause: Cause

    @property
    def points(self) -> float:
        """By how many."""
        return round(self.after.points - self.before.points, 2)


def compare(before: Result, after: Result) -> Move | None:
    """What moved, if anything did: points, or whether it could be graded."""
    changes = tuple(_changes(before, after))
    if not changes and before.status == after.status:
        return None
    return Move(after.student, after.assignment, before, after, changes, _cause(before, after))


def _cause(before: Result, after: Result) -> Cause:
    if before.content != after.content:
        return Cause.SUBMISSION
    if before.checks != after.checks:
        return Cause.CHECKS
    return Cause.SEED if before.seed != after.seed else Cause.NONE


def _changes(before: Result, after: Result) -> Iterator[Change]:
    old, new = _parts(before), _parts(after)
    for exercise, name in dict.fromkeys([*new, *old]):
        was, now = old.get((exercise, name)), new.get((exercise, name))
        if was and now and (was.points, was.of) == (now.points, now.of):
            continue
        shown = next((part for part in (now, was) if part and part.hint), None)
        yield Change(
            exercise,
            name,
            None if was is None else was.points,
            None if now is None else now.points,
            0 if was is None else was.of,
            0 if now is None else now.of,
            shown.expectation if shown else "",
            shown.hint if shown else "",
        )


def _parts(result: Result) -> dict[tuple[str, str], PartResult]:
    exercises: tuple[ExerciseResult, ...] = result.exercises
    return {(each.name, part.name): part for each in exercises for part in each.parts}


def tell(move: Move, name: str = "") -> Iterator[str]:
    """A move as lines of text."""
    before, after = move.before, move.after
    line = f"{name or move.student}  {move.assignment}  {before.points:g} -> {after.points:g}"
    line += f" of {after.of:g} ({move.points:+g})"
    if before.status != after.status:
        line += f", {before.status} -> {after.status}"
    yield f"{line}: {move.cause}"
    for each in move.changes:
        was = "not there" if each.before is None else f"{each.before:g} of {each.of_before:g}"
        now = "gone" if each.after is None else f"{each.after:g} of {each.of_after:g}"
        why = f"  [{each.hint}] {each.expectation}" if each.hint else ""
        yield f"    {each.exercise} {each.part}: {was} -> {now}{why}"
