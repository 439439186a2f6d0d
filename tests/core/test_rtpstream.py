"""Batches count as packets do one by one: the judges are the meters of live streams."""

from random import Random

import numpy as np
import pytest

from labkit.core.meters import JitterMeter, StreamStats
from labkit.core.rtpstream import ROW, TAIL, RtpStream, smooth

RATES = np.full(128, 8_000.0)
MS = 1_000_000


def rows(packets):
    """A table from (milliseconds, seq, ticks) and what else a packet may say."""
    table = np.zeros(len(packets), ROW)
    for row, (time, seq, ticks, *rest) in zip(table, packets, strict=True):
        row["time"], row["seq"], row["timestamp"] = round(time * MS), seq % 65536, ticks % 2**32
        row["size"] = 160
        row["payload_type"], row["marker"] = (*rest, 0, False)[:2]
    table["number"] = np.arange(1, len(packets) + 1)
    return table


def stream(*batches):
    counted = RtpStream()
    for batch in batches:
        counted.add(batch, RATES)
    return counted


def bad_network(seed, count=2_000, first=65_000):
    """Loss, reordering, duplicates and jitter, across both wraps."""
    rng = Random(seed)
    packets = []
    for i in range(count):
        for _ in range(1 + (rng.random() < 0.02)):
            if rng.random() < 0.9:
                arrival = 20 * i + (rng.expovariate(1 / 15) if i else 0)
                packets.append((arrival, first + i, 2**32 - 80_000 + 160 * i))
    return sorted(packets)


def cut(table, rng):
    """Batches of one to some hundred packets."""
    at = 0
    while at < len(table):
        size = rng.choice([1, 2, 3, 50, 400])
        yield table[at : at + size]
        at += size


@pytest.mark.parametrize("seed", range(8))
def test_the_figures_are_those_of_the_live_meters(seed):
    packets = bad_network(seed)
    stats, meter = StreamStats(), JitterMeter(8_000)
    for time, seq, ticks in packets:
        stats.add(seq % 65536)
        meter.add(ticks % 2**32, round(time * MS))
    table = rows(packets)
    counted = stream(*cut(table, Random(seed)))
    assert counted.packets == stats.received
    assert counted.expected == stats.expected
    assert counted.duplicates == stats.duplicates
    assert (counted.lost, counted.missing) == (stats.lost, stats.missing)
    assert counted.reordered == stats.reordered
    assert counted.jitter == pytest.approx(meter.jitter, abs=500)  # the meter counts whole ns


@pytest.mark.parametrize("seed", range(4))
def test_batches_of_any_size_give_the_same(seed):
    table = rows(bad_network(seed))
    whole = stream(table)
    pieces = stream(*cut(table, Random(seed)))
    for name in ("packets", "octets", "duplicates", "reordered", "lost", "restarts", "plausible"):
        assert getattr(whole, name) == getattr(pieces, name), name
    for name in ("jitter", "mean_jitter", "max_jitter"):
        assert getattr(whole, name) == pytest.approx(getattr(pieces, name), rel=1e-9), name
    for name in ("number", "time", "seq", "timestamp", "size"):
        assert np.array_equal(whole.timeline[name], pieces.timeline[name]), name
    assert np.abs(whole.timeline["jitter"] - pieces.timeline["jitter"]).max() <= 1


@pytest.mark.parametrize("length", [1, 2, 16, 511, 512, 513, 1024, 5_000])
def test_smoothing_is_the_formula_of_appendix_a8(length):
    """J += (|D| - J) / 16, packet by packet."""
    differences = np.random.default_rng(length).normal(0, 1e7, length)
    jitter, expected = 3e6, []
    for difference in differences:
        jitter += (abs(difference) - jitter) / 16
        expected.append(jitter)
    assert smooth(differences, 3e6) == pytest.approx(expected, rel=1e-12)


def test_the_timeline_is_unwrapped():
    counted = stream(rows([(0, 65_535, 2**32 - 160), (20, 0, 0), (40, 1, 160)]))
    assert counted.timeline["seq"].tolist() == [65_535, 65_536, 65_537]
    assert counted.timeline["timestamp"].tolist() == [2**32 - 160, 2**32, 2**32 + 160]
    assert (counted.lost, counted.jitter) == (0, 0)


def test_bursts_of_loss_by_their_lengths():
    kept = [0, 1, 4, 3, 8, 9, 9, 13]
    counted = stream(rows([(20 * n, n, 160 * n) for n in kept]))
    assert counted.bursts().tolist() == [1, 3, 3]  # 2, then 5 to 7, then 10 to 12
    assert (counted.missing, counted.lost, counted.duplicates) == (7, 6, 1)


def test_duplicates_are_known_as_such_across_batches_but_not_for_ever():
    first = rows([(20 * n, n, 160 * n) for n in range(10)])
    again = rows([(300, 9, 9 * 160), (301, 3, 3 * 160)])
    assert stream(first, again).duplicates == 2
    assert len(stream(*[first] * 100)._tail) == TAIL


def test_a_jump_is_a_restart_and_no_loss():
    """RFC 3550 appendix A.1: 3000 ahead, or more than 100 back."""
    packets = [(0, 10, 0), (20, 11, 160), (40, 9_000, 7_000_000), (60, 9_001, 7_000_160)]
    counted = stream(rows(packets))
    assert (counted.restarts, counted.lost, counted.packets) == (1, 0, 4)
    assert counted.jitter == 0


def test_packets_older_than_the_first_have_no_jitter():
    """tshark's rule: a stream that begins out of order begins with the packet that came first."""
    late = [(0, 12, 320), (1, 10, 0), (2, 11, 160), (20, 13, 480)]
    assert stream(rows(late)).jitter == 0
    assert stream(rows(late[:2]), rows(late[2:])).jitter == 0


def test_a_payload_type_without_a_clock_has_no_jitter():
    """A held key's timestamps stand still: RFC 4733 section 2.2.1."""
    rates = RATES.copy()
    rates[101] = 0
    packets = [(20 * n, n, 160 * min(n, 5), 101 if n > 5 else 0) for n in range(12)]
    counted = RtpStream()
    counted.add(rows(packets), rates)
    assert counted.jitter == 0
    assert counted.payload_types == {0: 6, 101: 6}


def test_without_a_timeline_nothing_grows():
    counted = RtpStream(timeline=False)
    counted.add(rows([(0, 0, 0), (20, 1, 160)]), RATES)
    with pytest.raises(AssertionError, match="without a timeline"):
        _ = counted.timeline


def test_nothing_is_no_stream():
    counted = stream(rows([]))
    assert (counted.packets, counted.expected, counted.lost, counted.loss) == (0, 0, 0, 0)
    assert len(counted.timeline) == 0
