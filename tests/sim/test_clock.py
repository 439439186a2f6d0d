"""Clocks: one that only goes forward, and ones that go a little wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.clock import SkewedClock, VirtualClock
from labkit.words.errors import LocalProtocolError
from labkit.words.units import ms, seconds


def test_virtual_time_jumps_forward_and_never_back():
    clock = VirtualClock()
    clock.advance_to(5)
    clock.advance_to(5)
    assert clock.now == 5
    with pytest.raises(LocalProtocolError, match="time does not go back"):
        clock.advance_to(4)


def test_a_hundred_ppm_are_a_tenth_of_a_millisecond_a_second():
    assert SkewedClock(100).local(seconds(1)) == seconds(1) + 100_000
    assert SkewedClock(-100).local(seconds(1)) == seconds(1) - 100_000


def test_two_hundred_ppm_after_an_hour_to_the_nanosecond():
    assert SkewedClock(200).local(seconds(3600)) == seconds(3600) + ms(720)


def test_an_offset_is_what_it_shows_at_the_beginning():
    clock = SkewedClock(50, offset=seconds(7))
    assert clock.local(0) == seconds(7)
    assert clock.true(seconds(7)) == 0


@given(st.integers(-500_000, 500_000), st.integers(), st.integers(0, seconds(10_000)))
def test_an_alarm_rings_at_the_first_instant_at_which_the_time_is_shown(ppm, offset, local):
    """Not before, or it would be set again for ever; and not a nanosecond later."""
    clock = SkewedClock(ppm, offset)
    true = clock.true(local)
    assert clock.local(true) >= local
    assert clock.local(true - 1) < local


def test_a_clock_that_stands_still_is_refused():
    with pytest.raises(LocalProtocolError, match="stands still"):
        SkewedClock(-1_000_000)
