"""Two clocks that disagree, and the ring between them."""

import pytest

from labkit.lab.twoclocks import drift, two_clocks
from labkit.words.errors import BadInput


@pytest.mark.parametrize("ppm", [200, -200])
def test_left_alone_the_level_moves_by_the_drift(ppm):
    """200 ppm are 12 ms a minute; the fast card empties the ring."""
    run = two_clocks(ppm, minutes=2, target_ms=80)
    moved = (run.level_ms[-1] - run.level_ms[9]) / (run.at[-1] - run.at[9])
    assert moved == pytest.approx(-ppm * 0.06, rel=0.02)
    assert not run.underruns
    assert not run.overruns


def test_a_fast_card_runs_dry_and_a_slow_one_overflows():
    fast, slow = (two_clocks(ppm, minutes=8, target_ms=30) for ppm in (200, -200))
    assert fast.underruns
    assert not fast.overruns
    assert slow.overruns
    assert not slow.underruns


def test_steered_the_level_comes_back_and_stays():
    run = two_clocks(200, minutes=10, steered=True)
    assert run.level_ms[-60:] == pytest.approx(run.target_ms, abs=3)
    assert (run.underruns, run.overruns) == (0, 0)
    assert "steered: 0 underruns" in drift([run]).alt


@pytest.mark.parametrize(("ppm", "minutes"), [(2000, 1), (100, 0), (100, 1000)])
def test_what_makes_no_sense_is_refused(ppm, minutes):
    with pytest.raises(BadInput):
        two_clocks(ppm, minutes=minutes)
