"""Virtual time, and clocks that run a little fast or slow against it.

In the simulation nothing waits: the `World` moves its `VirtualClock` to the instant of the next
thing that happens. A machine that is given a `SkewedClock` sees another time, as two sound cards
or two computers do: 100 ppm is a tenth of a millisecond in each second.

This module does not know what happens at which instant. All times are int nanoseconds.
"""

from labkit.words.errors import LocalProtocolError

MILLION = 1_000_000


class VirtualClock:
    """A clock that stands still until it is moved, and moves forward only."""

    __slots__ = ("now",)

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def advance_to(self, instant: int) -> None:
        """Jump."""
        if instant < self.now:
            raise LocalProtocolError(f"time does not go back: it is {self.now}, not {instant}")
        self.now = instant


class SkewedClock:
    """What a clock that is `ppm` parts per million fast shows, in terms of the true time.

    `offset` is what it shows at the true instant 0. Exact integers: `true(local(t)) == t` for a
    clock that is fast, and never after an hour is anything rounded away.
    """

    __slots__ = ("_rate", "offset", "ppm")

    def __init__(self, ppm: int, offset: int = 0) -> None:
        if abs(ppm) >= MILLION:
            raise LocalProtocolError(f"a clock {ppm} ppm off stands still or runs backwards")
        self.ppm = ppm
        self.offset = offset
        self._rate = MILLION + ppm

    def local(self, true: int) -> int:
        """What this clock shows at a true instant. Rounds down."""
        return true * self._rate // MILLION + self.offset

    def true(self, local: int) -> int:
        """The first true instant at which this clock shows `local` or more.

        It rounds up: an alarm that rings before its time would have to be set again, for ever.
        """
        return -((self.offset - local) * MILLION // self._rate)
