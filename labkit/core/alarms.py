"""Many deadlines, and the first of them.

A machine made of a thousand machines is asked for its deadline after everything that happens. To
ask all thousand each time would be most of its work, so it notes who wants to be woken when, and
asks only those that were touched.

A heap (Knuth, volume 3, section 5.2.3) has the first deadline at its top. One that has changed
stays in it until it gets there, or until half of the heap is such leftovers and is swept out.

This module knows no machine and no clock.
"""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, TypeVar

K = TypeVar("K")

LEFTOVERS: Final = 64
"""So many are kept without sweeping."""


class Alarms(Generic[K]):
    """When each key wants to be woken."""

    def __init__(self) -> None:
        self._due: dict[K, int] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._order = (
            count()
        )  # of two that are due at once, the first that was set; keys are never compared

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: K, due: int | None) -> None:
        """`key` wants to be woken at `due`, or with None not at all."""
        if due is None:
            self._due.pop(key, None)
        elif due != self._due.get(key):
            self._due[key] = due
            heappush(self._heap, (due, next(self._order), key))
        if len(self._heap) > 2 * len(self._due) + LEFTOVERS:
            self._heap = [entry for entry in self._heap if self._holds(entry)]
            heapify(self._heap)

    def first(self) -> int | None:
        """The first deadline."""
        heap = self._heap
        while heap and not self._holds(heap[0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now: int) -> list[K]:
        """Whose deadline has come, in order; they are forgotten until they are set again."""
        due: list[K] = []
        while (first := self.first()) is not None and first <= now:
            key = heappop(self._heap)[2]
            del self._due[key]
            due.append(key)
        return due

    def _holds(self, entry: tuple[int, int, K]) -> bool:
        return self._due.get(entry[2]) == entry[0]
