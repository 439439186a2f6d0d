"""More than one machine: grades and sweeps by Dask are those of this process, and none is lost.

One cluster for all of them, in processes of its own, over TLS, as on a campus.
"""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from grading.classroom import BROKEN, NOTHING, Handed, classroom, hand_in

from labkit import Adaptive, Call, Fixed, JitterBuffer, ms, sweep
from labkit.cli import labkit
from labkit.codec.g711 import Pcmu
from labkit.core.source import tone
from labkit.grading import farm
from labkit.grading.grader import Order
from labkit.grading.result import Status
from labkit.grading.runner import Batch, run
from labkit.lab import cluster
from labkit.words.errors import BadInput, MissingCapability

pytestmark = pytest.mark.timeout(180)  # a busy machine
SEED = 4711


class Machine:
    """A scheduler or a worker: a process, and the line in which it says where it is."""

    def __init__(self, what: str, certificates: Path, *words: str) -> None:
        module = f"distributed.cli.dask_{what}"
        tls = {"ca-file": "ca", "cert": "node", "key": "node-key"}
        words += tuple(w for o, f in tls.items() for w in (f"--tls-{o}", certificates / f"{f}.pem"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--host", "127.0.0.1", "--no-dashboard", *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.said = ""

    def wait_for(self, pattern: str) -> str:
        """The address in a line of its log."""
        while line := self.process.stderr.readline():
            self.said += line
            if match := re.search(pattern, line):
                return match[1]
        raise AssertionError(self.said)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grading")
    assert labkit.main(["certs", "node", "--folder", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def scheduler(certificates, need):
    need("bwrap")
    machine = Machine("scheduler", certificates, "--protocol", "tls", "--port", "0")
    yield machine.wait_for(r"Scheduler at:\s+(tls://\S+)")
    machine.end()


@pytest.fixture(scope="module")
def workers(scheduler, certificates):
    usual = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0")
    machines = [Machine("worker", certificates, scheduler, *usual) for _ in range(2)]
    for machine in machines:
        machine.wait_for(r"Registered to:\s+(\S+)")
    yield machines
    for machine in machines:
        machine.end()


@pytest.fixture(scope="module")
def handed():
    """Four notebooks, and a file that is none."""
    return [*classroom(4, 3, SEED), Handed("pdf", BROKEN["a PDF"], NOTHING, "a PDF")]


@pytest.fixture(scope="module")
def submissions(handed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("submitted")
    hand_in(handed, folder)
    return folder


class Told:
    """Progress, and what to do at each step."""

    def __init__(self, after=lambda count: None):
        self.count, self.after = 0, after

    def begin(self, done, todo):
        self.todo = todo

    def graded(self, submission, result):
        self.count += 1
        self.after(self.count)


def files(folder: Path) -> dict[str, str]:
    """All that a run has written, but for the time it took."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text = re.sub(r'"cpu_ms": \d+', '"cpu_ms": 0', path.read_text(encoding="utf-8"))
        name = str(path.relative_to(folder))
        found[name] = re.sub(r'(name="labkit-page" content=)"\w+"', r"\1", text)
    return found


@pytest.fixture(scope="module")
def local(submissions, tmp_path_factory):
    """Graded here, by two processes."""
    out = tmp_path_factory.mktemp("local")
    run(Batch(Order(6, SEED), submissions, out, 2), Told())
    return files(out)


# Who is not there -------------------------------------------------------------------------------


def test_without_dask_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingCapability, match=r"labkit\[grade\]"):
        sweep(Call(tone(duration_s=0.1), codec=Pcmu()), scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_without_workers_and_one_that_is_not_there(scheduler, certificates):
    with pytest.raises(BadInput, match="no worker came") as caught:
        cluster.Cluster(scheduler, certificates, for_workers=0.1)
    assert f"dask worker {scheduler}" in str(caught.value)
    with pytest.raises(BadInput, match="no scheduler answers"):
        cluster.Cluster("tls://127.0.0.1:1", certificates, patience=0.3)
    with pytest.raises(BadInput, match="no scheduler answers"):
        cluster.Cluster("nonsense", patience=0.3)


def test_without_a_certificate_nobody_is_let_in(scheduler, certificates, tmp_path):
    with pytest.raises(BadInput, match="no scheduler answers"):
        cluster.Cluster(scheduler, patience=1)
    with pytest.raises(BadInput, match="labkit certs node"):
        cluster.Cluster(scheduler, tmp_path)
    assert labkit.main(["certs", "node", "--folder", str(tmp_path / "eve")]) == 0
    with pytest.raises(BadInput, match="no scheduler answers"):
        cluster.Cluster(scheduler, tmp_path / "eve", patience=1)


# Sweeps -----------------------------------------------------------------------------------------


def test_a_sweep_finds_the_same_to_the_bit(scheduler, certificates, workers):
    class Mine(JitterBuffer):
        """Of a notebook."""

    call = Call(tone(duration_s=0.4), codec=Pcmu(), link="train")
    axes = {"jitter_buffer": [Mine, None], "policy": [Fixed(ms(40)), Adaptive()]}
    here = sweep(call, **axes, seeds=range(3), processes=1)
    there = sweep(call, **axes, seeds=range(3), scheduler=scheduler, certificates=certificates)
    assert np.array_equal(here.figures, there.figures)


def test_another_labkit_on_a_worker_is_refused(scheduler, certificates, workers, monkeypatch):
    ours = cluster.stamp()
    monkeypatch.setattr(cluster, "stamp", lambda: "labkit 0.0.1 (abc) on Python 3.11")
    with pytest.raises(cluster.OtherVersion, match=r"here is labkit 0\.0\.1") as caught:
        sweep(Call(tone(duration_s=0.1)), scheduler=scheduler, certificates=certificates)
    assert ours in str(caught.value)


# Grades -----------------------------------------------------------------------------------------


def test_an_interrupted_run_is_finished_by_the_command(
    scheduler, certificates, workers, submissions, local, tmp_path, capsys
):
    def stop(count):
        if count == 2:  # the first is the file that is none, which is graded here
            raise KeyboardInterrupt

    order = Order(6, SEED)
    batch = Batch(order, submissions, tmp_path, scheduler=scheduler, certificates=certificates)
    with pytest.raises(KeyboardInterrupt):
        run(batch, Told(stop))
    words = ["grade", str(submissions), "--week", "6", "--seed", str(SEED), "--out", str(tmp_path)]
    machines = ["--scheduler", scheduler, "--certificates", str(certificates)]
    assert labkit.main([*words, *machines]) == 0
    assert "2 of 5 are graded already" in capsys.readouterr().err
    assert files(tmp_path) == local
    notebook = next(submissions.rglob("*.ipynb"))
    assert labkit.main(["grade", str(notebook), "--week", "6", "--trust", *machines]) == 2
    assert "without --scheduler" in capsys.readouterr().err


def test_a_lost_worker_loses_nothing(
    scheduler, certificates, workers, submissions, handed, local, tmp_path
):
    def kill(count):
        if count == 2:
            workers[0].process.send_signal(signal.SIGKILL)

    order = Order(6, SEED)
    batch = Batch(order, submissions, tmp_path, scheduler=scheduler, certificates=certificates)
    summary = run(batch, Told(kill))
    assert workers[0].process.wait(10) == -signal.SIGKILL
    assert files(tmp_path) == local
    for each in handed:
        record = json.loads((tmp_path / "results" / f"{each.student}.json").read_text())
        points = {e["name"]: sum(p["points"] for p in e["parts"]) for e in record["exercises"]}
        assert points == pytest.approx(each.points), each.kind
    assert summary.counts == {Status.GRADED: 4, Status.UNREADABLE: 1}


def test_what_has_killed_too_many_workers_is_a_failure_of_the_grader(submissions):
    given_up = cluster.LostWork("4 workers that had it ended")
    assert farm._answer(None, given_up) == (None, None, "4 workers that had it ended")


def test_no_secret_is_printed(capsys):
    assert "4711" not in repr(cluster.Job(b"4711"))
