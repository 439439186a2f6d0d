"""Which packet goes next: the queues before a line that is too narrow (week 11).

    push(packet, dscp, now)  -> False: dropped        pop() -> the packet whose turn it is, or None

A line sends one packet at a time; all others wait, and a scheduler decides who goes when it is
free. There are three here, and they differ only in that:

    Fifo                first come, first served; a packet waits behind all that came before it
    StrictPriority      the first packet of the highest class that has one (RFC 3246 for EF,
                        RFC 4594 section 1.5.2); voice waits for the one packet on the line at most
    DeficitRoundRobin   in turns, and to each class its share in bytes (Shreedhar and Varghese,
                        "Efficient Fair Queuing Using Deficit Round Robin", SIGCOMM 1995)

Each class has a queue with a limit, counted in packets: what finds it full is dropped (drop-tail).

Strict priority starves: as long as there is a packet of the first class, nobody else sends, so
whoever may mark packets EF may silence everybody. Hence `Policed`: of a class only so many bits a
second get in, and the rest is dropped (RFC 3246 section 3, RFC 2475 section 2.3.3.2).

This module knows no line, no rate of a line and no packet's bytes but how many they are; a
`labkit.core.bottleneck` puts a line behind a scheduler.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from labkit.words.dscp import Dscp
from labkit.words.errors import LocalProtocolError
from labkit.words.units import NS_PER_S

LIMIT: Final = 1000
"""Packets in a queue, unless said otherwise; netem's default, and that of Linux's devices."""


class Scheduler(Protocol):
    """What every scheduler can do, a student's too."""

    @property
    def dropped(self) -> int:
        """Packets that were not taken."""

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Take a packet; False: it is dropped."""

    def pop(self) -> bytes | None:
        """Give away the packet whose turn it is."""

    def __len__(self) -> int:
        """How many packets wait."""


class Fifo:
    """One queue: first in, first out."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.dropped = 0
        self._queue: deque[bytes] = deque()

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Behind all others, whatever its mark."""
        del dscp, now
        if len(self._queue) >= self.limit:
            self.dropped += 1
            return False
        self._queue.append(packet)
        return True

    def pop(self) -> bytes | None:
        """The oldest."""
        return self._queue.popleft() if self._queue else None

    def __len__(self) -> int:
        return len(self._queue)


class StrictPriority:
    """A queue for each class; the highest that has a packet goes.

    `classes` are sets of code points, the highest first; what is in none of them goes last.
    """

    def __init__(
        self, classes: Sequence[Collection[int]] = ((Dscp.EF,),), limit: int = LIMIT
    ) -> None:
        self.queues = [Fifo(limit) for _ in (*classes, "the others")]
        self._rank = {dscp: rank for rank, marks in enumerate(classes) for dscp in marks}

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Into the queue of its class."""
        return self.queues[self._rank.get(dscp, -1)].push(packet, dscp, now)

    def pop(self) -> bytes | None:
        """From the first queue that has one."""
        for queue in self.queues:
            packet = queue.pop()
            if packet is not None:
                return packet
        return None

    @property
    def dropped(self) -> int:
        """Packets that found their queue full."""
        return sum(queue.dropped for queue in self.queues)

    def __len__(self) -> int:
        return sum(map(len, self.queues))


class DeficitRoundRobin:
    """Turns, and to each class the share of its quantum.

    `quanta` say for each code point how many bytes its class may send in a round; all the others
    together have `others`. What a class does not use up, because its next packet is too long, is
    kept for the next round (its deficit); a class with nothing to send keeps nothing.
    """

    def __init__(self, quanta: Mapping[int, int], others: int = 1500, limit: int = LIMIT) -> None:
        if min(others, *quanta.values()) < 1:
            raise LocalProtocolError("a class that may send nothing would wait for ever")
        self.dropped = 0
        self._limit = limit
        self._class_of = {dscp: index for index, dscp in enumerate(quanta, 1)}
        self._quanta = (others, *quanta.values())
        self._queues: list[deque[bytes]] = [deque() for _ in self._quanta]
        self._deficits = [0] * len(self._quanta)
        self._turns: deque[int] = deque()  # classes that have something to send, in order
        self._begun = False  # whether the first of them has its quantum of this round

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Into the queue of its class; a class that had none joins the round at its end."""
        del now
        index = self._class_of.get(dscp, 0)
        queue = self._queues[index]
        if len(queue) >= self._limit:
            self.dropped += 1
            return False
        if not queue:
            self._turns.append(index)
        queue.append(packet)
        return True

    def pop(self) -> bytes | None:
        """From the class whose turn it is, as long as its deficit lasts."""
        while self._turns:
            index = self._turns[0]
            queue = self._queues[index]
            if not self._begun:
                self._begun = True
                self._deficits[index] += self._quanta[index]
            if len(queue[0]) <= self._deficits[index]:
                packet = queue.popleft()
                self._deficits[index] -= len(packet)
                if not queue:
                    self._deficits[index] = 0
                    self._end_turn()
                return packet
            self._end_turn()
            self._turns.append(index)
        return None

    def _end_turn(self) -> None:
        self._turns.popleft()
        self._begun = False

    def __len__(self) -> int:
        return sum(map(len, self._queues))


class TokenBucket:
    """How much may pass: `rate` bits a second, and `burst` bytes at once (RFC 2697's first bucket).

    Tokens are kept as bits times nanoseconds, in integers: nothing is rounded, so over an hour not
    a bit too much passes.
    """

    def __init__(self, rate: int, burst: int) -> None:
        if rate < 1 or burst < 1:
            raise LocalProtocolError(f"a bucket of {burst} bytes at {rate} bit/s lets nothing pass")
        self.rate = rate
        self._full = burst * 8 * NS_PER_S
        self._tokens = self._full
        self._last: int | None = None

    def take(self, size: int, now: int) -> bool:
        """Whether so many bytes may pass now; if so, they are used up."""
        if self._last is not None and now > self._last:
            self._tokens = min(self._full, self._tokens + (now - self._last) * self.rate)
        self._last = now if self._last is None else max(now, self._last)
        price = size * 8 * NS_PER_S
        if price > self._tokens:
            return False
        self._tokens -= price
        return True


class Policed:
    """A scheduler behind a guard: of the marks `dscps` only what a bucket allows gets in."""

    def __init__(
        self, scheduler: Scheduler, bucket: TokenBucket, dscps: Collection[int] = (Dscp.EF,)
    ) -> None:
        self.scheduler = scheduler
        self.bucket = bucket
        self.refused = 0
        """Packets that were too many of their class."""
        self._dscps = frozenset(dscps)

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Ask the guard first, if it is one of his."""
        if dscp in self._dscps and not self.bucket.take(len(packet), now):
            self.refused += 1
            return False
        return self.scheduler.push(packet, dscp, now)

    def pop(self) -> bytes | None:
        """As the scheduler behind says."""
        return self.scheduler.pop()

    @property
    def dropped(self) -> int:
        """By the guard and by full queues."""
        return self.refused + self.scheduler.dropped

    def __len__(self) -> int:
        return len(self.scheduler)
