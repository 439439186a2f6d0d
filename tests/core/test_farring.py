"""A queue at the other end of a network, held at its level by its reports.

The far end is played here: messages reach it late, it takes what its own clock says, and its
reports come late too.
"""

from random import Random

import numpy as np
import pytest

from labkit.core.farring import FarReport, FarRing
from labkit.core.playout import Playout
from labkit.words.units import SAMPLE_RATE, ms, seconds

FRAME, CUSHION = 960, 5760
"""20 ms and 120 ms."""


class Page:
    """What a browser does: it begins at the cushion, plays by its clock, and reports."""

    def __init__(self, ppm=0.0, least_ms=3, mean_ms=8, seed=1):
        self.rate = SAMPLE_RATE * (1 + ppm * 1e-6)
        self.late = ms(least_ms), ms(mean_ms)
        self.random = Random(seed)
        self.messages, self.reports = [], []
        self.queued = self.received = self.played = self.underruns = 0.0
        self.flowing = False
        self.due = 0
        self.levels = []

    def _delay(self, queue):
        """Late by chance, never out of order."""
        low, mean = self.late
        when = low + round(self.random.expovariate(1) * (mean - low))
        return max(when, 0), queue

    def post(self, now, samples):
        when, _ = self._delay(self.messages)
        when = max([now + when, *(w for w, _ in self.messages[-1:])])
        self.messages.append((when, samples))

    def pass_time(self, now, step):
        while self.messages and self.messages[0][0] <= now:
            samples = self.messages.pop(0)[1]
            self.queued += samples
            self.received += samples
        news = False
        if not self.flowing and self.queued >= CUSHION:
            self.flowing = news = True
        if self.flowing:
            wanted = self.rate * step / 1e9
            if wanted > self.queued:
                self.underruns += 1
                self.flowing, news = False, True
            taken = min(wanted, self.queued)
            self.queued -= taken
            self.played += taken
            self.levels.append(self.queued)
        if news or now >= self.due:
            self.due = now + ms(200)
            when = max([now + self._delay(self.reports)[0], *(w for w, _ in self.reports[-1:])])
            counts = (self.received, self.played, self.queued, self.underruns)
            self.reports.append((when, [int(count) for count in counts]))

    def reported(self, now):
        while self.reports and self.reports[0][0] <= now:
            when, counts = self.reports.pop(0)
            yield FarReport(when, *counts)


def talk(page, duration, *, stall=(0, 0), until=None):
    """Write a frame every 20 ms, but nothing during `stall`, and then all of it at once."""
    ring = FarRing(2 * SAMPLE_RATE, 1, SAMPLE_RATE)
    playout = Playout(ring, CUSHION)
    step, due = ms(5), 0
    for now in range(0, seconds(duration), step):
        page.pass_time(now, step)
        for report in page.reported(now):
            ring.report(report)
        while due <= now and not stall[0] <= now < stall[1]:
            due += ms(20)
            ring.catch_up(now)
            playout.target = CUSHION + ring.transit
            playout.write(np.zeros((FRAME, 1), np.int16), now)
            if (waiting := sum(map(len, ring.outbox))) >= 2 * FRAME:
                ring.outbox.clear()
                page.post(now, waiting)
    return ring, playout


@pytest.mark.parametrize("ppm", [0, 150, -150])
def test_the_far_queue_stays_at_its_cushion(ppm):
    """Five minutes on two clocks that disagree, with messages 8 ms late on average."""
    page = Page(ppm)
    ring, playout = talk(page, 300)
    assert page.underruns == 0
    late = page.levels[-6000:]  # the last half minute
    assert np.mean(late) / 48 == pytest.approx(120 - 15, abs=10)  # less what is on its way
    assert playout.skipped == 0
    assert playout.drift == pytest.approx(ppm, abs=20)
    assert ring.fill < SAMPLE_RATE // 2


def test_what_is_assumed_to_wait_does_wait():
    page = Page()
    ring, _ = talk(page, 20)
    assert (ring.fill - page.queued) / 48 == pytest.approx(30, abs=35)  # and what is on its way


def test_after_a_stall_it_begins_anew_and_does_not_stay_late():
    """A cell that ran for three seconds: one gap, and what was late is left out."""
    page = Page()
    ring, playout = talk(page, 30, stall=(seconds(10), seconds(13)))
    assert 1 <= ring.underruns == page.underruns <= 2
    assert playout.skipped / 48 > 2000
    assert np.mean(page.levels[-400:]) / 48 < 300


def test_who_reports_no_more_is_sent_no_more():
    """A page that was closed: two cushions and a second, whatever is written."""
    page = Page()
    page.reported = lambda now: ()
    ring, playout = talk(page, 20)
    assert ring.fill <= SAMPLE_RATE
    assert playout.skipped > 17 * SAMPLE_RATE


@pytest.mark.parametrize("value", [-5, 1 << 70])
def test_reports_that_lie_hold_nothing_and_stop_nothing(value):
    ring = FarRing(SAMPLE_RATE, 1, SAMPLE_RATE)
    ring.write(np.ones((FRAME, 1), np.int16))
    ring.report(FarReport(ms(5), value, value, value, abs(value), abs(value), abs(value)))
    ring.catch_up(ms(10))
    assert 0 <= ring.fill <= FRAME
    assert 0 <= ring.transit <= SAMPLE_RATE // 2
    assert len(ring.outbox) == 1
