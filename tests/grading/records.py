"""Records as the grader leaves them, made by hand and by the real checks."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from labkit.grading.result import (
    ExerciseResult,
    PartResult,
    Result,
    Status,
    fingerprint,
    seed_id,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def part(name, points, of=2.0, hint="gap"):
    lost = points < of
    return PartResult(
        name,
        f"It {name}",
        points,
        of,
        f"a hole is a hole in {name}" if lost else "",
        hint if lost else "",
        "Whose turn is it?" if lost else "",
    )


def record(student, *points, assignment="week06", submitted=NOON, checks="c1", content="", **more):
    """Exercises NN.1, NN.2, … of two parts each, `points` of 4."""
    week = assignment[-2:]
    exercises = tuple(
        ExerciseResult(
            f"{week}.{i}",
            f"Exercise {i}",
            (part("first", min(have, 2.0)), part("second", max(have - 2.0, 0.0))),
            cpu_ms=100 * i,
        )
        for i, have in enumerate(points, 1)
    )
    more = {"status": Status.GRADED, "seed": "s1", "cpu_ms": 400, **more}
    content = content or fingerprint(student.encode())
    return Result(student, assignment, content=content, checks=checks, submitted=submitted,
                  exercises=exercises, **more)  # fmt: skip


def unreadable(student, why="it is not JSON", **more):
    return record(student, status=Status.UNREADABLE, problem=why, **more)


def leave(folder: Path, *records):
    """As `labkit grade` leaves them."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for i, each in enumerate(records):
        (folder / "results" / f"{i:03}.json").write_text(each.to_json(), encoding="utf-8")
    return folder


@cache
def checked():
    """The solution and every fourth wrong buffer and jitter of week 6, checked: a small class."""
    from wrong_answers import week06
    from wrong_answers.wrong import solution

    from labkit.checks.exercise import exercises
    from labkit.checks.subject import InProcess

    solved = solution(6)
    found = {name: each.run(InProcess(solved)) for name, each in exercises(6).items()}
    right = {name: ExerciseResult.from_report(report, 90) for name, report in found.items()}
    base = {"assignment": "week06", "status": Status.GRADED, "content": "", "checks": "c1"}
    base |= {"seed": seed_id(2026), "submitted": NOON}
    made = [Result("solved", exercises=tuple(right.values()), **base)]
    for i, wrong in enumerate(week06.WRONG):
        if i % 4 or wrong.exercise == "06.3":  # which takes long
            continue
        exercise = exercises(6)[wrong.exercise]
        report = exercise.run(InProcess(solved | wrong.names))
        mine = right | {wrong.exercise: ExerciseResult.from_report(report, 120)}
        made.append(Result(f"student{i:02}", exercises=tuple(mine.values()), **base))
    return made
