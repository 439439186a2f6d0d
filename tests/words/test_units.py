"""Time in integers: exact where it must be, and the NTP numbers of the RFCs."""

from functools import reduce
from operator import add

import pytest

from labkit.words.units import (
    NS_PER_S,
    bitrate,
    ms,
    ns_to_ntp_short,
    ns_to_ticks,
    ntp_short,
    ntp_short_to_ns,
    ntp_time,
    seconds,
    ticks_to_ns,
    to_ms,
    to_seconds,
    us,
)


def test_the_three_units_are_thousands_of_each_other():
    assert (us(1), ms(1), seconds(1)) == (1_000, 1_000_000, 1_000_000_000)
    assert ms(22.5) == us(22_500)


def test_twenty_milliseconds_three_thousand_times_are_a_minute():
    """The reason for integers: a sum of floats is not."""
    assert sum(ms(20) for _ in range(3000)) == seconds(60)
    assert reduce(add, [0.02] * 3000) != 60  # Python's own `sum` of floats helps since 3.12


@pytest.mark.parametrize("value", [0.1, 0.29, 1.005, 2.3])
def test_a_float_becomes_the_nearest_nanosecond_and_not_the_one_below(value):
    """0.29 ms is 290 000 ns, although 0.29 * 1e6 is a little less as a float."""
    assert ms(value) == int(f"{value * 1000:.0f}") * 1000


def test_units_and_back():
    assert to_ms(ms(12.5)) == 12.5
    assert to_seconds(seconds(0.25)) == 0.25


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 90_000])
def test_ticks_of_a_whole_second_are_a_second_at_any_rate(rate):
    assert ticks_to_ns(rate, rate) == NS_PER_S
    assert ns_to_ticks(NS_PER_S, rate) == rate


def test_ticks_stay_exact_after_ten_years():
    """No float is big enough for this: 1.5e13 ticks of a 48 kHz clock."""
    ticks = 48_000 * 86_400 * 3650 + 1
    assert ticks_to_ns(ticks, 48_000) == 86_400 * 3650 * NS_PER_S + 20_833


def test_a_tick_of_44100_hz_rounds_down_both_ways():
    """A part of a tick has not happened yet."""
    assert ticks_to_ns(1, 44_100) == 22_675
    assert ns_to_ticks(22_675, 44_100) == 0
    assert ns_to_ticks(22_676, 44_100) == 1


def test_bitrate_of_telephone_sound():
    """160 bytes each 20 ms are G.711's 64 kbit/s."""
    assert bitrate(160, ms(20)) == 64_000


def test_ntp_of_the_unix_epoch_and_of_the_end_of_the_era():
    """RFC 5905 figure 4: 1970 is second 2208988800 of era 0, which ends in February 2036."""
    assert ntp_time(0) == 2_208_988_800 << 32
    assert ntp_time((2**32 - 2_208_988_800) * NS_PER_S) == 0


def test_half_a_second_is_half_of_the_fraction():
    assert ntp_time(NS_PER_S // 2) & 0xFFFFFFFF == 1 << 31


def test_the_round_trip_of_rfc_3550_figure_2():
    """Its example: A = 0xb710:8000, DLSR = 0x0005:4000, LSR = 0xb705:2000 make 6.125 s."""
    now = 0x00000000_B7108000 << 16
    assert ntp_short(now) == 0xB7108000
    trip = ntp_short(now) - 0x00054000 - 0xB7052000
    assert ntp_short_to_ns(trip) == 6_125_000_000
    assert ns_to_ntp_short(5_250_000_000) == 0x00054000
