"""Mouth-to-ear delay and the buckets it is counted in."""

import pytest

from labkit.core.delays import ABSURD, REMEMBERED, Buckets, DelayMeter
from labkit.core.figures import Basis, Distribution
from labkit.words.packet import Packet
from labkit.words.units import ms


def packet(seq):
    return Packet(seq, 0, b"")


def play(meter, seq=1, *, now, spoken=None, round_trip=None, lookahead=0):
    meter.played(
        packet(seq),
        now,
        sound=ms(20),
        lookahead=lookahead,
        spoken=spoken,
        round_trip=lambda: round_trip,
    )


def test_a_bound_belongs_to_the_bucket_below_it():
    """As `le` of a Prometheus histogram: less or equal."""
    buckets = Buckets((10, 20))
    for duration in (0, 10, 11, 20, 21, 1000):
        buckets.add(duration)
    assert buckets.snapshot() == Distribution((10, 20), (2, 2, 2), 1062)
    assert buckets.snapshot().count == 6


def test_by_a_sender_report_it_is_measured():
    """Spoken at 100 ms, here at 150, played at 210, and 5 + 30 ms more in codec and card."""
    meter = DelayMeter()
    meter.card = lambda: ms(30)
    meter.arrived(packet(1), ms(150))
    play(meter, now=ms(210), spoken=ms(100), round_trip=ms(7), lookahead=ms(5))
    assert (meter.latest, meter.basis) == (ms(145), Basis.SENDER_REPORT)
    assert meter.mouth_to_ear.snapshot().total == ms(145)


def test_by_the_round_trip_it_is_estimated():
    """20 ms of sound, 40 ms there, 60 ms in the buffer."""
    meter = DelayMeter()
    meter.arrived(packet(1), ms(150))
    play(meter, now=ms(210), round_trip=ms(80))
    assert (meter.latest, meter.basis) == (ms(120), Basis.HALF_ROUND_TRIP)


@pytest.mark.parametrize("spoken", [ms(150), ms(140), ms(150) - ms(21) - ABSURD])
def test_a_report_of_another_clock_is_not_believed(spoken):
    """By it, the packet came before it was sent, or after an age."""
    meter = DelayMeter()
    meter.arrived(packet(1), ms(150))
    play(meter, now=ms(210), spoken=spoken)
    assert (meter.latest, meter.basis) == (None, None)
    assert meter.mouth_to_ear.snapshot().count == 0


def test_memory_is_bounded_when_nothing_is_played():
    meter = DelayMeter()
    for n in range(3 * REMEMBERED):
        meter.arrived(packet(n), ms(20) * n)
    assert len(meter._arrivals) == REMEMBERED
    assert meter.interarrival.snapshot().counts[5] == 3 * REMEMBERED - 1  # 19 to 21 ms
    play(meter, 0, now=ms(70_000), spoken=0)
    assert meter.latest is None
