"""Pictures: what they say in words is what they draw, and no figure is left open."""

import matplotlib.pyplot as plt
import pytest

from labkit import Call, Fixed, NaiveBuffer, Pcmu, frontier, histogram, journeys, ms, tone
from labkit.core.timeline import Fate


@pytest.fixture(scope="module")
def call():
    """Some packets late, some lost."""
    return Call(
        tone(duration_s=3), codec=Pcmu(), link="voip-10", policy=Fixed(ms(100)), seed=7
    ).simulate()


def test_a_timeline_counts_every_fate(call):
    timeline = call.timeline
    late, lost = timeline.count(Fate.LATE), timeline.count(Fate.LOST)
    assert late > 5
    assert lost > 5
    assert f"{late} too late, {lost} lost" in call.show().alt


def test_journeys_tell_what_befell_each_packet(call):
    """One row a packet, from the first asked for."""
    told = journeys(call, 10, 20).alt.split("; ")
    assert [line.split(":")[0] for line in told] == [str(i) for i in range(10, 30)]
    for index, line in enumerate(told, 10):
        words = {Fate.PLAYED: "played", Fate.LATE: "came, not played", Fate.LOST: "lost"}
        assert line.startswith(f"{index}: {words[Fate(call.timeline.fate[index])]}")


def test_journeys_end_with_the_call(call):
    assert len(journeys(call, len(call.timeline) - 3, 12).alt.split("; ")) == 3


def drawn(picture):
    """Label and points of each line."""
    return {line.get_label(): line.get_xydata().tolist() for line in picture.figure.axes[0].lines}


def test_a_frontier_takes_pairs_and_calls(call):
    points = drawn(frontier({"pairs": [(30, 5), (20, 9)], "call": [call]}))
    assert points["pairs"] == [[20, 9], [30, 5]]
    assert points["call"] == [[pytest.approx(call.delay_ms), pytest.approx(100 * call.unheard)]]


def test_keys_of_a_frontier_stand_beside_their_points():
    picture = frontier({"fixed": {40: (50, 9), 60: (70, 3)}})
    assert {t.get_text(): t.xy for t in picture.figure.axes[0].texts} == {
        "40": (50, 9),
        "60": (70, 3),
    }


def test_a_call_of_which_nothing_was_heard_can_be_drawn():
    """The worst buffer has a picture too."""

    class Mute(NaiveBuffer):
        def pull(self, now):
            return None

    result = Call(tone(duration_s=1), codec=Pcmu(), link="lan", jitter_buffer=Mute).simulate()
    for picture in (result.show(), journeys(result), frontier({"mute": [result]})):
        assert picture.png().startswith(b"\x89PNG")


def test_a_histogram_names_its_medians():
    assert "a: median 2.0 ms" in histogram({"a": [1, 2, 3]}).alt


def test_pictures_leave_pyplot_alone(call):
    """Or a lab of forty pictures would warn of forty open figures."""
    call.show().png()
    assert not plt.get_fignums()
