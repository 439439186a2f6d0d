"""Controllers at work on a narrow line, in virtual time: what docs/rate-adaptation.md says."""

import numpy as np
import pytest

from labkit.core.ratecontrol import HIGHEST, adaptive, delay_based, loss_based
from labkit.lab.adaptation import NARROW, SHARED, Flow, adapt, jain, room, share, yes_or_no
from labkit.lab.ratepictures import adaptation, fairness
from labkit.resources import load_profile
from labkit.words.units import seconds


@pytest.fixture(scope="module")
def both() -> Flow:
    return adapt(adaptive())


@pytest.fixture(scope="module")
def loss_alone() -> Flow:
    return adapt(loss_based())


def between(flow: Flow, start_s: float, end_s: float) -> np.ndarray:
    inside = range(seconds(start_s), seconds(end_s))
    return np.array([rate for now, rate in flow.controller.said if now in inside])


def test_a_line_of_40_kbit_has_room_for_a_voice_of_24():
    """IPv4, UDP and RTP take 16."""
    assert room(NARROW, 0) == 24_000
    assert room(NARROW, seconds(61)) == 104_000


def test_it_settles_below_the_capacity_and_nothing_is_lost(both):
    settled = between(both, 10, 60)
    assert 20_000 < settled.mean() < 24_000
    assert settled.max() < 27_000
    assert both.loss() == 0


def test_the_queue_stays_short(both):
    """But for the first seconds: it begins with 32 kbit/s, a third more than there is room for."""
    assert both.waits().max() < 600
    assert np.percentile(both.waits(10, 60), 95) < 250
    assert np.median(both.waits(10, 60)) < 100


def test_it_climbs_when_the_line_is_widened(both):
    """2 kbit/s each second: at the top after 25 seconds, and it stays there."""
    assert between(both, 60, 62).max() < 30_000
    assert set(between(both, 90, 120)) == {HIGHEST}
    assert both.waits(90).max() < 20


def test_loss_alone_fills_the_queue_first(loss_alone, both):
    """Bufferbloat: 100 packets of queue are three seconds, and all of them are filled."""
    assert np.median(loss_alone.waits(10, 60)) > 1500
    assert np.median(loss_alone.waits(10, 60)) > 15 * np.median(both.waits(10, 60))
    assert loss_alone.loss(0, 60) > 0.05


def test_delay_is_heard_before_anything_is_lost():
    """With and without the detector of loss it is the same run: loss never comes to that."""
    alone, together = adapt(delay_based(), duration_s=60), adapt(adaptive(), duration_s=60)
    assert alone.controller.said == together.controller.said


@pytest.mark.parametrize("name", ["lan", "wifi", "4g", "transatlantic"])
def test_a_line_with_room_costs_nothing(name):
    """Half a per cent of loss and a radio that shakes are no congestion."""
    flow = adapt(adaptive(), load_profile(name), duration_s=60)
    assert set(flow.bitrates(40)) == {HIGHEST}


def test_who_hears_late_acts_late(both):
    """RTCP's usual five seconds between two reports, instead of half a second."""
    late = adapt(adaptive(), duration_s=60, report_interval=seconds(5))
    assert np.median(late.waits(10, 60)) > 10 * np.median(both.waits(10, 60))


@pytest.mark.parametrize("make", [yes_or_no, delay_based, adaptive])
def test_two_on_one_line_come_to_the_same(make):
    """Jain's index of the second half. The second one comes when the first has it all."""
    flows = share([make(), make()], SHARED, join_s=(0, 20), duration_s=240, seed=3)
    first, second = (flow.bitrates(120).mean() for flow in flows)
    assert flows[0].bitrates(18)[0] > 60_000
    assert jain([first, second]) > 0.95
    assert 60_000 < first + second < 82_000  # there is room for 80


def test_a_band_in_which_nothing_is_done_keeps_what_is_unfair():
    """2 to 10 % of loss is where both stay: the decrease that makes them equal comes rarely."""
    flows = share([loss_based(), loss_based()], SHARED, join_s=(0, 20), duration_s=300)
    assert jain([flow.bitrates(150).mean() for flow in flows]) < 0.95


def test_jains_index():
    """The examples of DEC-TR-301: equal shares, and one of n that has it all."""
    assert jain([5, 5, 5]) == 1
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)


def test_the_same_seed_gives_the_same_run(both):
    assert adapt(adaptive()).arrived == both.arrived


def test_pictures_say_in_words_what_they_show(loss_alone, both):
    picture = adaptation({"loss alone": loss_alone, "loss and delay": both})
    assert picture.png().startswith(b"\x89PNG")
    assert "loss and delay: 17 to 64 kbit/s" in picture.alt
    flows = share([adaptive(), adaptive()], SHARED, join_s=(0, 10), duration_s=40)
    assert "Jain's index of the second half" in fairness({"two": flows}).alt
