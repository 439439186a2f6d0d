"""The crowd, the two windows and the sliders of week 4."""

import pytest

from labkit.lab.herd import herd
from labkit.lab.sources import speech
from labkit.lab.streamlab import StreamLab
from labkit.lab.windows import both, windows


def test_a_fixed_wait_keeps_the_crowd_together_and_chance_spreads_it():
    crowds = herd(
        {
            "each second": lambda failures, draw: 1000,
            "doubling": lambda failures, draw: min(100 * 2 ** (failures - 1), 4000),
            "full jitter": lambda failures, draw: draw * min(100 * 2 ** (failures - 1), 4000),
        }
    )
    fixed, doubling, spread = crowds.crowds
    assert fixed.worst == doubling.worst == fixed.clients
    assert spread.worst < fixed.worst / 5
    assert spread.last < fixed.last < 23_000
    assert sum(spread.accepted.values()) == spread.clients
    assert "not back after a minute" in str(doubling)
    assert repr(crowds).count("\n") == 2
    assert crowds.png()


def test_a_crowd_that_does_not_wait_comes_to_an_end_too():
    (hasty,) = herd({"hasty": lambda failures, draw: 0.0}, clients=5, gone=200).crowds
    assert sum(hasty.accepted.values()) == 5


def test_a_slow_reader_is_served_at_its_speed():
    run = windows(read=100)
    assert run.rate == pytest.approx(0.8, rel=0.1)
    assert run.by_reader > 0.9
    assert not run.losses


def test_a_slow_path_is_filled_and_overfilled():
    run = windows(rate=2.0, room=256)
    assert run.rate == pytest.approx(2.0, rel=0.02)
    assert run.by_reader == 0
    assert len(run.losses) >= 2
    lowest, highest = min(run.congestion[20:]), max(run.congestion[20:])
    assert 0.45 < lowest / highest < 0.6, "halved at a loss: RFC 5681 section 3.1"
    assert "losses" in both(run, windows(read=100)).alt


def test_a_window_of_64_kilobytes_bounds_the_rate_by_the_round_trip():
    """RFC 7323 section 1.1: window / round trip."""
    run = windows(rate=100, room=64, round_trip=100, seconds=20)
    assert run.rate == pytest.approx(64_000 // 1460 * 1460 * 8 / 0.1 / 1e6, rel=0.05)


def test_the_sliders_make_a_call_each_time():
    lab = StreamLab(speech(1.0), loss=10)
    over_tcp = lab.result
    assert over_tcp.timeline.lost == 0
    lab.way.value = "udp"
    assert lab.result is not over_tcp
    assert lab.result.timeline.lost > 0
    lab.loss.value = 0
    assert lab.result.timeline.lost == 0
    assert lab.picture.value
    assert lab.sound.value
