"""Controllers and the ladder, told literal feedback at literal times."""

from itertools import pairwise

import pytest
from aiortc.rate import AimdRateControl, BandwidthUsage

from labkit.core.congestion import Feedback, LossDetector, Signal
from labkit.core.ratecontrol import (
    HIGHEST,
    LOWEST,
    PATIENCE,
    TRIAL,
    Aimd,
    Ladder,
    adaptive,
    loss_based,
)
from labkit.words.errors import BadInput
from labkit.words.units import ms, seconds


class Says:
    """A detector that says what it is told to."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal

    def judge(self, feedback: Feedback, now: int) -> Signal:
        return self.signal


CALM = Feedback(0.0, ms(50), ms(1), delivered=32_000)


def test_a_calm_path_adds_two_kbit_a_second_up_to_the_highest():
    controller = adaptive(start=32_000)
    for turn in range(41):
        controller.on_feedback(CALM, ms(500 * turn))
        assert controller.bitrate == min(32_000 + 1000 * turn, HIGHEST)


def test_reports_that_come_rarely_add_no_more_than_those_of_five_seconds():
    controller = adaptive(start=32_000)
    controller.on_feedback(CALM, 0)
    controller.on_feedback(CALM, seconds(5))
    assert controller.bitrate == 42_000
    controller.on_feedback(CALM, seconds(600))
    assert controller.bitrate == 52_000


def test_overuse_falls_below_what_goes_through_and_never_below_the_lowest():
    controller = Aimd(Says(Signal.OVERUSE), start=60_000)
    controller.on_feedback(Feedback(delivered=40_000), 0)
    assert controller.bitrate == 34_000
    for turn in range(1, 20):
        controller.on_feedback(Feedback(delivered=0), seconds(turn))
    assert controller.bitrate == LOWEST


@pytest.mark.parametrize("through", [24_000, 31_000, 50_000])
def test_the_decrease_is_that_of_aiortc(through):
    """Its AimdRateControl is a port of libwebrtc's."""
    theirs = AimdRateControl()
    theirs.set_estimate(60_000, 0)
    ours = Aimd(Says(Signal.OVERUSE), start=60_000)
    ours.on_feedback(Feedback(delivered=through), ms(1000))
    assert ours.bitrate == theirs.update(BandwidthUsage.OVERUSING, through, 1000)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Signal.NORMAL, BandwidthUsage.NORMAL),
        (Signal.OVERUSE, BandwidthUsage.OVERUSING),
        (Signal.UNDERUSE, BandwidthUsage.UNDERUSING),
    ],
)
def test_the_direction_is_that_of_aiortc(ours, theirs):
    """How fast it climbs differs: theirs goes by 8 % a second until it knows the path."""
    peer = AimdRateControl()
    peer.set_estimate(40_000, 0)
    peer.update(BandwidthUsage.NORMAL, 40_000, 500)
    before = peer.update(BandwidthUsage.NORMAL, 40_000, 1000)
    says = Says(Signal.NORMAL)
    controller = Aimd(says, start=40_000)
    controller.on_feedback(Feedback(delivered=40_000), ms(1000))
    says.signal = ours
    controller.on_feedback(Feedback(delivered=40_000), ms(2000))
    after = peer.update(theirs, 40_000, 2000)
    sign = (after > before) - (after < before)
    assert sign == (controller.bitrate > 40_000) - (controller.bitrate < 40_000)


def test_one_overload_costs_once():
    """For a round trip and a report, feedback is about what was sent before the decrease."""
    says = Says(Signal.NORMAL)
    controller = Aimd(says, start=60_000)
    controller.on_feedback(CALM, 0)
    says.signal = Signal.OVERUSE
    told = Feedback(round_trip=ms(900), delivered=60_000)
    rates = []
    for turn in range(1, 6):
        controller.on_feedback(told, ms(500 * turn))
        rates.append(controller.bitrate)
    assert rates == [51_000, 51_000, 51_000, 43_350, 43_350]


def test_a_round_trip_that_lies_makes_nobody_deaf():
    """18 hours is what LSR and DLSR can say at most (RFC 3550 section 6.4.1)."""
    controller = Aimd(Says(Signal.OVERUSE), start=60_000)
    for turn in range(4):
        controller.on_feedback(Feedback(round_trip=seconds(65_535)), seconds(6 * turn))
    assert controller.bitrate < 40_000


def test_the_most_careful_detector_counts():
    for first in Signal:
        for second in Signal:
            controller = Aimd(Says(first), Says(second))
            controller.on_feedback(CALM, 0)
            assert controller.signal is max(first, second)


def test_additive_increase_and_multiplicative_decrease_make_equal():
    """Chiu and Jain 1989: told the same, two flows are 0.85 times as far apart after each loss."""
    says = Says(Signal.NORMAL)
    rich, poor = (Aimd(says, start=start, lowest=1000, highest=10**6) for start in (60_000, 20_000))
    gap, now = 40_000, 0
    for turn in range(60):
        says.signal = Signal.OVERUSE if turn % 6 == 5 else Signal.NORMAL
        now += seconds(1)
        for controller in (rich, poor):
            controller.on_feedback(Feedback(round_trip=ms(50)), now)
    for _ in range(10):
        gap *= 0.85
    assert rich.bitrate - poor.bitrate == pytest.approx(gap, abs=10)


def test_two_runs_are_equal():
    def run() -> list[int]:
        controller, said = adaptive(), []
        for turn in range(200):
            loss, wait = (turn * 37 % 11) / 60, turn * 53 % 190
            controller.on_feedback(Feedback(loss, ms(50 + wait), ms(9)), ms(500 * turn))
            said.append(controller.bitrate)
        return said

    assert run() == run()


@pytest.mark.parametrize(
    "options",
    [{"start": 10_000}, {"lowest": 0}, {"increase": 0}, {"decrease": 1.0}, {"highest": 20_000}],
)
def test_a_range_that_makes_no_sense_is_refused(options):
    with pytest.raises(BadInput, match="lowest <= start <= highest"):
        loss_based(**options)


def test_detectors_may_be_set():
    assert Aimd(LossDetector(0.01, 0.05)).bitrate == 32_000


# The ladder --------------------------------------------------------------------------------------

RUNGS = (64_000, 32_000, 16_000)


def test_down_at_once_and_up_after_a_while_one_rung_at_a_time():
    ladder = Ladder(RUNGS)
    assert ladder.bitrate == 32_000
    assert ladder.choose(15_000, 0) == 16_000
    assert ladder.choose(64_000, PATIENCE - 1) == 16_000
    assert ladder.choose(64_000, PATIENCE) == 32_000
    assert ladder.choose(63_999, 3 * PATIENCE) == 32_000
    assert ladder.choose(64_000, 3 * PATIENCE) == 64_000
    assert ladder.choose(31_999, 3 * PATIENCE + 1) == 16_000


def test_who_falls_again_and_again_tries_less_and_less():
    """A line that carries 32 and not 64, and a controller that always hopes."""
    ladder, tries = Ladder(RUNGS), []
    for turn in range(20 * 60):
        now = seconds(turn)
        fell = ladder.bitrate == 64_000 and now >= tries[-1] + seconds(2)
        before = ladder.bitrate
        if ladder.choose(40_000 if fell else 64_000, now) > before:
            tries.append(now)
    gaps = [(b - a) // seconds(1) for a, b in pairwise(tries)]
    assert gaps[:6] == [10, 18, 34, 66, 122, 122]
    assert len(tries) < 15  # in twenty minutes


def test_a_rung_that_holds_makes_it_hope_again():
    ladder = Ladder(RUNGS)
    ladder.choose(64_000, 0)
    ladder.choose(64_000, PATIENCE)
    ladder.choose(40_000, PATIENCE + seconds(1))
    assert ladder.patience == 2 * PATIENCE
    up = PATIENCE + seconds(1) + 2 * PATIENCE
    assert ladder.choose(64_000, up) == 64_000
    ladder.choose(64_000, up + TRIAL)
    assert ladder.patience == PATIENCE


def test_a_ladder_of_one_and_of_none():
    ladder = Ladder([48_000])
    assert ladder.choose(16_000, 0) == ladder.choose(64_000, seconds(60)) == 48_000
    with pytest.raises(BadInput, match="one or more"):
        Ladder([])
