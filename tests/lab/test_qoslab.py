"""What week 11 plays with: sliders for a full line, a delay in two ears, the hot path's stages."""

import tracemalloc

import numpy as np
import pytest

from labkit import Call, Fixed, ms, speech
from labkit.lab.ears import both_ears
from labkit.lab.hotpath import Pace, allocations, pace, stages
from labkit.lab.qoslab import WHO, QosLab


@pytest.fixture(scope="module")
def lab():
    return QosLab(speech(3.3))


def test_one_queue_is_late_and_priority_is_not(lab):
    lab.who.value = "one queue for all"
    late, picture, sound = lab.run.percentile(99), lab.picture.value, lab.sound.value
    lab.who.value = "EF first"
    assert lab.run.percentile(99) < late / 5
    assert lab.picture.value != picture
    assert lab.sound.value != sound
    assert bytes(lab.sound.value).startswith(b"fLaC")
    assert "100% heard" in lab.heard.value


def test_when_all_cheat_only_the_guard_helps(lab):
    lab.who.value, lab.cheats.value = "EF first", True
    late = lab.run.percentile(50)
    lab.who.value = "EF first, policed"
    assert lab.run.percentile(99) < late / 5
    lab.cheats.value = False


@pytest.mark.parametrize("who", WHO)
def test_the_ends_of_the_sliders_work(who):
    """Nothing at all may come through; the picture says so."""
    for rate, bulk, queue in ((250, 150, 5), (8000, 0, 200)):
        tried = QosLab(speech(1.5), rate=rate, bulk=bulk, queue=queue, who=who)
        assert bytes(tried.picture.value).startswith(b"\x89PNG")
        assert "heard" in tried.heard.value


def test_the_right_ear_hears_as_late_as_the_call_says():
    result = Call(speech(2), link="lan", policy=Fixed(ms(40)), seed=7).simulate()
    both = both_ears(result).astype(float)
    assert both.shape[1] == 2
    window = slice(0, 60_000)
    lags = range(2400, 4800, 24)
    alike = [np.dot(both[window, 0], np.roll(both[:, 1], -lag)[window]) for lag in lags]
    assert lags[int(np.argmax(alike))] / 48 == pytest.approx(result.delay_ms, abs=3)


def test_what_is_made_anew_is_seen_and_what_is_done_in_place_is_not():
    line, frame = np.zeros(48_000, np.int16), np.ones(960, np.int16)

    def in_place(n):
        line[:960] = frame

    found = allocations({"anew": lambda n: np.concatenate([line, frame]), "place": in_place}, 50)
    assert found["anew"].in_hand == pytest.approx(2 * 48_960, rel=0.01)
    assert found["place"].in_hand < 500
    assert "anew" in repr(found)
    assert not tracemalloc.is_tracing()


def test_no_stage_of_a_voice_keeps_its_packets():
    found = allocations(stages(), 300)
    kept = {name for name, held in found.items() if held.kept > 100}
    assert kept == {"trace, two lines"}


def test_ratios_are_to_the_first():
    assert Pace({"a": 2.0, "b": 5.0}).ratios == {"a": 1.0, "b": 2.5}
    found = pace({"a": lambda n: None, "b": lambda n: sum(range(3000))}, 20)
    assert found.ratios["b"] > 1
    assert "of 20 ms" in repr(found)
    assert repr(pace({}))
