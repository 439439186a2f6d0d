"""Is the path full? What a sender is told of it, and two ways to judge (week 10).

A path that gets more than it carries answers in this order: its queue grows, so the delay grows;
then the queue is full, so packets are lost. A detector looks at one of the two and says one of the
three words of Google's congestion control (draft-ietf-rmcat-gcc-02 section 5.4):

    OVERUSE     more is sent than flows off
    NORMAL      nothing is wrong
    UNDERUSE    it is not the moment to change anything: a queue drains, or a little is lost

`LossDetector` is section 6 of the draft: below 2 % of loss all is well, above 10 % it is not, and
between them nothing is done, because a radio link loses a few packets without being full.

`DelayDetector` hears a full path before anything is lost. It takes the shortest round trip that it
has seen for that of the empty path (as LEDBAT does, RFC 6817 section 2.4); what a round trip takes
longer, a packet has waited. How fast that grows says how much too much is sent:

    growth of the delay = (rate in - rate out) / rate out        0.05: five per cent too much

So a straight line through the last few delays is enough, and its slope is a share (the draft finds
the same slope by a Kalman filter, from the arrival of every packet; we have only what RTCP tells).
Where a radio link shakes, the points lie beside any line, and then its slope is worth less: what
counts is the least slope that they still allow. A queue that no longer grows but stands is overuse
too, since nobody wants to hear an old voice. It delays every packet, and shaking only some, so the
shortest delay of the last few tells the two apart (as in CoDel, RFC 8289 section 3).

A round trip goes both ways. When something else fills the way back, the voice is found guilty too:
that is what a receiver that reports one-way delays (RFC 8888) would spare it.

What is known comes in a `Feedback`. Over datagrams it is made of RTCP's reception reports
(`ReportReader`). A byte stream sends no reports and loses nothing: there the queue at our own door
is the measure (`QueueReader`), and it says something only after the kernel's buffers are full. Our
own datagrams of week 5 say neither; their sender is told nothing, which is what RTCP was made for.

This module knows no clock, and not what is done about it: that is `labkit.core.ratecontrol`.
"""

from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from labkit.core.figures import ClientFigures
from labkit.core.session import Report, Stats
from labkit.words.seqnum import ahead32
from labkit.words.units import NS_PER_S, ms, seconds


class Feedback(NamedTuple):
    """What is known about the path since the feedback before. None is "not known", which is not 0.

    A tuple: one is made for every report of every listener.
    """

    loss: float | None = None
    """The share of packets that never came, 0 to 1; over a stream, that our queue dropped."""
    round_trip: int | None = None
    """In nanoseconds."""
    jitter: int | None = None
    """RFC 3550 section 6.4.1, in nanoseconds."""
    queued: int = 0
    """How long the oldest packet has waited at our own door, in nanoseconds."""
    delivered: int | None = None
    """Bits of payload a second that went through."""


class Signal(IntEnum):
    """What a detector says; the greater, the more alarming."""

    NORMAL = 0
    UNDERUSE = 1
    OVERUSE = 2


class Detector(Protocol):
    """The face of whoever judges."""

    def judge(self, feedback: Feedback, now: int) -> Signal:
        """What this feedback says, after those before it."""


# Two detectors -----------------------------------------------------------------------------------

LOSS_IS_FINE: Final = 0.02
LOSS_IS_CONGESTION: Final = 0.10
"""Section 6 of the draft has both."""


class LossDetector:
    """Judges by the share of lost packets alone. `low` = `high` makes it a plain yes or no.

    A report of half a second is about 25 packets, of which three are 12 %: that is chance, not
    congestion. So the mean of the last `reports` counts.
    """

    def __init__(
        self, low: float = LOSS_IS_FINE, high: float = LOSS_IS_CONGESTION, reports: int = 4
    ) -> None:
        self.low = low
        self.high = high
        self._last: deque[float] = deque(maxlen=reports)

    def judge(self, feedback: Feedback, now: int) -> Signal:
        """Above `high` overuse, below `low` normal."""
        if feedback.loss is None:
            return Signal.NORMAL
        self._last.append(feedback.loss)
        loss = sum(self._last) / (self._last.maxlen or 1)
        if loss > self.high:
            self._last.clear()  # what comes next is the answer to what will be done now
            return Signal.OVERUSE
        return Signal.UNDERUSE if loss >= self.low else Signal.NORMAL


GROWTH: Final = 0.05
"""The slope that counts: five per cent more is sent than flows off."""
QUIET: Final = ms(25)
"""A shorter wait is not worth a judgement: one packet of 200 bytes takes as long on 64 kbit/s."""
STANDING: Final = ms(100)
"""A longer wait is overuse even if it does not grow: LEDBAT's target (RFC 6817 section 2.5)."""
LINE: Final = 3
TREND: Final = 5
"""Points that the line goes through, at least and at most."""
DOUBTS: Final = 2
"""Standard errors by which a slope may be wrong: one line in twenty lies outside."""
JITTERS: Final = 2
"""On a path that shakes, a wait of so many times the jitter says nothing."""
MEMORY: Final = seconds(10)
"""The shortest round trip is remembered for `PERIODS` of these: a path may become longer."""
PERIODS: Final = 6


class DelayDetector:
    """Judges by how long packets wait, and by how that changes."""

    def __init__(
        self, *, growth: float = GROWTH, quiet: int = QUIET, standing: int = STANDING
    ) -> None:
        self.growth = growth
        self.quiet = quiet
        self.standing = standing
        self.waiting = 0
        """How long a packet waits, by the last feedback, in nanoseconds."""
        self.slope = 0.0
        """How fast that grew when it was last measured, in seconds a second."""
        self._shortest: deque[int] = deque(maxlen=PERIODS)
        self._period_ends = 0
        self._points: deque[tuple[int, int]] = deque(maxlen=TREND)

    def judge(self, feedback: Feedback, now: int) -> Signal:
        """Overuse when the wait grows or is long, underuse while it changes, else normal."""
        self.waiting = self._wait_on_path(feedback.round_trip, now) + feedback.queued
        self._points.append((now, self.waiting))
        quiet = max(self.quiet, JITTERS * (feedback.jitter or 0))
        if self.waiting <= quiet:
            return Signal.NORMAL
        if len(self._points) < LINE:
            return Signal.UNDERUSE
        self.slope, doubt = line(self._points)
        shortest = min(waiting for _, waiting in self._points)
        grows = self.slope - DOUBTS * doubt > self.growth
        stands = shortest > self.standing and self.slope > -self.growth
        if grows or stands:
            self._points.clear()  # what comes next is the answer to what will be done now
            return Signal.OVERUSE
        changes = abs(self.slope) > DOUBTS * doubt
        return Signal.UNDERUSE if changes or shortest > quiet else Signal.NORMAL

    def _wait_on_path(self, round_trip: int | None, now: int) -> int:
        if round_trip is None:
            return 0
        if not self._shortest or now >= self._period_ends:
            self._shortest.append(round_trip)
            self._period_ends = now + MEMORY
        self._shortest[-1] = min(self._shortest[-1], round_trip)
        return round_trip - min(self._shortest)


def line(points: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The slope of the straight line that fits best (least squares), and its standard error.

    At least three points, at different instants.
    """
    count = len(points)
    middle = sum(x for x, _ in points) / count
    height = sum(y for _, y in points) / count
    across = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - height) for x, y in points) / across
    beside = sum((y - height - slope * (x - middle)) ** 2 for x, y in points)
    return slope, (beside / (count - 2) / across) ** 0.5


# Where feedback comes from -----------------------------------------------------------------------


class ReportReader:
    """Makes feedback of the reception reports about one stream (RFC 3550 section 6.4.1).

    A report counts from the beginning; what is new in it is the difference to the one before.
    """

    def __init__(self) -> None:
        self._before: tuple[int, Report, Stats] | None = None

    def read(self, report: Report, stats: Stats, now: int) -> Feedback:
        """`stats` are of the session that sends: how large a packet was, lately, on average."""
        delivered = None
        if self._before is not None:
            then, last, sent = self._before
            lost = report.cumulative_lost - last.cumulative_lost
            arrived = max(ahead32(report.highest_seq, last.highest_seq) - lost, 0)
            octets, packets = stats.sent_octets - sent.sent_octets, stats.sent - sent.sent
            if now > then and packets > 0:
                delivered = arrived * octets * 8 * NS_PER_S // (packets * (now - then))
        self._before = now, report, stats
        loss, round_trip, jitter = report.fraction_lost, report.round_trip, report.jitter
        return Feedback(loss, round_trip, jitter, delivered=delivered)


class QueueReader:
    """Makes feedback of what waits and what is dropped at our own door."""

    def __init__(self) -> None:
        self._before: tuple[int, ClientFigures] | None = None

    def read(self, figures: ClientFigures, now: int) -> Feedback:
        """`figures` of one listener: whatever is sent, and neither waits nor was dropped, left."""
        loss = delivered = None
        if self._before is not None:
            then, last = self._before
            packets = figures.sent - last.sent
            dropped = figures.dropped - last.dropped
            left = max(packets - dropped - (figures.queued - last.queued), 0)
            if now > then and packets > 0:
                loss = min(dropped / packets, 1.0)
                octets = figures.sent_octets - last.sent_octets
                delivered = left * octets * 8 * NS_PER_S // (packets * (now - then))
        self._before = now, figures
        return Feedback(loss, queued=figures.lag, delivered=delivered)
