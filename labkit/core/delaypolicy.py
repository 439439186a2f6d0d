"""Where to draw the line between in time and late.

The *transit* of a packet is its arrival time minus its media time. The two clocks have nothing to
do with each other, so a transit says nothing by itself; the difference of two is a difference of
network delays. Plot the transits of a stream, draw a line across: what lies below the line is
played, what lies above comes too late, and the height of the line is the delay everybody waits.

A policy sees each transit once and says where the line should be. It knows no packets, no
buffer and no sound; how the playout gets to the line is the affair of `labkit.core.jitterbuffer`.
"""

from collections import deque
from math import exp, inf
from typing import Final, Protocol

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

    PIECES: Final = 10

    def __init__(self, window: int = seconds(10)) -> None:
        self._span = window // self.PIECES
        self._lows: deque[int] = deque(maxlen=self.PIECES)
        self._until = -inf
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
        self._lows.append(self._low)
        if now - self._until > self._span * self.PIECES:
            self._lows.clear()  # a long silence, or the very first value
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
    """What came lately, plus a margin that is learned.

    The line stands a margin above the highest transit of the last 400 ms. So it rises with the
    first late packet, follows a queue that fills, and sinks when the queue is gone. How large must
    the margin be? Six are tried at once, in hindsight: for each we know what it would have cost.

        cost = margin + late_cost x (percentage of turns that would have stalled)

    and the margin is the mean of the six, weighed by exp(-cost / 4 ms), so that the cheapest of
    the last forty seconds count for most. This is prediction with expert advice (Cesa-Bianchi and
    Lugosi, 2006, chapter 2). The idea of weighing delay against late packets is that of Speex's
    jitter buffer (Valin); `late_cost` is the delay that one stalled turn in a hundred is worth.

    When a packet comes above the line it also says: the line is at least here, now. The buffer
    then plays it, if it had nothing else to play; see the late policy there. But not higher than
    `most` above the empty network: what is so old is not worth waiting for.
    """

    __slots__ = (
        "_base", "_highest", "_highs", "_last", "_limit", "_line", "_lowest", "_pieces", "_recent",
        "_stalls", "_until", "_weight", "late_cost", "margin", "most",
    )  # fmt: skip

    MARGINS: Final = tuple(ms(m) for m in (5, 10, 20, 40, 80, 160))
    PIECE: Final = ms(100)
    """Time is cut into pieces; of each the highest transit counts."""
    RECENT: Final = 4
    """Pieces that the line looks back on."""
    KEEP: Final = 0.95
    """What is left of a cost after two seconds: it counts for forty."""
    SHARP: Final = ms(4)
    """A margin that costs this much more weighs e times less."""
    TURN: Final = ms(20)
    """A stall lasts whole turns."""

    def __init__(self, *, late_cost: int = ms(50), most: int = ms(500)) -> None:
        self.late_cost = late_cost
        self.most = most
        self.margin = 0
        """What is added to the highest recent transit, in nanoseconds."""
        self._base = WindowedMinimum(seconds(30))
        self._highs: deque[int] = deque(maxlen=self.RECENT)
        self._until = -inf
        self._highest = self._lowest = self._last = self._recent = self._line = self._limit = 0
        self._pieces = 0
        # What stalls under each margin would have cost, in pieces of `_weight` altogether. One
        # second of made-up history makes all six cost the same: we begin in the middle.
        self._weight = 10.0
        self._stalls = [self._weight * (self.MARGINS[-1] - margin) for margin in self.MARGINS]

    def observe(self, transit: int, now: int) -> None:
        """Two comparisons; ten times a second the line is drawn anew."""
        self._last = transit
        if transit > self._highest:
            self._highest = transit
        elif transit < self._lowest:
            self._lowest = transit
        if now >= self._until:
            self._end_piece(now)

    def target(self) -> int:
        """The line, or the last packet's transit if that is higher and not too high."""
        line = self._line
        return line if line >= self._last else min(self._last, self._limit)

    def _end_piece(self, now: int) -> None:
        if self._highs:
            self._charge(self._highest - self._recent)
        else:
            self._highest = self._lowest = self._last
            self._learn()
        highest = self._highest
        self._highs.append(highest)
        self._recent = highest if highest >= self._recent else max(self._highs)
        self._base.add(self._lowest, now)
        self._limit = limit = self._base.value + self.most
        self._line = min(self._recent + self.margin, limit)
        self._highest = self._lowest = self._last
        self._until = now + self.PIECE

    def _charge(self, rise: int) -> None:
        """Charge each margin with the turns that would have stalled, when it rose so much."""
        self._weight += 1
        self._pieces += 1
        if rise > self.MARGINS[0]:
            for index, margin in enumerate(self.MARGINS):
                if rise > margin:
                    turns = (rise - margin) // self.TURN + 1
                    self._stalls[index] += 100 * self.late_cost * turns * self.TURN / self.PIECE
            self._learn()
        if self._pieces % 20 == 0:
            self._weight *= self.KEEP
            self._stalls = [stall * self.KEEP for stall in self._stalls]
            self._learn()

    def _learn(self) -> None:
        """The mean of the margins, weighed by what they cost."""
        costs = [m + s / self._weight for m, s in zip(self.MARGINS, self._stalls, strict=True)]
        least = min(costs)
        weights = [exp((least - cost) / self.SHARP) for cost in costs]
        mean = sum(w * m for w, m in zip(weights, self.MARGINS, strict=True)) / sum(weights)
        self.margin = int(mean)
