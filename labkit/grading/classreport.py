"""What a class has understood of an assignment, in numbers: which check most of it fails, and how.

Everything is counted from the facts of the gradebook. A wrong answer is known by the part of the
exercise that it fails and the name of the hint that it got, for a hint is given to one mistake.
Counts carry the students' identifiers, for `--names`; the page shows them only when asked to.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from labkit.grading.result import PartResult
from labkit.grading.standing import Facts, Grade, Standing, State, Student, standings
from labkit.words.errors import BadInput


class Misunderstanding(NamedTuple):
    """One hint of an exercise, whichever of its parts gave it."""

    exercise: str
    hint: str
    said: str
    titles: tuple[str, ...]
    """Of the parts that failed."""
    students: tuple[str, ...]

    @property
    def many(self) -> int:
        """How many people got it."""
        return len(self.students)


class Mistake(NamedTuple):
    """One wrong answer."""

    exercise: str
    part: str
    title: str
    """Of the part."""
    hint: str
    said: str
    """What the hint says."""
    expectation: str
    students: tuple[str, ...]

    @property
    def many(self) -> int:
        """How many gave it."""
        return len(self.students)


@dataclass(frozen=True)
class PartFigures:
    """One part of an exercise, over the class."""

    name: str
    title: str
    full: int
    some: int
    none: int
    mistakes: tuple[Mistake, ...]
    """The most frequent first."""


@dataclass(frozen=True)
class ExerciseFigures:
    """One exercise, over those who handed in something that could be graded."""

    name: str
    title: str
    of: float
    mean: float
    full: int
    parts: tuple[PartFigures, ...]
    cpu_ms: tuple[int, ...]
    """Of each submission, in order of size; only where it was measured."""
    unchecked: int
    """Submissions in which nothing could be checked."""


@dataclass(frozen=True)
class ClassFigures:
    """One assignment, over the class."""

    assignment: str
    of: float
    points: tuple[float, ...]
    """Of everybody who was graded, before lateness, in order of size."""
    exercises: tuple[ExerciseFigures, ...]
    graded: int
    missing: tuple[Student, ...]
    unreadable: tuple[Student, ...]
    failed: tuple[Student, ...]
    excused: int
    late: int
    margins: tuple[float, ...]
    """Hours before the deadline, by submission; below zero is late."""
    repairs: tuple[tuple[str, int], ...]
    """What had to be put right in notebooks, and how often."""
    by_hand: int
    """Exercises with points by hand."""

    @property
    def median(self) -> float:
        """Of the points."""
        return round(median(self.points), 2) if self.points else 0.0

    @property
    def worst(self) -> list[Misunderstanding]:
        """What most have not understood, first."""
        found: dict[tuple[str, str], Misunderstanding] = {}
        for each in (m for e in self.exercises for part in e.parts for m in part.mistakes):
            key = each.exercise, each.hint
            was = found.get(key, Misunderstanding(*key, each.said, (), ()))
            titles = tuple(dict.fromkeys((*was.titles, each.title)))
            people = tuple(dict.fromkeys((*was.students, *each.students)))
            found[key] = was._replace(titles=titles, students=people)
        return sorted(found.values(), key=lambda each: (-each.many, each.exercise, each.hint))


def class_figures(facts: Facts, assignment: str) -> ClassFigures:
    """Count everything about one assignment."""
    if assignment not in facts.assignments:
        raise BadInput(f"there is no assignment {assignment!r}", ", ".join(facts.assignments))
    those = list(_standings(facts, assignment))
    if not those:
        raise BadInput(f"nobody has a result in {assignment}", "labkit gradebook import graded")
    graded = [(grade, each) for grade, each in those if each.state is State.GRADED]
    done = [each for _, each in graded]
    names = {state: tuple(g.student for g, each in those if each.state is state) for state in State}
    repairs = Counter(repair for each in done if each.result for repair in each.result.repairs)
    return ClassFigures(
        assignment,
        float(those[0][1].of),
        tuple(sorted(float(each.before) for each in done)),
        tuple(_exercise(column.name, graded) for column in facts.columns_of(assignment)),
        len(done),
        names[State.MISSING],
        names[State.UNREADABLE],
        names[State.FAILED],
        len(names[State.EXCUSED]),
        sum(each.worth.late > 0 for each in done),
        tuple(sorted(_margins(done))),
        tuple(sorted(repairs.items(), key=lambda item: (-item[1], item[0]))),
        sum(cell.by_hand for _, each in those for cell in each.cells),
    )


def _standings(facts: Facts, assignment: str) -> Iterator[tuple[Grade, Standing]]:
    for grade in standings(facts):
        for each in grade.standings:
            if each.assignment.name == assignment:
                yield grade, each


def _margins(done: Sequence[Standing]) -> Iterator[float]:
    for each in done:
        if each.result and each.result.submitted and each.assignment.due:
            yield (each.assignment.due - each.result.submitted).total_seconds() / 3600


def _exercise(name: str, graded: Sequence[tuple[Grade, Standing]]) -> ExerciseFigures:
    parts: dict[str, list[tuple[str, PartResult]]] = defaultdict(list)
    points, cpu, unchecked, column = [], [], 0, None
    for grade, standing in graded:
        cell = next(each for each in standing.cells if each.column.name == name)
        column = cell.column
        points.append(cell.points / 100)
        if cell.result is None or cell.result.problem:
            unchecked += 1
        if cell.result is None:
            continue
        if cell.result.cpu_ms:
            cpu.append(cell.result.cpu_ms)
        for part in cell.result.parts:
            parts[part.name].append((grade.student.id, part))
    of = column.of / 100 if column else 0.0
    return ExerciseFigures(
        name,
        column.title if column else "",
        of,
        sum(points) / len(points) if points else 0.0,
        sum(each >= of for each in points),
        tuple(_part(name, part, found) for part, found in parts.items()),
        tuple(sorted(cpu)),
        unchecked,
    )


def _part(exercise: str, name: str, found: Sequence[tuple[str, PartResult]]) -> PartFigures:
    wrong: dict[str, list[tuple[str, PartResult]]] = defaultdict(list)
    for student, part in found:
        if part.hint and not part.passed:
            wrong[part.hint].append((student, part))
    title = found[0][1].title
    mistakes = [
        Mistake(
            exercise,
            name,
            title,
            hint,
            those[0][1].said,
            Counter(part.expectation for _, part in those).most_common(1)[0][0],
            tuple(student for student, _ in those),
        )
        for hint, those in wrong.items()
    ]
    return PartFigures(
        name,
        title,
        sum(part.passed for _, part in found),
        sum(0 < part.points < part.of for _, part in found),
        sum(part.points == 0 < part.of for _, part in found),
        tuple(sorted(mistakes, key=lambda each: (-each.many, each.hint))),
    )
