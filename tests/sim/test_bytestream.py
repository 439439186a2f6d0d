"""The model of a byte stream, step by step: what is lost, what waits for it, and for how long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.impairment import Impairment
from labkit.sim.bytestream import MSS, WINDOW, ByteStream
from labkit.words.linkspec import LinkSpec
from labkit.words.units import ms, seconds


class Scripted(Impairment):
    """A link with a fixed delay that loses the transmissions whose numbers are given."""

    def __init__(self, delay: int, *lost: int) -> None:
        super().__init__(LinkSpec(delay=delay), 0)
        self.lost_numbers = set(lost)

    def push(self, data, now):
        out = super().push(data, now)
        return [] if self.sent in self.lost_numbers else out


def stream(*lost: int, delay: int = ms(50), **options) -> ByteStream:
    """50 ms each way; the numbered transmissions are lost on the way there."""
    return ByteStream(Scripted(delay, *lost), Scripted(delay), **options)


def run(a_stream: ByteStream, until: int = seconds(1000)) -> list[tuple[int, bytes]]:
    """Let time pass; what is read, and when."""
    read = []
    while (deadline := a_stream.deadline()) is not None and deadline <= until:
        a_stream.tick(deadline)
        read += [(deadline, data) for data in a_stream.read()]
    return read


def test_bytes_arrive_after_one_delay_and_nothing_is_left_to_do():
    s = stream()
    s.write(b"hello", 0)
    assert run(s) == [(ms(50), b"hello")]
    assert s.deadline() is None
    assert s.retransmissions == 0


def test_large_writes_are_cut_into_segments():
    s = stream()
    s.write(bytes(3000), 0)
    assert [len(data) for _, data in run(s)] == [MSS, MSS, 3000 - 2 * MSS]


def frames(s: ByteStream, count: int) -> list[tuple[int, bytes]]:
    """One byte each 20 ms, numbered; what is read, and when."""
    read = []
    for number in range(count):
        read += run(s, number * ms(20))
        s.write(bytes([number]), number * ms(20))
    return read + run(s)


def test_three_later_segments_bring_back_a_lost_one():
    """Frame 2 (40 ms) is lost. Frame 5 leaves at 100, its acknowledgement is here at 200: the
    second copy arrives at 250, and with it everything that waited: head-of-line blocking."""
    s = stream(3)
    read = frames(s, 10)
    assert read[:2] == [(ms(50), b"\0"), (ms(70), b"\1")]
    assert [at for at, _ in read[2:10]] == [ms(250)] * 8
    assert b"".join(data for _, data in read) == bytes(range(10))
    assert (s.retransmissions, s.timeouts) == (1, 0)


def test_two_holes_are_filled_side_by_side():
    """Selective acknowledgements: the second loss does not wait for the first one's repair."""
    read = {data: at for at, data in frames(stream(3, 5), 12)}
    assert read[b"\2"] == ms(270)
    assert read[b"\4"] == ms(290)


def test_a_repair_that_is_lost_too_is_repaired_in_the_same_way():
    """The second copy leaves at 200 ms as the 11th transmission; the third, three acknowledgements
    later, arrives at 390."""
    s = stream(3, 11)
    read = {data: at for at, data in frames(s, 30)}
    assert read[b"\2"] == ms(390)
    assert (s.retransmissions, s.timeouts) == (2, 0)


def test_with_nothing_behind_it_a_loss_waits_for_the_timer():
    """The first RTO is a second (RFC 6298 section 2.1)."""
    s = stream(1)
    s.write(b"alone", 0)
    assert run(s) == [(seconds(1) + ms(50), b"alone")]
    assert (s.retransmissions, s.timeouts) == (1, 1)


def test_once_the_round_trip_is_known_the_timer_is_shorter():
    """100 ms measured once: RTO = 100 + 4 * 50 = 300 ms."""
    s = stream(2)
    s.write(b"1", 0)
    run(s)
    s.write(b"2", seconds(1))
    assert run(s) == [(seconds(1) + ms(300) + ms(50), b"2")]


def test_the_timer_is_never_below_200_ms():
    """On loopback a lost last segment still costs 200 ms, as it does on Linux."""
    s = stream(2, delay=0)
    s.write(b"1", 0)
    run(s, 0)
    s.write(b"2", seconds(1))
    assert run(s) == [(seconds(1) + ms(200), b"2")]


def test_each_time_out_doubles_the_wait():
    """1, 2 and 4 seconds: the fourth copy leaves after 7."""
    s = stream(1, 2, 3)
    s.write(b"patience", 0)
    assert run(s) == [(seconds(7) + ms(50), b"patience")]
    assert s.timeouts == 3


def test_a_lost_acknowledgement_costs_nothing_when_others_follow():
    s = ByteStream(Scripted(ms(50)), Scripted(ms(50), 1, 2))
    read = frames(s, 6)
    assert [at for at, _ in read] == [ms(50) + n * ms(20) for n in range(6)]
    assert s.retransmissions == 0


def test_the_window_holds_back_what_is_too_much():
    """64 KiB are under way, the rest waits; an acknowledgement lets more go."""
    s = stream()
    s.write(bytes(100_000), 0)
    under_way = 100_000 - s.waiting
    assert WINDOW - MSS < under_way <= WINDOW
    read = run(s, ms(99))
    assert s.waiting == 100_000 - under_way
    read += run(s, ms(100))
    assert s.waiting == 0
    read += run(s)
    assert sum(len(data) for _, data in read) == 100_000


def test_a_window_a_round_trip_is_all_there_is():
    """64 KiB each 100 ms are 5.2 Mbit/s, whatever the line could carry."""
    s = stream()
    s.write(bytes(1_000_000), 0)
    read = run(s)
    assert sum(len(data) for _, data in read) == 1_000_000
    assert read[-1][0] == pytest.approx(ms(100) * 1_000_000 / WINDOW, rel=0.06)


def test_the_end_comes_after_everything_even_when_it_is_lost():
    s = stream(2)
    s.write(b"last words", 0)
    s.write_eof(0)
    s.write_eof(0)
    assert run(s, ms(60)) == [(ms(50), b"last words")]
    assert not s.ended
    run(s)
    assert s.ended
    assert s.retransmissions == 1


def test_damaged_segments_are_dropped_by_their_checksum():
    s = ByteStream(Impairment(LinkSpec(corrupt=0.5), 3), Scripted(0))
    s.write(bytes(50_000), 0)
    assert b"".join(data for _, data in run(s)) == bytes(50_000)
    assert s.retransmissions > 5


links = st.builds(
    LinkSpec,
    delay=st.integers(0, ms(100)),
    jitter=st.integers(0, ms(50)),
    loss=st.sampled_from([0.0, 0.05, 0.4]),
    duplicate=st.sampled_from([0.0, 0.3]),
    corrupt=st.sampled_from([0.0, 0.3]),
    rate=st.sampled_from([0, 200_000]),
    limit=st.sampled_from([5, 1000]),
)


@given(links, links, st.integers(), st.lists(st.binary(max_size=4000), max_size=20))
@settings(max_examples=100, deadline=None)
def test_over_any_link_what_is_read_is_what_was_written(there, back, seed, writes):
    s = ByteStream(Impairment(there, seed), Impairment(back, seed + 1), window=8000)
    for number, data in enumerate(writes):
        run(s, number * ms(20))
        s.write(data, number * ms(20))
    s.write_eof(len(writes) * ms(20))
    read = run(s, seconds(100_000))
    assert s.ended
    assert s.deadline() is None
    total = b"".join(writes)
    assert total.endswith(b"".join(data for _, data in read))
    assert s.waiting == 0


# Nagle's algorithm (RFC 9293 section 3.7.4) -----------------------------------------------------


def test_a_small_segment_waits_for_what_is_unacknowledged_and_grows():
    """The first byte leaves at once; the next four wait 100 ms for its acknowledgement."""
    read = frames(stream(nodelay=False), 7)
    assert read == [(ms(50), b"\0"), (ms(150), b"\1\2\3\4"), (ms(250), b"\5\6")]


def test_a_full_segment_does_not_wait():
    s = stream(nodelay=False)
    for _ in range(3):
        s.write(bytes(700), 0)
    assert s.waiting == 1400
    s.write(bytes(700), ms(1))
    assert [(at, len(data)) for at, data in run(s)] == [
        (ms(50), 700), (ms(51), MSS), (ms(151), 2100 - MSS),
    ]  # fmt: skip


def test_the_end_waits_for_what_nagle_holds():
    s = stream(nodelay=False)
    s.write(b"a", 0)
    s.write(b"b", 0)
    s.write_eof(0)
    assert run(s) == [(ms(50), b"a"), (ms(150), b"b")]
    assert s.ended


@given(st.lists(st.integers(1, 4000), max_size=40), st.integers(0, 60))
def test_nagle_changes_when_and_never_what(sizes, gap):
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    s = stream(delay=ms(10), nodelay=False)
    read = []
    for number, data in enumerate(sent):
        read += run(s, number * ms(gap))
        s.write(data, number * ms(gap))
    assert b"".join(data for _, data in read + run(s)) == b"".join(sent)
    assert s.waiting == 0
