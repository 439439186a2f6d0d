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
(`Drop.OLDEST`); of a file that must arrive whole up to the cut, the oldest (`Drop.NEWEST`).

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
        self._items: deque[tuple[T, int]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, now: int) -> T | None:
        """Queue an item; the item that was dropped for it (perhaps itself), or None."""
        items = self._items
        dropped: T | None = None
        if len(items) >= self.limit:
            self.dropped += 1
            if self.policy is Drop.NEWEST:
                return item
            dropped, _ = items.popleft()
        items.append((item, now))
        if len(items) >= self.high:
            self.congested = True
        return dropped

    def get(self) -> T | None:
        """Take the oldest item, or None when there is none."""
        if not self._items:
            return None
        item, _ = self._items.popleft()
        if len(self._items) <= self.low:
            self.congested = False
        return item

    def oldest_age(self, now: int) -> int:
        """How long the oldest item has waited, in nanoseconds; 0 when there is none."""
        return now - self._items[0][1] if self._items else 0
