"""What a sender is told of its path, and how that is judged; aiortc judges the same arrivals."""

import statistics
from random import Random

import pytest
from aiortc.rate import BandwidthUsage, RemoteBitrateEstimator

from labkit.core.congestion import (
    DelayDetector,
    Feedback,
    LossDetector,
    QueueReader,
    ReportReader,
    Signal,
    line,
)
from labkit.core.figures import ClientFigures
from labkit.core.session import Report, Stats
from labkit.words.units import ms, seconds

NORMAL, UNDERUSE, OVERUSE = Signal


def judge_waits(detector: DelayDetector, waits_ms: list[float], jitter_ms: float = 0) -> list:
    """A round trip of 50 ms and a wait, twice a second."""
    return [
        detector.judge(Feedback(round_trip=ms(50 + wait), jitter=ms(jitter_ms)), ms(500 * turn))
        for turn, wait in enumerate(waits_ms)
    ]


# Loss --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(0.0, NORMAL), (0.019, NORMAL), (0.02, UNDERUSE), (0.1, UNDERUSE), (0.11, OVERUSE)],
)
def test_loss_below_two_per_cent_is_fine_and_above_ten_it_is_congestion(loss, expected):
    """draft-ietf-rmcat-gcc-02 section 6."""
    assert LossDetector(reports=1).judge(Feedback(loss), 0) is expected


def test_three_of_25_packets_are_chance():
    """12 % in one report of half a second, nothing before and after."""
    detector = LossDetector()
    said = [detector.judge(Feedback(loss), 0) for loss in (0, 0, 0, 0.12, 0, 0, 0, 0)]
    assert OVERUSE not in said
    assert said[-1] is NORMAL


def test_loss_that_lasts_is_congestion_and_is_told_once():
    """Four reports later it is news again: it may be the answer to the decrease."""
    detector = LossDetector()
    said = [detector.judge(Feedback(0.2), 0) for _ in range(8)]
    assert [turn for turn, signal in enumerate(said) if signal is OVERUSE] == [2, 5]


def test_nothing_known_is_no_alarm():
    assert LossDetector().judge(Feedback(), 0) is NORMAL
    assert DelayDetector().judge(Feedback(), 0) is NORMAL


# Delay -------------------------------------------------------------------------------------------


def test_the_line_is_that_of_the_standard_library():
    """Slope by `statistics.linear_regression`; its standard error by the textbook's formula."""
    rng = Random(3)
    xs = [500 * turn for turn in range(5)]
    ys = [round(40 * turn + rng.gauss(0, 15)) for turn in range(5)]
    slope, doubt = line(list(zip(xs, ys, strict=True)))
    expected = statistics.linear_regression(xs, ys)
    assert slope == pytest.approx(expected.slope)
    beside = sum((y - expected.slope * x - expected.intercept) ** 2 for x, y in zip(xs, ys))  # noqa: B905
    assert doubt == pytest.approx((beside / 3 / (4 * statistics.variance(xs))) ** 0.5)


def test_a_queue_that_grows_is_overuse_and_its_slope_is_the_share():
    """48 kbit/s into 40: each second brings a wait of 200 ms more."""
    detector = DelayDetector()
    assert judge_waits(detector, [0, 100, 200, 300])[:3] == [NORMAL, UNDERUSE, OVERUSE]
    assert detector.slope == pytest.approx(0.2)


def test_a_short_queue_and_one_that_drains_are_left_alone():
    assert set(judge_waits(DelayDetector(), [0, 5, 10, 15, 20, 24])) == {NORMAL}
    drains = judge_waits(DelayDetector(), [0, 200, 400, 600, 550, 500, 450, 400, 350, 300])
    assert drains == [NORMAL, UNDERUSE, OVERUSE, *[UNDERUSE] * 7]


def test_a_queue_that_stands_is_overuse_and_shaking_is_not():
    """Both are 150 ms at most; the queue delays every packet, the radio only some."""
    assert OVERUSE in judge_waits(DelayDetector(), [0, 150, 150, 150, 150, 150])
    rng = Random(7)
    shaky = [rng.choice((0, 5, 10, 20, 60, 150)) for _ in range(400)]
    said = judge_waits(DelayDetector(), shaky, jitter_ms=20)
    assert said.count(OVERUSE) <= 4  # once in 50 s at most
    assert said.count(NORMAL) > 300


def test_the_shortest_round_trip_is_forgotten_after_a_minute():
    """A path may become longer: 130 ms more, for ever."""
    said = judge_waits(DelayDetector(), [0] * 20 + [130] * 200)
    assert OVERUSE in said[20:30]
    assert set(said[150:]) == {NORMAL}


def test_what_waits_at_our_own_door_counts_too():
    """Over a stream there is no round trip, only the queue."""
    detector = DelayDetector()
    said = [detector.judge(Feedback(queued=ms(80 * n)), ms(500 * n)) for n in range(4)]
    assert said == [NORMAL, UNDERUSE, OVERUSE, UNDERUSE]


# An oracle: aiortc's delay-based estimator, a port of libwebrtc's --------------------------------


def arrivals(*phases: tuple[float, float]) -> list[tuple[float, float]]:
    """When packets of 20 ms are sent and come, in ms, over one line.

    Each phase says what share of the line is sent, and for how many seconds.
    """
    free, came = 0.0, []
    for rate_in, span in phases:
        for _ in range(round(span * 50)):
            sent = 20.0 * len(came)
            free = max(free, sent) + 20.0 * rate_in
            came.append((sent, 25 + free))
    return came


def their_verdicts(packets: list[tuple[float, float]], size: int) -> list[BandwidthUsage]:
    """What aiortc says after each packet: it sees every arrival."""
    estimator, said = RemoteBitrateEstimator(), []
    for sent, came in packets:
        stamp = int(sent * (1 << 18) / 1000) & 0xFFFFFF
        estimator.add(round(came), stamp, size, 1)
        said.append(estimator.detector.state())
    return said


def our_verdicts(packets: list[tuple[float, float]]) -> list[Signal]:
    """What we say: we hear of a packet twice a second, 25 ms later."""
    detector, said = DelayDetector(), []
    for sent, came in packets[::25]:
        said.append(detector.judge(Feedback(round_trip=ms(came + 25 - sent)), ms(came + 25)))
    return said


def test_aiortc_alarms_where_we_do():
    """Too much is sent: 20 % too much, and twice too much; both alarm within two seconds."""
    for rate_in in (1.2, 2.0):
        packets = arrivals((rate_in, 8))
        theirs, ours = their_verdicts(packets, 120), our_verdicts(packets)
        assert BandwidthUsage.OVERUSING in theirs[:100]
        assert OVERUSE in ours[:4]


def test_aiortc_is_calm_where_we_are():
    """Half and nine tenths of the line."""
    for rate_in in (0.5, 0.9):
        packets = arrivals((rate_in, 8))
        assert set(their_verdicts(packets, 120)) == {BandwidthUsage.NORMAL}
        assert set(our_verdicts(packets)) == {NORMAL}


def test_aiortc_waits_where_we_do():
    """A queue of a second that drains: nobody raises the bitrate meanwhile."""
    packets = arrivals((0.5, 4), (1.5, 2), (0.6, 2))
    theirs, ours = their_verdicts(packets, 120), our_verdicts(packets)
    assert set(theirs[:200]) == {BandwidthUsage.NORMAL}
    assert set(ours[:8]) == {NORMAL}
    assert BandwidthUsage.OVERUSING in theirs[200:300]
    assert OVERUSE in ours[8:12]
    assert set(theirs[-50:]) == {BandwidthUsage.UNDERUSING}
    assert set(ours[-2:]) == {UNDERUSE}


# Where feedback comes from -----------------------------------------------------------------------


def report(highest: int, lost: int, fraction: float = 0.0) -> Report:
    return Report(1, False, fraction, lost, highest, ms(3), ms(70))


def test_what_is_new_in_a_report_is_the_difference_to_the_one_before():
    """50 more packets of 80 bytes in a second, 10 of them lost: 25.6 kbit/s went through."""
    reader = ReportReader()
    first = reader.read(report(1000, 5), Stats(sent=1000, sent_octets=80_000), 0)
    assert first == Feedback(0.0, ms(70), ms(3))
    now = seconds(1)
    second = reader.read(report(1050, 15, 0.2), Stats(sent=1050, sent_octets=84_000), now)
    assert second == Feedback(0.2, ms(70), ms(3), delivered=25_600)


@pytest.mark.parametrize(("highest", "lost"), [(0, 1 << 23), (0xFFFFFFFF, -(1 << 23)), (7, 7)])
def test_a_report_that_lies_does_no_harm(highest, lost):
    """Whoever reports may say anything."""
    reader = ReportReader()
    reader.read(report(1000, 5), Stats(sent=1000, sent_octets=80_000), 0)
    stats = Stats(sent=1050, sent_octets=84_000)
    feedback = reader.read(report(highest, lost), stats, seconds(1))
    assert feedback.delivered is not None
    assert feedback.delivered >= 0
    assert reader.read(report(highest, lost), stats, seconds(1)).delivered is None


def test_what_left_a_queue_is_what_neither_waits_nor_was_dropped():
    """100 packets of 100 bytes in two seconds: 20 more wait, 30 were dropped, 50 left."""
    reader = QueueReader()
    reader.read(ClientFigures("ann", sent=10, sent_octets=1000), 0)
    later = ClientFigures(
        "ann", sent=110, sent_octets=11_000, queued=20, dropped=30, lag=ms(400), queue_limit=50
    )
    assert reader.read(later, seconds(2)) == Feedback(0.3, queued=ms(400), delivered=20_000)
