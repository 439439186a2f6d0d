"""The jitter buffer, one story a test: packets arrive at given milliseconds, slots come out."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.delaypolicy import Adaptive, Fixed
from labkit.core.jitterbuffer import JitterBuffer
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32, ahead16
from labkit.words.trace import Did, Trace
from labkit.words.units import ms, seconds

FRAME = 20


class Line:
    """A policy that draws one line, at this many ms of transit; with `follow` at least at the
    transit of the last packet. The first packet of a buffer has transit 0."""

    def __init__(self, height, follow=False):
        self.height = ms(height)
        self.follow = follow
        self.seen = []

    def observe(self, transit, now):
        self.seen.append(transit)

    def target(self):
        return max(self.height, self.seen[-1]) if self.follow else self.height


def packet(number, first_seq=0, first_timestamp=0, ssrc=1, silence=0):
    """Packet `number` of a stream; `silence` frames were not sent before it."""
    timestamp = add32(first_timestamp, (number + silence) * 960)
    return Packet(add16(first_seq, number), timestamp, b"", ssrc=ssrc)


def listen(buffer, arrivals, until=2000, first_seq=0):
    """Push the (ms, packet) pairs, pull at each deadline; the slots, and when each was played."""
    slots, times = [], []
    pending = sorted(arrivals, key=lambda arrival: arrival[0])
    while True:
        due = buffer.deadline()
        if pending and (due is None or ms(pending[0][0]) <= due):
            at, what = pending.pop(0)
            buffer.push(what, ms(at))
        elif due is None or due > ms(until) or (not pending and not len(buffer)):
            return slots, times
        else:
            pulled = buffer.pull(due)
            slots.append(
                ahead16(pulled.seq, first_seq) if pulled else "hold" if buffer.holding else None
            )
            times.append(due / ms(1))


def stream(numbers, delays=None, **options):
    """(ms, packet) pairs of a stream that leaves every 20 ms; delays in ms by packet number."""
    delays = delays or {}
    return [(FRAME * n + delays.get(n, 0), packet(n, **options)) for n in numbers]


# In, out, in between -----------------------------------------------------------------------------


def test_frames_leave_in_turn_sixty_ms_after_they_came():
    slots, times = listen(JitterBuffer(Fixed(ms(60))), stream(range(4)))
    assert slots == [0, 1, 2, 3]
    assert times == [60, 80, 100, 120]


def test_before_the_first_packet_there_is_no_deadline_and_nothing_to_pull():
    buffer = JitterBuffer()
    assert buffer.deadline() is None
    assert buffer.pull(ms(5)) is None
    assert buffer.peek() is None
    assert buffer.depth(ms(5)) == 0


def test_a_frame_that_is_not_there_while_the_next_one_is_has_been_lost():
    buffer = JitterBuffer(Fixed(ms(60)))
    slots, _ = listen(buffer, stream([0, 1, 3]))
    assert slots == [0, 1, None, 3]
    assert (buffer.lost, buffer.held, buffer.late) == (1, 0, 0)


def test_packets_may_come_in_any_order_before_their_turn():
    buffer = JitterBuffer(Fixed(ms(60)))
    slots, _ = listen(buffer, stream(range(4), {1: 45}))
    assert slots == [0, 1, 2, 3]
    assert buffer.reordered == 1
    assert buffer.lost == 0


def test_the_stream_may_begin_out_of_order():
    buffer = JitterBuffer(Line(60))
    slots, times = listen(buffer, [(0, packet(1)), (5, packet(0)), (20, packet(2))])
    assert slots == [0, 1, 2]
    assert times == [40, 60, 80]


def test_a_packet_that_comes_twice_is_played_once():
    buffer = JitterBuffer(Fixed(ms(60)))
    slots, _ = listen(buffer, [*stream([0, 1, 1, 2, 0, 3]), (90, packet(0)), (130, packet(2))])
    assert slots == [0, 1, 2, 3]
    assert buffer.duplicates == 4
    assert buffer.late == 0


def test_peek_shows_the_successor_of_a_lost_frame_for_its_redundancy():
    buffer = JitterBuffer(Line(40))
    for at, what in stream([0, 2]):
        buffer.push(what, ms(at))
    assert buffer.pull(ms(40)).seq == 0
    assert buffer.peek() is None
    assert buffer.pull(ms(60)) is None
    assert not buffer.holding
    assert buffer.peek().seq == 2


def test_depth_is_what_waits_and_what_is_left_in_play():
    buffer = JitterBuffer(Line(60))
    for at, what in stream(range(4)):
        buffer.push(what, ms(at))
    buffer.pull(ms(60))
    assert buffer.depth(ms(60)) == ms(80)
    assert buffer.depth(ms(75)) == ms(65)


# The late policy --------------------------------------------------------------------------------


def test_a_late_packet_is_dropped_and_counted_and_the_policy_has_seen_it():
    policy = Line(60)
    buffer = JitterBuffer(policy)
    slots, _ = listen(buffer, stream(range(5), {1: 75}))
    assert slots == [0, None, 2, 3, 4]
    assert (buffer.late, buffer.lost) == (1, 1)
    assert ms(75) in policy.seen


def test_under_a_fixed_line_a_spike_loses_what_comes_above_it():
    buffer = JitterBuffer(Line(60))
    spike = {3: 120, 4: 100, 5: 80, 6: 60, 7: 40, 8: 20}
    slots, times = listen(buffer, stream(range(10), spike))
    assert slots == [0, 1, 2, "hold", "hold", "hold", 6, 7, 8, 9]
    assert times[6] == 60 + 6 * FRAME, "the line has not moved"
    assert (buffer.late, buffer.lost, buffer.held) == (3, 3, 3)


def test_a_policy_that_follows_the_spike_keeps_every_frame_and_then_catches_up():
    buffer = JitterBuffer(Line(60, follow=True))
    spike = {3: 120, 4: 100, 5: 80, 6: 60, 7: 40, 8: 20}
    slots, times = listen(buffer, stream(range(30), spike))
    assert slots[:7] == [0, 1, 2, "hold", "hold", "hold", 3]
    assert [s for s in slots if s != "hold"] == list(range(30))
    assert (buffer.late, buffer.lost) == (0, 0)
    assert times[6] == 60 + 3 * FRAME + 60
    assert times[-1] == 60 + 29 * FRAME, "back on the line"


def test_lost_turns_at_an_empty_buffer_are_settled_by_the_next_packet():
    buffer = JitterBuffer(Line(30))
    slots, times = listen(buffer, stream([0, 1, 2, 6, 7]))
    assert slots == [0, 1, 2, "hold", "hold", None, 6, 7]
    assert times[-1] == 30 + 7 * FRAME, "the line has not moved"
    assert buffer.lost == 3


def test_the_line_moves_by_a_quarter_of_a_frame_each_turn():
    policy = Line(60)
    buffer = JitterBuffer(policy)
    for at, what in stream(range(30)):
        buffer.push(what, ms(at))
    policy.height = ms(80)
    dues = [buffer.deadline()]
    for _ in range(6):
        assert buffer.pull(dues[-1]) is not None
        dues.append(buffer.deadline())
    assert [b - a for a, b in pairwise(dues)] == [ms(25)] * 4 + [ms(20)] * 2
    policy.height = ms(67)
    for _ in range(4):
        buffer.pull(buffer.deadline())
        dues.append(buffer.deadline())
    steps = [b - a for a, b in pairwise(dues[6:])]
    assert steps == [ms(15), ms(15), ms(17), ms(20)]


def test_a_silence_is_not_a_loss_and_after_it_the_line_is_where_it_should_be_at_once():
    policy = Line(60)
    buffer = JitterBuffer(policy)
    quiet = [(FRAME * (n + 10), packet(n, silence=10)) for n in range(3, 6)]
    speech = stream(range(3))
    for at, what in speech:
        buffer.push(what, ms(at))
    slots, _ = listen(buffer, [], until=100)
    policy.height = ms(100)
    after, times = listen(buffer, quiet)
    assert slots == [0, 1, 2]
    assert [s for s in after if s != "hold"] == [3, 4, 5]
    assert times[after.index(3)] == FRAME * 13 + 100
    assert (buffer.lost, buffer.late) == (0, 0)
    assert buffer.held == after.count("hold")


def test_a_short_silence_of_which_the_end_is_already_here_is_waited_out():
    buffer = JitterBuffer(Line(100))
    arrivals = stream(range(2)) + [(FRAME * (n + 2), packet(n, silence=2)) for n in range(2, 4)]
    slots, times = listen(buffer, arrivals)
    assert slots == [0, 1, "hold", "hold", 2, 3]
    assert times[-1] == 100 + 5 * FRAME
    assert buffer.lost == 0


def test_the_first_packet_of_speech_can_be_lost_in_the_silence_before_it():
    buffer = JitterBuffer(Line(60))
    arrivals = stream(range(2)) + [(FRAME * (n + 8), packet(n, silence=8)) for n in range(3, 5)]
    slots, times = listen(buffer, arrivals)
    assert [s for s in slots if s != "hold"] == [0, 1, None, 3, 4]
    assert times[slots.index(3)] == 60 + 11 * FRAME
    assert buffer.lost == 1


# Numbers that wrap, streams that restart ----------------------------------------------------------


def test_both_numbers_wrap_and_nobody_hears_it():
    options = {"first_seq": 65_530, "first_timestamp": 2**32 - 4 * 960}
    buffer = JitterBuffer(Fixed(ms(60)))
    arrivals = stream([n for n in range(20) if n not in (4, 5, 6, 12)], {8: 30}, **options)
    slots, times = listen(buffer, arrivals, first_seq=65_530)
    expected = [None if n in (4, 5, 6, 12) else n for n in range(20)]
    assert [None if s == "hold" else s for s in slots] == expected
    assert times == [60 + FRAME * n for n in range(20)]


@pytest.mark.parametrize("other", [{"ssrc": 2}, {"first_seq": 20_000}, {"first_timestamp": 2**31}])
def test_a_second_packet_of_another_stream_restarts_the_buffer(other):
    buffer = JitterBuffer(Fixed(ms(60)))
    arrivals = stream(range(5)) + [(at + 100, p) for at, p in stream(range(5), **other)]
    slots, times = listen(buffer, arrivals, first_seq=0)
    played = [ahead16(s, other.get("first_seq", 0)) for s in slots[-5:]]
    assert played == [0, 1, 2, 3, 4], slots
    assert [b - a for a, b in pairwise(times)][-4:] == [20] * 4
    assert buffer.strays == 0
    assert buffer.received == 10


def test_a_single_stray_packet_changes_nothing():
    buffer = JitterBuffer(Fixed(ms(60)))
    strays = [(31, packet(0, ssrc=9)), (51, packet(0, first_seq=40_000))]
    slots, times = listen(buffer, stream(range(5)) + strays)
    assert slots == [0, 1, 2, 3, 4]
    assert times == [60, 80, 100, 120, 140]
    assert buffer.strays == 2


def test_a_clock_that_stood_still_for_a_minute_is_a_restart_and_not_a_minute_of_delay():
    buffer = JitterBuffer(Fixed(ms(60)))
    arrivals = stream(range(3)) + [(60_000 + FRAME * n, packet(n)) for n in range(3, 8)]
    slots, times = listen(buffer, arrivals, until=70_000)
    assert [s for s in slots if s != "hold"] == list(range(8))
    assert times[-1] < 60_000 + 8 * FRAME + 60 + FRAME


# Bounded ------------------------------------------------------------------------------------------


def test_of_more_packets_than_fit_the_oldest_are_skipped():
    buffer = JitterBuffer(Line(500), capacity=4)
    slots, _ = listen(buffer, stream(range(8)))
    assert slots[-4:] == [4, 5, 6, 7]
    assert buffer.skipped == 4


def test_a_storm_of_duplicates_costs_no_memory_and_no_frame():
    buffer = JitterBuffer(Fixed(ms(60)), capacity=10)
    storm = [(at + i * 0.1, p) for at, p in stream(range(20)) for i in range(50)]
    slots, _ = listen(buffer, storm)
    assert slots == list(range(20))
    assert buffer.duplicates == 20 * 49
    assert len(buffer._missed) == 0


def test_a_storm_of_losses_costs_no_memory():
    buffer = JitterBuffer(Fixed(ms(60)))
    kept = [n for n in range(20_000) if n % 100 == 0]
    slots, _ = listen(buffer, stream(kept), until=500_000)
    assert [s for s in slots if isinstance(s, int)] == kept
    assert len(buffer._missed) <= 100
    assert len(buffer) == 0


@pytest.mark.parametrize("ppm", [-200, 200])
@pytest.mark.parametrize("policy", [Adaptive, Fixed])
def test_a_clock_200_ppm_off_for_an_hour_does_not_move_the_buffered_delay(ppm, policy):
    buffer = JitterBuffer(policy())
    step = ms(FRAME) * (1_000_000 + ppm) // 1_000_000
    rng, now, depths, longest = random.Random(5), 0, [], 0
    for number in range(180_000):
        arrival = now + rng.randrange(ms(5))
        while buffer.deadline() is not None and buffer.deadline() < arrival:
            buffer.pull(buffer.deadline())
        buffer.push(packet(number), arrival)
        if number % 1000 == 999:
            depths.append(buffer.depth(now))
            longest = max(longest, len(buffer), len(buffer._missed))
        now += step
    assert buffer.lost == 0
    assert longest <= 6
    first, last = sum(depths[10:50]) / 40, sum(depths[-40:]) / 40
    assert abs(last - first) < ms(2), "the depth of the first and the last quarter of an hour"


def test_frames_of_ten_ms_are_no_special_case():
    buffer = JitterBuffer(Fixed(ms(30)), frame=ms(10), clock_rate=16_000)
    for number in range(5):
        buffer.push(Packet(number, number * 160, b""), ms(10 * number))
    assert [buffer.pull(ms(30 + 10 * n)).seq for n in range(5)] == [0, 1, 2, 3, 4]


# Callers and traces -------------------------------------------------------------------------------


def test_a_caller_that_ignores_the_deadline_still_gets_a_steady_stream():
    policy = Line(60)
    buffer = JitterBuffer(policy)
    slots = []
    for number in range(60):
        buffer.push(packet(number), ms(FRAME * number))
        if number == 20:
            policy.height = ms(30)
        pulled = buffer.pull(ms(FRAME * number + 7))
        slots.append(pulled.seq if pulled else "hold")
    assert slots[:5] == ["hold"] * 3 + [0, 1]
    assert slots[-1] == 57, "37 ms after it came: 30 ms, rounded up to the caller's turns"
    assert buffer.skipped == 1
    assert buffer.lost == 0


def test_the_trace_says_what_only_the_buffer_knows():
    trace = Trace()
    buffer = JitterBuffer(Line(60), trace=trace, capacity=4)
    listen(buffer, stream([0, 1, 1, 2, 3], {2: 75}))
    assert [(e.did, e.seq) for e in trace.of(Did.DUPLICATE)] == [(Did.DUPLICATE, 1)]
    assert [(e.seq, e.value) for e in trace.of(Did.LATE)] == [(2, ms(15))]
    depths = [e.value for e in trace.of(Did.DEPTH)]
    targets = [e.value for e in trace.of(Did.TARGET)]
    assert len(depths) == len(targets) == 4
    assert depths == targets, "the line is where the policy wants it"


# Whatever happens ---------------------------------------------------------------------------------


@st.composite
def networks(draw):
    """Up to forty packets: each lost, or late by up to 200 ms, some of them twice."""
    count = draw(st.integers(1, 40))
    arrivals = [(0, 0)]
    for number in range(1, count):
        copies = draw(st.sampled_from([0, 1, 1, 1, 1, 1, 2, 3]))
        delays = draw(st.lists(st.integers(0, 200), min_size=copies, max_size=copies))
        arrivals.extend((FRAME * number + delay, number) for delay in delays)
    return sorted(arrivals)


@given(networks(), st.integers(1, 150), st.integers(0, 65_535), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_under_a_fixed_line_exactly_the_packets_below_it_are_played(net, line, seq, timestamp):
    """The model is one line: a packet is played if its transit is at most the line."""
    buffer = JitterBuffer(Line(line))
    arrivals = [(at, packet(n, seq, timestamp)) for at, n in net]
    slots, times = listen(buffer, arrivals, until=5000, first_seq=seq)
    played = [s for s in slots if isinstance(s, int)]
    assert played == sorted({n for at, n in net if at - FRAME * n <= line}), slots
    assert all(times[slots.index(n)] == line + FRAME * n for n in played), "each at its turn"


@given(networks(), st.booleans(), st.integers(0, 65_535), st.integers(2, 20))
@settings(deadline=None)
def test_frames_come_out_in_order_at_most_once_and_are_all_accounted_for(
    net, adaptive, seq, capacity
):
    buffer = JitterBuffer(None if adaptive else Line(60, follow=True), capacity=capacity)
    arrivals = [(at, packet(n, seq)) for at, n in net]
    slots, times = listen(buffer, arrivals, until=5000, first_seq=seq)
    played = [s for s in slots if isinstance(s, int)]
    assert played == sorted(set(played)), slots
    assert buffer.received == len(net)
    assert buffer.received == (
        buffer.played + buffer.late + buffer.duplicates + buffer.skipped + len(buffer)
    )
    assert buffer.duplicates == len(net) - len({n for _, n in net})
    steps = {round(b - a, 6) for a, b in pairwise(times)}
    assert all(15 <= step <= 25 for step in steps)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.integers(0, 2), st.booleans()
        ),
        max_size=60,
    ),
    st.lists(st.integers(0, 100), min_size=60, max_size=60),
)
@settings(deadline=None)
def test_nonsense_never_raises_and_never_grows(headers, gaps):
    buffer = JitterBuffer(capacity=5)
    now = 0
    for (seq, timestamp, ssrc, pull), gap in zip(headers, gaps, strict=False):
        now += ms(gap)
        buffer.push(Packet(seq, timestamp, b"", ssrc=ssrc), now)
        if pull:
            buffer.pull(now)
        assert len(buffer) <= 5
        assert now - seconds(10) < buffer.deadline() < now + seconds(10)
