"""When RTCP reports are due."""

import itertools
import statistics
from random import Random

import pytest

from labkit.core.rtcptimer import COMPENSATION, RtcpTimer, interval
from labkit.words.units import seconds

MINIMUM = seconds(5)


def reports(timer, count, *, members=2, senders=1, we_sent=True):
    """When `count` reports are sent, by somebody who asks exactly when the timer says."""
    timer.start(0, members, senders, we_sent=we_sent)
    times = []
    while len(times) < count:
        now = timer.due
        if timer.expired(now, members, senders, we_sent=we_sent):
            times.append(now)
        assert timer.due > now
    return times


def test_a_small_session_is_held_back_by_the_minimum():
    """RFC 3550 section 6.2: 5 % of 64 kbit/s are 400 bytes a second, plenty for two."""
    assert interval(2, 1, 400, 120, MINIMUM, we_sent=True) == MINIMUM


@pytest.mark.parametrize(
    ("senders", "we_sent", "expected"),
    [
        # A quarter of 400 bytes/s for 10 senders: 10 * 100 bytes / 100 bytes/s.
        (10, True, 10),
        # Three quarters for the other 990: 990 * 100 / 300.
        (10, False, 330),
        # More than a quarter are senders: everybody shares everything, 1000 * 100 / 400.
        (500, True, 250),
        (500, False, 250),
    ],
)
def test_a_thousand_members_share_five_percent(senders, we_sent, expected):
    assert interval(1000, senders, 400, 100, MINIMUM, we_sent=we_sent) == seconds(expected)


def test_the_first_report_comes_after_half_the_time_and_none_before_its_own():
    firsts, gaps = [], []
    for seed in range(200):
        times = reports(RtcpTimer(Random(seed), MINIMUM, 64_000), 3)
        firsts.append(times[0])
        gaps += [b - a for a, b in itertools.pairwise(times)]
    shortest = seconds(5 * 0.5 / COMPENSATION)
    longest = seconds(5 * 1.5 / COMPENSATION)
    assert shortest // 2 <= min(firsts) < max(firsts) <= longest // 2
    assert shortest <= min(gaps) < max(gaps) <= longest


def test_reports_come_every_five_seconds_in_the_mean():
    """Section 6.3.1: e - 3/2 compensates for the reconsideration that makes gaps too long."""
    times = reports(RtcpTimer(Random(1), MINIMUM, 64_000), 20_000)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert statistics.mean(gaps) == pytest.approx(seconds(5), rel=0.02)


def test_the_size_that_counts_is_the_mean_of_all_with_their_headers():
    timer = RtcpTimer(Random(1), 1, 64_000)
    timer.count(72)
    timer.start(0, 1000, 1000, we_sent=True)
    first = timer.due
    for _ in range(200):
        timer.count(172)
    timer.start(0, 1000, 1000, we_sent=True)
    assert 72 + 28 == 100
    assert seconds(250 * 0.5 / COMPENSATION) <= first <= seconds(250 * 1.5 / COMPENSATION)
    assert seconds(500 * 0.49 / COMPENSATION) <= timer.due <= seconds(500 * 1.5 / COMPENSATION)
