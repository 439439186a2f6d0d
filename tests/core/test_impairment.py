"""What a link does, against the words of its spec: exactly where it can be, else by statistics.

Seeds are fixed, so a statistical test either always passes or always fails; its bounds are those
of a fair test at one in a thousand.
"""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.core.distribution import delay_table
from labkit.core.impairment import UDP_HEADERS, Impairment
from labkit.words.linkspec import GilbertElliott, LinkSpec, Reorder, Slot, Step
from labkit.words.units import ms, seconds, us

FRAME = ms(20)
DATA = bytes(100)


def crossed(spec: LinkSpec, packets: int, *, seed: int = 1, every: int = FRAME, **options):
    """An impairment, and what it did to packets sent at even intervals."""
    link = Impairment(spec, seed, **options)
    return link, [link.push(DATA, number * every) for number in range(packets)]


def delays(spec: LinkSpec, packets: int, **options) -> np.ndarray:
    """How long each packet took; none may be lost."""
    every = options.pop("every", FRAME)
    _, deliveries = crossed(spec, packets, every=every, **options)
    return np.array([out[0][0] - n * every for n, out in enumerate(deliveries)])


def lost(spec: LinkSpec, packets: int, **options) -> np.ndarray:
    """Which packets did not come out."""
    return np.array([not out for out in crossed(spec, packets, **options)[1]])


def runs(flags: np.ndarray) -> np.ndarray:
    """The lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges[1::2] - edges[::2]


def is_share_of(count: int, total: int, share: float) -> bool:
    """Whether `count` of `total` is no surprise when each has the chance `share`."""
    return bool(stats.binomtest(count, total, share).pvalue > 0.001)


# --- nothing, and delay --------------------------------------------------------------------------


def test_a_link_without_words_does_nothing():
    link = Impairment(LinkSpec(), 0)
    assert [link.push(b"%d" % n, n) for n in range(3)] == [[(0, b"0")], [(1, b"1")], [(2, b"2")]]
    assert (link.sent, link.lost, link.verdict) == (3, 0, "")


def test_a_delay_is_exact():
    assert set(delays(LinkSpec(delay=ms(40)), 100)) == {ms(40)}


def test_uniform_jitter_is_uniform():
    """netem's default: delay ± jitter, every value alike."""
    found = delays(LinkSpec(delay=ms(50), jitter=ms(20)), 5000)
    expected = stats.uniform(ms(30), ms(40))
    assert stats.kstest(found, expected.cdf).pvalue > 0.001


def test_normal_jitter_is_normal():
    spec = LinkSpec(delay=ms(50), jitter=ms(10), distribution="normal")
    expected = stats.norm(ms(50), ms(10))
    assert stats.kstest(delays(spec, 5000), expected.cdf).pvalue > 0.001


def test_pareto_jitter_is_a_pareto_distribution_of_shape_3():
    """NIST Net's: x = 4/3 (u^(-1/3) - 3/2), so that u = (3x/4 + 3/2)^(-3) is uniform."""
    spec = LinkSpec(delay=ms(50), jitter=ms(10), distribution="pareto")
    x = (delays(spec, 5000) - ms(50)) / ms(10)
    u = (0.75 * x[x < 3.9] + 1.5) ** -3
    assert len(u) > 4900
    assert stats.kstest(u, stats.uniform((0.75 * 3.9 + 1.5) ** -3, 1).cdf).pvalue > 0.001


def test_paretonormal_jitter_follows_tcs_table():
    spec = LinkSpec(delay=ms(50), jitter=ms(10), distribution="paretonormal")
    table = ms(50) + ms(10) / 8192 * np.array(delay_table("paretonormal"))
    assert stats.ks_2samp(delays(spec, 5000), table).pvalue > 0.001


def test_a_delay_below_zero_is_none():
    """A packet does not arrive before it was sent."""
    found = delays(LinkSpec(delay=ms(1), jitter=ms(10)), 1000)
    assert found.min() == 0
    assert is_share_of(int((found == 0).sum()), 1000, 9 / 20)


def test_jitter_reorders_and_the_overtakers_are_counted():
    """Each packet has its own delay, as in netem: with more jitter than interval, they cross."""
    link, deliveries = crossed(LinkSpec(delay=ms(60), jitter=ms(30)), 3000)
    instants = np.array([out[0][0] for out in deliveries])
    overtaking = instants[1:] < np.maximum.accumulate(instants)[:-1]
    assert link.reordered == overtaking.sum() > 300
    assert crossed(LinkSpec(delay=ms(60), jitter=ms(9)), 3000)[0].reordered == 0


@pytest.mark.parametrize("correlation", [0.25, 0.9])
def test_correlated_delays_lean_on_each_other(correlation):
    """x' = (1-c) u + c x has the autocorrelation c and sqrt((1-c) / (1+c)) of u's deviation."""
    spec = LinkSpec(delay=ms(50), jitter=ms(20), delay_correlation=correlation)
    found = delays(spec, 20_000)
    assert np.corrcoef(found[:-1], found[1:])[0, 1] == pytest.approx(correlation, abs=0.03)
    shrunk = ms(40) / sqrt(12) * sqrt((1 - correlation) / (1 + correlation))
    assert found.std() == pytest.approx(shrunk, rel=0.05)


# --- loss ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [0.001, 0.1, 0.5])
def test_random_loss_has_its_rate_and_no_memory(loss):
    gone = lost(LinkSpec(loss=loss), 20_000)
    assert is_share_of(int(gone.sum()), 20_000, loss)
    lengths = runs(gone)
    assert lengths.mean() == pytest.approx(1 / (1 - loss), rel=0.05)


def test_all_and_nothing():
    assert lost(LinkSpec(loss=1.0), 100).all()
    assert not lost(LinkSpec(loss=0.0), 100).any()


def test_correlated_loss_is_rarer_than_it_says():
    """The defect of netem's formula, which netem(8) warns of: here 10 % become a tenth of one."""
    gone = lost(LinkSpec(loss=0.1, loss_correlation=0.5), 20_000)
    assert 0 < gone.mean() < 0.003


def test_the_simple_gilbert_model_has_its_loss_and_its_bursts():
    """p/(p+r) of the packets are lost, in runs of 1/r on average, geometrically distributed."""
    p, r = 0.02, 0.25
    gone = lost(LinkSpec(gemodel=GilbertElliott(p, r)), 60_000)
    assert gone.mean() == pytest.approx(p / (p + r), rel=0.08)
    lengths = runs(gone)
    assert lengths.mean() == pytest.approx(1 / r, rel=0.08)
    assert is_share_of(int((lengths == 1).sum()), len(lengths), r)


def test_gilbert_elliott_loses_in_both_states():
    """1-h of the packets in the bad state, 1-k in the good one."""
    p, r, bad, good = 0.01, 0.1, 0.7, 0.005
    gone = lost(LinkSpec(gemodel=GilbertElliott(p, r, bad, good)), 100_000)
    assert gone.mean() == pytest.approx((p * bad + r * good) / (p + r), rel=0.08)
    # Two in a row: the chain stays where it is, or moves, between them.
    both = (p * bad * ((1 - r) * bad + r * good) + r * good * ((1 - p) * good + p * bad)) / (p + r)
    assert (gone[1:] & gone[:-1]).mean() == pytest.approx(both, rel=0.1)


# --- double, damage, reorder ---------------------------------------------------------------------


def test_duplicates_come_with_a_delay_of_their_own():
    link, deliveries = crossed(LinkSpec(delay=ms(50), jitter=ms(20), duplicate=0.1), 10_000)
    twice = [out for out in deliveries if len(out) == 2]
    assert is_share_of(len(twice), 10_000, 0.1)
    assert link.duplicated == len(twice)
    first, second = np.array([[instant for instant, _ in out] for out in twice]).T
    assert abs(np.corrcoef(first - first // FRAME, second)[0, 1]) > 0.9  # the same packet
    assert (first != second).mean() > 0.99


def test_a_packet_both_lost_and_doubled_arrives_once():
    """As in netem, where the one count goes up and then down again."""
    link, deliveries = crossed(LinkSpec(loss=1.0, duplicate=1.0), 10)
    assert [len(out) for out in deliveries] == [1] * 10
    assert (link.lost, link.duplicated) == (0, 0)


def test_corruption_turns_over_one_bit_anywhere():
    link, deliveries = crossed(LinkSpec(corrupt=0.2), 5000)
    damaged = [np.frombuffer(out[0][1], np.uint8) for out in deliveries if out[0][1] != DATA]
    assert len(damaged) == link.corrupted
    assert is_share_of(len(damaged), 5000, 0.2)
    bits = np.unpackbits(np.array(damaged), axis=1)
    assert set(bits.sum(axis=1)) == {1}
    places = bits.argmax(axis=1)
    assert stats.kstest(places / 800, stats.uniform.cdf).pvalue > 0.001


def test_the_second_copy_is_not_damaged():
    link = Impairment(LinkSpec(corrupt=1.0, duplicate=1.0), 1)
    (_, first), (_, second) = link.push(DATA, 0)
    assert first != DATA
    assert second == DATA


def test_an_empty_packet_cannot_be_damaged():
    assert Impairment(LinkSpec(corrupt=1.0), 1).push(b"", 0) == [(0, b"")]


def test_every_fifth_packet_skips_the_delay():
    """netem(8)'s first example, `delay 10ms reorder 100% gap 5`: the 5th, the 10th, the 15th."""
    spec = LinkSpec(delay=ms(10), reorder=Reorder(1.0, gap=5))
    found = delays(spec, 20, every=us(100))
    assert [n + 1 for n in range(20) if found[n] == 0] == [5, 10, 15, 20]
    assert set(found) == {0, ms(10)}


def test_a_quarter_of_the_packets_skips_the_delay():
    """netem(8)'s second example, without the correlation."""
    found = delays(LinkSpec(delay=ms(10), reorder=Reorder(0.25)), 10_000)
    assert is_share_of(int((found == 0).sum()), 10_000, 0.25)
    assert runs(found == 0).mean() == pytest.approx(1 / 0.75, rel=0.05)


def test_correlated_reordering_comes_in_runs():
    spec = LinkSpec(delay=ms(10), reorder=Reorder(0.4, 0.8))
    alone = 1 / (1 - 0.4)
    assert runs(delays(spec, 10_000) == 0).mean() > 1.4 * alone


# --- rate, queue, slot ---------------------------------------------------------------------------


def test_a_rate_makes_packets_leave_one_after_another():
    """1000 bits at 100 kbit/s take 10 ms each; three at once leave after 10, 20 and 30."""
    link = Impairment(LinkSpec(rate=100_000), 0)
    packet = bytes(125)
    assert [link.push(packet, 0)[0][0] for _ in range(3)] == [ms(10), ms(20), ms(30)]
    assert link.push(packet, ms(100))[0][0] == ms(110)


def test_the_line_takes_headers_and_overhead_too():
    link = Impairment(LinkSpec(rate=100_000, packet_overhead=-3), 0, headers=UDP_HEADERS)
    assert link.push(bytes(100), 0)[0][0] == ms(10)


def test_a_delay_below_zero_shortens_the_time_on_a_free_line():
    """As in netem: 10 ms on the line, and a delay that is 8 ms less or more than nothing."""
    link = Impairment(LinkSpec(jitter=ms(8), rate=100_000), 0)
    found = np.array([link.push(bytes(125), n * ms(50))[0][0] - n * ms(50) for n in range(2000)])
    assert stats.kstest(found, stats.uniform(ms(2), ms(16)).cdf).pvalue > 0.001


def test_the_line_is_used_while_the_delay_passes():
    """As in netem: delay first, then the place in the queue, then the time on the line."""
    link = Impairment(LinkSpec(delay=ms(50), rate=100_000), 0)
    packet = bytes(125)
    assert [link.push(packet, n * ms(1))[0][0] for n in range(3)] == [ms(60), ms(70), ms(80)]


def test_with_a_rate_jitter_does_not_reorder():
    """First in, first out: who drew the shorter delay waits for who is in front."""
    spec = LinkSpec(delay=ms(60), jitter=ms(50), rate=10_000_000)
    link, deliveries = crossed(spec, 3000)
    instants = [out[0][0] for out in deliveries]
    assert instants == sorted(instants)
    assert link.reordered == 0


def test_the_limit_counts_packets_that_wait_out_their_delay():
    """100 ms of delay and a packet each 10 ms: ten are on the way, and an eleventh too many."""
    link, deliveries = crossed(LinkSpec(delay=ms(100), limit=8), 40, every=ms(10))
    expected = [(n % 10) < 8 for n in range(40)]
    assert [bool(out) for out in deliveries] == expected
    assert link.queue_dropped == 8
    assert link.lost == 0


def test_a_full_queue_drops_the_newest():
    """A line of 8 kbit/s drains a byte a millisecond; 20 packets of 10 bytes find 5 places."""
    link = Impairment(LinkSpec(rate=8000, limit=5), 0)
    out = [link.push(bytes(10), ms(n)) for n in range(20)]
    assert [n for n in range(20) if out[n]] == [0, 1, 2, 3, 4, 10]
    assert link.verdict == "queue dropped"
    assert out[10][0][0] == ms(60)


def test_what_left_long_ago_takes_no_memory():
    link, _ = crossed(LinkSpec(delay=ms(50), jitter=ms(20)), 20_000)
    assert len(link._held) < 10


def test_packets_leave_together_when_their_slot_opens():
    """A slot of exactly 10 ms: who comes while it is awaited leaves with it."""
    link = Impairment(LinkSpec(slot=Slot(ms(10), ms(10))), 0)
    leaves = [link.push(DATA, ms(n))[0][0] for n in (0, 3, 9, 11, 12, 30)]
    assert leaves == [ms(10), ms(10), ms(10), ms(21), ms(21), ms(40)]


def test_a_slot_holds_so_many_packets_and_the_next_one_comes_after_it():
    link = Impairment(LinkSpec(slot=Slot(ms(10), ms(10), packets=2)), 0)
    assert [link.push(DATA, 0)[0][0] for _ in range(5)] == [
        ms(10), ms(10), ms(20), ms(20), ms(30),
    ]  # fmt: skip


def test_a_slot_holds_so_many_bytes_and_is_emptied_by_who_overfills_it():
    """As in netem: the packet with which the bytes run out still leaves."""
    link = Impairment(LinkSpec(slot=Slot(ms(10), ms(10), bytes=150)), 0)
    assert [link.push(DATA, 0)[0][0] for _ in range(4)] == [ms(10), ms(10), ms(20), ms(20)]


def test_slots_come_between_their_two_delays():
    found = delays(LinkSpec(slot=Slot(ms(2), ms(10))), 3000)
    assert stats.kstest(found, stats.uniform(ms(2), ms(8)).cdf).pvalue > 0.001


# --- time ----------------------------------------------------------------------------------------


def test_steps_change_the_link_and_what_is_under_way_stays_as_it_was():
    step = Step(seconds(1), LinkSpec(delay=ms(1)))
    found = delays(LinkSpec(delay=ms(100), steps=(step,)), 100)
    assert set(found[:50]) == {ms(100)}
    assert set(found[50:]) == {ms(1)}


def test_repeated_steps_go_round():
    down = Step(ms(600), LinkSpec(loss=1.0))
    spec = LinkSpec(steps=(Step(0, LinkSpec()), down), repeat=seconds(1))
    gone = lost(spec, 500)
    assert gone.tolist() == [n % 50 >= 30 for n in range(500)]


def test_steps_count_from_the_start_and_a_pause_skips_none():
    """A long silence passes over several steps at once."""
    steps = tuple(Step(seconds(n), LinkSpec(delay=ms(n))) for n in (1, 2, 3))
    link = Impairment(LinkSpec(steps=steps), 0, start=seconds(100))
    instants = [seconds(100), seconds(102.5), seconds(200)]
    assert [link.push(DATA, now)[0][0] - now for now in instants] == [0, ms(2), ms(3)]


def test_a_trace_gives_each_packet_its_delay_and_starts_again():
    spec = LinkSpec(delay=ms(5), delay_trace="a name")
    link, out = crossed(spec, 7, delays=[ms(10), None, ms(30)])
    found = [o[0][0] - n * FRAME if o else None for n, o in enumerate(out)]
    assert found == [ms(15), None, ms(35), ms(15), None, ms(35), ms(15)]
    assert link.lost == 2


def test_a_trace_may_go_by_time():
    """One line for each 100 ms, whatever the number of packets."""
    spec = LinkSpec(delay_trace="a name", delay_trace_step=ms(100))
    found = delays(spec, 15, delays=[ms(1), ms(2)])
    assert (found // ms(1)).tolist() == [1] * 5 + [2] * 5 + [1] * 5


# --- decisions -----------------------------------------------------------------------------------

EVERYTHING = LinkSpec(
    delay=ms(50),
    jitter=ms(20),
    distribution="normal",
    loss=0.1,
    duplicate=0.1,
    corrupt=0.1,
    reorder=Reorder(0.1),
)


def test_a_seed_decides_everything():
    first, second, other = (crossed(EVERYTHING, 500, seed=seed)[1] for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_the_decisions_of_today_are_those_of_tomorrow():
    """Another Python, another machine, another version: these figures stay, or results change."""
    link, out = crossed(EVERYTHING, 1000, seed=7)
    figures = (link.lost, link.duplicated, link.corrupted, link.reordered)
    assert figures == (75, 80, 97, 335)
    assert [o[0][0] - n * FRAME for n, o in enumerate(out[:4]) if o] == [
        30004882,
        61010742,
        49145507,
    ]


@pytest.mark.parametrize("effect", ["loss", "duplicate", "corrupt"])
def test_one_effect_does_not_change_what_the_others_draw(effect):
    """Who switches on loss hears the same delays as before, with holes."""
    spec = replace(EVERYTHING, reorder=None)
    without = crossed(replace(spec, **{effect: 0.0}), 1000)[1]
    with_it = crossed(spec, 1000)[1]
    same = [a[0][0] == b[0][0] for a, b in zip(without, with_it, strict=True) if a and b]
    assert len(same) > 700
    assert all(same)


def test_verdicts_say_what_became_of_a_packet():
    seen = set()
    link = Impairment(replace(EVERYTHING, limit=4), 1)
    for number in range(1000):
        out = link.push(DATA, number * FRAME)
        seen.add((link.verdict, len(out)))
    assert seen == {
        ("", 1),
        ("lost", 0),
        ("queue dropped", 0),
        ("queue dropped", 1),  # of two copies the second found no place
        ("duplicated", 2),
        ("reordered", 1),
        ("corrupted", 1),
    }


shares = st.sampled_from([0.0, 0.1, 1.0])
specs = st.builds(
    LinkSpec,
    delay=st.integers(1, ms(100)),
    jitter=st.integers(0, ms(100)),
    loss=shares,
    duplicate=shares,
    corrupt=shares,
    reorder=st.none() | st.builds(Reorder, shares, shares, st.integers(1, 3)),
    rate=st.sampled_from([0, 64_000, 10**9]),
    limit=st.integers(1, 20),
    slot=st.none() | st.just(Slot(ms(1), ms(5), 2)),
)


@given(specs, st.integers(), st.lists(st.integers(0, ms(50)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_nothing_arrives_before_it_was_sent_and_the_counters_add_up(spec, seed, gaps):
    link = Impairment(spec, seed)
    now = delivered = 0
    for gap in gaps:
        now += gap
        out = link.push(DATA, now)
        delivered += len(out)
        assert all(leaves >= now and len(data) == len(DATA) for leaves, data in out)
    assert link.sent == len(gaps)
    assert delivered == link.sent - link.lost - link.queue_dropped + link.duplicated
