"""Numbers on a circle: RFC 1982 for comparing, and unwrapping through every kind of disorder."""

import random

from hypothesis import given
from hypothesis import strategies as st

from labkit.words.seqnum import Unwrapper, add16, add32, ahead16, ahead32

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)


def test_the_wrap_is_one_step():
    assert add16(65535, 1) == 0
    assert add16(0, -1) == 65535
    assert ahead16(0, 65535) == 1
    assert ahead16(65535, 0) == -1
    assert add32(0xFFFFFFFF, 960) == 959
    assert ahead32(959, 0xFFFFFFFF) == 960


def test_half_a_turn_is_behind():
    """RFC 1982 section 3.2 leaves this undefined; we say behind, always."""
    assert ahead16(32768, 0) == -32768
    assert ahead16(0, 32768) == -32768
    assert ahead32(1 << 31, 0) == -(1 << 31)


@given(u16, st.integers(-32768, 32767))
def test_ahead16_undoes_add16(number, step):
    assert ahead16(add16(number, step), number) == step


@given(u32, st.integers(-(1 << 31), (1 << 31) - 1))
def test_ahead32_undoes_add32(number, step):
    assert ahead32(add32(number, step), number) == step


def test_unwrapping_keeps_the_first_number_and_passes_the_wrap():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (65534, 65535, 0, 1)] == [65534, 65535, 65536, 65537]
    assert unwrap.newest == 65537


def test_a_late_packet_falls_into_its_place_before_the_wrap():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (65535, 1, 0, 65534)] == [65535, 65537, 65536, 65534]
    assert unwrap.newest == 65537


def test_a_stream_that_starts_past_a_wrap_has_negative_numbers_before_it():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (0, 65535)] == [0, -1]


def test_a_duplicate_is_the_same_number():
    unwrap = Unwrapper(16)
    assert [unwrap(n) for n in (5, 5, 5)] == [5, 5, 5]


@given(st.integers(0, 1 << 20), st.lists(st.integers(-16000, 16000), max_size=200))
def test_any_walk_in_steps_below_a_quarter_turn_is_followed_exactly(start, steps):
    """Each number is less than half a turn from the newest, so it can only be one."""
    unwrap = Unwrapper(16)
    offset = unwrap(start & 0xFFFF) - start
    newest = start
    for step in steps:
        true = newest + step
        assert unwrap(true & 0xFFFF) - offset == true
        newest = max(newest, true)


def test_an_hour_of_shuffled_packets_at_32_bits():
    """180 000 timestamps, 960 apart, disordered by up to 20 places, through the wrap."""
    rng = random.Random(1)
    true = [0xFFFF0000 + 960 * n for n in range(180_000)]
    order = sorted(range(len(true)), key=lambda n: n + rng.uniform(0, 20))
    unwrap = Unwrapper(32)
    assert [unwrap(true[n] & 0xFFFFFFFF) for n in order] == [true[n] for n in order]
