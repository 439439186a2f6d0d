"""Hostile submissions: none gains a point, sees what it must not, or leaves anything behind."""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from grading import hostile
from grading.hostile import ALL, CANARY, SECRETS, Hostile, Result, run_all
from ordinary import NOBODY, opened_to_all

from labkit.grading.sandbox import Sandbox, Trusted

pytestmark = pytest.mark.live  # they are stopped by the clock, or by what a processor has done
ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36
NEVER = (CANARY, "Traceback", "FOUND", "ALLOWED", "CONNECTED", "STARTED", "FILLED", "\x1b")
NAMES = [each.name for each in ALL]


@pytest.fixture(scope="module", autouse=True)
def _bubblewrap(need):
    need("bwrap")


def secrets(folder: Path) -> None:
    """What an instructor's folder holds."""
    (folder / "key").write_text(CANARY)
    (folder / "other.ipynb").write_text(json.dumps({"cells": [], "metadata": {"x": CANARY}}))
    with contextlib.closing(sqlite3.connect(folder / "gradebook.db")) as book:
        book.execute("create table score (points)")
        book.execute("insert into score values (2)")
        book.commit()


@contextlib.contextmanager
def server():
    """A server on this machine's loopback, and who came to it."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    came.append(listening.accept()[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], came
        finally:
            over.set()
            thread.join()


def children() -> set[str]:
    """Every process that this one would have to bury."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What came of each, and that nothing else came of it.

    Whatever outlives its parent becomes a child of this process, and is seen.
    """
    folder = tmp_path_factory.mktemp("instructor")
    secrets(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    ends, born = len(os.listdir("/proc/self/fd")), children()  # noqa: PTH208
    try:
        with server() as (port, came):
            results = run_all(folder, port)
        assert came == [], "somebody called home"
        for pid in children() - born:
            # One that is dead and waits to be buried; for one that lives this would not return.
            os.waitpid(int(pid), 0)
        assert len(os.listdir("/proc/self/fd")) <= ends, "an end of a pipe is left"  # noqa: PTH208
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return results


def judge(each: Hostile, result: Result) -> None:
    assert result.points == each.points, result.text
    assert each.says in result.text
    for never in (
        CANARY,
        "Traceback",
        "FOUND",
        "ALLOWED",
        "CONNECTED",
        "STARTED",
        "FILLED",
        "\x1b",
    ):
        assert never not in result.text
    assert len(result.text) < 40_000
    result.text.encode()
    assert result.seconds < 20


@pytest.mark.parametrize("each", ALL, ids=NAMES)
def test_it_is_worth_what_its_answer_is_worth(results, each):
    judge(each, results[each.name])


@pytest.mark.parametrize("each", SECRETS[:2], ids=NAMES[:2])
def test_without_walls_it_would_work(tmp_path, each, monkeypatch):
    """These submissions do what they say: the walls make the difference."""
    secrets(tmp_path)
    monkeypatch.setattr(hostile, "Sandbox", Trusted)
    assert CANARY in hostile.run(each, tmp_path, 9).text


def test_nobody_elses_grade_is_hurt():
    """What follows in the same submission is judged as if nothing had been."""
    cells = [("cell 1", hostile.BUFFER + "def jitter(transits): os._exit(3)\nimport os")]
    known = hostile.exercises(6)
    with Sandbox() as box:
        subject = box.load(cells, known["06.1"].hides)
        assert known["06.2"].run(subject.fresh()).points == 0
        assert known["06.1"].run(subject.fresh()).points == 6


@pytest.fixture
def as_nobody(need):
    """Runs the submissions as an ordinary user, in a mount namespace where he can reach them."""
    if os.geteuid() != 0:
        pytest.skip("all of these tests run as an ordinary user already")
    need("unshare", "setpriv")
    with tempfile.TemporaryDirectory(prefix="labkit-") as name:
        folder = Path(name)
        for part in ("labkit", "netem", "captures", "tests/grading", "tests/ordinary.py"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        (folder / "instructor").mkdir()
        secrets(folder / "instructor")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        python = f'env -i PYTHONPATH={folder}:{folder}/tests {sys.executable} "$@"'
        script = [
            *opened_to_all([Path(sys.base_prefix), Path(sys.prefix)], folder),
            f"cd {folder}",
            f"exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {python}",
        ]

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
            command = [*unshare, " && ".join(script), "sh", *words]
            return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)

        yield run, folder / "instructor"


def test_it_is_the_same_for_an_ordinary_user(as_nobody):
    run, folder = as_nobody
    with server() as (port, came):
        done = run("-m", "grading.hostile", str(folder), str(port))
    assert done.returncode == 0, done.stderr
    assert came == []
    results = json.loads(done.stdout)
    for each in ALL:
        judge(each, Result(*results[each.name]))
