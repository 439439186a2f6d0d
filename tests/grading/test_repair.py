"""Clumsy notebooks: whatever hands they went through, the answers in them are worth the same."""

import copy
import json

import pytest
from grading.classroom import BROKEN, CLUMSY, SOLVED, UNSOLVED, cell, code, packed, source, write

from labkit.checks.exercise import exercises
from labkit.checks.subject import InProcess
from labkit.grading.reading import cells_of
from labkit.grading.repair import Given, Plan, again, repair
from labkit.grading.source import Kind, defined, mended, without_checks
from labkit.grading.submission import CannotRead

EXERCISES = list(exercises(6).values())
GIVEN = Given.of(cells_of(packed(UNSOLVED)), EXERCISES)


def planned(book) -> Plan:
    return repair(cells_of(packed(book)), GIVEN)


def names_of(steps):
    """Run as a sandbox does: a cell that fails ends nothing."""
    names = {"__name__": "__main__", "display": lambda *a: None}
    for label, text in steps:
        try:
            exec(compile(text, label, "exec"), names)
        except (Exception, SystemExit):  # noqa: BLE001
            continue
    return names


def test_what_was_given_out():
    assert [c.grade_id for c in GIVEN.setup] == ["setup"]
    assert [c.grade_id for c in GIVEN.answers] == ["fixed-buffer", "jitter", "policy"]
    assert GIVEN.wanted == {
        "FixedBuffer": Kind.CLASS,
        "jitter": Kind.FUNCTION,
        "delay_needed": Kind.FUNCTION,
        "MyPolicy": Kind.CLASS,
    }


@pytest.mark.parametrize("book", [SOLVED, UNSOLVED], ids=["solved", "unsolved"])
def test_a_tidy_notebook_is_left_alone(book):
    plan = planned(book)
    assert plan.told == ()
    assert [label for label, _ in plan.steps] == [
        "given cell (setup)", "cell 6 (fixed-buffer)", "cell 11 (jitter)", "cell 18 (policy)",
    ]  # fmt: skip


@pytest.mark.parametrize("hands", CLUMSY)
def test_clumsy_hands_cost_nothing(hands):
    book = copy.deepcopy(SOLVED)
    CLUMSY[hands](book)
    plan = planned(book)
    steps = plan.steps
    if hands in ("helper_below", "upside_down"):
        late = [label for label, text in steps if "MyBase):" in text]
        steps = again(steps, late)
    names = names_of(steps)
    for exercise in EXERCISES:
        report = exercise.run(InProcess(names), 99)
        assert report.passed, f"{plan.told}\n{report}"


@pytest.mark.parametrize(
    ("hands", "words"),
    [
        ("no_setup", "`setup` was missing"),
        ("setup_below", "`setup` had moved"),
        ("stub_again_below", "is there twice; the one that is written was graded"),
        ("other_spelling", "`FixedBuffer` was not there; `Fixed_buffer` was graded"),
        ("given_to_the_check", "your check was given it"),
        ("for_ipython", "lines for IPython"),
        ("as_text", "is text now"),
        ("into_the_check", "checks and holds code"),
        ("half_a_statement", "the rest of it was run"),
        ("twice", "is there several times; the last one counts"),
    ],
)
def test_each_repair_is_told(hands, words):
    book = copy.deepcopy(SOLVED)
    CLUMSY[hands](book)
    told = planned(book).told
    assert any(words in sentence for sentence in told), told


def test_the_setup_that_somebody_changed_runs_behind_the_given_one():
    book = copy.deepcopy(SOLVED)
    write(cell(book, "setup"), "import math\nraise ValueError")
    plan = planned(book)
    assert [label for label, _ in plan.steps][:2] == ["given cell (setup)", "cell 3 (setup)"]
    assert "`setup` was changed" in plan.told[0]


def test_two_names_that_could_be_meant_are_not_guessed():
    book = copy.deepcopy(UNSOLVED)
    book["cells"].append(code("class Fixedbuffer: pass\nclass fixed_Buffer: pass"))
    (told,) = planned(book).told
    assert "`Fixedbuffer` or `fixed_Buffer` could be meant, and nothing was guessed" in told


def test_a_value_is_not_taken_for_a_class():
    book = copy.deepcopy(SOLVED)
    answer = cell(book, "fixed-buffer")
    write(answer, source(answer).replace("class FixedBuffer", "class Another") + "\nFixedBuf = 3\n")
    (told,) = planned(book).told
    assert "`Another` was graded in its place" in told


def test_an_answer_of_its_own_beside_the_stub():
    """Who leaves the cell as it was and writes below gets what is written below."""
    book = copy.deepcopy(UNSOLVED)
    book["cells"].insert(3, code(source(cell(SOLVED, "fixed-buffer"))))
    names = names_of(planned(book).steps)
    assert EXERCISES[0].run(InProcess(names)).passed


def test_a_split_cell_is_no_copy():
    book = copy.deepcopy(SOLVED)
    first, _, second = source(cell(book, "jitter")).partition("def delay_needed")
    write(cell(book, "jitter"), first)
    book["cells"].append(code("def delay_needed" + second))
    assert planned(book).told == ()


# Text of cells ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("x = 1\n!ls\nfiles = !ls", "x = 1\npass\npass"),
        ("%%time\nx = 1", "\nx = 1"),
        ("%%bash\nrm -rf /", "\n"),
        ("len?\nx = 1", "pass\nx = 1"),
        ("if True:\n    %time f()\ny = 1", "if True:\n    pass\ny = 1"),
        ("s = '''\n%not magic\n'''", "s = '''\n%not magic\n'''"),
        ("x = 1\ndef broken(:\n    pass\ny = 2", "x = 1\n\n\ny = 2"),
        ("x = (1,\n     2\ny = 2", "\n\ny = 2"),
    ],
)
def test_mended(text, kept):
    assert mended(text).source == kept


def test_statements_keep_their_lines():
    text = 's = """\ndef f(\n"""\nx = = 1\n@str\ndef g():\n    return 1\nelse:\n'
    found = mended(text)
    assert "line 4" in found.told
    assert found.source.split("\n")[5] == "def g():"


@pytest.mark.parametrize(
    "text", ["-" * 100_000 + "1", "(" * 5000, "a" + ".b" * 50_000, "\x00", "\ud800"]
)
def test_no_text_brings_it_down(text):
    assert mended(text).source.strip() == ""
    assert defined(text) == {}


def test_a_check_without_its_check():
    assert without_checks('check("06.1", A)') == ""
    assert without_checks('"""Doc."""\ncheck("06.1",\n      A)') == ""
    assert without_checks('x = 1\ncheck("06.1", A)') == "x = 1\npass"


# Files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_notebook_has_a_reason(kind):
    with pytest.raises(CannotRead) as caught:
        cells_of(BROKEN[kind])
    assert 10 < len(str(caught.value)) < 100


def test_what_is_not_there_is_taken_for_what_it_would_be():
    cells = cells_of(
        json.dumps({"cells": [{"source": "x = 1"}, {"cell_type": 7}, 3, None]}).encode()
    )
    assert [(c.kind, c.source, c.name, c.tags) for c in cells] == [("code", "x = 1", "", ())]


def test_windows_and_utf_16():
    book = copy.deepcopy(SOLVED)
    plain = cells_of(packed(book))
    assert cells_of(packed(book, "windows")) == plain
    assert cells_of(json.dumps(book).encode("utf-16")) == plain


def test_half_characters_and_odd_types_do_no_harm():
    row = {"source": ["a = '\ud800'"], "id": 3, "metadata": {"tags": "x", "nbgrader": []}}
    (cell,) = cells_of(json.dumps({"cells": [row]}).encode())
    cell.source.encode()
    assert (cell.name, cell.grade_id, cell.tags) == ("", "", ())
