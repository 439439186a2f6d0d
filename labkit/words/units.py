"""Time and size, in integers.

Three times have three names and are never mixed:

- `now`: local and monotonic, in nanoseconds, with an arbitrary zero. It drives every machine.
- `timestamp`: media time, in ticks of the sampling clock (48 000 a second for Opus). It travels
  in packets and wraps at 32 bits.
- `wallclock`: NTP time. Only sender reports and logs have it, and nothing is decided by it.

`now` is an `int` because 0.02 added fifty times is not 1.0, and because equal integers make two
runs equal on every machine. This module reads no clock.
"""

from typing import Final

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

SAMPLE_RATE: Final = 48_000
"""Samples a second, unless somebody says otherwise. Opus's RTP clock has this rate (RFC 7587)."""

FRAME_MS: Final = 20
"""Milliseconds of audio in a frame, unless somebody says otherwise."""

NTP_EPOCH_OFFSET: Final = 2_208_988_800
"""Seconds from 1900-01-01, where NTP starts, to 1970-01-01, where Unix starts (RFC 5905)."""


def us(microseconds: float) -> int:
    """Microseconds to nanoseconds."""
    return round(microseconds * NS_PER_US)


def ms(milliseconds: float) -> int:
    """Milliseconds to nanoseconds: `ms(20)` is one frame."""
    return round(milliseconds * NS_PER_MS)


def seconds(value: float) -> int:
    """Seconds to nanoseconds."""
    return round(value * NS_PER_S)


def to_ms(nanoseconds: float) -> float:
    """Nanoseconds to milliseconds, for printing and plotting only."""
    return nanoseconds / NS_PER_MS


def to_seconds(nanoseconds: float) -> float:
    """Nanoseconds to seconds, for printing and plotting only."""
    return nanoseconds / NS_PER_S


def ticks_to_ns(ticks: int, rate: int) -> int:
    """How long `ticks` of a clock of `rate` Hz last. Rounds down, exactly, at any size."""
    return ticks * NS_PER_S // rate


def ns_to_ticks(nanoseconds: int, rate: int) -> int:
    """How many whole ticks of a clock of `rate` Hz fit into `nanoseconds`."""
    return nanoseconds * rate // NS_PER_S


def bitrate(size: int, duration: int) -> float:
    """Bits a second, when `size` bytes are sent every `duration` nanoseconds."""
    return size * 8 * NS_PER_S / duration


def ntp_time(unix_ns: int) -> int:
    """Unix time in nanoseconds as a 64-bit NTP timestamp: 32 bits of seconds, 32 of fraction."""
    whole, rest = divmod(unix_ns, NS_PER_S)
    return ((whole + NTP_EPOCH_OFFSET) & 0xFFFFFFFF) << 32 | (rest << 32) // NS_PER_S


def ntp_between(earlier: int, later: int) -> int:
    """Nanoseconds from one 64-bit NTP timestamp to another; negative when they are swapped.

    They count from 1900 and start again in 2036: less than 68 years apart, it does not matter.
    """
    units = ((later - earlier + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)
    return units * NS_PER_S >> 32


def ntp_short(ntp: int) -> int:
    """The middle 32 of 64 NTP bits, in 1/65536 s: what LSR and DLSR use (RFC 3550 section 4)."""
    return ntp >> 16 & 0xFFFFFFFF


def ns_to_ntp_short(nanoseconds: int) -> int:
    """A duration in units of 1/65536 s, as DLSR counts it."""
    return (nanoseconds << 16) // NS_PER_S & 0xFFFFFFFF


def ntp_short_to_ns(units: int) -> int:
    """A duration in units of 1/65536 s as nanoseconds."""
    return units * NS_PER_S >> 16
