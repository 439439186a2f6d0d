"""A class of two dozen, graded: in a sandbox, killed in the middle, and begun again."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from grading.classroom import NAMES, SOLVED, UNSOLVED, classroom, code, hand_in, packed

from labkit.checks.exercise import exercises
from labkit.cli import labkit as command
from labkit.grading import bubblewrap
from labkit.grading.crew import Crew, GraderGone, GraderProcess
from labkit.grading.grader import Grader, Order
from labkit.grading.late import Policy
from labkit.grading.result import Result, Status
from labkit.grading.runner import Batch, run
from labkit.grading.sheet import Lateness, read_policy, sheet
from labkit.grading.submission import Source, Submission
from labkit.words.errors import BadInput

SEED = 918_273_645_546
COUNT = 24
NAME = "week06_jitter_buffer.ipynb"


@pytest.fixture(scope="module", autouse=True)
def _bubblewrap(need):
    need("bwrap")


class Told:
    """What a run says of itself."""

    def __init__(self):
        self.before, self.done = 0, []

    def begin(self, done, todo):
        self.before = done

    def graded(self, submission, result):
        self.done.append(submission.student)


@pytest.fixture(scope="module")
def handed():
    return classroom(COUNT, 3, SEED)


@pytest.fixture(scope="module")
def submitted(handed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "submitted"
    hand_in(handed, folder)
    return folder


def grade(submitted, out, *more, seed=SEED):
    """The command, in a process of its own."""
    words = ["grade", str(submitted), "--week", "6", "--out", str(out), "--jobs", "2", *more]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from labkit.cli.labkit import main; raise SystemExit(main())",
         *words],
        env=os.environ | {"LABKIT_SEED": str(seed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def graded(submitted, tmp_path_factory):
    """All of them, in one go."""
    out = tmp_path_factory.mktemp("whole") / "graded"
    process = grade(submitted, out)
    said, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    return out, said


def rows_of(out: Path):
    text = (out / "grades.csv").read_text(encoding="utf-8")
    return {row["student"]: row for row in csv.DictReader(io.StringIO(text))}


@pytest.mark.timeout(180)  # a busy machine
def test_every_student_has_the_right_grade_and_a_page(handed, graded):
    out, said = graded
    rows = rows_of(out)
    assert len(rows) == COUNT
    for each in handed:
        row = rows[each.student]
        assert {name: float(row[name]) for name in NAMES} == each.points, each.kind
        page = (out / row["feedback"]).read_text(encoding="utf-8")
        assert f"<h1>{each.student}</h1>" in page
        assert "Traceback" not in page
    assert f"{COUNT}" in said or "unreadable" in said


def test_records_are_whole(graded):
    out, _ = graded
    results = [Result.from_json(p.read_text()) for p in (out / "results").glob("*.json")]
    assert len(results) == COUNT
    assert {len(result.exercises) for result in results} == {3}
    assert {result.of for result in results} == {18}
    assert all(result.cpu_ms > 0 for result in results if result.status is Status.GRADED)


def test_the_seed_is_nowhere(graded):
    out, said = graded
    assert str(SEED) not in said
    for path in (*out.rglob("*.json"), *out.rglob("*.html"), *out.rglob("*.csv")):
        assert str(SEED) not in path.read_text(encoding="utf-8"), path


@pytest.mark.timeout(180)  # a busy machine
def test_killed_in_the_middle_and_begun_again(submitted, graded, tmp_path):
    whole, _ = graded
    process = grade(submitted, tmp_path / "graded")
    results = tmp_path / "graded" / "results"
    while process.poll() is None and len(list(results.glob("[!.]*.json"))) < COUNT // 3:
        time.sleep(0.01)  # nothing tells us from outside
    process.kill()
    process.communicate()
    before = {p.name: p.stat().st_mtime_ns for p in results.glob("[!.]*.json")}
    assert COUNT // 3 <= len(before) < COUNT
    assert not (tmp_path / "graded" / "grades.csv").exists()
    again = grade(submitted, tmp_path / "graded")
    _, errors = again.communicate(timeout=170)
    assert again.returncode == 0, errors
    assert f"{len(before)} of {COUNT} are graded already" in errors
    after = {name: (results / name).stat().st_mtime_ns for name in before}
    assert after == before
    sheets = [(out / "grades.csv").read_bytes() for out in (whole, tmp_path / "graded")]
    assert sheets[0] == sheets[1]
    assert not list((tmp_path / "graded").rglob(".*"))


def test_ctrl_c_ends_it_in_order(submitted, tmp_path):
    process = grade(submitted, tmp_path / "graded")
    results = tmp_path / "graded" / "results"
    while process.poll() is None and not list(results.glob("[!.]*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert re.search(rf"stopped; \d+ of {COUNT} are graded, and the same command does", said)
    assert "Traceback" not in errors


# One submission ---------------------------------------------------------------------------------


def submission_of(tmp_path, book, name="ann") -> Submission:
    path = tmp_path / f"{name}.ipynb"
    path.write_bytes(book if isinstance(book, bytes) else packed(book))
    return Submission(name, Source(path), path.name)


def graded_one(tmp_path, book, **order):
    return Grader(Order(6, SEED, **order)).grade(submission_of(tmp_path, book))


def test_with_and_without_a_sandbox_it_is_the_same(tmp_path):
    for book in (SOLVED, UNSOLVED):
        boxed, trusted = (graded_one(tmp_path, book, trust=trust) for trust in (False, True))
        assert boxed.page == trusted.page
        assert boxed.result.points == trusted.result.points


def test_a_released_seed_is_on_the_page(tmp_path):
    page = graded_one(tmp_path, UNSOLVED, release=True).page
    assert f"seed {SEED}" in page


def test_a_page_asks_nobody_and_runs_nothing(tmp_path):
    book = json.loads(packed(UNSOLVED))
    book["cells"].append(code('class FixedBuffer:\n    def __init__(self, d):\n        '
                              'raise ValueError("<script>alert(1)</script> `<b>`")'))  # fmt: skip
    submission = submission_of(tmp_path, book, '"><img src=x onerror=1>')
    graded = Grader(Order(6, SEED)).grade(submission)
    page = graded.page
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "@import" not in page
    assert "url(" not in page


def test_what_cells_said_is_told(tmp_path):
    book = json.loads(packed(SOLVED))
    book["cells"].append(code("import os\nos._exit(0)"))
    graded = graded_one(tmp_path, book)
    assert graded.result.points == 18
    assert any("ended the process" in told for told in graded.result.repairs)


def test_a_cell_that_stands_too_high_runs_again(tmp_path):
    book = json.loads(packed(SOLVED))
    book["cells"].insert(0, code("class Mine(MyPolicy): pass"))
    (told,) = graded_one(tmp_path, book).result.repairs
    assert told == "cell 1 needs what stands below it; it was run behind it"


def test_graders_that_die_are_replaced_and_that_is_recorded(tmp_path, monkeypatch):
    """The grader's own death, as by the system when memory is short; twice for one submission."""
    good = [submission_of(tmp_path, SOLVED, f"s{n}") for n in range(3)]
    order = Order(6, SEED)
    tries: Counter[str] = Counter()
    with Crew(order, 1) as crew:

        def tried(process, submission):
            tries[submission.student] += 1
            if submission.student == "s1" or (submission.student == "s2" and tries["s2"] == 1):
                process._popen.kill()
            return ask(process, submission)

        ask = GraderProcess.ask
        monkeypatch.setattr(GraderProcess, "ask", tried)
        answers = {a.submission.student: a for a in crew.grade(good)}
    assert tries == {"s0": 1, "s1": 2, "s2": 2}
    assert [answers[s].graded is None for s in ("s0", "s1", "s2")] == [False, True, False]
    assert answers["s1"].why == "the grader was ended by signal 9"
    assert answers["s2"].graded.result.points == 18


def test_what_the_machine_failed_is_tried_again_next_time(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "graded"
    folder.mkdir()
    (folder / "ann.ipynb").write_bytes(packed(UNSOLVED))
    batch = Batch(Order(6, SEED), folder, out, 1)
    with monkeypatch.context() as patch:
        patch.setattr("labkit.grading.crew.GraderProcess.ask", _dies)
        summary = run(batch, Told())
    assert summary.counts == {"failed": 1}
    assert '"failed","","","",""' in (out / "grades.csv").read_text()
    assert "not graded yet" in (out / "feedback" / "ann.html").read_text()
    told = Told()
    assert run(batch, told).counts == {"graded": 1}
    assert (told.before, told.done) == (0, ["ann"])


def _dies(process, submission):
    raise GraderGone("it was struck by lightning")


@pytest.mark.timeout(180)  # a busy machine
def test_only_what_has_changed_is_graded_again(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "graded"
    folder.mkdir()
    for name in ("ann", "bob", "eve"):
        (folder / f"{name}.ipynb").write_bytes(packed(UNSOLVED))
    (folder / "zoe.ipynb").write_bytes(b"no notebook")

    def done(seed=SEED, **how):
        told = Told()
        run(Batch(Order(6, seed, **how.pop("order", {})), folder, out, 2, **how), told)
        return sorted(told.done)

    assert done() == ["ann", "bob", "eve", "zoe"]
    (folder / "bob.ipynb").write_bytes(packed(SOLVED))
    (out / "feedback" / "eve.html").unlink()
    (out / "results" / "zoe.json").write_text("{")
    assert done() == ["bob", "eve", "zoe"]
    assert done() == []
    assert done(order={"release": True}) == ["ann", "bob", "eve", "zoe"]
    assert done(seed=SEED + 1, order={"release": True}) == ["ann", "bob", "eve", "zoe"]


# The sheet --------------------------------------------------------------------------------------


def result_of(student, submitted=None, status=Status.GRADED) -> Result:
    from labkit.grading.result import ExerciseResult, PartResult

    part = ExerciseResult("06.1", "", (PartResult("a", "", 5, 6),))
    return Result(student, "week06", status, "", "", "", submitted, exercises=(part,))


def test_names_that_a_spreadsheet_would_run():
    names = ['=HYPERLINK("http://x","y")', "+1", "-1", "@x", "\tx", "Doe, Jane", 'a"b', "a\nb"]
    rows = [(Submission(name, None), result_of(name), "p") for name in names]
    read = list(csv.reader(io.StringIO(sheet(rows, 6, Lateness()))))[1:]
    assert [row[0] for row in read] == ["'" + n for n in names[:5]] + names[5:]
    assert {len(row) for row in read} == {12}


def test_lateness_costs_what_the_policy_says():
    due = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
    came = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
    rows = [
        (Submission("ann", None, submitted=came), result_of("ann", came), ""),
        (Submission("bob", None, submitted=due), result_of("bob", due), ""),
        (Submission("eve", None, marked_late=True), result_of("eve"), ""),
    ]
    read = csv.DictReader(io.StringIO(sheet(rows, 6, Lateness(due, Policy(percent=10)))))
    assert [(row["days_late"], row["final"]) for row in read] == [
        ("2", "4"),
        ("0", "5"),
        ("late", "5"),
    ]


def test_policies_as_people_write_them():
    assert read_policy("10%/day") == Policy(percent=10)
    assert read_policy("5,grace=2,least=50,closes=7") == Policy(5, 0, 2, 50, 7)
    for bad in ("much", "10,grace", "10,budget=3", "200"):
        with pytest.raises(BadInput):
            read_policy(bad)


# The command ------------------------------------------------------------------------------------


def failing(capsys, *words) -> str:
    assert command.main(["grade", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_errors_have_a_remedy(tmp_path, capsys, monkeypatch):
    (tmp_path / "ann.ipynb").write_bytes(packed(UNSOLVED))
    week = ("--week", 6, "--out", tmp_path / "graded")
    assert "for one notebook" in failing(capsys, tmp_path, *week, "--trust")
    assert "labkit token secret" in failing(capsys, tmp_path, *week, "--seed", tmp_path / "none")
    shared = tmp_path / "seed"
    shared.write_text("17")
    shared.chmod(0o644)
    assert "chmod 600" in failing(capsys, tmp_path, *week, "--seed", shared)
    assert "--due" in failing(capsys, tmp_path, *week, "--late", "10", "--seed", 5)
    weeks = ", ".join(map(str, sorted({int(name[:2]) for name in exercises()})))
    assert f"--week {weeks}" in failing(capsys, tmp_path, "--week", 13, "--seed", 5)
    assert "no folder" in failing(capsys, tmp_path / "none", *week, "--seed", 5)
    bubblewrap.require.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    missing = failing(capsys, tmp_path, *week, "--seed", 5)
    assert "bubblewrap" in missing
    assert "--trust" in missing


def test_ones_own_notebook_without_a_sandbox(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_bytes(packed(UNSOLVED))
    assert command.main(["grade", NAME, "--week", "6", "--trust"]) == 0
    said = capsys.readouterr()
    assert "published seed" in said.err
    assert "1 graded, 0.0 of 18 points" in said.out
    assert (tmp_path / "graded" / "feedback" / "week06_jitter_buffer.html").is_file()
