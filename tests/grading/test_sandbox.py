"""The sandbox for people who mean well: the marks of the notebook, and help where it fails."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from labkit.checks import subject
from labkit.checks.exercise import exercises
from labkit.checks.notebook import execute, read
from labkit.checks.subject import InProcess, Raised, Returned, TimedOut
from labkit.grading import bubblewrap, seccomp
from labkit.grading.grader import Grader, Order
from labkit.grading.limits import Limits
from labkit.grading.outcomes import CellState
from labkit.grading.sandbox import Sandbox, Trusted
from labkit.grading.submission import Source, Submission
from labkit.resources import solution_path
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.packet import Packet

WEEKS = (1, 6)
SHORT = Limits(cell_seconds=0.4, check_seconds=0.4, grace_seconds=0.3)


@pytest.fixture(scope="module", autouse=True)
def _bubblewrap(need):
    need("bwrap")


@pytest.fixture(params=[Sandbox, Trusted], ids=["sandbox", "trusted"])
def box(request):
    with request.param() as box:
        yield box


def load(box, *sources, withheld=()):
    return box.load([(f"cell {n}", source) for n, source in enumerate(sources, 1)], withheld)


def hides(week):
    return {module for exercise in exercises(week).values() for module in exercise.hides}


# The same as in the notebook ----------------------------------------------------------------------


@pytest.mark.parametrize("week", WEEKS)
def test_a_solution_has_the_same_report_as_in_the_notebook(box, week):
    cells = [cell for cell in read(solution_path(week)) if not cell.skipped]
    names, _ = execute(cells)
    loaded = box.load([(cell.label, cell.source) for cell in cells], hides(week))
    assert {cell.state for cell in loaded.cells} == {CellState.RAN}
    for exercise in exercises(week).values():
        report = exercise.run(loaded.fresh(), seed=3)
        assert report.passed, str(report)
        assert report == exercise.run(InProcess(names), seed=3)


@pytest.mark.parametrize("week", WEEKS)
def test_an_unsolved_notebook_has_nothing_and_says_why(week):
    path = solution_path(week)
    cells = read(path.parents[1] / "exercises" / path.name)
    with Sandbox() as box:
        loaded = box.load([(c.label, c.source) for c in cells if not c.skipped], hides(week))
        for exercise in exercises(week).values():
            report = exercise.run(loaded.fresh(), seed=3)
            assert report.points == 0
            assert "Traceback" not in str(report)


def test_plain_values_pass(box):
    loaded = load(box, "def same(*values): return values", "slowest = 31.5")
    values = (None, True, -(2**100), 1.5, "tëxt\n", b"\x00\xff", [1, (2,)], {"a": b"x", 3: 4})
    packet = Packet(65535, 960, b"sound", True, 111, 7)
    assert loaded.call("same", *values, packet) == Returned((*values, packet))
    assert loaded.value("slowest") == Returned(31.5)
    assert loaded.has("same")
    assert not loaded.has("different")


def test_an_object_is_made_and_called(box):
    loaded = load(box, "class Counter:\n    n = 0\n    def up(self): self.n += 1; return self.n")
    counter = loaded.make("Counter")
    assert counter.run([("up",), ("up",)]) == [Returned(1), Returned(2)]
    assert counter.value("n") == Returned(2)


# Cells ------------------------------------------------------------------------------------------


def test_a_cell_that_fails_has_its_line_and_the_rest_runs(box):
    loaded = load(
        box,
        "print('before')\nx = 1\ny = x / 0",
        "def f(:",
        "import asyncio\nz = await asyncio.sleep(0, 5)",
        "from labkit import check\ncheck('01.2', x); display(x)",
    )
    failed, wrong, awaited, checking = loaded.cells
    assert failed.state is CellState.RAISED
    assert failed.error == "ZeroDivisionError: division by zero"
    assert str(failed.where) == "cell 1, line 3: y = x / 0"
    assert failed.printed == "before\n"
    assert wrong.error.startswith("SyntaxError")
    assert awaited.state is checking.state is CellState.RAN
    assert loaded.value("z") == Returned(5)


def test_an_error_in_a_check_has_the_students_line(box):
    loaded = load(box, "def f(x):\n    return 1 / x\n\nprint('loud')")
    outcome = loaded.call("f", 0)
    assert isinstance(outcome, Raised)
    assert str(outcome.where) == "cell 1, line 2: return 1 / x"


def test_only_the_end_of_a_print_is_kept(box):
    (cell,) = load(box, "for n in range(100_000): print(n)").cells
    assert cell.printed.startswith("…")
    assert cell.printed.endswith("99999\n")
    assert len(cell.printed) <= box.limits.printed + 1


def test_what_a_check_prints_is_kept_for_that_check(box):
    loaded = load(box, "def f(x): print('told', x)")
    first, second = loaded.fresh(), loaded.fresh()
    first.call("f", 1)
    second.call("f", 2)
    assert (first.printed(), second.printed()) == ("told 1\n", "told 2\n")


def test_grading_twice_gives_the_same_twice(box):
    code = "def order(): return [*{str(n) for n in range(50)}]"
    assert load(box, code).call("order") == load(box, code).call("order")


# What ends, and begins again ----------------------------------------------------------------------


def test_each_check_has_its_own_time_and_its_own_process_if_need_be():
    with Sandbox(SHORT) as box:
        loaded = load(box, "import os\ndef stay(): sum(range(10**13))\ndef f(): return os.getpid()")
        slow = loaded.fresh()
        assert slow.call("stay") == TimedOut(0.4, None)
        assert slow.call("f") == TimedOut(0.4, None), "nothing more can be asked in this check"
        assert isinstance(loaded.fresh().call("f"), Returned)


def test_a_cell_that_ends_the_process_is_left_out():
    with Sandbox(SHORT) as box:
        loaded = load(box, "x = 1", "import os; os._exit(5)", "x += 1", "sum(range(10**13))")
        states = [cell.state for cell in loaded.cells]
        ended = CellState.ENDED
        assert states == [CellState.RAN, ended, CellState.RAN, ended]
        assert loaded.cells[1].error == "the process has ended itself, with 5"
        assert loaded.cells[3].error == "still running after 0.4 s"
        assert loaded.value("x") == Returned(2)


def test_a_submission_that_always_ends_is_given_up():
    with Sandbox(replace(SHORT, revivals=2)) as box:
        cells = load(box, *["import os; os._exit(0)"] * 5).cells
    assert [cell.state for cell in cells] == [CellState.ENDED] * 3 + [CellState.LEFT_OUT] * 2
    assert cells[-1].error == "it has ended its process too often"


def test_everything_together_has_a_time():
    with Sandbox(replace(SHORT, wall_seconds=0.8)) as box:
        cells = load(box, *["import time; time.sleep(0.3)"] * 9).cells
    assert cells[0].state is CellState.RAN
    assert cells[-1] == ("cell 9", CellState.LEFT_OUT, "its 0.8 s are over", None, "")


def test_a_box_can_be_loaded_again(box):
    assert load(box, "x = 1").value("x") == Returned(1)
    assert load(box, "y = 2").has("x") is False


def test_several_at_once_do_not_know_of_each_other():
    found = {}

    def grade(n):
        with Sandbox() as box:
            code = f"import os\nopen('/tmp/{n}', 'w').close()\nx = {n}, sorted(os.listdir('/tmp'))"
            found[n] = load(box, code).value("x")

    threads = [threading.Thread(target=grade, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        number, files = found[n].value
        assert (number, str(n) in files) == (n, True)
        assert not {*map(str, range(4))} - {str(n)} & {*files}


# What is withheld -------------------------------------------------------------------------------


@pytest.mark.parametrize("week", WEEKS)
def test_what_an_exercise_asks_for_cannot_be_imported_and_the_rest_can(box, week):
    modules = sorted(hides(week))
    tries = [f"import {module}" for module in modules]
    loaded = load(
        box, *tries, "from labkit.words.seqnum import add16\nimport numpy", withheld=modules
    )
    for module, cell in zip(modules, loaded.cells, strict=False):
        why = "is what the exercise asks you to write, and cannot be imported where it is graded"
        assert cell.error == f"ImportError: {module} {why}"
    assert loaded.cells[-1].state is CellState.RAN, loaded.cells[-1].error


def test_what_needs_it_says_so_too(box):
    (cell,) = load(box, "from labkit import Call", withheld={"labkit.core.jitterbuffer"}).cells
    assert "labkit.core.jitterbuffer is what the exercise asks you to write" in cell.error


def test_a_package_can_be_withheld(box):
    withheld = {"labkit.lab.answers"}
    one, two = load(
        box,
        "import labkit.lab.answers",
        "import labkit.lab.answers.registry",
        withheld=withheld,
    ).cells
    assert "asks you to write" in one.error
    assert "asks you to write" in two.error


def test_every_exercise_withholds_modules_that_there_are():
    for exercise in exercises().values():
        for module in exercise.hides:
            assert bubblewrap.files_of(module), exercise.name


def test_a_module_that_there_is_not():
    with Sandbox() as box, pytest.raises(BadInput, match=r"no module 'labkit\.core\.telepathy'"):
        load(box, "x = 1", withheld={"labkit.core.telepathy"})


# Started ahead ------------------------------------------------------------------------------------


def test_a_box_that_was_started_ahead_is_the_same_box(box):
    """The same limits and the same modules withheld; numpy is there, and nothing of ours."""
    hidden = {"labkit.core.jitterbuffer"}
    box.start_ahead(hidden)
    ahead = box._ahead
    tries = ["import sys\nprint('numpy' in sys.modules)", "import labkit.core.jitterbuffer"]
    loaded = load(box, *tries, withheld=hidden)
    assert box._process is ahead
    assert loaded.cells[0].printed == "True\n"
    assert loaded.cells[1].state is CellState.RAISED
    assert "what the exercise asks you to write" in loaded.cells[1].error


def test_one_that_has_died_meanwhile_is_replaced(box):
    box.start_ahead()
    box._ahead._popen.kill()
    assert load(box, "x = 1").cells[0].state is CellState.RAN


def test_one_that_withholds_something_else_is_not_taken(box):
    box.start_ahead({"labkit.core.jitterbuffer"})
    ahead = box._ahead
    loaded = load(box, "import labkit.core.jitterbuffer")
    assert loaded.cells[0].state is CellState.RAN
    assert box._process is not ahead
    assert ahead._popen.poll() is not None


def test_a_grader_that_starts_ahead_gives_the_same_and_leaves_nothing(tmp_path):
    path = tmp_path / "ann.ipynb"
    path.write_bytes(solution_path(6).read_bytes())
    submission = Submission("ann", Source(path), path.name)
    plain, ahead = Grader(Order(6, 3)), Grader(Order(6, 3), ahead=True)
    wanted = plain.grade(submission)
    for _ in range(2):
        graded = ahead.grade(submission)
        assert graded.result.points == wanted.result.points == wanted.result.of
    spare = ahead._next._ahead._popen
    assert spare.poll() is None
    ahead.end()
    assert spare.poll() is not None


# What runs inside ---------------------------------------------------------------------------------


def test_what_runs_beside_a_students_code_knows_no_check():
    """All that the worker imports is among the files that are put inside."""
    loaded = ["import sys", "from labkit.grading import worker", "print(*sys.modules)"]
    told = subprocess.run(
        [sys.executable, "-c", "\n".join(loaded)], capture_output=True, text=True, check=True
    )
    for module in told.stdout.split():
        top, _, name = module.removeprefix("labkit.").partition(".")
        if module.startswith("labkit.") and top in bubblewrap.BESIDE and name:
            assert name in bubblewrap.BESIDE[top]
    assert "numpy" not in told.stdout.split(), "most of the time it would take"


# Where there can be none --------------------------------------------------------------------------


def fake(tmp_path, monkeypatch, script):
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(f"#!/bin/sh\n{script}\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.require.cache_clear()


@pytest.fixture(autouse=True)
def _forget_trials():
    yield
    bubblewrap.require.cache_clear()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo bwrap: Unknown option --size >&2; exit 1", "Debian 12"),
        (
            "echo bwrap: No permissions to create new namespace >&2; exit 1",
            "may make no namespaces",
        ),
    ],
)
def test_a_bubblewrap_that_cannot_says_what_to_do(tmp_path, monkeypatch, script, said):
    fake(tmp_path, monkeypatch, script)
    with pytest.raises(MissingCapability, match=said) as refused, Sandbox():
        pass
    assert "--trust" in refused.value.remedy


def test_without_bubblewrap_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.require.cache_clear()
    with pytest.raises(MissingCapability, match=r"install.* bubblewrap"), Sandbox():
        pass
    with Trusted() as box:
        assert load(box, "x = 1").value("x") == Returned(1)


def test_a_sandbox_that_does_not_start_is_our_trouble_and_not_the_students(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, '[ "$1" = --unshare-pid ] && exit 0; echo no memory >&2; exit 1')
    with Sandbox() as box, pytest.raises(MissingCapability, match="did not start: no memory"):
        load(box, "x = 1")


ROOT_IN_NAME = """
from labkit.grading.sandbox import Sandbox
with Sandbox() as box:
    print(box.load([("cell 1", "import os; print(os.getuid() != 0)")]).cells[0].printed)
"""


def test_root_in_name_only_has_a_sandbox_too(need):
    """In a user namespace that maps nobody else, as in some containers."""
    need("unshare")
    words = ["unshare", "-Ur", sys.executable, "-c", ROOT_IN_NAME]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_what_root_s_worker_may_not_read_is_named(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(MissingCapability, match="may not read") as refused:
        bubblewrap._open_to_others([tmp_path])
    assert f"chmod -R o+rX {tmp_path}" in refused.value.remedy


def test_a_machine_whose_calls_are_unknown_is_refused():
    with pytest.raises(MissingCapability, match="system calls of vax"):
        seccomp.program("vax")


def test_the_time_of_a_check_is_that_of_the_notebook():
    assert Limits().check_seconds == subject.TIME
    assert os.environ.get("PYTHONHASHSEED") != "0", "or the test of the order proves nothing"
