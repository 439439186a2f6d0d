"""A ring buffer whose reader is far away: we write here, it is played there.

A sound card reads our memory, so what waits for it can be counted. The speaker of a browser has a
queue of its own, at the other end of a network; what it has played is known from its reports, a
few a second, each late by another amount. So we keep a replica: the same samples are written to
it, and it is read as the far queue is, as well as that can be known. Then `labkit.core.playout`
can hold the far queue at its level as if it were here.

How far has it played *now*? A report says "so many samples" and comes late, never early. So of
the reports of the last five seconds the one that shows the other clock furthest ahead was the
least late, and from there its clock runs as ours does:

    played
      |            . ' x        x: reports, as they come
      |        .x'              dots: what is assumed
      |    .'    x
      |. x
      +-------------------- now

That is behind the truth by the least delay of a report, which is a constant. Reports that stop
stop the reading too, after a second: nothing is sent to somebody who may be gone.

This module knows no browser, no messages and no clock.
"""

from collections import deque
from typing import Final, NamedTuple

from labkit.core.ringbuffer import RingBuffer
from labkit.words.format import Samples
from labkit.words.units import ns_to_ticks, seconds, ticks_to_ns


class FarReport(NamedTuple):
    """What the far end says of its queue. Samples of each channel, since the stream began."""

    now: int
    """When it came to us."""
    received: int
    played: int
    queued: int
    underruns: int = 0
    silence: int = 0
    """Samples of silence in place of sound that was not there in time."""
    dropped: int = 0
    """Samples that found no room."""


class FarRing(RingBuffer):
    """The replica. `report` may be called by another thread than the rest.

    What is written is also put into `outbox`, to be sent. Reports from the network are taken as
    they are: no figure of theirs can make the ring hold more than `capacity`.
    """

    __slots__ = (
        "_ahead",
        "_flying",
        "_last",
        "_reports",
        "_said",
        "outbox",
        "sample_rate",
        "transit",
    )

    STALE: Final = seconds(1)
    WINDOW: Final = seconds(5)
    MOST_REPORTS: Final = 64

    def __init__(self, capacity: int, channels: int, sample_rate: int) -> None:
        super().__init__(capacity, channels)
        self.sample_rate = sample_rate
        self.outbox: list[Samples] = []
        """Written and not yet sent; whoever sends empties it."""
        self.transit = 0
        """Samples on their way, there and with the report back, when it goes fast."""
        self._reports: deque[FarReport] = deque(maxlen=self.MOST_REPORTS)
        self._ahead: deque[tuple[int, int]] = deque(maxlen=self.MOST_REPORTS)
        self._flying: deque[tuple[int, int]] = deque(maxlen=self.MOST_REPORTS)
        self._last: FarReport | None = None
        self._said = 0

    @property
    def heard_from(self) -> int | None:
        """When the last report came."""
        last = self._reports[-1] if self._reports else self._last
        return None if last is None else last.now

    def write(self, samples: Samples) -> int:
        """As `RingBuffer.write`; what is stored is also in the `outbox`."""
        stored = super().write(samples)
        if stored:
            self.outbox.append(samples[:stored].copy())
        return stored

    def report(self, report: FarReport) -> None:
        """The far end has spoken."""
        self._reports.append(report)

    def catch_up(self, now: int) -> None:
        """Read what the far end has read by now. Called by the writer, before it writes."""
        while self._reports:
            self._take(self._reports.popleft())
        behind = min(self._played_at(now) - self._read, self.fill)
        if behind > 0:
            self.read(behind)

    def _take(self, report: FarReport) -> None:
        if report.underruns != self.underruns:
            self._ahead.clear()  # it stood still: what was assumed of its clock is no longer so
        self.underruns = report.underruns
        self.underrun_samples = report.silence
        self.overrun_samples += max(report.dropped - self._said, 0)
        self._said = max(report.dropped, self._said)
        passed = report.played + report.dropped
        if passed > 0:  # before it begins its clock does not run
            self._ahead.append((report.now, ticks_to_ns(passed, self.sample_rate) - report.now))
        sent = self._written - sum(map(len, self.outbox))
        flying = min(max(sent - report.received, 0), self.sample_rate // 2)
        self._flying.append((report.now, flying))
        for kept in (self._ahead, self._flying):
            while kept and report.now - kept[0][0] > self.WINDOW:
                kept.popleft()
        self.transit = min(flying for _, flying in self._flying)
        self._last = report

    def _played_at(self, now: int) -> int:
        if not self._ahead:
            return 0 if self._last is None else self._last.played + self._last.dropped
        assert self._last is not None
        instant = min(now, self._last.now + self.STALE)
        return ns_to_ticks(instant + max(ahead for _, ahead in self._ahead), self.sample_rate)
