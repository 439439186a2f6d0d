"""What the status line and the metrics show: rate, loss, jitter, delay.

Each meter is told of every packet and asked now and then, so telling is cheap and asking may cost.
Each uses a fixed amount of memory, however long it runs.

- `RateMeter`: bits and packets a second, over the last second
- `StreamStats`: expected, received, lost, duplicate, reordered (RFC 3550 A.3, RFC 4737)
- `JitterMeter`: interarrival jitter (RFC 3550 section 6.4.1 and A.8)
- `Histogram`: percentiles of delays, to a stated relative error

This module knows no header, no clock and no stream but the one it is told of: a sender that starts
again is a new stream and needs new meters.
"""

import operator
from math import ceil
from typing import Final

from labkit.words.errors import LocalProtocolError
from labkit.words.seqnum import ahead16, ahead32
from labkit.words.units import NS_PER_S, seconds


class RateMeter:
    """Bits and packets a second over a sliding window of time.

    The window is ten buckets. Only whole buckets count, so a steady stream gives a steady figure,
    at most a tenth of the window old. Until the first window has passed, it is as long as the
    meter has run.
    """

    __slots__ = ("_bucket", "_bytes", "_first", "_packets", "_width", "bytes", "packets")

    BUCKETS: Final = 10

    def __init__(self, window: int = seconds(1)) -> None:
        self._width = max(window // self.BUCKETS, 1)
        self._bytes = [0] * (self.BUCKETS + 1)  # one more: the bucket that is being filled
        self._packets = [0] * (self.BUCKETS + 1)
        self._first: int | None = None
        self._bucket = 0
        self.bytes = 0
        """All bytes there ever were."""
        self.packets = 0
        """All packets there ever were."""

    def add(self, size: int, now: int) -> None:
        """A packet of `size` bytes passed."""
        if now // self._width != self._bucket or self._first is None:
            self._turn(now)
        slot = self._bucket % (self.BUCKETS + 1)
        self._bytes[slot] += size
        self._packets[slot] += 1
        self.bytes += size
        self.packets += 1

    def rate(self, now: int) -> float:
        """Bits a second."""
        return self._per_second(self._bytes, now) * 8

    def packet_rate(self, now: int) -> float:
        """Packets a second."""
        return self._per_second(self._packets, now)

    def _turn(self, now: int) -> None:
        """Empty the buckets whose time has come again. Time that went back changes nothing."""
        bucket = now // self._width
        if self._first is None:
            self._first = self._bucket = bucket
        for stale in range(max(self._bucket + 1, bucket - self.BUCKETS), bucket + 1):
            self._bytes[stale % (self.BUCKETS + 1)] = 0
            self._packets[stale % (self.BUCKETS + 1)] = 0
        self._bucket = max(self._bucket, bucket)

    def _per_second(self, buckets: list[int], now: int) -> float:
        if self._first is None:
            return 0.0
        self._turn(now)
        whole = min(self.BUCKETS, self._bucket - self._first)
        if whole == 0:
            return 0.0
        counted = sum(buckets) - buckets[self._bucket % (self.BUCKETS + 1)]
        return counted * NS_PER_S / (whole * self._width)


class StreamStats:
    """What became of the packets of one stream, told by their 16-bit sequence numbers.

    Expected and lost are those of RFC 3550 A.3, where `received` counts late packets and
    duplicates too: `lost` may be negative. `missing` counts each packet once and is what a
    listener means by loss. A packet is reordered when one with a higher number came before it (RFC
    4737 section 3.3); a duplicate is counted as that alone. Copies are recognised among the last
    `WINDOW` numbers, ten seconds at 50 packets a second; one that is older counts as reordered.
    """

    __slots__ = (
        "_prior_expected",
        "_prior_received",
        "_seen",
        "duplicates",
        "first",
        "highest",
        "received",
        "reordered",
    )

    WINDOW: Final = 512
    _MASK: Final = (1 << WINDOW) - 1

    def __init__(self) -> None:
        self.first = 0
        """The first sequence number that came."""
        self.highest: int | None = None
        """The highest, unwrapped: RFC 3550's extended highest sequence number received."""
        self.received = 0
        self.duplicates = 0
        self.reordered = 0
        self._seen = 0  # bit k is set when `highest - k` has come, as in RFC 3711 section 3.3.2
        self._prior_expected = 0
        self._prior_received = 0

    def add(self, seq: int) -> int:
        """A packet with this sequence number came; the number, unwrapped."""
        self.received += 1
        highest = self.highest
        if highest is None:
            self.first = self.highest = seq
            self._seen = 1
            return seq
        step = ahead16(seq, highest)
        if step > 0:
            self.highest = highest + step
            self._seen = (self._seen << step | 1) & self._MASK
        elif self._seen >> -step & 1:
            self.duplicates += 1
        else:
            self.reordered += 1
            self._seen |= 1 << -step & self._MASK
        return highest + step

    @property
    def expected(self) -> int:
        """How many packets the sender sent, as far as the highest number tells."""
        return 0 if self.highest is None else self.highest - self.first + 1

    @property
    def lost(self) -> int:
        """RFC 3550's cumulative number of packets lost."""
        return self.expected - self.received

    @property
    def missing(self) -> int:
        """Packets of which no copy has come."""
        return self.lost + self.duplicates

    def fraction_lost(self) -> float:
        """RFC 3550's fraction lost: lost of those expected since the previous call, 0 to 1."""
        expected = self.expected - self._prior_expected
        received = self.received - self._prior_received
        self._prior_expected += expected
        self._prior_received += received
        return max(expected - received, 0) / expected if expected > 0 else 0.0


class JitterMeter:
    """How unevenly packets arrive: RFC 3550's interarrival jitter.

    For each packet, D is how much longer or shorter it travelled than the one that arrived before
    it; the jitter is the running mean of |D|, J += (|D| - J) / 16. No clock is compared with
    another: only differences count. The sum is kept in nanoseconds, so the odd `now` loses nothing
    to the grid of the media clock, as in tshark.
    """

    __slots__ = ("_jitter", "_last_now", "_last_timestamp", "_tick", "clock_rate")

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self._tick = NS_PER_S / clock_rate
        self._jitter = 0.0
        self._last_now = 0
        self._last_timestamp: int | None = None

    def add(self, timestamp: int, now: int) -> None:
        """A packet with this 32-bit timestamp arrived now."""
        last = self._last_timestamp
        if last is not None:
            difference = now - self._last_now - ahead32(timestamp, last) * self._tick
            self._jitter += (abs(difference) - self._jitter) / 16
        self._last_timestamp = timestamp
        self._last_now = now

    @property
    def jitter(self) -> int:
        """In nanoseconds."""
        return round(self._jitter)

    @property
    def ticks(self) -> int:
        """In units of the media clock, rounded down: what a receiver report carries."""
        return int(self._jitter / self._tick)


class Histogram:
    """Counts durations in buckets that grow with the value, for percentiles in fixed memory.

    A value keeps its seven leading bits. Values below 128 ns are exact; every percentile is within
    1/128 (0.8 %) of a value that was added at that rank. What is longer than `LONGEST` (18
    minutes) counts as that, what is negative as zero.

    Histograms can be added up, of many clients or many minutes, and the sum is the histogram that
    would have seen it all; percentiles cannot. The idea is G. Tene's HdrHistogram, with bits where
    that has decimal digits.
    """

    __slots__ = ("count", "counts", "maximum", "minimum", "total")

    BITS: Final = 7
    LONGEST: Final = (1 << 40) - 1

    def __init__(self) -> None:
        half = 1 << (self.BITS - 1)
        self.counts = [0] * ((40 - self.BITS) * half + 2 * half)
        """How many there were in each bucket."""
        self.total = 0
        """The sum of all, in nanoseconds."""
        self.count = 0
        self.minimum: int | None = None
        self.maximum: int | None = None

    def add(self, value: int) -> None:
        """Count one duration, in nanoseconds."""
        value = min(max(value, 0), self.LONGEST)
        self.counts[self._index(value)] += 1
        self.total += value
        self.count += 1
        if self.minimum is None or value < self.minimum:
            self.minimum = value
        if self.maximum is None or value > self.maximum:
            self.maximum = value

    def merge(self, other: "Histogram") -> None:
        """Count everything that another one has counted."""
        self.counts = list(map(operator.add, self.counts, other.counts))
        self.total += other.total
        self.count += other.count
        for value in (other.minimum, other.maximum):
            if value is not None:
                self.minimum = value if self.minimum is None else min(self.minimum, value)
                self.maximum = value if self.maximum is None else max(self.maximum, value)

    def at_most(self, value: int) -> int:
        """How many were not longer than `value`: what a cumulative bucket of Prometheus holds.

        Whole buckets are counted, those up to the one that `value` is in: exact for one below a
        power of two, and elsewhere as if `value` were up to 1/64 longer.
        """
        return sum(self.counts[: self._index(min(value, self.LONGEST)) + 1]) if value >= 0 else 0

    @property
    def mean(self) -> float:
        """The mean, in nanoseconds; 0 when there is nothing."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """The smallest value that at least `percent` % do not exceed, in nanoseconds."""
        if not 0 <= percent <= 100:
            raise LocalProtocolError(f"{percent} is no percentage")
        rank = max(ceil(self.count * percent / 100), 1)
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if seen >= rank:
                return self._middle(index)
        return 0

    def _index(self, value: int) -> int:
        """The bucket of a value that is not negative."""
        shift = max(value.bit_length() - self.BITS, 0)
        return (shift << (self.BITS - 1)) + (value >> shift)

    def _middle(self, index: int) -> int:
        """The middle of a bucket."""
        # The first 2 ** BITS buckets hold one value each; then, with every doubling of the value,
        # 2 ** (BITS - 1) buckets follow that are twice as wide as those before.
        shift = max((index >> (self.BITS - 1)) - 1, 0)
        lowest = (index - (shift << (self.BITS - 1))) << shift
        return lowest + (1 << shift) // 2
