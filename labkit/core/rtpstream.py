"""One RTP stream of a capture: loss, order and jitter, a batch of packets at a time.

`labkit.core.meters` does the same for a live stream, packet by packet; here a batch is a numpy
table, and what one packet owes to the one before it becomes a sum over the batch.

- Sequence numbers and timestamps are unwrapped by adding up their steps; a step is a difference of
  16 or 32 bits with a sign, which is what an integer of that size makes of it.
- The jitter of RFC 3550 appendix A.8, J += (|D| - J) / 16, is a sum in which each older D counts
  15/16 less: `smooth` doubles its reach ten times instead of going through it once.

This module knows no headers and no flows.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from labkit.core.reception import MAX_DROPOUT, MAX_MISORDER
from labkit.words.units import NS_PER_S

Real = npt.NDArray[np.float64]
Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ROW: Final = np.dtype(
    [
        ("number", np.int64), ("time", np.int64), ("seq", np.uint16), ("timestamp", np.uint32),
        ("size", np.int32), ("payload_type", np.uint8), ("marker", np.bool_),
    ]
)  # fmt: skip
"""One packet as it came: number in the capture, nanoseconds since 1970, then what RTP says;
`size` is of the payload."""

TIMELINE: Final = np.dtype(
    [
        ("number", np.int64), ("time", np.int64), ("seq", np.int64), ("timestamp", np.int64),
        ("size", np.int32), ("payload_type", np.uint8), ("marker", np.bool_), ("jitter", np.int64),
    ]
)  # fmt: skip
"""The same, unwrapped, with the jitter (A.8) after it in nanoseconds."""

Rows = npt.NDArray[np.void]

KEEP: Final = 15 / 16
"""What is left of an old difference after each packet (A.8)."""
REACH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""After these, 1023 packets count; (15/16) ** 1024 is 2e-29, nothing to a float."""

TAIL: Final = 4 * MAX_MISORDER
"""How many packets back a duplicate is known as one, beyond its batch."""

COMFORT_NOISE: Final = (13, 19)
"""RFC 3389; 19 in older systems."""


def smooth(differences: Real, before: float) -> Real:
    """The jitter after each packet, from the differences D and the jitter before them (A.8)."""
    jitter = np.abs(differences) / 16
    jitter[:1] += KEEP * before
    for shift in REACH:
        if shift >= len(jitter):
            break
        jitter[shift:] += KEEP**shift * jitter[:-shift]
    return jitter


class RtpStream:
    """What was counted of one stream. All times are nanoseconds."""

    def __init__(self, *, timeline: bool = True) -> None:
        self.packets = 0
        """All that came, duplicates too."""
        self.octets = 0
        """Bytes of payload in them."""
        self.duplicates = 0
        self.reordered = 0
        """Packets that came after one with a higher number (RFC 4737 section 3)."""
        self.restarts = 0
        """Jumps in the numbers that no loss explains (RFC 3550 appendix A.1)."""
        self.plausible = 0
        """Steps from packet to packet that a real stream takes."""
        self.jitter = 0.0
        """After the last packet: what a receiver report would say (RFC 3550 appendix A.8)."""
        self.mean_jitter = 0.0
        self.max_jitter = 0.0
        """Mean and maximum as tshark counts them, see `_summarise`."""
        self.payload_types: dict[int, int] = {}
        """How many packets each has."""
        self.first_seq = self.highest_seq = 0
        self.first_number = 0
        self.first_time = self.last_time = 0
        self._timeline: list[Rows] | None = [] if timeline else None
        self._tail = np.empty(0, np.int64)
        # The last packet: as it came, and unwrapped. Times are counted from the first packet.
        self._last = np.zeros(1, ROW)
        self._last_seq = self._last_timestamp = self._first_timestamp = 0
        self._reference = 0, 0  # time and timestamp that the next packet's jitter is taken from
        self._after_noise = False

    # Figures ----------------------------------------------------------------------------------

    @property
    def expected(self) -> int:
        """By the numbers, from the first to the highest."""
        return self.highest_seq - self.first_seq + 1 if self.packets else 0

    @property
    def lost(self) -> int:
        """Expected less all that came: RFC 3550 appendix A.3. Duplicates can make it negative."""
        return self.expected - self.packets

    @property
    def missing(self) -> int:
        """Packets that never came: what a listener means by loss."""
        return self.lost + self.duplicates

    @property
    def loss(self) -> float:
        """The share of packets that never came: 0 to 1."""
        return self.missing / self.expected if self.expected else 0.0

    @property
    def duration(self) -> int:
        """From the first packet to the last."""
        return self.last_time - self.first_time

    @property
    def timeline(self) -> Rows:
        """Every packet in the order of arrival: a table with the columns of `TIMELINE`."""
        assert self._timeline is not None, "this stream was counted without a timeline"
        if len(self._timeline) != 1:
            self._timeline = [np.concatenate([np.empty(0, TIMELINE), *self._timeline])]
        return self._timeline[0]

    def bursts(self) -> Column:
        """How many packets were lost in a row, for each time that some were."""
        gaps = np.diff(np.unique(self.timeline["seq"])) - 1
        lengths: Column = gaps[gaps > 0]
        return lengths

    # Counting ---------------------------------------------------------------------------------

    def add(self, rows: Rows, rates: Real) -> None:
        """Count these packets. `rates`: ticks a second of each payload type; 0: has no clock."""
        if not len(rows):
            return
        begins = not self.packets
        if begins:
            self._begin(rows)
        before = np.concatenate([self._last, rows[:-1]])
        steps = (rows["seq"] - before["seq"]).astype(np.int16).astype(np.int64)
        ticks = (rows["timestamp"] - before["timestamp"]).astype(np.int32).astype(np.int64)
        far = (steps >= MAX_DROPOUT) | (steps < -MAX_MISORDER)
        if far.any():
            self.restarts += int(np.count_nonzero(far))
            steps[far], ticks[far] = 1, 0
        self.plausible += int(np.count_nonzero((steps != 0) & ~far))
        seq = self._last_seq + np.cumsum(steps)
        timestamp = self._last_timestamp + np.cumsum(ticks)
        self._count_order(seq, begins=begins)
        jitter = self._count_jitter(rows, timestamp, rates, far)
        if self._timeline is not None:
            self._timeline.append(_table(rows, seq, timestamp, jitter))
        counts = np.bincount(rows["payload_type"])
        for kind in np.flatnonzero(counts).tolist():
            self.payload_types[kind] = self.payload_types.get(kind, 0) + int(counts[kind])
        self.packets += len(rows)
        self.octets += int(rows["size"].sum())
        self.last_time = int(rows["time"][-1])
        self._last = rows[-1:].copy()
        self._last_seq = int(seq[-1])
        self._last_timestamp = int(timestamp[-1])

    def _begin(self, rows: Rows) -> None:
        """The first packet: what comes before it is taken to be itself."""
        self._last = rows[:1].copy()
        self.first_number = int(rows["number"][0])
        self.first_time = int(rows["time"][0])
        self._last_seq = self.first_seq = self.highest_seq = int(rows["seq"][0])
        self._last_timestamp = self._first_timestamp = int(rows["timestamp"][0])
        self._reference = self.first_time, self._first_timestamp

    def _count_order(self, seq: Column, *, begins: bool) -> None:
        """Highest number, reordering, duplicates."""
        top = np.maximum.accumulate(np.concatenate([[self.highest_seq], seq]))
        behind = seq <= top[:-1]
        behind[0] &= not begins
        if behind.any():
            known = np.concatenate([self._tail, seq])
            again = np.ones(len(known), np.bool_)
            again[np.unique(known, return_index=True)[1]] = False
            again = again[len(self._tail) :]
            self.duplicates += int(np.count_nonzero(again))
            self.reordered += int(np.count_nonzero(behind & ~again))
        self.highest_seq = int(top[-1])
        self._tail = np.concatenate([self._tail, seq[-TAIL:]])[-TAIL:]

    def _count_jitter(self, rows: Rows, timestamp: Column, rates: Real, far: Mask) -> Real:
        """The jitter after each packet.

        Two kinds of packets change nothing: those of a type without a clock, and those that are
        older than the first of all, which tshark leaves out too.
        """
        rate = rates[rows["payload_type"]]
        ahead = timestamp >= self._first_timestamp
        chain = slice(None) if ahead.all() else np.flatnonzero(ahead)
        time, stamp, clock = rows["time"][chain], timestamp[chain], rate[chain]
        clocked = clock > 0
        period = np.divide(NS_PER_S, clock, out=np.zeros_like(clock), where=clocked)
        time_before, stamp_before = self._reference
        apart = np.diff(time, prepend=time_before) - np.diff(stamp, prepend=stamp_before) * period
        apart[far[chain]] = 0  # a restart: the clocks have nothing to do with each other
        if len(time):
            self._reference = int(time[-1]), int(stamp[-1])
        counts = ahead & (rate > 0)
        if counts.all():
            jitter = smooth(apart, self.jitter)
        else:
            some = np.concatenate([[self.jitter], smooth(apart[clocked], self.jitter)])
            jitter = some[np.cumsum(counts)]
        self.jitter = float(jitter[-1])
        counts[0] &= self.packets > 0  # the first has nothing to be compared with
        self._summarise(rows, jitter, counts)
        return jitter

    def _summarise(self, rows: Rows, jitter: Real, counts: Mask) -> None:
        """Mean and maximum over the packets that tshark takes: no marker, no comfort noise.

        Its mean is updated at those packets only, but by 1/n of *all* packets so far.
        """
        noise = np.isin(rows["payload_type"], COMFORT_NOISE)
        after_noise = np.concatenate([[self._after_noise], noise[:-1]])
        self._after_noise = bool(noise[-1])
        counts = counts & ~rows["marker"] & ~noise & ~after_noise
        if not counts.any():
            return
        self.max_jitter = max(self.max_jitter, float(jitter[counts].max()))
        index = np.flatnonzero(counts) + self.packets  # packets before each, never 0
        # mean' = mean + (J - mean) / n, all at once: times n, it is a sum, but for the packets
        # left out, which let n grow and leave the mean as it was.
        grown = np.concatenate([[1.0], (index[1:] - 1) / index[:-1]])
        scale = np.cumprod(grown)
        total = self.mean_jitter * (index[0] - 1) + np.cumsum(jitter[counts] / scale)
        self.mean_jitter = float(total[-1] * scale[-1] / index[-1])


def _table(rows: Rows, seq: Column, timestamp: Column, jitter: Real) -> Rows:
    """Rows of a timeline."""
    table = np.empty(len(rows), TIMELINE)
    for name in ("number", "time", "size", "payload_type", "marker"):
        table[name] = rows[name]
    table["seq"], table["timestamp"], table["jitter"] = seq, timestamp, jitter
    return table
