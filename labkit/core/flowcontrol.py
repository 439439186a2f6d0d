"""A send queue that cannot grow for ever (week 4).

A receiver that reads too slowly makes its sender's kernel buffer fill up, and then the sender has
to keep what it makes. Sound that waits grows old; a queue without a limit turns a slow reader into
an old voice and, in the end, into no memory. So this queue is bounded, and says what it drops.

    empty      low           high        limit
      +---------+-------------+------------+
                ends          begins       drops
                "congested"   "congested"  one item for each that comes

Two marks, because a queue that hovers about a single one would change its mind with every packet.

Which end is dropped is a matter of what is queued. Of live sound the newest is worth most
(`Drop.OLDEST`); of a file that must arrive whole up to the cut, the oldest (`Drop.NEWEST`). And
sometimes a cut in mid-sentence is worse than a longer one: `Drop.TO_KEY_POINT` drops everything
before the newest *key point*, an item that needs nothing before it. Of sound it is the first packet
of a talkspurt, of video a key frame: what follows a lost one could not be shown anyway.

    full:    . K . . . K . .     and one more comes
    left:              K . . .   one gap, which ends where something begins

This module knows no socket and no clock, and not what is queued.
"""

from collections import deque
from enum import Enum
from typing import Generic, TypeVar

from labkit.words.errors import LocalProtocolError

T = TypeVar("T")


class Drop(Enum):
    """What goes when the queue is full."""

    OLDEST = "oldest"
    NEWEST = "newest"
    TO_KEY_POINT = "to-key-point"
    """All before the newest key point; the oldest while no later key point waits."""


class SendQueue(Generic[T]):
    """At most `limit` items, first in, first out.

    `high` and `low` are the marks of `congested`, in items: three quarters and one quarter of the
    limit unless given.
    """

    def __init__(
        self,
        limit: int,
        policy: Drop = Drop.OLDEST,
        *,
        high: int | None = None,
        low: int | None = None,
    ) -> None:
        self.limit = limit
        self.policy = policy
        self.high = max(limit * 3 // 4, 1) if high is None else high
        self.low = self.high // 3 if low is None else low
        if not 0 <= self.low < self.high <= limit:
            raise LocalProtocolError(
                f"a queue needs 0 <= low < high <= limit, not {self.low}, {self.high}, {limit}"
            )
        self.dropped = 0
        """Items dropped so far."""
        self.congested = False
        """The wire does not keep up: `high` was reached, and `low` not yet again."""
        self._items: deque[tuple[T, int, bool]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, now: int, *, key_point: bool = False) -> list[T]:
        """Queue an item; the items that were dropped for it (perhaps itself), oldest first.

        `key_point`: whoever gets it needs nothing that came before it.
        """
        items = self._items
        dropped: list[T] = []
        if len(items) >= self.limit:
            if self.policy is Drop.NEWEST:
                self.dropped += 1
                return [item]
            dropped = [items.popleft()[0] for _ in range(self._too_old(key_point))]
            self.dropped += len(dropped)
        items.append((item, now, key_point))
        if len(items) >= self.high:
            self.congested = True
        return dropped

    def get(self) -> T | None:
        """Take the oldest item, or None when there is none."""
        if not self._items:
            return None
        item = self._items.popleft()[0]
        if len(self._items) <= self.low:
            self.congested = False
        return item

    def oldest_age(self, now: int) -> int:
        """How long the oldest item has waited, in nanoseconds; 0 when there is none."""
        return now - self._items[0][1] if self._items else 0

    def _too_old(self, key_point: bool) -> int:
        """How many items go for one that comes: at least one."""
        if self.policy is Drop.OLDEST:
            return 1
        if key_point:
            return len(self._items)
        newest = len(self._items) - 1
        while newest > 0 and not self._items[newest][2]:
            newest -= 1
        return max(newest, 1)
