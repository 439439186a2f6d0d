"""Schedulers, the line behind them, and the guard before them: what the papers promise."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.bottleneck import Bottleneck
from labkit.core.scheduler import (
    DeficitRoundRobin,
    Fifo,
    Policed,
    StrictPriority,
    TokenBucket,
)
from labkit.words.dscp import Dscp
from labkit.words.errors import LocalProtocolError
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.units import NS_PER_S, ms, seconds

EF, AF, BE, LE = Dscp.EF, Dscp.AF41, Dscp.CS0, Dscp.LE
KINDS = {
    "fifo": Fifo,
    "priority": lambda limit: StrictPriority(((EF,), (AF,)), limit),
    "round robin": lambda limit: DeficitRoundRobin({EF: 300, AF: 600}, 900, limit),
}
every = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def push(scheduler, *packets, now=0):
    """(name, code point) each; whether it was taken."""
    return [scheduler.push(name.encode(), dscp, now) for name, dscp in packets]


def drain(scheduler):
    names = []
    while (packet := scheduler.pop()) is not None:
        names.append(packet.decode())
    return names


# Every scheduler ----------------------------------------------------------------------------------

arrivals = st.lists(st.tuples(st.sampled_from([EF, AF, BE, LE]), st.integers(20, 1500)))


@every
@given(packets=arrivals, limit=st.integers(1, 20))
def test_nothing_is_lost_doubled_or_reordered_within_a_class(make, packets, limit):
    scheduler = make(limit)
    taken = [
        (dscp, number)
        for number, (dscp, size) in enumerate(packets)
        if scheduler.push(number.to_bytes(4).ljust(size), dscp, 0)
    ]
    assert len(scheduler) == len(taken)
    assert scheduler.dropped == len(packets) - len(taken)
    came = []
    while (packet := scheduler.pop()) is not None:
        came.append(int.from_bytes(packet[:4]))
    assert sorted(came) == [number for _, number in taken]
    for dscp in (EF, AF, BE, LE):
        mine = [number for d, number in taken if d == dscp]
        assert [number for number in came if number in set(mine)] == mine
    assert scheduler.pop() is None
    assert len(scheduler) == 0


@every
def test_a_line_never_rests_while_somebody_waits(make):
    """Work conservation: whatever the order, the last packet leaves at the same instant."""
    rng = Random(4)
    line = Bottleneck(make(1000), LinkSpec(rate=1_000_000))
    size = 0
    for _ in range(200):
        length = rng.randrange(20, 1500)
        size += length
        assert line.push(bytes(length), rng.choice([EF, AF, BE]), 0)
    left = []
    while (one := line.pop(seconds(60))) is not None:
        left.append(one[0])
    # Whole nanoseconds for each packet: at 1 Mbit/s a byte takes 8000, exactly.
    assert left[-1] == size * 8000
    assert left == sorted(left)


# One by one ---------------------------------------------------------------------------------------


def test_first_come_first_served():
    queue = Fifo(3)
    assert push(queue, ("a", BE), ("b", EF), ("c", LE), ("d", EF)) == [True, True, True, False]
    assert drain(queue) == ["a", "b", "c"]


def test_the_highest_class_goes_first_and_has_room_of_its_own():
    queue = StrictPriority(((EF, Dscp.VOICE_ADMIT), (AF,)), limit=2)
    push(queue, ("a", BE), ("b", LE), ("c", BE), ("d", AF), ("e", EF), ("f", Dscp.VOICE_ADMIT))
    assert queue.dropped == 1  # c
    assert drain(queue) == ["e", "f", "d", "a", "b"]


def test_strict_priority_starves_the_others():
    """The danger: half as much EF again as the line takes, and nobody else ever sends."""
    line = Bottleneck(StrictPriority(limit=50), LinkSpec(rate=1_000_000))
    others = 0
    for now in range(0, seconds(10), ms(1)):
        while (left := line.pop(now)) is not None:
            others += left[1][:1] == b"o"
        line.push(b"e" * 188, EF, now)  # 1.5 Mbit/s
        line.push(b"o" * 188, BE, now)
    assert others <= 1  # the one that found the line free at the start


def test_a_guard_keeps_the_priority_class_to_its_rate():
    """The same with 200 kbit/s of EF allowed: the others have the rest of the line."""
    guarded = Policed(StrictPriority(limit=50), TokenBucket(200_000, 2000))
    line = Bottleneck(guarded, LinkSpec(rate=1_000_000))
    sent = {b"e": 0, b"o": 0}
    for now in range(0, seconds(10), ms(1)):
        while (left := line.pop(now)) is not None:
            sent[left[1][:1]] += len(left[1]) * 8
        line.push(b"e" * 188, EF, now)
        line.push(b"o" * 188, BE, now)
    assert sent[b"e"] <= 2_000_000 + 16_000
    assert sent[b"e"] == pytest.approx(2_000_000, rel=0.02)
    assert sent[b"o"] == pytest.approx(8_000_000, rel=0.01)
    assert guarded.refused > 0


def test_in_turns_by_bytes_and_not_by_packets():
    queue = DeficitRoundRobin({EF: 500}, others=500)
    for n in range(4):
        queue.push(f"L{n}".encode().ljust(500), BE, 0)
        queue.push(f"a{n}".encode().ljust(250), EF, 0)
        queue.push(f"b{n}".encode().ljust(250), EF, 0)
    order = [name.strip() for name in drain(queue)]
    assert order == ["L0", "a0", "b0", "L1", "a1", "b1", "L2", "a2", "b2", "L3", "a3", "b3"]


def test_what_is_too_long_for_one_round_saves_for_it():
    """A packet of 1000 bytes with a quantum of 400: its turn comes in the third round."""
    queue = DeficitRoundRobin({EF: 400}, others=400)
    queue.push(b"L".ljust(1000), BE, 0)
    for n in range(3):
        queue.push(f"{n}".encode().ljust(400), EF, 0)
    assert [name.strip() for name in drain(queue)] == ["0", "1", "L", "2"]


@given(
    sizes=st.lists(st.tuples(st.integers(1, 1500), st.integers(1, 1500)), min_size=50, max_size=80),
    quanta=st.tuples(st.integers(1500, 6000), st.integers(1500, 6000)),
)
def test_shares_are_those_of_the_quanta(sizes, quanta):
    """Shreedhar and Varghese, theorem 2: as long as both are backlogged, what two classes have
    sent, each divided by its quantum, differs by less than a round and a packet."""
    queue = DeficitRoundRobin({EF: quanta[0]}, others=quanta[1])
    for first, second in sizes:
        queue.push(b"e" * first, EF, 0)
        queue.push(b"o" * second, BE, 0)
    left = {b"e": len(sizes), b"o": len(sizes)}
    sent = {b"e": 0, b"o": 0}
    while all(left.values()):
        packet = queue.pop()
        left[packet[:1]] -= 1
        sent[packet[:1]] += len(packet)
        shares = sent[b"e"] / quanta[0], sent[b"o"] / quanta[1]
        assert abs(shares[0] - shares[1]) <= 1 + 2 * 1500 / min(quanta)


def test_a_class_that_may_send_nothing_is_refused():
    with pytest.raises(LocalProtocolError):
        DeficitRoundRobin({EF: 0})
    with pytest.raises(LocalProtocolError):
        TokenBucket(0, 100)


def test_voice_waits_for_one_packet_at_most():
    """RFC 3246: the error term E_a is, with strict priority, one packet of the others."""
    spec = LinkSpec(rate=2_000_000)
    line = Bottleneck(StrictPriority(), spec)
    rng, now, worst = Random(11), 0, 0
    pushed = {}
    for number in range(5000):
        now += rng.randrange(ms(4))
        while (left := line.pop(now)) is not None:
            if left[1][:1] == b"e":
                worst = max(worst, left[0] - pushed[left[1][1:5]])
        if number % 5 == 0:
            name = number.to_bytes(4)
            pushed[name] = now
            line.push(b"e" + name.ljust(187), EF, now)
        else:
            line.push(b"o" * 1500, BE, now)
    one, voice = 1500 * 8 * NS_PER_S // spec.rate, 188 * 8 * NS_PER_S // spec.rate
    assert one < worst <= one + 3 * voice  # a few of its own kind may be before it


def test_a_line_whose_rate_changes():
    later = LinkSpec(rate=16_000)
    line = Bottleneck(Fifo(), LinkSpec(rate=8000, steps=(Step(ms(150), later),)))
    for _ in range(3):
        line.push(bytes(100), BE, 0)
    assert [line.pop(seconds(1))[0] for _ in range(3)] == [ms(100), ms(200), ms(250)]


@given(
    st.lists(st.tuples(st.integers(0, ms(50)), st.integers(1, 1500)), max_size=200),
    st.integers(1_000, 10_000_000),
    st.integers(1, 5000),
)
def test_a_bucket_lets_no_bit_too_much_through(arrivals, rate, burst):
    """RFC 2697: in no span of time more than rate times span and one burst."""
    bucket, now = TokenBucket(rate, burst), 0
    passed = []
    for gap, size in arrivals:
        now += gap
        if bucket.take(size, now):
            passed.append((now, size))
    for start in range(len(passed)):
        total = 0
        for when, size in passed[start:]:
            total += size
            span = when - passed[start][0]
            assert total * 8 * NS_PER_S <= burst * 8 * NS_PER_S + span * rate
