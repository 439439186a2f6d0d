"""What people write in week 6."""

import sys
from collections import deque
from itertools import pairwise

import numpy as np
from wrong_answers.wrong import Wrong

from labkit.words.seqnum import add16, ahead16
from labkit.words.units import ms


class Right:
    """A buffer that is right, to be spoilt in one place."""

    def __init__(self, delay):
        self.delay = delay
        self.packets = {}
        self.next = self.due = None

    def __len__(self):
        return len(self.packets)

    def begin(self, packet, now):
        if self.next is None:
            self.next, self.due = packet.seq, now + self.delay

    def push(self, packet, now):
        self.begin(packet, now)
        if ahead16(packet.seq, self.next) >= 0:
            self.packets[packet.seq] = packet

    def pull(self, now):
        if now < self.due:
            return None
        packet = self.packets.pop(self.next, None)
        self.next = add16(self.next, 1)
        return packet


class DoesNotWait(Right):
    def begin(self, packet, now):
        if self.next is None:
            self.next, self.due = packet.seq, now


class WaitsInMilliseconds(Right):
    """The delay was taken for milliseconds, and made nanoseconds once more."""

    def begin(self, packet, now):
        if self.next is None:
            self.next, self.due = packet.seq, now + ms(self.delay)


class WaitsForEachAgain(Right):
    """The clock of the first packet is set again by every later one."""

    def push(self, packet, now):
        super().push(packet, now)
        self.due = now + self.delay


class OneTurnLate(Right):
    def pull(self, now):
        return None if now <= self.due else super().pull(now)


class FirstInFirstOut(Right):
    def push(self, packet, now):
        self.begin(packet, now)
        self.packets[len(self.packets), now] = packet

    def pull(self, now):
        if now < self.due or not self.packets:
            return None
        return self.packets.pop(next(iter(self.packets)))


class WaitsForTheMissing(Right):
    def pull(self, now):
        if now < self.due or self.next not in self.packets:
            return None
        return super().pull(now)


class MovesUp(Right):
    """The smallest number that is here, whoever's turn it is."""

    def pull(self, now):
        if now < self.due or not self.packets:
            return None
        seq = min(self.packets, key=lambda seq: ahead16(seq, self.next))
        self.next = add16(seq, 1)
        return self.packets.pop(seq)


class PlaysTheLate(Right):
    def __init__(self, delay):
        super().__init__(delay)
        self.late = []

    def push(self, packet, now):
        super().push(packet, now)
        if ahead16(packet.seq, self.next) < 0:
            self.late.append(packet)

    def pull(self, now):
        packet = super().pull(now)
        if packet is None and self.late:
            return self.late.pop(0)
        return packet


class RepeatsTheLast(Right):
    """Conceals by itself: where nothing is, the last one once more."""

    last = None

    def pull(self, now):
        packet = super().pull(now)
        if packet is None:
            return self.last
        self.last = packet
        return packet


class ComparesNumbers(Right):
    def push(self, packet, now):
        self.begin(packet, now)
        if packet.seq >= self.next:
            self.packets[packet.seq] = packet


class CountsBeyond(Right):
    """Never comes back to zero."""

    def pull(self, now):
        if now < self.due:
            return None
        packet = self.packets.pop(self.next, None)
        self.next += 1
        return packet

    def push(self, packet, now):
        self.begin(packet, now)
        self.packets[packet.seq] = packet


class WrapsTooSoon(Right):
    """Off by one: a modulus of 65535."""

    def pull(self, now):
        if now < self.due:
            return None
        packet = self.packets.pop(self.next, None)
        self.next = (self.next + 1) % 65535
        return packet


class SortsByNumber(Right):
    def pull(self, now):
        if now < self.due:
            return None
        self.packets = dict(sorted(self.packets.items()))
        first = next(iter(self.packets), None)
        if first is None or first > self.next:
            self.next += 1
            return None
        self.next = first + 1
        return self.packets.pop(first)


class KeepsTheLate(Right):
    def push(self, packet, now):
        self.begin(packet, now)
        self.packets[packet.seq] = packet


class TakesAMeasureForAYes(Right):
    """`ahead16` says how far; behind is less than 0, and not false."""

    def push(self, packet, now):
        self.begin(packet, now)
        if packet.seq == self.next or ahead16(packet.seq, self.next):
            self.packets[packet.seq] = packet


class KeepsEverything(Right):
    def pull(self, now):
        if now < self.due:
            return None
        packet = self.packets.get(self.next)
        self.next = add16(self.next, 1)
        return packet


class GivesTheSound(Right):
    def pull(self, now):
        packet = super().pull(now)
        return packet and packet.payload


class DropsTheNewest(Right):
    def push(self, packet, now):
        if len(self.packets) < 2:
            super().push(packet, now)


class DropsTheOldest(Right):
    def push(self, packet, now):
        super().push(packet, now)
        if len(self.packets) > 2:
            del self.packets[next(iter(self.packets))]


def buffer(kind, part, hint):
    return Wrong("06.1", kind.__name__, part, hint, {"FixedBuffer": kind})


# 06.2 --------------------------------------------------------------------------------------------


def smoothed(transits, step, share=1 / 16):
    jitter = 0.0
    for before, after in pairwise(transits):
        jitter += (step(after - before) - jitter) * share
    return jitter


def divided_by_15(transits):
    jitter = 0.0
    for before, after in pairwise(transits):
        jitter = (15 * jitter + abs(after - before)) / 15
    return jitter


def rounds(transits):
    return round(smoothed(transits, abs))


def begins_with_the_first(transits):
    jitter = abs(transits[1] - transits[0])
    for before, after in pairwise(transits[1:]):
        jitter += (abs(after - before) - jitter) / 16
    return jitter


def only_whole_lists(transits):
    """Right on lists of the lengths that one has tried."""
    return smoothed(transits if len(transits) <= 200 else transits[:200], abs)


def jitter(mistake, hint, function, part="jitter"):
    return Wrong("06.2", mistake, part, hint, {"jitter": function})


def needed(mistake, hint, function, part="needed"):
    return Wrong("06.2", mistake, part, hint, {"delay_needed": function})


def above_the_mean(transits, percent):
    return np.percentile(transits, 100 - percent) - np.mean(transits)


# 06.3 --------------------------------------------------------------------------------------------


class Policy:
    """A policy that is right, to be spoilt in one place."""

    WINDOW, MARGIN = 250, ms(20)

    def __init__(self):
        self.recent = deque(maxlen=self.WINDOW)

    def observe(self, transit, now):
        self.recent.append(transit)

    def target(self):
        return max(self.recent) + self.MARGIN


class SaysADelay(Policy):
    """How long to wait, and not until which transit."""

    def target(self):
        return max(self.recent) - min(self.recent) + self.MARGIN


class BeginsAtZero(Policy):
    highest = 0

    def observe(self, transit, now):
        self.highest = max(self.highest * 0.99, transit)

    def target(self):
        return int(self.highest)


class SaysNothing(Policy):
    def target(self):
        self.line = max(self.recent)


class Fixed200(Policy):
    def target(self):
        return min(self.recent) + ms(200)


class MarginOf100(Policy):
    MARGIN = ms(100)


class NeverForgets(Policy):
    WINDOW = 100_000


class ForgetsSlowly(Policy):
    """A minute."""

    WINDOW = 3000


class Average(Policy):
    def target(self):
        return sum(self.recent) // len(self.recent)


class FourJitters(Policy):
    """The rule of thumb, with RFC 3550's jitter."""

    def __init__(self):
        super().__init__()
        self.last = None
        self.jitter = 0.0

    def observe(self, transit, now):
        super().observe(transit, now)
        if self.last is not None:
            self.jitter += (abs(transit - self.last) - self.jitter) / 16
        self.last = transit

    def target(self):
        return int(min(self.recent) + 4 * self.jitter)


class JitterInMilliseconds(FourJitters):
    """The jitter in milliseconds, added to nanoseconds."""

    def target(self):
        return int(sum(self.recent) / len(self.recent) + 4 * self.jitter / 1e6)


class Fixed60(Policy):
    def target(self):
        return min(self.recent) + ms(60)


class LooksAtTheLastTen(Policy):
    WINDOW, MARGIN = 10, ms(2)


class SeesTheFuture(Policy):
    """Out of the questions that the caller still has."""

    def __init__(self):
        frame = sys._getframe()
        while "asks" not in frame.f_locals:
            frame = frame.f_back
        self.coming = [ask.args[0] for ask in frame.f_locals["asks"] if ask.name == "observe"]
        self.seen = 0

    def observe(self, transit, now):
        self.seen += 1

    def target(self):
        return max(self.coming[max(0, self.seen - 10) : self.seen + 10]) + ms(5)


class TheLastOne(Policy):
    WINDOW, MARGIN = 1, 0


def policy(kind, part, hint):
    return Wrong("06.3", kind.__name__, part, hint, {"MyPolicy": kind})


WRONG = [
    buffer(DoesNotWait, "waits", "early"),
    buffer(WaitsInMilliseconds, "waits", "first"),
    buffer(WaitsForEachAgain, "waits", "first"),
    buffer(OneTurnLate, "waits", "first"),
    buffer(GivesTheSound, "waits", "packet"),
    buffer(FirstInFirstOut, "orders", "order"),
    buffer(DropsTheNewest, "orders", "order"),
    buffer(DropsTheOldest, "waits", "first"),
    buffer(WaitsForTheMissing, "holes", "hole"),
    buffer(MovesUp, "holes", "hole"),
    buffer(PlaysTheLate, "late", "late"),
    buffer(RepeatsTheLast, "holes", "twice"),
    buffer(ComparesNumbers, "wraps", "circle"),
    buffer(CountsBeyond, "wraps", "circle"),
    buffer(WrapsTooSoon, "wraps", "circle"),
    buffer(SortsByNumber, "wraps", "circle"),
    buffer(KeepsTheLate, "forgets", "leak"),
    buffer(KeepsEverything, "forgets", "leak"),
    buffer(TakesAMeasureForAYes, "forgets", "leak"),
    jitter("steps with their sign", "sign", lambda t: smoothed(t, lambda d: d)),
    jitter("the sign is dropped at the end", "sign", lambda t: abs(smoothed(t, lambda d: d))),
    jitter("the mean step", "sixteenth", lambda t: float(np.mean(np.abs(np.diff(t))))),
    jitter("an eighth", "sixteenth", lambda t: smoothed(t, abs, 1 / 8)),
    jitter("in seconds", "unit", lambda t: smoothed(t, abs) / 1000),
    jitter("in nanoseconds", "unit", lambda t: smoothed(t, abs) * 1e6),
    jitter("the standard deviation", "spread", lambda t: float(np.std(t))),
    jitter("begins with the first step", "sixteenth", begins_with_the_first),
    jitter("fifteen fifteenths", "formula", divided_by_15),
    jitter("rounded", "formula", rounds),
    jitter("never tried with more than 200", "capture", only_whole_lists, "capture"),
    needed("the transit itself", "fastest", lambda t, p: float(np.percentile(t, 100 - p))),
    needed("the slowest", "slowest", lambda t, p: max(t) - min(t)),
    needed("the other side", "side", lambda t, p: float(np.percentile(t, p)) - min(t)),
    needed("a share for a percentage", "percent",
           lambda t, p: float(np.percentile(t, 100 - p / 100)) - min(t)),
    needed("above the mean", "count", above_the_mean),
    needed("four jitters", "count", lambda t, p: 4 * smoothed(t, abs)),
    policy(SaysADelay, "clocks", "clock"),
    policy(BeginsAtZero, "clocks", "clock"),
    policy(SaysNothing, "clocks", "number"),
    policy(Fixed200, "calm", "calm"),
    policy(MarginOf100, "calm", "calm"),
    policy(Average, "rises", "rises"),
    policy(FourJitters, "score", "score"),
    policy(JitterInMilliseconds, "rises", "rises"),
    policy(Fixed60, "score", "score"),
    policy(LooksAtTheLastTen, "score", "score"),
    policy(SeesTheFuture, "score", "future"),
    policy(TheLastOne, "rises", "rises"),
    policy(NeverForgets, "sinks", "sinks"),
    policy(ForgetsSlowly, "sinks", "sinks"),
]  # fmt: skip
