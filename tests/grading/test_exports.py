"""Exports are read by others: Python's csv, and nbgrader itself."""

import csv
import io
from datetime import timedelta

import pytest
from grading.records import NOON, checked, record, unreadable
from hypothesis import given
from hypothesis import strategies as st
from nbgrader.api import Gradebook as NbgraderBook

from labkit.grading import exports
from labkit.grading.cells import read, restored, safe, write
from labkit.grading.gradebook import Gradebook
from labkit.grading.late import Policy
from labkit.grading.nbgraderbook import course_sheets, write_nbgrader
from labkit.grading.result import Status
from labkit.grading.roster import read_roster
from labkit.grading.standing import Student, standings
from labkit.words.errors import BadInput

NASTY = [
    '=HYPERLINK("http://x","y")', "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1",
    "''=1", "\uff1d1", "Müller, Zoë", 'He said "hi"', "O'Brien", "'quoted'", "two\nlines",
    "two\r\nlines", "渡辺, 太郎", "", " ", "-", "1e9", "00123", "a;b\tc",
]  # fmt: skip


def rows(text):
    return list(csv.reader(io.StringIO(text), strict=True))


@pytest.fixture
def facts(tmp_path):
    """All that can be: a comma, a formula, nothing, excused, unreadable, failed."""
    book = Gradebook(tmp_path / "grades.db", create=True)
    book.add_students(
        [
            Student("ann", "Müller, Zoë", "ann@uni.example", "A", "101", "ann1"),
            Student("bo", '=cmd|" /C calc"!A1', "bo@uni.example", "A", "102"),
            Student("cy", "Nobody"),
            Student("dee", "Dee Excused"),
        ]
    )
    late = NOON + timedelta(hours=1)
    book.take([record("ann", 4, 2.5), record("bo", 1, 1, submitted=late)], "", NOON)
    book.take([unreadable("eve"), record("fay", status=Status.FAILED)], "", NOON)
    book.set_assignment("week06", due=NOON, canvas="777")
    book.set_policy(Policy(percent=50), NOON)
    book.set_points("bo", "06.2", 3, NOON)
    book.set_comment("bo", "06.2", "-> see me, please\n=1+1", NOON)
    book.extend("dee", "week06", None, NOON)
    return book.facts()


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_is_no_formula_and_comes_back(text):
    (row,) = rows(write([[text, 1.5, None]]))
    assert row[0].lstrip(" '")[:1] not in set("=+-@\t\r\n\uff1d") or row[0].startswith("'")
    assert restored(row[0]) == text
    assert row[1:] == ["1.5", ""]
    assert read(write([[text]])) == ([[text]] if text else [[""]])


@given(st.lists(st.lists(st.text(alphabet="=+-@'\t\r\n ,\"aé漢"), min_size=1), min_size=1))
def test_every_text_comes_back(table):
    assert read(write(table)) == table
    for row in rows(write(table)):
        assert not any(cell[:1] in tuple("=+-@\t\r\n") and cell for cell in row)


def test_a_text_without_need_is_left_alone():
    for text in ("O'Brien", "a-b", "Zoë", "1.5", "x=1"):
        assert safe(text) == text


def test_the_table_says_everything(facts):
    head, *body = rows(exports.table(facts))
    those = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert list(those) == ["eve", "fay", "bo", "dee", "ann", "cy"]  # by name
    assert those["ann"]["name"] == "Müller, Zoë"
    assert (those["ann"]["06.1"], those["ann"]["06.2"], those["ann"]["week06 points"]) == (
        "4", "2.5", "6.5",
    )  # fmt: skip
    bo = those["bo"]
    assert restored(bo["name"]) == '=cmd|" /C calc"!A1'
    assert bo["name"].startswith("'=")
    assert (bo["06.2"], bo["06.2 by hand"], bo["week06 days late"]) == ("3", "yes", "1")
    assert restored(bo["06.2 comment"]) == "-> see me, please\n=1+1"
    assert (bo["week06 points"], bo["total %"]) == ("2", "25")
    assert (those["cy"]["week06 state"], those["cy"]["week06 points"]) == ("missing", "0")
    assert (those["dee"]["week06 state"], those["dee"]["total %"]) == ("excused", "")
    assert (those["eve"]["week06 state"], those["eve"]["06.1"]) == ("unreadable", "")
    assert (those["fay"]["week06 state"], those["fay"]["week06 points"]) == ("failed", "")


def test_canvas_has_its_columns_and_possible_points(facts):
    head, possible, *body = rows(exports.canvas(facts))
    assert head == [
        "Student", "ID", "SIS User ID", "SIS Login ID", "Section", "week06 (777)"
    ]  # fmt: skip
    assert possible == ["    Points Possible", "", "", "", "", "8"]
    points = {row[2]: row[5] for row in body}
    assert points == {"ann": "6.5", "bo": "2", "cy": "0", "dee": "EX", "eve": "0", "fay": ""}
    assert ["Müller, Zoë", "101", "ann", "ann1", "A", "6.5"] in body
    raw = {row[2]: row[5] for row in rows(exports.canvas(facts, raw=True))[2:]}
    assert raw["bo"] == "4"


def test_moodle_has_points_and_comments(facts):
    head, *body = rows(exports.moodle(facts))
    assert head[:3] == ["ID number", "Username", "Email address"]
    assert head[4:] == ["week06 (Real)", "week06 (Feedback)"]
    those = {row[0]: row for row in body}
    assert those["bo"][4:] == ["2", "06.2: -> see me, please\n=1+1; 1 day late, 0 of them free"]
    assert those["dee"][4] == ""
    assert "could not be read" in those["eve"][5]


def test_identifiers_that_were_changed_are_told(facts, tmp_path):
    assert exports.changed_names(facts) == []
    book = Gradebook(tmp_path / "other.db", create=True)
    book.add_students([Student("-minus"), Student("plus")])
    assert exports.changed_names(book.facts()) == ["-minus"]


def test_an_empty_gradebook_exports(tmp_path):
    empty = Gradebook(tmp_path / "empty.db", create=True).facts()
    assert [len(rows(make(empty))) for make in exports.FORMATS.values()] == [1, 2, 1]


def test_rosters_as_people_canvas_and_moodle_write_them():
    plain = read_roster('id,name,email\nann,"Müller, Zoë",a@x\n\nbo,\'=Bo,\n')
    assert plain == [Student("ann", "Müller, Zoë", "a@x"), Student("bo", "=Bo")]
    of_canvas = read_roster(
        "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,week06 (777)\n"
        "    Points Possible,,,,,8\n"
        '"Doe, Jane",101,s1,jane,A,7\n'
        '"Student, Test",9,,abc,A,\n'
    )
    assert of_canvas == [Student("s1", "Doe, Jane", "", "A", "101", "jane")]
    of_moodle = read_roster(
        "First name,Surname,ID number,Email address,Quiz: One (Real)\nJane,Doe,s1,j@x,7\n"
    )
    assert of_moodle == [Student("s1", "Jane Doe", "j@x")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("id,name\n", "no student"),
        ("id,name\nann,A\nann,B\n", "row 3"),
        ("id,name\n,B\n", "row 2 has no id"),
        ("id\n\0\n" + '"' + "x" * 200_000, "no CSV"),
    ],
)
def test_a_list_that_cannot_be_used_names_the_row(text, said):
    with pytest.raises(BadInput, match=said):
        read_roster(text)


def test_what_was_exported_is_a_roster(facts):
    for make in exports.FORMATS.values():
        assert {each.id for each in read_roster(make(facts))} >= {"ann", "bo"}


def test_nbgrader_reads_what_we_write(tmp_path):
    """Its own API gives the same scores, also after a second writing."""
    book = Gradebook(tmp_path / "grades.db", create=True)
    late = [each for i, each in enumerate(checked()) if i < 4]
    book.take(late, "", NOON)
    book.set_assignment("week06", due=NOON - timedelta(hours=5))
    book.set_policy(Policy(percent=10), NOON)
    who = late[1].student
    book.add_students([Student(who, "Zoë Müller, jr."), Student("nobody")])
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    assert write_nbgrader(book.facts(), url) == 4
    book.set_points(who, "06.2", 3.5, NOON)
    book.set_comment(who, "06.2", "Good, =but", NOON)
    book.extend(late[2].student, "week06", 2, NOON)
    assert write_nbgrader(book.facts(), url) == 4
    (sheet,) = course_sheets(["week06"])
    with NbgraderBook(url) as theirs:
        assert len(theirs.students) == 5
        assert theirs.find_assignment("week06").max_score == 18
        for grade in standings(book.facts()):
            if grade.student.id == "nobody":
                continue
            (mine,) = grade.standings
            found = theirs.find_submission("week06", grade.student.id)
            assert found.score == pytest.approx(float(mine.before))
            penalty = float(mine.before - mine.points)
            assert found.late_submission_penalty == pytest.approx(penalty)
            assert found.timestamp == NOON.replace(tzinfo=None)
            assert not found.needs_manual_grade
        cell = theirs.find_grade(sheet.cells["06.2"], sheet.notebook, "week06", who)
        assert (cell.manual_score, cell.needs_manual_grade) == (3.5, False)
        comment = theirs.find_comment(sheet.comments["06.2"], sheet.notebook, "week06", who)
        assert comment.comment == "Good, =but"
        extended = theirs.find_submission("week06", late[2].student)
        assert (extended.total_seconds_late, extended.late_submission_penalty) == (0, 0)


def test_an_assignment_without_a_notebook_is_named(tmp_path):
    book = Gradebook(tmp_path / "grades.db", create=True)
    book.take([record("ann", 4, assignment="essay01")], "", NOON)
    with pytest.raises(BadInput, match="essay01"):
        write_nbgrader(book.facts(), f"sqlite:///{tmp_path / 'gradebook.db'}")
    assert not (tmp_path / "gradebook.db").exists()
