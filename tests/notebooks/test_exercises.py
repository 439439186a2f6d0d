"""The exercises' notebooks: one source, from which the unsolved ones are made.

The solved one must have full marks when it is run, the unsolved one must run to its end, and
nbgrader, which knows nothing of us, must make the same notebook and read the same points.
"""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbgrader import utils
from nbgrader.nbgraderformat.v3 import MetadataValidatorV3
from nbgrader.preprocessors import ClearSolutions

from labkit.checks import notebook, release
from labkit.checks.check import check
from labkit.checks.exercise import exercises, find
from labkit.cli import labkit
from labkit.words.errors import BadInput

ROOT = Path(__file__).parents[2]
SOLVED = sorted((ROOT / "solutions").glob("*.ipynb"))
NAME = re.compile(r"week\d\d_[a-z_]+\.ipynb")
LONGEST = 20


@pytest.fixture(params=SOLVED, ids=lambda path: path.stem)
def solved(request):
    """Each solved notebook in turn."""
    return request.param


@pytest.fixture
def unsolved(solved):
    """The one that is made of it."""
    return ROOT / "exercises" / solved.name


def as_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path):
    book = nbformat.read(path, nbformat.NO_CONVERT)
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_the_exercises_are_made_from_their_source(solved, unsolved):
    text = release.to_text(release.released(as_json(solved)))
    assert unsolved.read_text(encoding="utf-8") == text, "labkit course release"
    assert release.to_text(as_json(solved)) == solved.read_text(encoding="utf-8")


def test_there_is_no_exercise_without_a_source():
    names = {path.name for path in (ROOT / "exercises").glob("*.ipynb")}
    assert names == {path.name for path in SOLVED}
    assert SOLVED


def test_nothing_of_a_solution_is_left(unsolved):
    text = unsolved.read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert text.count("# YOUR CODE HERE") >= 3


def test_nbgrader_makes_the_same(solved, unsolved):
    book = nbformat.read(solved, 4)
    made, _ = ClearSolutions().preprocess(book, {})
    assert [cell.source for cell in made.cells] == [
        cell.source for cell in nbformat.read(unsolved, 4).cells
    ]


def test_nbgrader_accepts_the_marks(solved):
    book = nbformat.read(solved, 4)
    MetadataValidatorV3().validate_nb(book)
    for cell in book.cells:
        marks = cell.metadata.get("nbgrader")
        if marks:
            assert marks.schema_version == 3
            assert marks.grade_id == cell.id


def test_the_form(solved):
    book = nbformat.read(solved, nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert NAME.fullmatch(solved.name)
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)
    for cell in book.cells:
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", cell.id), cell.id
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"nbgrader", "tags"}


def test_cells_are_short(unsolved):
    for cell in code_cells(unsolved):
        assert len(cell.source.splitlines()) <= LONGEST, cell.id


def test_every_exercise_of_the_week_is_checked_for_its_points(solved):
    week = int(solved.stem[4:6])
    graded = [cell for cell in code_cells(solved) if cell.metadata.get("nbgrader", {}).get("grade")]
    found = {}
    for cell in graded:
        (name,) = notebook.checked(cell.source)
        found[name] = cell.metadata.nbgrader.points
        wants = ", ".join(find(name).wants)
        assert cell.source == f'check("{name}", {wants})', "the replay line can be pasted"
    assert found == {name: exercise.points for name, exercise in exercises(week).items()}


def run(path, folder, monkeypatch):
    """Run a notebook as nobody's; its check cells' outputs, by exercise."""
    monkeypatch.setenv("LABKIT_HOME", str(folder / "home"))
    monkeypatch.delenv("LABKIT_SEED", raising=False)
    book = nbformat.read(path, 4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=60, kernel_name="python3", resources=where).execute()
    cards = {}
    for cell in book.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", f"{cell.id}: {output.text}"
            if notebook.checked(cell.source):
                cards[notebook.checked(cell.source)[0]] = output.data
    return cards


@pytest.mark.timeout(150)
def test_the_solved_one_has_full_marks(solved, tmp_path, monkeypatch):
    cards = run(solved, tmp_path, monkeypatch)
    for name, exercise in exercises(int(solved.stem[4:6])).items():
        first = cards[name]["text/plain"].splitlines()[0]
        assert first.endswith(f"{exercise.points:g} of {exercise.points:g} (seed 2026)")
        assert cards[name]["text/html"].startswith('<div class="labkit-check"')


@pytest.mark.timeout(150)
def test_the_unsolved_one_runs_to_its_end(unsolved, tmp_path, monkeypatch):
    cards = run(unsolved, tmp_path, monkeypatch)
    for name, exercise in exercises(int(unsolved.stem[4:6])).items():
        text = cards[name]["text/plain"]
        assert f": 0 of {exercise.points:g} " in text.splitlines()[0]
        assert "Nothing is written here yet" in text
        assert "Traceback" not in text
        assert re.search(r"In\[\d+\], line \d+: raise NotImplementedError\(\)", text), "their line"


# nbgrader reads points --------------------------------------------------------------------------


def swapped(seq, ts, payload):
    return b"\1\0" + ts.to_bytes(4, "big") + seq.to_bytes(2, "big") + payload


def test_nbgrader_reads_partial_points_from_a_card(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    names, _ = notebook.execute(notebook.read(SOLVED[0]))
    for pack, points in ((names["pack"], 4.0), (swapped, 1.0), (None, 1.0)):
        report = check("01.1", pack, names["unpack"])
        cell = nbformat.v4.new_code_cell('check("01.1", pack, unpack)')
        cell.metadata.nbgrader = {"grade": True, "solution": False, "points": 4}
        data = {"text/plain": repr(report)}
        cell.outputs = [nbformat.v4.new_output("execute_result", data)]
        assert utils.determine_grade(cell) == (points, 4.0)


# Commands ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty memory."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path


def test_release_writes_and_compares(home, capsys):
    source = str(ROOT / "solutions")
    target = str(home / "given")
    assert labkit.main(["course", "release", "--from", source, "--to", target, "--check"]) == 1
    assert labkit.main(["course", "release", "--from", source, "--to", target]) == 0
    assert labkit.main(["course", "release", "--from", source, "--to", target, "--check"]) == 0
    assert "as it should be" in capsys.readouterr().out
    assert labkit.main(["course", "release", "--from", target + "/none"]) == 2


def test_check_and_progress(home, capsys):
    solved = str(SOLVED[0])
    assert labkit.main(["check", str(ROOT / "exercises" / SOLVED[0].name)]) == 1
    assert labkit.main(["check"]) == 0
    assert "not yet     Pack and unpack" in capsys.readouterr().out
    assert labkit.main(["check", solved, "01.2"]) == 0
    assert labkit.main(["check", solved, "09.9"]) == 2
    capsys.readouterr()
    assert labkit.main(["check"]) == 0
    out = capsys.readouterr().out
    assert "01.2  3 of 3 " in out
    assert "01.1  not yet" in out


def test_a_solution_opens_after_an_honest_attempt(home, capsys):
    assert labkit.main(["reveal", "01.2"]) == 1
    assert "try it first" in capsys.readouterr().out
    assert labkit.main(["check", str(SOLVED[0]), "01.2"]) == 0
    capsys.readouterr()
    assert labkit.main(["reveal", "01.2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("def frame_bytes(")
    assert "SOLUTION" not in out
    assert "def pack" not in out
    assert labkit.main(["reveal", "01.1", "--give-up"]) == 0
    assert labkit.main(["reveal", "01.9"]) == 2


def test_a_crashed_cell_is_told_and_the_rest_is_checked(home, capsys):
    book = as_json(SOLVED[0])
    book["cells"].insert(2, {"cell_type": "code", "metadata": {}, "source": "1 / 0", "id": "own"})
    path = home / "mine.ipynb"
    path.write_text(json.dumps(book), encoding="utf-8")
    assert labkit.main(["check", str(path), "01.1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("cell 3 (own) did not run to its end: ZeroDivisionError")
    assert "line 1: 1 / 0" in out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [1]}', "\x00", '{"cells": 3}'])
def test_a_file_that_is_no_notebook(home, text):
    path = home / "mine.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="no notebook"):
        notebook.read(path)


@pytest.mark.parametrize(
    ("source", "solution"),
    [
        ("### BEGIN SOLUTION\n1", True),
        ("### END SOLUTION\n1\n### BEGIN SOLUTION", True),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", True),
        ("1", True),
        ("### BEGIN SOLUTION\n1\n### END SOLUTION", False),
    ],
)
def test_marks_that_do_not_fit_are_refused(source, solution):
    cell = {"cell_type": "code", "id": "mine", "source": [source]}
    cell["metadata"] = {"nbgrader": {"solution": solution}}
    with pytest.raises(BadInput, match="cell mine"):
        release.released({"cells": [cell]})


def test_cells_run_in_one_namespace_also_with_await():
    cells = [
        notebook.Cell("cell 1", "import asyncio\nx = 1", (), skipped=False),
        notebook.Cell("cell 2", "await asyncio.sleep(0)\ny = x + 1", (), skipped=False),
        notebook.Cell("cell 3", "def (", (), skipped=False),
        notebook.Cell("cell 4", "import sys\nsys.exit()", (), skipped=False),
        notebook.Cell("cell 5", "while True:\n    pass", (), skipped=False),
        notebook.Cell("cell 6", "z = y", (), skipped=False),
    ]
    names, troubles = notebook.execute(cells, seconds=0.2)
    assert names["z"] == 2
    assert [t.label for t in troubles] == ["cell 3", "cell 4", "cell 5"]
    assert troubles[2].where.line == 1 or troubles[2].where.code == "pass"
