"""Every exercise against its solution and against what people really write.

A check is proved by what it refuses: each wrong answer must lose points in the part that it is
about, with the hint that helps; and a part or a hint that no wrong answer meets proves nothing and
may not be there.
"""

import itertools
import json
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from random import Random

import numpy as np
import pytest
from wrong_answers.wrong import solution

from labkit.checks import card, pipe, week01
from labkit.checks.bench import GENERAL
from labkit.checks.exercise import Exercise, Part, exercises, find
from labkit.checks.report import PUBLISHED, Report
from labkit.checks.subject import InProcess, Returned, Subject
from labkit.core.delaypolicy import Adaptive
from labkit.wire import framing
from labkit.words.errors import BadInput
from labkit.words.packet import Packet

WRONG_ANSWERS = Path(__file__).parents[1] / "wrong_answers"
WEEKS = sorted(int(path.stem[4:]) for path in WRONG_ANSWERS.glob("week??.py"))
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


ODDITIES = [
    None, True, 0, -1, 2**127, 1.5, float("nan"), float("inf"), "", "12", b"", b"\x01" * 40, [], {},
    (), (1, 2), (1, 2, 3), [[1]], {"a": 1}, Packet(1, 2, b"x"), np.zeros((6, 1), np.int16),
    np.zeros(0), np.zeros((2, 2)), (b"", b"", b""), (None,) * 3,
]  # fmt: skip


class Odd(Subject):
    """Answers anything with any plain value: always the same one, or now this and now that."""

    def __init__(self, *values):
        self._values = itertools.cycle(values)

    def ask(self, asks):
        return [Returned(next(self._values)) for _ in asks]


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_no_plain_value_brings_a_check_down(exercise: Exercise):
    """What comes from a stranger's process may be anything."""
    dice = Random(6)
    rows = [[value] for value in ODDITIES]
    rows += [dice.choices(ODDITIES, k=7) for _ in range(4)]
    for values in rows:
        report = exercise.run(Odd(*values))
        for part in report.parts:
            assert part.finding is None or part.finding.name != "fault", (values, str(report))
        assert report.points <= report.of / 3, (values, str(report))
        json.dumps(report.as_dict(), allow_nan=False)
        assert str(report)


def test_a_fault_of_ours_stops_nothing():
    def broken(bench):
        raise KeyError("seq")

    parts = (Part("broken", "Broken", 1, broken), Part("well", "Well", 1, lambda bench: None))
    report = Exercise("01.9", "Two parts", (), parts, {}).run(InProcess({}))
    assert [part.points for part in report.parts] == [0, 1]
    assert report.parts[0].finding.name == "fault"
    assert "KeyError: 'seq'" in str(report)


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


# The kit's own parts against the same checks -----------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 20, 65_535])
def test_the_frame_of_week_1_is_the_one_that_the_kit_sends(size):
    packet = Packet(40_000, 3_000_000_000, bytes(size))
    assert week01.frame(*packet[:3]) == framing.pack(packet)


def test_the_kits_own_policy_has_full_marks():
    """Nobody is asked for what the kit does not do."""
    for seed in (PUBLISHED, 1, 2):
        report = find("06.3").run(InProcess({"MyPolicy": Adaptive}), seed)
        assert report.passed, str(report)
