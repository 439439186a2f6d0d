from random import Random

import pytest

from labkit.core.reconnect import Backoff
from labkit.words.errors import LocalProtocolError
from labkit.words.units import ms, seconds


class Highest(Random):
    """Chance that always draws the ceiling."""

    def randint(self, a: int, b: int) -> int:
        assert a == 0
        return b


def test_the_ceiling_doubles_up_to_its_limit_and_a_success_brings_it_back():
    backoff = Backoff(rng=Highest())
    waits = [backoff.next_delay() for _ in range(9)]
    assert waits == [ms(100 * 2**n) for n in range(7)] + [seconds(10)] * 2
    assert backoff.failures == 9
    backoff.reset()
    assert (backoff.next_delay(), backoff.failures) == (ms(100), 1)


def test_every_wait_is_drawn_evenly_below_its_ceiling():
    """Full jitter: from nothing to the ceiling, half of it on average."""
    firsts = [Backoff(rng=Random(seed)).next_delay() for seed in range(2000)]
    assert min(firsts) < ms(1)
    assert ms(99) < max(firsts) <= ms(100)
    assert sum(firsts) / len(firsts) == pytest.approx(ms(50), rel=0.05)


def test_clients_that_failed_together_come_back_spread_out():
    """A thousand receivers of one server: in the busiest 10 ms of the fifth attempt are few."""
    arrivals = []
    for seed in range(1000):
        backoff = Backoff(rng=Random(seed))
        arrivals.append(sum(backoff.next_delay() for _ in range(5)))
    busiest = max(sum(1 for a in arrivals if a // ms(10) == slot) for slot in range(310))
    assert busiest < 20


def test_the_same_seed_gives_the_same_waits():
    one, other = Backoff(rng=Random(7)), Backoff(rng=Random(7))
    assert [one.next_delay() for _ in range(20)] == [other.next_delay() for _ in range(20)]


def test_a_year_of_failures_does_not_overflow():
    backoff = Backoff(rng=Random(1))
    assert all(0 <= backoff.next_delay() <= seconds(10) for _ in range(5000))


@pytest.mark.parametrize("wrong", [{"first": 0}, {"factor": 0.5}, {"limit": ms(1)}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(LocalProtocolError):
        Backoff(**wrong)
