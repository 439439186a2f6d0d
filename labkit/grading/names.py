"""Names that are not quite those that an exercise asks for: `Fixedbuffer`, `jitter_rfc`, `Policy`.

A name is taken for another one only where nothing else can be meant: the student's own check was
given it, it is spelt alike, or it is the only thing of its kind where the answer stands. Then the
answer is graded under its right name, and that is told. Where two could be meant nothing is
guessed, and the report says which there are.

This module parses no code: it gets names and what they are.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from labkit.grading.source import Check, Kind

ALIKE: Final = 0.82
"""Of difflib's ratio: one wrong letter in six."""


class Renamed(NamedTuple):
    """One name of an exercise."""

    wanted: str
    meant: str
    """The student's; empty when nobody knows."""
    told: str


class Cellful(NamedTuple):
    """What one cell defines."""

    names: Mapping[str, Kind]
    answers: frozenset[str]
    """The wanted names that this cell was given out for."""


def renamed(
    wanted: Mapping[str, Kind],
    there: Iterable[str],
    cells: Iterable[Cellful],
    given: Mapping[str, tuple[str, ...]],
    checks: Iterable[Check],
) -> list[Renamed]:
    """What is meant by the wanted names that are not `there`, in their order.

    `given` are the names that each exercise asks for, `checks` the student's own checks.
    """
    there = set(there)
    cells = list(cells)
    missing = [name for name in wanted if name not in there]
    free = {
        name: kind
        for cell in cells
        for name, kind in cell.names.items()
        if name not in wanted and not name.startswith("_")
    }
    found: list[Renamed] = []
    for name in missing:
        meant, why = _meant(name, wanted[name], free, cells, _in_checks(name, given, checks))
        if meant:
            told = f"`{name}` was not there; `{meant}` was graded in its place: {why}"
            found.append(Renamed(name, meant, told))
        elif why:
            found.append(Renamed(name, "", f"`{name}` was not there; {why}"))
    return _once(found)


def _meant(
    name: str,
    kind: Kind,
    free: Mapping[str, Kind],
    cells: Iterable[Cellful],
    checked: set[str],
) -> tuple[str, str]:
    """The name that is meant and why; or nothing, and what there is."""
    fit = [o for o, its in free.items() if its in (kind, Kind.ANYTHING) or kind is Kind.VALUE]
    same = [other for other in fit if _bare(other) == _bare(name)]
    alike = [
        other
        for other in fit
        if difflib.SequenceMatcher(None, _bare(other), _bare(name)).ratio() >= ALIKE
    ]
    place = [
        other
        for cell in cells
        if name in cell.answers
        for other, its in cell.names.items()
        if other in fit and its is kind
    ]
    for candidates, why in (
        (sorted(checked & free.keys()), "your check was given it"),
        (same, "it is spelt almost so"),
        (alike, "it is spelt almost so"),
        (place, "it stands where the answer belongs"),
    ):
        few = list(dict.fromkeys(candidates))
        if len(few) == 1:
            return few[0], why
        if few:
            listed = " or ".join(f"`{other}`" for other in few[:3])
            return "", f"{listed} could be meant, and nothing was guessed"
    return "", ""


def _in_checks(
    name: str, given: Mapping[str, tuple[str, ...]], checks: Iterable[Check]
) -> set[str]:
    """What the student's own checks were given in its place."""
    return {
        check.given[at]
        for check in checks
        for at, wanted in enumerate(given.get(check.exercise, ())[: len(check.given)])
        if wanted == name and check.given[at]
    } - {name}


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


def _once(found: list[Renamed]) -> list[Renamed]:
    """What is meant by two names is meant by none."""
    meant = [each.meant for each in found if each.meant]
    return [
        each
        if not each.meant or meant.count(each.meant) == 1
        else Renamed(
            each.wanted, "", f"`{each.wanted}` was not there; `{each.meant}` could be several"
        )
        for each in found
    ]
