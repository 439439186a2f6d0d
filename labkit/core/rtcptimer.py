"""When to send the next RTCP report: RFC 3550 sections 6.2 and 6.3, appendix A.7 (week 7).

Reports share five percent of the session's bandwidth, however many take part: the more members,
the rarer each one reports, but never more often than every five seconds. The time is randomised,
or members who joined together would report together for ever. The first report comes after half
the time, so that newcomers are seen soon.

When its time has come a member computes the interval once more, and waits on if it grew (section
6.3.3). That reconsideration makes gaps longer in the mean, which the division by e - 3/2 makes
good.

This module knows neither reports nor the wire. Left out is what needs a crowd: reverse
reconsideration (6.3.4) and the back-off of BYE (6.3.7) for fifty members and more.
"""

import math
from random import Random
from typing import Final

from labkit.words.units import NS_PER_S

SHARE: Final = 0.05
"""RTCP's share of the session's bandwidth (section 6.2)."""
SENDERS_SHARE: Final = 0.25
"""The share of that which is reserved to senders, as long as they are fewer than that."""
COMPENSATION: Final = math.e - 1.5
HEADERS: Final = 28
"""Bytes of IPv4 and UDP: the average counts a packet as the network does (section 6.3.3)."""


def interval(
    members: int,
    senders: int,
    bandwidth: float,
    size: float,
    minimum: int,
    *,
    we_sent: bool,
) -> float:
    """The deterministic interval in nanoseconds; `bandwidth` of RTCP and `size` in bytes."""
    if senders <= members * SENDERS_SHARE:
        bandwidth *= SENDERS_SHARE if we_sent else 1 - SENDERS_SHARE
        members = senders if we_sent else members - senders
    return max(size * members / bandwidth * NS_PER_S, minimum)


class RtcpTimer:
    """One member's clock for reports. `bandwidth` is the session's, in bits a second."""

    def __init__(self, rng: Random, minimum: int, bandwidth: int) -> None:
        self.due = 0
        """When to ask `expired`."""
        self._rng = rng
        self._minimum = minimum
        self._bandwidth = bandwidth / 8 * SHARE
        self._size = 0.0
        self._last = 0
        self._initial = True

    def start(self, now: int, members: int, senders: int, *, we_sent: bool) -> None:
        """The conversation begins."""
        self._last = now
        self.due = now + self._draw(members, senders, we_sent)

    def expired(self, now: int, members: int, senders: int, *, we_sent: bool) -> bool:
        """Whether to report now. Either way `due` moves on."""
        reconsidered = self._last + self._draw(members, senders, we_sent)
        if reconsidered > now:
            self.due = reconsidered
            return False
        self._initial = False
        self._last = now
        self.due = now + self._draw(members, senders, we_sent)
        return True

    def count(self, size: int) -> None:
        """A compound of `size` bytes was sent or received."""
        size += HEADERS
        self._size += (size - self._size) / 16 if self._size else size

    def _draw(self, members: int, senders: int, we_sent: bool) -> int:
        minimum = self._minimum // 2 if self._initial else self._minimum
        size, bandwidth = self._size, self._bandwidth
        fixed = interval(members, senders, bandwidth, size, minimum, we_sent=we_sent)
        return round(fixed * self._rng.uniform(0.5, 1.5) / COMPENSATION)
