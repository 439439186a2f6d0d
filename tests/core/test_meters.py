import random
import struct
import subprocess

import numpy as np
import pytest
from aiortc import rtcrtpreceiver
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.meters import Histogram, JitterMeter, RateMeter, StreamStats
from labkit.wire.rtp import pack
from labkit.words.errors import LocalProtocolError
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32
from labkit.words.units import NS_PER_S, ms, seconds, us

# Rate --------------------------------------------------------------------------------------------


def test_a_steady_stream_has_a_steady_rate():
    """160 bytes every 20 ms are 64 kbit/s in 50 packets a second, whenever one asks."""
    meter = RateMeter()
    for number in range(200):
        meter.add(160, ms(20) * number)
        if number >= 55:
            asked = ms(20) * number + ms(7)
            assert (meter.rate(asked), meter.packet_rate(asked)) == (64_000, 50)
    assert (meter.packets, meter.bytes) == (200, 32_000)


def test_the_rate_is_right_before_the_window_is_full_and_falls_to_zero_after_the_end():
    meter = RateMeter()
    assert meter.rate(0) == 0
    for number in range(20):
        meter.add(160, seconds(100) + ms(20) * number)
    assert meter.rate(seconds(100) + ms(400)) == 64_000
    assert meter.rate(seconds(100.95)) == 20 * 160 * 8 / 0.9
    assert meter.rate(seconds(102)) == 0


def test_the_window_forgets_what_is_older():
    meter = RateMeter(window=seconds(2))
    meter.add(1000, 0)
    meter.add(1, seconds(1.9))
    assert meter.rate(seconds(2)) == 1001 * 8 / 2
    assert meter.rate(seconds(2.2)) == 1 * 8 / 2


def test_time_that_goes_back_a_little_counts_as_now():
    """Entries of a trace are told in a batch, after the rate was asked."""
    meter = RateMeter()
    meter.add(100, seconds(5))
    meter.rate(seconds(5.5))
    meter.add(100, seconds(5.1))
    assert meter.rate(seconds(6)) == 2 * 100 * 8


# Loss --------------------------------------------------------------------------------------------


def fed(*numbers: int) -> StreamStats:
    stats = StreamStats()
    for number in numbers:
        stats.add(number)
    return stats


def counts(stats: StreamStats) -> tuple[int, int, int, int, int]:
    return stats.expected, stats.received, stats.lost, stats.duplicates, stats.reordered


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((5, 6, 7), (3, 3, 0, 0, 0)),
        ((5, 7), (3, 2, 1, 0, 0)),
        ((5, 7, 6), (3, 3, 0, 0, 1)),
        ((5, 6, 6, 7), (3, 4, -1, 1, 0)),
        ((65534, 65535, 1), (4, 3, 1, 0, 0)),
        ((65535, 1, 0, 0), (3, 4, -1, 1, 1)),
        # RFC 4737 section 3.3: 4 comes after 5 to 7, and 4 alone is reordered
        ((1, 2, 3, 5, 6, 7, 4, 8, 9, 10), (10, 10, 0, 0, 1)),
        ((1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11), (11, 11, 0, 0, 3)),
    ],
)
def test_counts_of_small_arrivals(numbers, expected):
    """Expected, received, lost, duplicates, reordered."""
    assert counts(fed(*numbers)) == expected


def test_missing_counts_each_packet_once():
    stats = fed(1, 2, 2, 2, 5)
    assert (stats.lost, stats.missing) == (0, 2)


def test_the_highest_number_is_unwrapped():
    stats = StreamStats()
    for number in range(200_000):
        assert stats.add(add16(60_000, number)) == 60_000 + number
    assert stats.highest == 260_000 - 1
    assert counts(stats) == (200_000, 200_000, 0, 0, 0)


def test_a_duplicate_storm_is_counted_and_bounded():
    stats = fed(*range(100), *([50] * 10_000))
    assert counts(stats) == (100, 10_100, -10_000, 10_000, 0)
    assert stats.missing == 0


def test_fraction_lost_is_of_the_time_since_the_last_report():
    """RFC 3550 A.3: the loss of the interval, and never negative."""
    stats = fed(0, 1, 2, 3)
    assert stats.fraction_lost() == 0
    for number in (4, 6, 8, 9):
        stats.add(number)
    assert stats.fraction_lost() == 2 / 6
    for number in (10, 11, 11, 11):
        stats.add(number)
    assert stats.fraction_lost() == 0
    assert stats.fraction_lost() == 0


@given(
    start=st.integers(0, 0xFFFF),
    moves=st.lists(st.integers(-40, 60), min_size=1, max_size=200),
)
def test_against_a_set_of_everything_that_came(start, moves):
    """A meter that remembers everything agrees, wherever the numbers wrap."""
    stats, came, next_expected, at = StreamStats(), set(), None, 10**6 + start
    duplicates = reordered = 0
    first = at
    for move in moves:
        if next_expected is None:
            next_expected = at + 1
        elif at in came:
            duplicates += 1
        elif at < next_expected:
            reordered += 1
        next_expected = max(next_expected, at + 1)
        came.add(at)
        stats.add(add16(at, 0))
        at = max(next_expected - 400, at + move)
    expected = next_expected - first
    lost = expected - len(moves)
    assert counts(stats) == (expected, len(moves), lost, duplicates, reordered)


# Jitter ------------------------------------------------------------------------------------------


def arrivals(count: int, rate: int, first_timestamp: int, seed: int = 3) -> list[tuple[int, int]]:
    """(timestamp, now) of packets of 20 ms with up to 30 ms of jitter, overtaking each other."""
    rng = random.Random(seed)
    step = rate // 50
    made = [
        (add32(first_timestamp, n * step), ms(20) * n + us(round(rng.uniform(0, 30_000))))
        for n in range(count)
    ]
    return sorted(made, key=lambda packet: packet[1])


def test_a_steady_stream_has_no_jitter_and_one_late_packet_a_sixteenth():
    meter = JitterMeter(48_000)
    for number in range(10):
        meter.add(960 * number, ms(20) * number)
    assert meter.jitter == 0
    meter.add(9600, ms(216))
    assert (meter.jitter, meter.ticks) == (ms(1), 48)


def test_the_sum_of_rfc_3550_a8():
    """The algorithm of the appendix, in units of the timestamp, within one unit."""
    meter, jitter, transit = JitterMeter(8000), 0.0, None
    for timestamp, now in arrivals(1000, 8000, 5):
        meter.add(timestamp, now)
        arrival = now * 8000 / NS_PER_S
        if transit is not None:
            jitter += (abs(arrival - timestamp - transit) - jitter) / 16
        transit = arrival - timestamp
        assert abs(meter.ticks - jitter) <= 1


def test_jitter_agrees_with_aiortc(monkeypatch):
    """aiortc rounds arrivals to the media clock and skips packets out of order: neither here."""
    meter, theirs = JitterMeter(48_000), rtcrtpreceiver.StreamStatistics(48_000)
    now = 0
    monkeypatch.setattr(rtcrtpreceiver.time, "time", lambda: now / NS_PER_S)
    rng = random.Random(5)
    for number in range(2000):
        now = ms(20) * number + us(rng.randrange(15_000))
        meter.add(960 * number, now)
        theirs.add(RtpPacket(sequence_number=number, timestamp=960 * number))
    assert abs(meter.ticks - theirs.jitter) <= 2
    assert meter.ticks > 200


def test_jitter_does_not_notice_that_the_timestamp_wraps():
    plain, wrapping = JitterMeter(48_000), JitterMeter(48_000)
    for timestamp, now in arrivals(500, 48_000, 0):
        plain.add(timestamp, now)
        wrapping.add(add32(timestamp, 2**32 - 960 * 250), now)
        assert wrapping.jitter == plain.jitter


def capture(packets: list[tuple[Packet, int]]) -> bytes:
    """A pcap file (nanoseconds, raw IPv4) of RTP in UDP from port 5004 to port 5004."""
    file = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101)
    for packet, now in packets:
        data = pack(packet)
        udp = struct.pack("!HHHH", 5004, 5004, 8 + len(data), 0) + data
        ip = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, *[b"\x7f\0\0\1"] * 2
        )
        when = divmod(seconds(1_700_000_000) + now, NS_PER_S)
        file += struct.pack("<IIII", *when, *[len(ip + udp)] * 2) + ip + udp
    return file


@pytest.mark.peer
def test_tshark_counts_the_same_packets_losses_and_jitter(need, tmp_path):
    """One capture with loss and reordering across both wraps, read by tshark and by us."""
    need("tshark")
    path = tmp_path / "stream.pcap"
    packets = []
    for timestamp, now in arrivals(1500, 8000, 2**32 - 160 * 700):
        number = add32(timestamp, 160 * 700) // 160
        if number % 13:
            packets.append((Packet(add16(65_000, number), timestamp, bytes(160)), now))
    path.write_bytes(capture(packets))

    stats, meter, jitters = StreamStats(), JitterMeter(8000), []
    for packet, now in packets:
        stats.add(packet.seq)
        meter.add(packet.timestamp, now)
        jitters.append(meter.jitter / 1e6)

    command = ["tshark", "-n", "-q", "-r", path, "-d", "udp.port==5004,rtp", "-z", "rtp,streams"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    row = next(line for line in report.splitlines() if "127.0.0.1" in line)
    figures = row.split("g711U")[1].replace("X", "").split()  # X marks a stream with problems
    received, lost = int(figures[0]), int(figures[1])
    mean, maximum = float(figures[-2]), float(figures[-1])
    assert (received, lost) == (stats.received, stats.lost)
    assert mean == pytest.approx(np.mean(jitters), abs=0.1)
    assert maximum == pytest.approx(max(jitters), abs=0.1)


# Percentiles -------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, Histogram.LONGEST), min_size=1, max_size=300),
    st.sampled_from([0, 1, 50, 90, 95, 99, 99.9, 100]),
)
def test_percentiles_are_within_one_in_128(values, percent):
    """NumPy sorts what we count: the same rank, within the stated error."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = int(np.percentile(np.array(values), percent, method="inverted_cdf"))
    assert abs(histogram.percentile(percent) - exact) * 128 <= exact
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    assert histogram.mean == sum(values) / len(values)


def test_small_values_are_exact():
    histogram = Histogram()
    for value in range(128):
        histogram.add(value)
    assert [histogram.percentile(p) for p in (50, 95, 100)] == [63, 121, 127]


def test_what_is_out_of_range_counts_at_the_edge():
    histogram = Histogram()
    histogram.add(-5)
    histogram.add(2**60)
    assert histogram.percentile(50) == 0
    assert histogram.percentile(100) == pytest.approx(Histogram.LONGEST, rel=1 / 128)


def test_an_empty_histogram_says_zero_and_a_wrong_percentage_is_refused():
    histogram = Histogram()
    assert (histogram.percentile(99), histogram.mean, histogram.count) == (0, 0, 0)
    with pytest.raises(LocalProtocolError):
        histogram.percentile(101)


durations = st.lists(st.integers(0, Histogram.LONGEST), max_size=200)


@given(st.lists(durations, min_size=1, max_size=5))
def test_the_sum_of_histograms_is_the_histogram_of_all(parts):
    """Of many clients, or of many minutes: in whatever order."""
    merged, whole = Histogram(), Histogram()
    for part in parts:
        one = Histogram()
        for value in part:
            one.add(value)
            whole.add(value)
        merged.merge(one)
    for percent in (0, 1, 50, 99, 100):
        assert merged.percentile(percent) == whole.percentile(percent)
    assert (merged.count, merged.total) == (whole.count, whole.total)
    assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)


@given(durations, st.integers(0, 40))
def test_cumulative_counts_are_those_of_numpy(values, power):
    """Exact at one below a power of two, whatever was added."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    bound = (1 << power) - 1
    assert histogram.at_most(bound) == int(np.count_nonzero(np.array(values, np.int64) <= bound))


@given(durations, st.integers(-1, Histogram.LONGEST))
def test_elsewhere_a_bucket_is_counted_whole(values, bound):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    found = histogram.at_most(bound)
    assert sum(v <= bound for v in values) <= found
    assert found <= sum(v <= bound + bound / 64 for v in values)


def test_delays_of_a_voice_have_the_percentiles_that_numpy_finds():
    """Lognormal, around 40 ms, as delays are: a hundred thousand, in a few kilobytes."""
    delays = np.random.default_rng(3).lognormal(np.log(40e6), 0.6, 100_000).astype(np.int64)
    histogram = Histogram()
    for delay in delays.tolist():
        histogram.add(delay)
    for percent in (5, 50, 90, 99, 99.9, 99.99):
        exact = np.percentile(delays, percent, method="inverted_cdf")
        assert histogram.percentile(percent) == pytest.approx(exact, rel=1 / 128)
