"""nbgrader takes the same notebooks, and gives the same points as our grader.

Release, grading in the kernel of the sandbox, and feedback, each by nbgrader's own command, for a
solution, a notebook with two wrong answers, and one in which nothing is written.
"""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from grading.classroom import (
    CELL,
    SOLVED,
    UNSOLVED,
    cell,
    code,
    deserved,
    packed,
    source,
    write,
    wrong_book,
    wrong_source,
)

from labkit.checks import notebook
from labkit.grading import provisioner
from labkit.grading.grader import Order
from labkit.grading.runner import Batch, run
from labkit.resources import solution_path

pytestmark = pytest.mark.timeout(180)  # a busy machine
SEED = 815
WEEK = "week06"
FILE = f"{WEEK}_jitter_buffer.ipynb"
COMMANDS = """
import sys
from nbgrader.apps import AutogradeApp, GenerateAssignmentApp, GenerateFeedbackApp
week, kernel = sys.argv[1:]
for command, words in (
    (GenerateAssignmentApp, [week]), (AutogradeApp, [week, kernel]), (GenerateFeedbackApp, [week])
):
    command.launch_instance(words)
    command.clear_instance()
"""
"""nbgrader generate_assignment, autograde, generate_feedback: one after the other in one process,
for each takes seconds to start."""


def mistakes() -> dict[str, str]:
    """Of two exercises one each, that loses some of its points and not all."""
    from wrong_answers.week06 import WRONG

    found = {}
    for wrong in WRONG:
        points = deserved(wrong.mistake, SEED)[wrong.exercise]
        if points:
            found.setdefault(wrong.exercise, wrong.mistake)
    return dict(sorted(found.items())[:2])


@pytest.fixture(scope="module")
def handed():
    """Notebooks of three students, and what each deserves."""
    (one, first), (two, second) = mistakes().items()
    bob = wrong_book(first)
    answer = cell(bob, CELL[two])
    write(answer, f"{source(answer)}\n\n{wrong_source(second)}")
    points = deserved(first, SEED) | {two: deserved(second, SEED)[two]}
    bob["cells"].append(code("import os\nprint(os.getcwd(), os.path.exists('/etc/passwd'))"))
    assert 0 < points[one] + points[two] < sum(deserved("", SEED).values())
    return {
        "ada": (packed(SOLVED), deserved("", SEED)),
        "bob": (packed(bob), points),
        "cleo": (packed(UNSOLVED), dict.fromkeys(points, 0.0)),
    }


@pytest.fixture(scope="module")
def course(handed, tmp_path_factory, need):
    """A course of nbgrader, released, graded and with feedback; nothing in it is ours but files."""
    need("bwrap")
    folder = tmp_path_factory.mktemp("course")
    provisioner.install(str(folder / "prefix"))
    (folder / "nbgrader_config.py").write_text("c = get_config()\n")
    given = folder / "source" / WEEK
    given.mkdir(parents=True)
    (given / FILE).write_bytes(solution_path(6).read_bytes())
    for student, (data, _) in handed.items():
        submitted = folder / "submitted" / student / WEEK
        submitted.mkdir(parents=True)
        (submitted / FILE).write_bytes(data)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # it looks for alembic
        "JUPYTER_PATH": str(folder / "prefix" / "share" / "jupyter"),
        "LABKIT_SEED": str(SEED),
        "LABKIT_HOME": str(folder / "home"),
    }
    kernel = f"--ExecutePreprocessor.kernel_name={provisioner.NAME}"
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, WEEK, kernel],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def graded_by_nbgrader(folder: Path) -> dict[str, dict[str, float]]:
    """Points by student and exercise, out of its database."""
    cells = notebook.read(solution_path(6))
    exercises = {each.grade_id: each.checks[0] for each in cells if each.checks}
    rows = """
        select assignment.student_id, cell.name, grade.auto_score from grade
        join base_cell cell on cell.id = grade.cell_id
        join submitted_notebook notebook on notebook.id = grade.notebook_id
        join submitted_assignment assignment on assignment.id = notebook.assignment_id
    """
    found: dict[str, dict[str, float]] = {}
    database = sqlite3.connect(folder / "gradebook.db")
    for student, name, points in database.execute(rows):
        found.setdefault(student, {})[exercises[name]] = points
    database.close()
    return found


def graded_by_us(folder: Path, out: Path, jobs: int) -> dict[str, dict[str, float]]:
    """The same, by our grader, out of the folder that nbgrader collects in."""

    class Silent:
        def begin(self, done, todo):
            pass

        def graded(self, submission, result):
            pass

    summary = run(Batch(Order(6, SEED), folder / "submitted", out, jobs), Silent())
    return {r.student: {e.name: e.points for e in r.exercises} for r in summary.results}


def test_every_grader_gives_the_same_points(course, handed, tmp_path):
    """Those of Dask are held against ours in test_machines.py."""
    wanted = {student: pytest.approx(points) for student, (_, points) in handed.items()}
    assert graded_by_nbgrader(course) == wanted
    assert graded_by_us(course, tmp_path / "one", 1) == wanted
    assert graded_by_us(course, tmp_path / "two", 2) == wanted
    sheets = [(tmp_path / jobs / "grades.csv").read_bytes() for jobs in ("one", "two")]
    assert sheets[0] == sheets[1]


def test_it_releases_what_we_release(course):
    theirs = json.loads((course / "release" / WEEK / FILE).read_text(encoding="utf-8"))
    assert [c["source"] for c in theirs["cells"]] == [c["source"] for c in UNSOLVED["cells"]]


def test_its_feedback_has_our_cards(course):
    for student in ("ada", "bob", "cleo"):
        page = (course / "feedback" / student / WEEK / FILE).with_suffix(".html").read_text()
        assert page.count('class="labkit-check"') == 3
        assert "Traceback (most recent" not in page


def test_the_kernel_was_in_the_sandbox(course):
    graded = json.loads((course / "autograded" / "bob" / WEEK / FILE).read_text(encoding="utf-8"))
    said = "".join(graded["cells"][-1]["outputs"][0]["text"])
    assert said == f"{provisioner.WORK} False\n"
    assert not (course / "home").exists(), "nobody's progress was written outside"
