"""A clumsy notebook put right before it runs, and each repair told to its author.

Cells get lost, copied, moved and retyped; their marks get lost in an editor; the cell that draws
crashes, and so does one that somebody tried and forgot. None of it says anything about what was
learnt. A notebook is held beside the one that was given out:

    a given cell that is missing, changed, or below an answer     runs first, as it was given out
    an answer that is still as it was given out, beside one       does not run: it would undo it
      that is written
    a cell that checks, plays or draws                            does not run; what stands in it
                                                                  beside the check does
    an answer in a cell that is no longer code                    runs
    what Python cannot read                                       the rest of its cell runs
    everything else                                               runs, in the student's order

A cell is recognised by nbgrader's name, then by Jupyter's, then by what it defines or by its lines.
What cannot be known without running is left to `again`: a cell that missed a name runs once more
behind the others. This module runs nothing and decides no points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labkit.checks.exercise import Exercise
from labkit.checks.notebook import HEAR
from labkit.grading.names import Cellful, renamed
from labkit.grading.reading import RawCell
from labkit.grading.source import (
    Check,
    Kind,
    checks_of,
    defined,
    likeness,
    mended,
    normal,
    without_checks,
)

ALIKE: Final = 0.5
"""Share of lines, from which a cell without a name is taken for one that was given out."""
RENAMED: Final = "the names of the exercise"
"""The label of the cell that this module adds."""

Steps = tuple[tuple[str, str], ...]
"""What is to be run: (label, source), in order."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run of a notebook."""

    steps: Steps
    told: tuple[str, ...]
    """What was repaired, as sentences."""


@dataclass(frozen=True, slots=True)
class Given:
    """The notebook as it was given out."""

    setup: tuple[RawCell, ...]
    answers: tuple[RawCell, ...]
    heard: tuple[RawCell, ...]
    wants: Mapping[str, tuple[str, ...]]
    """By exercise: the names that it asks for."""

    @classmethod
    def of(cls, cells: Sequence[RawCell], exercises: Sequence[Exercise]) -> "Given":
        """Sorted by what a cell is for."""
        code = [cell for cell in cells if cell.kind == "code" and not checks_of(cell.source)]
        return cls(
            tuple(c for c in code if not c.solution and HEAR not in c.tags),
            tuple(c for c in code if c.solution),
            tuple(c for c in code if HEAR in c.tags),
            {exercise.name: exercise.wants for exercise in exercises},
        )

    @property
    def wanted(self) -> dict[str, Kind]:
        """Every name that is asked for, and what it is."""
        kinds = {name: kind for cell in self.answers for name, kind in defined(cell.source).items()}
        return {
            name: kinds.get(name, Kind.VALUE) for names in self.wants.values() for name in names
        }


@dataclass(slots=True)
class _Cell:
    """One cell of the student, while it is looked at."""

    raw: RawCell
    source: str
    is_given: RawCell | None
    """The cell of `Given` that it is."""
    names: dict[str, Kind]

    @property
    def label(self) -> str:
        """As tracebacks and reports call it."""
        name = self.raw.grade_id or (self.is_given.grade_id if self.is_given else "")
        return f"cell {self.raw.number}" + (f" ({name})" if name else "")

    @property
    def unchanged(self) -> bool:
        """As it was given out."""
        return self.is_given is not None and normal(self.source) == normal(self.is_given.source)


def repair(cells: Sequence[RawCell], given: Given) -> Plan:
    """What is to be run of a notebook, and what was repaired."""
    return _Repair(given).plan(cells)


def again(steps: Steps, missed: Sequence[str]) -> Steps:
    """The same steps; those with these labels come behind the others, before the names."""
    late = [step for step in steps if step[0] in missed]
    rest = [step for step in steps if step[0] not in missed]
    behind = [step for step in rest if step[0] == RENAMED]
    return (*(step for step in rest if step[0] != RENAMED), *late, *behind)


class _Repair:
    def __init__(self, given: Given) -> None:
        self._given = given
        self._wanted = given.wanted
        self._told: list[str] = []
        self._checks: list[Check] = []

    def plan(self, raw: Sequence[RawCell]) -> Plan:
        cells = [cell for cell in map(self._cell, raw) if cell is not None]
        cells = self._without_copies(cells)
        first = self._setup(cells)
        running = [
            cell for cell in cells if not (cell.unchanged and cell.is_given in self._given.setup)
        ]
        steps = [(f"given cell ({cell.grade_id})", cell.source) for cell in first]
        steps += [(cell.label, cell.source) for cell in running if cell.source.strip()]
        aliases = self._renamed(cells)
        if aliases:
            steps.append((RENAMED, "\n".join(aliases)))
        self._tell_missing(cells, bool(aliases))
        return Plan(tuple(steps), tuple(dict.fromkeys(self._told)))

    # One cell ---------------------------------------------------------------------------------

    def _cell(self, raw: RawCell) -> _Cell | None:
        """What of a cell is to be run; None when nothing is."""
        is_given = self._recognised(raw)
        if raw.kind != "code":
            if not self._is_answer(raw, is_given):
                return None
            self._told.append(f"cell {raw.number} is text now and held code; it was run as code")
        source, told = mended(raw.source)
        names = defined(source)
        if is_given in self._given.heard and not names.keys() & self._wanted.keys():
            return None
        checks = checks_of(source)
        self._checks += checks
        if checks:
            source = without_checks(source)
            if not source:
                return None
            if names:
                self._told.append(f"cell {raw.number} checks and holds code; its code was run")
        cell = _Cell(raw, source, is_given, names)
        if told:
            self._told.append(f"{cell.label}: {told}")
        return cell

    def _is_answer(self, raw: RawCell, is_given: RawCell | None) -> bool:
        """Whether a cell that is no code was one."""
        if is_given is not None and is_given not in self._given.heard:
            return bool(defined(mended(raw.source).source))
        return bool(defined(raw.source).keys() & self._wanted.keys())

    def _recognised(self, raw: RawCell) -> RawCell | None:
        """The cell that was given out and has become this one."""
        every = (*self._given.setup, *self._given.answers, *self._given.heard)
        for cell in every:
            if raw.grade_id and raw.grade_id == cell.grade_id:
                return cell
        for cell in every:
            if raw.name and raw.name == cell.name:
                return cell
        if raw.kind != "code" or checks_of(raw.source):
            return None
        best = max(every, key=lambda cell: likeness(raw.source, cell.source), default=None)
        if best is not None and likeness(raw.source, best.source) >= ALIKE:
            return best
        names = defined(raw.source).keys() & self._wanted.keys()
        owners = [cell for cell in self._given.answers if names & defined(cell.source).keys()]
        return owners[0] if len(owners) == 1 else None

    # All cells --------------------------------------------------------------------------------

    def _without_copies(self, cells: list[_Cell]) -> list[_Cell]:
        """Without answers as they were given out, where there is one that is written."""
        kept: list[_Cell] = []
        for cell in cells:
            if cell.is_given not in self._given.answers:
                kept.append(cell)
                continue
            written = [o for o in cells if o.is_given is cell.is_given and self._is_written(o)]
            if cell.unchanged and written:
                told = f"{cell.label} is there twice; the one that is written was graded"
                self._told.append(told)
                continue
            later = [o for o in written if o.raw.number > cell.raw.number]
            if any(o.names.keys() & cell.names.keys() & self._wanted.keys() for o in later):
                self._told.append(f"{cell.label} is there several times; the last one counts")
            kept.append(cell)
        return kept

    def _is_written(self, cell: _Cell) -> bool:
        return not cell.unchanged and bool(cell.names.keys() & self._wanted.keys())

    def _setup(self, cells: list[_Cell]) -> list[RawCell]:
        """The given cells, which run first; and what was wrong with the student's."""
        for given in self._given.setup:
            theirs = [i for i, cell in enumerate(cells) if cell.is_given is given]
            answers = [i for i, cell in enumerate(cells) if cell.is_given in self._given.answers]
            if not theirs:
                self._told.append(f"the given cell `{given.grade_id}` was missing; it was run")
            elif not any(cells[i].unchanged for i in theirs):
                self._told.append(
                    f"the given cell `{given.grade_id}` was changed; it was run before yours"
                )
            elif answers and theirs[0] > answers[0]:
                self._told.append(f"the given cell `{given.grade_id}` had moved; it was run first")
        return list(self._given.setup)

    def _renamed(self, cells: list[_Cell]) -> list[str]:
        """Lines that give answers the names of the exercise."""
        there = {
            name
            for cell in cells
            for name in cell.names
            if not (cell.unchanged and cell.is_given in self._given.answers)
        }
        full = [
            Cellful(
                cell.names,
                frozenset(defined(cell.is_given.source)) if cell.is_given else frozenset(),
            )
            for cell in cells
        ]
        found = renamed(self._wanted, there, full, self._given.wants, self._checks)
        self._told += [each.told for each in found]
        return [f"{each.wanted} = {each.meant}" for each in found if each.meant]

    def _tell_missing(self, cells: list[_Cell], renamed: bool) -> None:
        """Answers of which there is no trace."""
        there = {cell.is_given.grade_id for cell in cells if cell.is_given is not None}
        names = {name for cell in cells for name in cell.names}
        for answer in self._given.answers:
            lost = defined(answer.source).keys() & self._wanted.keys() - names
            if answer.grade_id not in there and lost and not renamed:
                self._told.append(f"the cell `{answer.grade_id}` is missing")
