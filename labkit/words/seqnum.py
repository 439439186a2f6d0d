"""Numbers that start again at zero: compare them, subtract them, unwrap them.

A 16-bit sequence number wraps every 22 minutes at 50 packets a second; a 32-bit timestamp every
25 hours at 48 kHz. On such a circle "greater" means "less than half a turn ahead", which is the
serial number arithmetic of RFC 1982. Nothing outside this file masks or takes a modulus of a
sequence number.

This module does not know what is being counted.
"""

from typing import Final

SEQ_BITS: Final = 16
TIMESTAMP_BITS: Final = 32


def add16(number: int, step: int) -> int:
    """The sequence number `step` places after `number`; `step` may be negative."""
    return (number + step) & 0xFFFF


def add32(number: int, step: int) -> int:
    """The timestamp `step` ticks after `number`; `step` may be negative."""
    return (number + step) & 0xFFFFFFFF


def ahead16(newer: int, older: int) -> int:
    """How many places `newer` is ahead of `older`, in -32768..32767: `ahead16(2, 65535)` is 3."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def ahead32(newer: int, older: int) -> int:
    """How many ticks `newer` is ahead of `older`, in -2**31..2**31 - 1."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Unwrapper:
    """Turns numbers that wrap into numbers that do not.

    The first number is kept as it is. Each later one becomes the integer congruent to it that is
    nearest to the largest seen so far, so a packet that is late by less than half a turn falls
    into its place before the wrap. Results may be negative when the stream starts just past a wrap.
    """

    __slots__ = ("_half", "_mask", "newest")

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self.newest: int | None = None

    def __call__(self, number: int) -> int:
        """The same number, unwrapped."""
        newest = self.newest
        if newest is None:
            self.newest = number
            return number
        number = newest + ((number - newest + self._half) & self._mask) - self._half
        if number > newest:
            self.newest = number
        return number
