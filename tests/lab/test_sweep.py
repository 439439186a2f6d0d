"""Sweeps: the same figures wherever they are made, and clear words when they cannot be."""

import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

from labkit import Adaptive, Call, Fixed, JitterBuffer, ms, sweep
from labkit.codec.g711 import Pcmu
from labkit.core.source import tone
from labkit.lab import spread, sweepruns
from labkit.lab.sweep import _spread as spreading
from labkit.words.errors import BadInput, LabError


class OnePlace:
    """Where jobs are done one after the other, as bytes; `spread` and `cluster` have processes."""

    places = 1

    def spread(self, work, jobs):
        yield from enumerate(map(work, jobs))


@pytest.fixture(scope="module")
def call():
    return Call(tone(duration_s=0.6), codec=Pcmu())


@pytest.fixture(scope="module")
def found(call):
    class Mine(JitterBuffer):
        """Travels whole, as a class of a notebook does."""

        def push(self, packet, now):
            if packet.seq % 7:
                super().push(packet, now)

    axes = {"jitter_buffer": [Mine, None], "policy": [Fixed(ms(40)), Adaptive()]}
    axes |= {"link": ["train"], "seeds": range(3)}
    return axes, sweep(call, **axes, processes=1)


def test_other_processes_find_the_same_to_the_bit(call, found):
    axes, here = found
    told = []
    there = sweep(call, **axes, processes=2, progress=lambda *done: told.append(done))
    assert np.array_equal(here.figures, there.figures)
    assert told[-1] == (12, 12)
    assert str(here) == str(there)


def test_a_row_is_one_call_and_its_own_result(call, found):
    _, here = found
    row = here.rows()[10]  # None, Adaptive, seed 1
    names = {"jitter_buffer": "None", "policy": "Adaptive", "link": "train", "seed": 1}
    assert row.items() >= names.items()
    alone = Call(call.source, codec=Pcmu(), link="train", policy=Adaptive(), seed=1).simulate()
    assert (row["unheard"], row["delay_ms"], row["mos"]) == (
        alone.unheard, alone.delay_ms, alone.mos,
    )  # fmt: skip
    assert here.values("mos", jitter_buffer="None", policy="Adaptive", link="train")[1] == alone.mos


def test_its_forms(found):
    _, here = found
    assert here.values("unheard").shape == (2, 2, 1, 3)
    assert here.values("unheard", policy="Fixed 40 ms").shape == (2, 1, 3)
    head, first, *_ = str(here).splitlines()
    assert head.split()[:3] == ["jitter_buffer", "policy", "link"]
    assert first.startswith("Mine           Fixed 40 ms  train  ")
    assert "over 3 seeds" in str(here)
    page = here._repr_html_()
    assert page.count("<tr>") == 5
    assert "<td>Fixed 40 ms</td>" in page
    for picture in (here.show("delay_ms"), here.frontier()):
        assert picture.png().startswith(b"\x89PNG")
    assert here.show().alt.startswith("frames not heard (%) against jitter_buffer")


def test_values_can_be_named_and_alike_ones_are_told_apart(call):
    named = sweep(call, policy={"<short>": Fixed(ms(20)), "long": Fixed(ms(90))}, seeds=[1])
    assert named.axes[0].labels == ("<short>", "long")
    assert "<td>&lt;short&gt;</td>" in named._repr_html_()
    plan = sweepruns.planned(call, {"policy": [Adaptive(), Adaptive()]}, [1], ["mos"])
    assert plan.axes[0].labels == ("Adaptive 1", "Adaptive 2")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"polcy": [None]}, "no 'polcy'"),
        ({"link": ["moon"]}, "moon"),
        ({"transport": ["pigeon"]}, "pigeon"),
        ({"measures": ["beauty"]}, "no 'beauty'"),
        ({"seeds": []}, "0 calls"),
        ({"processes": 0, "seeds": range(9)}, "0 processes"),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_runs(call, wrong, said):
    with pytest.raises(LabError, match=said):
        sweep(call, **wrong)


def test_what_was_not_measured_is_said(found):
    _, here = found
    for measure, where in [("stoi", {}), ("mos", {"link": "moon"}), ("mos", {"codec": "x"})]:
        with pytest.raises(BadInput):
            here.values(measure, **where)


def test_an_error_is_the_students_own_and_names_the_call(call):
    class Breaks(JitterBuffer):
        def pull(self, now):
            return [][0]

    plan = sweepruns.planned(call, {"jitter_buffer": [None, Breaks]}, range(3), ["mos"])
    with pytest.raises(IndexError) as caught:
        spreading(plan, OnePlace(), [()] * 6, None)
    assert caught.value.__notes__ == ["in the sweep, at jitter_buffer=Breaks, seed=0"]
    assert caught.traceback[-1].name == "pull"


def test_a_process_that_ends_is_said(call):
    class Ends(JitterBuffer):
        def pull(self, now):
            os._exit(3)

    with pytest.raises(spread.LostProcess, match="with code 3"):
        sweep(call, jitter_buffer=Ends, seeds=range(6), processes=2)


def test_a_class_of_a_file_that_is_not_there_is_said(call, monkeypatch):
    module = types.ModuleType("my_buffers")
    Mine = type("Mine", (JitterBuffer,), {"__module__": "my_buffers"})  # noqa: N806
    module.Mine = Mine
    monkeypatch.setitem(sys.modules, "my_buffers", module)
    plan = sweepruns.planned(call, {"jitter_buffer": Mine}, range(2), ["mos"])
    job = sweepruns.job(sweepruns.packed(plan), range(2))
    monkeypatch.delitem(sys.modules, "my_buffers")
    assert "No module named 'my_buffers'" in pickle.loads(sweepruns.run(job))
    there = OnePlace()
    there.spread = lambda work, jobs: [(0, work(job))]
    monkeypatch.setitem(sys.modules, "my_buffers", module)
    monkeypatch.setattr(sweepruns, "run", lambda _: pickle.dumps("no module"))
    with pytest.raises(BadInput, match="write the class in the notebook"):
        spreading(plan, there, [()] * 2, None)


def test_without_cloudpickle_what_is_of_labkit_travels(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    plan = sweepruns.planned(call, {"policy": [Adaptive()]}, [1], ["mos"])
    job = sweepruns.job(sweepruns.packed(plan), [0])
    assert pickle.loads(sweepruns.run(job)) == [plan.measure(0)]


SCRIPT = """
import sys
from labkit import Call, JitterBuffer, sweep
from labkit.codec.g711 import Pcmu
from labkit.core.source import tone
from labkit.words.errors import LabError

class Mine(JitterBuffer):
    pass

call = Call(tone(duration_s=0.2), codec=Pcmu(), jitter_buffer=Mine)
print(sweep(call, seeds=range(5), processes=1).values("mos").tolist())
print(sweep(call, seeds=range(5), processes=2).values("mos").tolist())
sys.modules["cloudpickle"] = None
try:
    sweep(call, seeds=range(5), processes=2)
except LabError as error:
    print(type(error).__name__, error)
"""


def test_a_script_needs_no_guard_and_cloudpickle_only_for_its_own_classes(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "mine.py")], capture_output=True, text=True
    )
    assert done.stderr == ""
    here, there, refused, remedy = done.stdout.splitlines()
    assert here == there
    assert refused.startswith("MissingCapability what is written in a notebook")
    assert "Mine" in refused
    assert "labkit[grade]" in remedy
