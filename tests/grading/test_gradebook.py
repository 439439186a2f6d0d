"""The gradebook: nothing is lost, nothing moves silently, and totals follow from facts alone."""

import json
import multiprocessing
import random
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import combinations

import pytest
from grading.records import NOON, leave, record, unreadable
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.grading.gradebook import Gradebook
from labkit.grading.importing import read_records
from labkit.grading.late import Policy, Work, days_late, deadline, dropped, read_deadline, term
from labkit.grading.regrade import Cause, tell
from labkit.grading.result import Result, Status, from_utc, seed_id
from labkit.grading.standing import State, Student, standings
from labkit.words.errors import BadInput, MissingCapability


@pytest.fixture
def book(tmp_path):
    return Gradebook(tmp_path / "grades.db", create=True)


def grades(book):
    return {grade.student.id: grade for grade in standings(book.facts())}


# The record ---------------------------------------------------------------------------------------


def test_a_record_comes_back_from_json():
    canvas = record("di", 1, canvas="7")
    for each in (record("zoë", 4, 2.5), unreadable("bo"), record("cy", 1, submitted=None), canvas):
        assert Result.from_json(each.to_json()) == each


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.update(version=2), "version 2"),
        (lambda d: d.pop("version"), "version"),
        (lambda d: d.update(status="fine"), "status"),
        (lambda d: d.update(student=""), "student"),
        (lambda d: d.update(student="a\0b"), "student"),
        (lambda d: d.update(student="a\x9b2J"), "control"),
        (lambda d: d.update(student=["a"]), "student"),
        (lambda d: d.update(submitted="2026-11-20T12:00:00"), "zone"),
        (lambda d: d.update(submitted="yesterday"), "no time"),
        (lambda d: d.update(submitted=7), "submitted"),
        (lambda d: d["exercises"].append(d["exercises"][0]), "twice"),
        (lambda d: d["exercises"][0]["parts"][0].update(points=9), "9.0 of 2.0"),
        (lambda d: d["exercises"][0]["parts"][0].update(points=True), "points"),
        (lambda d: d["exercises"][0]["parts"][0].update(points=float("nan")), "points"),
        (lambda d: d["exercises"][0].update(parts="none"), "parts"),
        (lambda d: d.update(exercises=[7]), "not an object"),
        (lambda d: d.update(repairs=[7]), "repairs"),
        (lambda d: d.update(problem="\ud800"), "Unicode"),
    ],
)
def test_what_is_no_record_is_refused_with_the_field(spoil, said):
    broken = json.loads(record("ann", 4, 2).to_json())
    spoil(broken)
    with pytest.raises(BadInput) as caught:
        Result.from_json(json.dumps(broken))
    assert said in caught.value.what


@settings(deadline=None, max_examples=40)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda x: st.lists(x) | st.dictionaries(st.text(), x)))  # fmt: skip
def test_no_json_raises_anything_else(value):
    with pytest.raises(BadInput):
        Result.from_json(json.dumps(value))


def test_a_seed_has_a_name_that_does_not_tell_it():
    assert seed_id(2026) == seed_id(2026) != seed_id(2027)
    assert "2026" not in seed_id(2026)


# Taking in ----------------------------------------------------------------------------------------


def test_records_come_in_once(book, tmp_path):
    out = leave(tmp_path / "out", record("ann", 4, 3), record("bo", 1, 1))
    first = book.take_folder(out, NOON)
    before = (tmp_path / "grades.db").read_bytes()
    again = book.take_folder(out, NOON + timedelta(days=1))
    assert first.new == ("ann", "bo")
    assert (again.new, again.same, again.moves) == ((), 2, ())
    assert (tmp_path / "grades.db").read_bytes() == before
    assert [float(grades(book)[who].standings[0].points) for who in ("ann", "bo")] == [7, 2]


def test_a_broken_file_is_named_and_the_rest_comes_in(book, tmp_path):
    out = leave(tmp_path / "out", record("ann", 4, 3), record("ann", 2, 2), record("bo", 1, 1))
    bad = {"cut.json": record("x").to_json()[:99], "list.json": "[]", "deep.json": "[" * 99_999}
    for name, text in bad.items():
        (out / "results" / name).write_text(text)
    (out / "results" / "latin.json").write_bytes(b'{"student": "\xe9"}')
    (out / "results" / "folder.json").mkdir()
    taken = book.take_folder(out, NOON)
    assert {each.name for each in taken.broken} == {*bad, "001.json", "latin.json", "folder.json"}
    assert all(each.why for each in taken.broken)
    assert taken.new == ("ann", "bo")


def test_an_exercise_of_another_assignment_is_named(book):
    odd = replace(record("bo", 3), assignment="week07")
    taken = book.take([record("ann", 4), odd, record("cy", 2, assignment="week07")], "", NOON)
    assert [each.name for each in taken.broken] == ["bo"]
    assert taken.new == ("ann", "cy")


def test_the_class_list_says_who_a_submission_is_of(book):
    """Canvas names files by a number, Moodle by the whole name."""
    book.add_students(
        [
            Student("s1", "Doe, Jane", canvas="101"),
            Student("s2", "Zoë Müller"),
            Student("s3", "Al Twin"),
            Student("s4", "Al Twin"),
        ]
    )
    those = [
        record("doejane", 4, canvas="101"),
        record("zoë müller", 3),
        record("Al Twin", 2),
        record("new", 1, canvas="104"),
    ]
    taken = book.take(those, "", NOON)
    assert taken.known_as == (("doejane", "s1"), ("zoë müller", "s2"))
    assert taken.new == ("s1", "s2", "Al Twin", "new")
    assert book.facts().students["new"].canvas == "104"
    assert book.take(those, "", NOON).same == 4
    both = book.take([record("s1", 1), record("doejane", 4, canvas="101")], "", NOON)
    assert [each.name for each in both.broken] == ["doejane"]


def test_a_folder_without_results_says_what_makes_them(tmp_path):
    with pytest.raises(BadInput, match="labkit grade"):
        read_records(tmp_path)


def test_the_grader_s_own_failure_takes_nobody_s_points(book):
    book.take([record("ann", 4)], "", NOON)
    failed = record("ann", status=Status.FAILED, problem="out of memory")
    taken = book.take([failed, replace(failed, student="bo")], "", NOON)
    assert [each.student for each in taken.kept] == ["ann"]
    assert grades(book)["ann"].share == 1
    assert grades(book)["bo"].share is None  # not zero: it was not graded
    assert grades(book)["bo"].standings[0].state is State.FAILED


# By hand ------------------------------------------------------------------------------------------


def test_an_import_leaves_what_was_given_by_hand(book):
    book.take([record("ann", 1, 4)], "", NOON)
    book.set_points("ann", "06.1", 3.25, NOON)
    book.set_comment("ann", "06.1", "A good idea, =SUM(A1) and all", NOON)
    taken = book.take([record("ann", 0, 4, checks="c2")], "", NOON)
    cell = grades(book)["ann"].standings[0].cells[0]
    assert (cell.points, cell.checked, cell.remark.comment[:6]) == (325, 0, "A good")
    assert taken.by_hand == (("ann", "06.1"),)
    book.set_points("ann", "06.1", None, NOON)
    cell = grades(book)["ann"].standings[0].cells[0]
    assert (cell.points, cell.by_hand, cell.remark.comment[:6]) == (0, False, "A good")


def test_names_that_are_not_there_bring_those_that_are(book):
    book.take([record("jane", 4)], "", NOON)
    for ask, near in (
        (lambda: book.set_points("jan", "06.1", 1, NOON), "jane"),
        (lambda: book.set_points("jane", "06.9", 1, NOON), "06.1"),
        (lambda: book.extend("jane", "week6", 2, NOON), "week06"),
    ):
        with pytest.raises(BadInput) as caught:
            ask()
        assert near in caught.value.remedy
    with pytest.raises(BadInput, match="--bonus"):
        book.set_points("jane", "06.1", 5, NOON)
    book.set_points("jane", "06.1", 5, NOON, bonus=True)
    assert grades(book)["jane"].share == Fraction(5, 4)


def test_names_do_nothing_to_a_terminal(book):
    for wrong in (Student("a\nb"), Student("a", "\x1b[2J"), Student("a", section="\x9b")):
        with pytest.raises(BadInput, match="control characters"):
            book.add_students([Student("fine"), wrong])
    with pytest.raises(BadInput, match="control characters"):
        book.set_assignment("week\t07")
    assert book.facts().students == {}


def test_points_by_hand_count_without_a_submission(book):
    book.take([record("ann", 4), unreadable("bo")], "", NOON)
    book.add_students([Student("cy")])
    for who in ("bo", "cy"):
        book.set_points(who, "06.1", 2, NOON)
    assert [grades(book)[who].share for who in ("bo", "cy")] == [Fraction(1, 2)] * 2


def write(name, who, lines):
    mine = Gradebook(name)
    for line in lines:
        mine.set_points("ann" if line % 2 else who, f"06.{line % 3 + 1}", line / 100, NOON)
        mine.take([record(f"{who}{line}", 1, 2, 3)], who, NOON)


def test_two_processes_that_write_at_once_lose_nothing(book, tmp_path):
    book.take([record(who, 1, 2, 3) for who in ("ann", "bo", "cy")], "", NOON)
    fresh = multiprocessing.get_context("spawn")
    those = [fresh.Process(target=write, args=(book.name, who, range(15))) for who in ("bo", "cy")]
    for each in those:
        each.start()
    for each in those:
        each.join(40)
        assert each.exitcode == 0
    rows = sqlite3.connect(book.name).execute("select student, points from remarks").fetchall()
    assert len(rows) == 30
    assert sorted(points for _, points in rows) == sorted([*range(15)] * 2)
    assert len(book.facts().results) == 3 + 30


def test_two_processes_that_make_the_same_book(tmp_path):
    line = "import sys, labkit.grading.gradebook as g; g.Gradebook(sys.argv[1], create=True)"
    name = str(tmp_path / "new.db")
    those = [subprocess.Popen([sys.executable, "-c", line, name]) for _ in range(2)]
    assert [each.wait(30) for each in those] == [0, 0]
    assert Gradebook(name).facts().students == {}


def test_a_file_that_is_not_ours_is_left_alone(tmp_path):
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("create table students (id text)")
    db.close()
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"no database at all, but long enough to be looked at" * 9)
    for path in (other, noise):
        before = path.read_bytes()
        with pytest.raises(BadInput):
            Gradebook(path, create=True)
        assert path.read_bytes() == before
    with pytest.raises(BadInput, match="there is no gradebook"):
        Gradebook(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    for memory in (":memory:", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(BadInput, match="lost at once"):
            Gradebook(memory, create=True)
    with pytest.raises(BadInput, match="not in mysql"):
        Gradebook("mysql://u:geheim@h/x")


def test_a_gradebook_is_for_its_owner_and_a_password_is_not_told(book, tmp_path):
    assert (tmp_path / "grades.db").stat().st_mode & 0o777 == 0o600
    with pytest.raises((BadInput, MissingCapability)) as caught:
        Gradebook("postgresql://ann:geheim@127.0.0.1:1/none")
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(caught.value.__cause__)


# Regrade ------------------------------------------------------------------------------------------


def test_who_moved_by_how_much_and_why(book):
    book.take([record("ann", 4, 2), record("bo", 3, 1), record("cy", 1, 1)], "a", NOON)
    second = [
        record("ann", 3, 2, checks="c2"),
        record("bo", 3, 1, checks="c2"),
        record("dee", 1, 1, checks="c2"),
    ]
    taken = book.take(second, "b", NOON)
    (move,) = taken.moves
    assert (move.student, move.points, move.cause) == ("ann", -1.0, Cause.CHECKS)
    assert [(each.exercise, each.part, each.hint) for each in move.changes] == [
        ("06.1", "second", "gap")
    ]
    assert (taken.new, taken.replaced, taken.absent) == (("dee",), 2, (("cy", "week06"),))
    assert "06.1 second: 2 of 2 -> 1 of 2  [gap] a hole" in "\n".join(tell(move))
    assert book.moves()[1:] == ("b", taken.moves)
    with pytest.raises(BadInput):
        book.moves(99)


def test_points_that_cancel_out_are_told_too(book):
    book.take([record("ann", 4, 2)], "", NOON)
    (move,) = book.take([record("ann", 3, 3, checks="c2")], "", NOON).moves
    assert move.points == 0
    assert [each.exercise for each in move.changes] == ["06.1", "06.2"]


def test_a_notebook_that_cannot_be_read_any_more_is_told(book):
    book.take([record("ann", 0)], "", NOON)
    (move,) = book.take([unreadable("ann", content="other")], "", NOON).moves
    assert move.cause is Cause.SUBMISSION
    assert "graded -> unreadable" in next(tell(move))


def test_the_first_run_again_takes_the_place_of_the_second(book):
    runs = [[record("ann", have, checks=f"c{have}")] for have in (4, 3)]
    for run in (*runs, runs[0]):
        book.take(run, "", NOON)
    assert grades(book)["ann"].share == 1
    assert book.moves()[2][0].points == 1


# Late ---------------------------------------------------------------------------------------------

DUE = datetime(2026, 11, 18, 22, 59, tzinfo=UTC)


def test_policy_and_extension_change_totals_at_once(book):
    book.take([record("ann", 4), record("bo", 4)], "", NOON)
    book.set_assignment("week06", due=DUE, zone="Europe/Berlin")
    assert grades(book)["ann"].share == 1
    book.set_policy(Policy(percent=10), NOON)
    assert grades(book)["ann"].share == Fraction(8, 10)
    book.extend("ann", "week06", 1, NOON, "ill, on Thursday")
    assert (grades(book)["ann"].share, grades(book)["bo"].share) == (
        Fraction(9, 10),
        Fraction(8, 10),
    )
    book.extend("bo", "week06", None, NOON)
    assert grades(book)["bo"].share is None
    assert grades(book)["bo"].standings[0].state is State.EXCUSED
    book.extend("bo", "week06", 0, NOON)
    assert grades(book)["bo"].share == Fraction(8, 10)
    book.set_policy(Policy(percent=10, budget=1), NOON)
    assert grades(book)["ann"].share == 1


def test_a_day_is_one_of_the_calendar_also_when_the_clocks_change():
    due = read_deadline("2026-10-24 23:59", "Europe/Berlin")
    assert due == from_utc("2026-10-24T21:59Z")
    assert deadline(due, "Europe/Berlin", 1) == from_utc("2026-10-25T22:59Z")  # 25 hours later
    work = Work("w", Fraction(1), Fraction(1), due=due, zone="Europe/Berlin")
    for hours, late in ((0, 0), (24.9, 1), (25, 1), (25.1, 2)):
        came = work._replace(submitted=due + timedelta(hours=hours))
        assert days_late(came) == late
    with pytest.raises(BadInput, match="skip"):
        read_deadline("2026-03-29 02:30", "Europe/Berlin")
    with pytest.raises(BadInput, match="time zone"):
        read_deadline("2026-03-29 02:30", "Europe/Atlantis")


def test_the_budget_is_spent_in_the_order_of_the_deadlines():
    def work(name, due, late):
        when = DUE + timedelta(days=due)
        return Work(name, Fraction(10), Fraction(10), due=when, submitted=when + timedelta(late))

    those = [work("b", 7, 2), work("a", 0, 2), work("c", 14, 0)]
    found = term(those, Policy(percent=20, budget=3))
    assert [(each.work.assignment, each.late, each.free) for each in found.worths] == [
        ("b", 2, 1),
        ("a", 2, 2),
        ("c", 0, 0),
    ]
    assert found.share == Fraction(28, 30)


policies = st.builds(
    Policy,
    percent=st.integers(0, 100),
    budget=st.integers(0, 8),
    grace=st.integers(0, 48),
    at_least=st.integers(0, 100),
    closes=st.none() | st.integers(0, 6),
    drop=st.integers(0, 3),
)
hours = st.integers(-72, 240)


@st.composite
def terms(draw):
    found = []
    for i in range(draw(st.integers(1, 6))):
        due = DUE + timedelta(days=7 * i, hours=draw(st.integers(-30, 30)))
        work = Work(
            f"week{i:02}",
            Fraction(draw(st.integers(0, 1000)), 100),
            Fraction(10),
            Fraction(draw(st.integers(0, 30)), 10),
            due,
            draw(st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"])),
            draw(st.none() | hours.map(lambda h, due=due: due + timedelta(hours=h))),
            draw(st.integers(0, 4)),
        )
        found.append(work)
    return found


def share(works, policy):
    return term(works, policy).share or Fraction(0)


@settings(deadline=None, max_examples=80)
@given(terms(), policies, st.data())
def test_what_is_better_never_lowers_a_total(works, policy, data):
    i = data.draw(st.integers(0, len(works) - 1))
    mine = works[i]
    better = [
        mine._replace(points=min(mine.of, mine.points + 1)),
        mine._replace(extension=mine.extension + 1),
        mine._replace(due=mine.due + timedelta(hours=data.draw(st.integers(0, 60)))),
    ]
    if mine.submitted is not None:
        earlier = timedelta(hours=data.draw(st.integers(0, 60)))
        better.append(mine._replace(submitted=mine.submitted - earlier))
    was = share(works, policy)
    order = [work.assignment for work in sorted(works, key=lambda work: work.due)]
    for each in better:
        others = [*works[:i], each, *works[i + 1 :]]
        if [work.assignment for work in sorted(others, key=lambda work: work.due)] == order:
            assert share(others, policy) >= was
    kinder = [
        replace(policy, budget=policy.budget + 1),
        replace(policy, grace=policy.grace + 5),
        replace(policy, percent=policy.percent // 2),
        replace(policy, at_least=min(100, policy.at_least + 10)),
        replace(policy, closes=None),
        replace(policy, drop=policy.drop + 1),
    ]
    for other in kinder:
        assert share(works, other) >= was
    assert 0 <= was <= 1


def test_dropping_helps_as_much_as_it_can():
    """By trying every choice."""
    dice = random.Random(6)
    for _ in range(300):
        those = [
            (Fraction(dice.randrange(101), 100), Fraction(dice.randrange(1, 9)))
            for _ in range(dice.randrange(1, 8))
        ]
        many = dice.randrange(4)

        def worth(keep, those=those):
            return sum(those[i][0] * those[i][1] for i in keep) / sum(those[i][1] for i in keep)

        every = range(len(those))
        size = max(1, len(those) - many)
        gone = dropped(those, many)
        assert len(gone) == len(those) - size
        assert worth(set(every) - gone) == max(worth(keep) for keep in combinations(every, size))


def test_a_policy_that_cannot_be_is_refused():
    for wrong in ({"percent": 101}, {"drop": -1}, {"closes": -1}, {"at_least": -1}):
        with pytest.raises(BadInput):
            Policy(**wrong)
