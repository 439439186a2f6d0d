"""How long a voice takes from the mouth to the ear, and how evenly its packets come.

Two delays, counted in buckets for as long as a receiver lives: the time between two arrivals, and
the **mouth-to-ear delay** (ITU-T G.114: up to 150 ms most people do not notice, above 400 ms nobody
can talk). The second needs to know when a word was spoken, and that is another machine's past. It
is known in one of two ways, and `Basis` says which:

- `SENDER_REPORT`: an RTCP sender report names a media time and the wallclock of that moment (RFC
  3550 section 6.4.1). Where both wallclocks are one, the delay is **measured**, packet by packet:
  on one machine, or between machines that NTP or PTP keeps together, and as well as these do.
- `HALF_ROUND_TRIP`: no common clock, but the transport measures its round trip. Then the delay is
  **estimated**: a packet's sound, half the round trip for a way that is taken to be as long there
  as back, and the wait in the jitter buffer, which is measured.

A report that would let packets arrive before they were sent, or `ABSURD` later, comes from another
clock than ours and is not believed. One that is wrong by less cannot be told from a slow network.
Both ways count the codec's look-ahead and, where there is one, the sound card at this end. The
sound card at the other end is not known here and is in neither.

This module knows no session, no codec and no clock.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from labkit.core.figures import Basis, Distribution
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

MOUTH_TO_EAR: Final = tuple(map(ms, (25, 50, 75, 100, 150, 200, 250, 300, 400, 600, 1000)))
"""Upper bounds of buckets. 150 and 400 ms are the limits of ITU-T G.114."""
INTERARRIVAL: Final = tuple(map(ms, (1, 5, 10, 15, 19, 21, 25, 30, 40, 60, 100, 200, 500, 1000)))
"""Upper bounds of buckets. On a quiet network frames of 20 ms fall between 19 and 21 ms."""

ABSURD: Final = seconds(10)
"""No packet is that long on its way: the clocks differ."""
EARLY: Final = ms(1)
"""How much before its sending a packet may seem to arrive: two clocks are never quite one."""
REMEMBERED: Final = 512
"""Arrivals kept until their packets are played; the oldest goes first."""


class Buckets:
    """Counts durations in buckets with fixed bounds, as a Prometheus histogram does."""

    __slots__ = ("_counts", "_total", "bounds")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0

    def add(self, duration: int) -> None:
        """Count one, in nanoseconds. A bound belongs to the bucket below it."""
        self._counts[bisect_left(self.bounds, duration)] += 1
        self._total += duration

    def snapshot(self) -> Distribution:
        """What was counted so far."""
        return Distribution(self.bounds, tuple(self._counts), self._total)


class DelayMeter:
    """Is told when packets arrive and when they are played.

    `card` is asked how long sound still takes from the playout to the air, in nanoseconds:
    whoever owns the sound card sets it.
    """

    def __init__(self) -> None:
        self.card: Callable[[], int] = lambda: 0
        self.interarrival = Buckets(INTERARRIVAL)
        self.mouth_to_ear = Buckets(MOUTH_TO_EAR)
        self.latest: int | None = None
        """The mouth-to-ear delay of the packet played last, in nanoseconds."""
        self.basis: Basis | None = None
        """How it is known."""
        self._last_arrival: int | None = None
        self._arrivals: dict[int, int] = {}  # by sequence number, in order of arrival

    def arrived(self, packet: Packet, now: int) -> None:
        """A packet came."""
        if self._last_arrival is not None:
            self.interarrival.add(now - self._last_arrival)
        self._last_arrival = now
        self._arrivals.pop(packet.seq, None)
        self._arrivals[packet.seq] = now
        if len(self._arrivals) > REMEMBERED:
            del self._arrivals[next(iter(self._arrivals))]

    def played(
        self,
        packet: Packet,
        now: int,
        *,
        sound: int,
        lookahead: int,
        spoken: int | None,
        round_trip: Callable[[], int | None],
    ) -> None:
        """A packet goes to the playout now.

        It holds `sound` ns of it, of which the first sample was `spoken` then by the sender's
        reports, on our clock; `lookahead` ns are added by the codec.
        """
        arrived = self._arrivals.pop(packet.seq, None)
        self.latest = self.basis = None
        if arrived is None:
            return
        if spoken is not None and -EARLY <= arrived - spoken - sound <= ABSURD:
            self.basis, delay = Basis.SENDER_REPORT, now - spoken
        elif (trip := round_trip()) is not None:
            self.basis, delay = Basis.HALF_ROUND_TRIP, sound + trip // 2 + now - arrived
        else:
            return
        self.latest = delay + lookahead + self.card()
        self.mouth_to_ear.add(self.latest)
