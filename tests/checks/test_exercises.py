"""Every exercise against its solution and against what people really write.

A check is proved by what it refuses: each wrong answer must lose points in the part that it is
about, with the hint that helps; and a part or a hint that no wrong answer meets proves nothing and
may not be there.
"""

import json
from functools import lru_cache
from importlib import import_module

import pytest
from wrong_answers.wrong import solution

from labkit.checks import card, pipe
from labkit.checks.bench import GENERAL
from labkit.checks.exercise import Exercise, exercises, find
from labkit.checks.report import PUBLISHED, Report
from labkit.checks.subject import InProcess
from labkit.words.errors import BadInput

WEEKS = (1, 6)
ALL = [each for week in WEEKS for each in exercises(week).values()]
WRONG = [each for week in WEEKS for each in import_module(f"wrong_answers.week{week:02}").WRONG]
SEEDS = [PUBLISHED, *range(1, 20)]

solved = lru_cache(solution)


def names_of(exercise: str):
    return solved(int(exercise[:2]))


class ThroughText(InProcess):
    """As a grader asks: every question and every outcome is a line of text."""

    def ask(self, asks):
        asks = pipe.asks_from_text(pipe.asks_to_text(asks))
        return pipe.outcomes_from_text(pipe.outcomes_to_text(super().ask(asks)), len(asks))


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_solution_has_full_marks(exercise: Exercise, seed: int):
    report = exercise.run(InProcess(names_of(exercise.name)), seed)
    assert report.passed, str(report)
    assert report.points == report.of == exercise.points


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_the_seam_changes_nothing(exercise: Exercise):
    names = names_of(exercise.name)
    assert exercise.run(ThroughText(names)) == exercise.run(InProcess(names))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.exercise} {w.mistake}")
def test_a_wrong_answer_loses_points_with_the_right_hint(wrong):
    """In its part, as a grader asks, with the published seed and with another."""
    exercise = find(wrong.exercise)
    names = names_of(wrong.exercise) | wrong.names
    for seed, subject in ((PUBLISHED, ThroughText(names)), (7, InProcess(names))):
        report = exercise.run(subject, seed, only=wrong.part)
        (part,) = report.parts
        assert not part.passed, str(report)
        assert part.points < part.of
        assert part.finding.name == wrong.hint, str(report)


def test_parts_do_not_know_of_each_other():
    """What is wrong in one costs nothing in the next, and alone it does the same again."""
    wrong = next(each for each in WRONG if each.mistake == "ComparesNumbers")
    exercise = find(wrong.exercise)
    names = names_of(wrong.exercise) | wrong.names
    report = exercise.run(InProcess(names))
    assert [part.name for part in report.parts if not part.passed] == ["wraps"]
    assert report.points == report.of - 1
    assert report.replay("wraps") == 'check("06.1", FixedBuffer, seed=2026, only="wraps")'
    again = exercise.run(InProcess(names), 2026, only="wraps")
    assert again.parts[0] in report.parts


def test_every_exercise_has_wrong_answers():
    for exercise in ALL:
        assert sum(wrong.exercise == exercise.name for wrong in WRONG) >= 4, exercise.name


def test_no_part_and_no_hint_is_idle():
    """What no wrong answer meets may be wrong itself, and nobody would see it."""
    for exercise in ALL:
        about = [wrong for wrong in WRONG if wrong.exercise == exercise.name]
        assert {part.name for part in exercise.parts} == {wrong.part for wrong in about}
        assert set(exercise.hints) == {wrong.hint for wrong in about} - set(GENERAL)


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_nothing_at_all_fails_readably(exercise: Exercise):
    report = exercise.run(InProcess({}))
    assert report.points == 0
    assert {part.finding.name for part in report.parts} == {"missing"}
    assert "Traceback" not in str(report)


@pytest.mark.parametrize("wrong", WRONG[::17], ids=lambda w: f"{w.exercise} {w.mistake}")
def test_a_report_is_plain_data(wrong):
    report = find(wrong.exercise).run(InProcess(names_of(wrong.exercise) | wrong.names))
    back = Report.from_dict(json.loads(json.dumps(report.as_dict())))
    assert json.dumps(back.as_dict()) == json.dumps(report.as_dict())
    assert card.text(back) == card.text(report)
    assert card.html(back).startswith("<div")


def test_hints_are_short_and_speak_to_the_reader():
    for exercise in ALL:
        for name, hint in exercise.hints.items():
            assert 20 <= len(hint) <= 100, (exercise.name, name)
            assert hint[0].isupper() or hint.startswith("len"), hint
            assert hint[-1] in ".?", hint


def test_an_exercise_that_there_is_not():
    with pytest.raises(BadInput, match=r"one of 01\.1, 01\.2"):
        find("01.9")
    with pytest.raises(BadInput, match=r"no exercise '99\.1'"):
        find("99.1")
