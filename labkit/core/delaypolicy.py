"""Where to draw the line between in time and late.

The *transit* of a packet is its arrival time minus its media time. The two clocks have nothing to
do with each other, so a transit says nothing by itself; the difference of two is a difference of
network delays. Plot the transits of a stream, draw a line across: what lies below the line is
played, what lies above comes too late, and the height of the line is the delay everybody waits.

A policy sees each transit once and says where the line should be. It knows no packets, no
buffer and no sound; how the playout gets to the line is the affair of `labkit.core.jitterbuffer`.
"""

from collections import deque
from typing import Protocol

from labkit.words.units import ms, seconds


class DelayPolicy(Protocol):
    """What the jitter buffer asks of a policy. All values are nanoseconds."""

    def observe(self, transit: int, now: int) -> None:
        """A packet arrived now with this transit: in time, late or out of order."""

    def target(self) -> int:
        """The line: a packet whose transit is at most this is in time."""


class WindowedMinimum:
    """The smallest value of the last `window` nanoseconds, to a tenth of it.

    The smallest transit is the delay of the empty network. It is taken over a window and not over
    all time because the two clocks drift apart: at 200 ppm by 2 ms in 10 s, 720 ms in an hour.
    """

    __slots__ = ("_low", "_lows", "_span", "_until", "value")

    PIECES = 10

    def __init__(self, window: int = seconds(10)) -> None:
        self._span = window // self.PIECES
        self._lows: deque[int] = deque(maxlen=self.PIECES)
        self._until = 0
        self._low = 0
        self.value = 0
        """The minimum. Zero before the first value."""

    def add(self, value: int, now: int) -> None:
        """Take one value. Constant time, but for a tenth of the window at its end."""
        if now >= self._until:
            self._turn(value, now)
        elif value < self._low:
            self._low = value
            self.value = min(self.value, value)

    def _turn(self, value: int, now: int) -> None:
        """A tenth of the window is over: its minimum joins the others, the oldest is forgotten."""
        if self._until:
            self._lows.append(self._low)
        if now - self._until > self._span * self.PIECES:
            self._lows.clear()
        self._until = now + self._span
        self._low = value
        self.value = min(value, *self._lows) if self._lows else value


class Fixed:
    """A constant delay above the empty network, whatever happens.

    The reference is the smallest transit of the last ten seconds, so a clock that is 200 ppm off
    for hours moves the buffered delay by no more than 2 ms.
    """

    __slots__ = ("_base", "delay")

    def __init__(self, delay: int = ms(60)) -> None:
        self.delay = delay
        self._base = WindowedMinimum()

    def observe(self, transit: int, now: int) -> None:
        """Remember the smallest."""
        self._base.add(transit, now)

    def target(self) -> int:
        """The smallest transit plus the delay."""
        return self._base.value + self.delay


class Adaptive:
    """First version: a quantile that follows."""

    __slots__ = ("_base", "_line")

    def __init__(self, start: int = ms(60)) -> None:
        self._base = WindowedMinimum()
        self._line = start

    def observe(self, transit: int, now: int) -> None:
        """Rise to what comes late at once, sink slowly."""
        self._base.add(transit, now)
        height = transit - self._base.value + ms(5)
        if height > self._line:
            self._line = height
        else:
            self._line -= (self._line - height) // 250

    def target(self) -> int:
        """The smallest transit plus the delay."""
        return self._base.value + self._line
