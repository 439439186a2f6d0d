"""The comparison of engines itself: who is right passes, and each kind of wrong is found."""

import numpy as np
import pytest
from engines.agreement import Observation, compare, distance, simulated
from engines.engines import WORDS, moments

from labkit.words.linkspec import GilbertElliott, LinkSpec, Slot
from labkit.words.units import ms

SENT = np.arange(2000) * ms(10)
SPECS = moments() | WORDS


def surprises(does: LinkSpec, says: LinkSpec, packets: int = 2000) -> set[str]:
    """The figures by which an engine that does one thing and says another is found out."""
    seen = simulated(does, "engine", SENT[:packets])
    return {verdict.figure for verdict in compare(seen, says) if not verdict.agrees}


@pytest.mark.parametrize("name", SPECS)
def test_the_simulation_with_another_seed_is_no_surprise(name):
    assert surprises(SPECS[name], SPECS[name], packets=1000) == set()


JITTER = LinkSpec(delay=ms(60), jitter=ms(20), distribution="normal")
BURSTS = LinkSpec(gemodel=GilbertElliott(0.04, 0.4))


@pytest.mark.parametrize(
    ("does", "says", "found"),
    [
        (LinkSpec(loss=0.15), LinkSpec(loss=0.1), {"lost"}),
        (LinkSpec(loss=0.1), BURSTS, {"burst"}),
        (LinkSpec(gemodel=GilbertElliott(0.02, 0.2)), BURSTS, {"burst"}),
        (LinkSpec(duplicate=0.1), LinkSpec(duplicate=0.05), {"doubled"}),
        (LinkSpec(), LinkSpec(duplicate=0.03), {"doubled"}),
        (LinkSpec(delay=ms(41)), LinkSpec(delay=ms(40)), {"delay"}),
        (LinkSpec(delay=ms(30), jitter=ms(5)), LinkSpec(delay=ms(30), jitter=ms(4)), {"delay"}),
        (LinkSpec(delay=ms(60), jitter=ms(34)), JITTER, {"delay"}),
        (LinkSpec(delay=ms(9), slot=Slot(0, ms(20))), LinkSpec(slot=Slot(0, ms(20))), {"delay"}),
    ],
)
def test_a_difference_is_found_in_its_figure(does, says, found):
    assert surprises(does, says) == found


def test_packets_in_order_where_they_should_cross_are_found():
    """The same delays, but a rate that costs no time keeps their order."""
    in_order = LinkSpec(delay=ms(60), jitter=ms(20), distribution="normal", rate=10**12)
    assert "reordered" in surprises(in_order, JITTER)


def test_the_figures_of_a_handful_of_packets():
    """Sent each 10 ms: 0, 4, 3, 3 again, 7; lost are 1 and 2 together, 5 and 6 together."""
    numbers = np.array([0, 4, 3, 3, 7])
    seen = Observation(SENT[:8], numbers, np.array([5, 45, 46, 47, 75]) * ms(1))
    assert (seen.lost, seen.bursts, seen.burst) == (0.5, 2, 2.0)
    assert (seen.reordered, seen.doubled) == (1 / 8, 1 / 8)
    assert seen.delays.tolist() == [ms(5), ms(5), ms(5), ms(16)]


def test_without_late_the_distance_is_kolmogorovs():
    from scipy import stats

    first, second = np.random.default_rng(1).normal(size=(2, 300))
    first.sort()
    second.sort()
    assert distance(first, second, 0) == pytest.approx(stats.ks_2samp(first, second).statistic)


def test_a_timer_may_be_late_and_not_early():
    usual = np.arange(100) * ms(1)
    assert distance(usual + ms(2), usual, ms(2)) == 0
    assert distance(usual + ms(5), usual, ms(2)) == pytest.approx(0.03)
    assert distance(usual - ms(2), usual, ms(2)) == pytest.approx(0.02)


@pytest.mark.parametrize("name", moments())
def test_no_shipped_profile_uses_what_the_kernel_does_otherwise(name):
    """The three differences of netem/README.md."""
    spec = SPECS[name]
    assert not spec.delay_correlation
    assert not spec.slot or spec.delay <= spec.slot.min_delay
    assert not (spec.duplicate and (spec.loss or spec.gemodel))
