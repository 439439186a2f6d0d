"""Delay policies of others, for comparison: each as its authors wrote it down, no better.

- `Ramjee1` and `Ramjee4`: Ramjee, Kurose, Towsley and Schulzrinne, "Adaptive playout mechanisms
  for packetized audio applications in wide-area networks", INFOCOM 1994, algorithms 1 and 4
- `FourJitter`: four times the interarrival jitter of RFC 3550 section 6.4.1, a rule of thumb
- `Percentile`: a quantile of the last transits, after Moon, Kurose and Towsley, "Packet audio
  playout delay adjustment", Multimedia Systems 1998
- `NetEqLike`: how WebRTC's NetEq finds its target; how it gets there is ours

The papers move the line between two talkspurts only; here it follows each packet, at the pace that
the buffer allows. This module knows no packets and no buffer.
"""

from bisect import bisect_left, insort
from collections import deque

from labkit.core.delaypolicy import WindowedMinimum
from labkit.words.units import ms, seconds

TICK = ms(0.125)
"""Ramjee et al. count in samples of 8 kHz."""


class Ramjee1:
    """Exponential averages of delay and of its variation: the line is d + 4 v."""

    ALPHA = 0.998002

    def __init__(self) -> None:
        self.d: float | None = None
        self.v = 0.0

    def observe(self, transit: int, now: int) -> None:
        """Average it in."""
        if self.d is None:
            self.d = transit
        self.d += (1 - self.ALPHA) * (transit - self.d)
        self.v += (1 - self.ALPHA) * (abs(transit - self.d) - self.v)

    def target(self) -> int:
        """The average plus four variations."""
        return int((self.d or 0) + 4 * self.v)


class Ramjee4:
    """`Ramjee1` with a short memory, and a mode for spikes in which it follows each packet."""

    ALPHA = 0.875

    def __init__(self) -> None:
        self.d: float | None = None
        self.v = 0.0
        self._spike = False
        self._var = 0.0  # how steep the spike still is
        self._n1 = self._n2 = 0  # the two transits before this one

    def observe(self, transit: int, now: int) -> None:
        """Average it in, or follow it."""
        n, n1, n2 = transit, self._n1, self._n2
        if self.d is None:
            self.d, n1, n2 = n, n, n
        self._n1, self._n2 = n, n1
        if not self._spike:
            if abs(n - n1) > 2 * abs(self.v) + 800 * TICK:
                self._spike, self._var = True, 0.0
        else:
            self._var = self._var / 2 + abs(2 * n - n1 - n2) / 8
            if self._var <= 63 * TICK:
                self._spike = False
                return
        self.d = self.d + n - n1 if self._spike else self.ALPHA * self.d + (1 - self.ALPHA) * n
        self.v = self.ALPHA * self.v + (1 - self.ALPHA) * abs(n - self.d)

    def target(self) -> int:
        """The average plus four variations."""
        return int((self.d or 0) + 4 * self.v)


class FourJitter:
    """Four times RFC 3550's jitter above the empty network."""

    def __init__(self) -> None:
        self._base = WindowedMinimum()
        self._last: int | None = None
        self.jitter = 0.0

    def observe(self, transit: int, now: int) -> None:
        """RFC 3550 appendix A.8."""
        self._base.add(transit, now)
        if self._last is not None:
            self.jitter += (abs(transit - self._last) - self.jitter) / 16
        self._last = transit

    def target(self) -> int:
        """The smallest transit plus four jitters."""
        return self._base.value + int(4 * self.jitter)


class Percentile:
    """The line under which `share` of the last `window` transits lay."""

    def __init__(self, share: float = 0.99, window: int = 1000) -> None:
        self.share = share
        self.window = window
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def observe(self, transit: int, now: int) -> None:
        """Keep the last ones, sorted."""
        self._recent.append(transit)
        insort(self._sorted, transit)
        if len(self._recent) > self.window:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]

    def target(self) -> int:
        """The quantile; zero before the first."""
        if not self._sorted:
            return 0
        return self._sorted[min(int(self.share * len(self._sorted)), len(self._sorted) - 1)]


class NetEqLike:
    """The 0.95 quantile of a histogram that forgets: 20 ms buckets, factor 0.983.

    Delays are relative to the smallest of the last two seconds. Half a second counts with its
    largest delay, so the histogram remembers about half a minute. Starts at 80 ms.
    """

    QUANTILE = 0.95
    FORGET = 0.983
    BUCKET = ms(20)
    BUCKETS = 100
    EACH = ms(500)

    def __init__(self) -> None:
        self._base = WindowedMinimum(seconds(2))
        self._shares = [0.0] * self.BUCKETS
        self._added = 0
        self._largest = 0
        self._until: int | None = None
        self.delay = ms(80)

    def observe(self, transit: int, now: int) -> None:
        """Remember the largest of this half second; at its end count it."""
        self._base.add(transit, now)
        self._largest = max(self._largest, transit - self._base.value)
        if self._until is None:
            self._until = now + self.EACH
        elif now >= self._until:
            self._count(min(self._largest // self.BUCKET, self.BUCKETS - 1))
            self._largest = 0
            self._until = now + self.EACH

    def _count(self, bucket: int) -> None:
        self._added += 1
        forget = min(self.FORGET, 1 - 2 / (self._added + 1))  # the first ones count for more
        self._shares = [share * forget for share in self._shares]
        self._shares[bucket] += 1 - forget
        total, index = 0.0, 0
        while total + self._shares[index] < self.QUANTILE and index < self.BUCKETS - 1:
            total += self._shares[index]
            index += 1
        self.delay = (index + 1) * self.BUCKET

    def target(self) -> int:
        """The smallest transit plus the quantile."""
        return self._base.value + self.delay
