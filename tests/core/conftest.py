"""Two machines and a wire between them, stepped by hand.

A pair owns the time. It carries what one side sends to the other, and jumps to whatever comes
first: an arrival or a deadline. What the wire does is said by explicit lists: `lose_left={1, 3}`
loses the first and the third thing that `left` sends.
"""

import heapq
from collections.abc import Callable, Collection
from typing import Any

import pytest

from labkit.words.machine import Event
from labkit.words.units import ms

LEFT = ("10.0.0.1", 5004)
RIGHT = ("10.0.0.2", 5006)
DELAY = ms(10)


class Pair:
    """What both wires have in common: time, and a queue of what is going to happen."""

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right
        self.now = 0
        self.seen: dict[Any, list[tuple[int, Event]]] = {left: [], right: []}
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0

    def later(self, when: int, act: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, act))

    def run(self, until: int) -> None:
        """Let happen what happens up to `until`, deadlines and arrivals in their order."""
        self.settle()
        while (due := self._next()) is not None and due <= until:
            self.now = max(self.now, due)
            if self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
            else:
                for machine in (self.left, self.right):
                    machine.tick(self.now)
            self.settle()
        self.now = until

    def _next(self) -> int | None:
        times = [self.left.deadline(), self.right.deadline()]
        times += [self._queue[0][0]] if self._queue else []
        return min((t for t in times if t is not None), default=None)

    def settle(self) -> None:
        """Steps 2 and 3 for both."""
        for machine in (self.left, self.right):
            self.carry(machine)
            self.seen[machine] += [(self.now, event) for event in machine.events()]

    def carry(self, machine: Any) -> None:
        raise NotImplementedError

    def events(self, machine: Any, kind: type = Event) -> list[Any]:
        """The events of that kind, so far."""
        return [event for _, event in self.seen[machine] if isinstance(event, kind)]

    def times(self, machine: Any, kind: type) -> list[int]:
        return [now for now, event in self.seen[machine] if isinstance(event, kind)]


class DatagramPair(Pair):
    """Datagrams between `LEFT` and `RIGHT`; `delay` may be a function of sender and number."""

    def __init__(
        self,
        left: Any,
        right: Any,
        *,
        delay: int | Callable[[str, int], int] = DELAY,
        lose_left: Collection[int] = (),
        lose_right: Collection[int] = (),
        double_left: Collection[int] = (),
    ) -> None:
        super().__init__(left, right)
        self.delay = delay
        self.lost = {"left": lose_left, "right": lose_right}
        self.doubled = {"left": double_left, "right": ()}
        self.sent = {"left": 0, "right": 0}
        self.arrived: list[tuple[int, bytes, Any, Any]] = []
        """What a capture at the destination shows: time, bytes, source, destination."""

    def carry(self, machine: Any) -> None:
        side, source = ("left", LEFT) if machine is self.left else ("right", RIGHT)
        for data, destination in machine.transmits():
            self.sent[side] += 1
            number = self.sent[side]
            if number in self.lost[side]:
                continue
            delay = self.delay(side, number) if callable(self.delay) else self.delay
            for _ in range(2 if number in self.doubled[side] else 1):
                self.later(
                    self.now + delay, lambda d=data, to=destination: self.land(d, source, to)
                )

    def land(self, data: bytes, source: Any, destination: Any) -> None:
        self.arrived.append((self.now, data, source, destination))
        machine = {LEFT[0]: self.left, RIGHT[0]: self.right}[destination[0]]
        machine.receive_datagram(data, source, self.now)


class StreamPair(Pair):
    """Two byte streams, `cut` into pieces of so many bytes."""

    def __init__(self, left: Any, right: Any, *, delay: int = DELAY, cut: int = 1 << 20) -> None:
        super().__init__(left, right)
        self.delay = delay
        self.cut = cut
        self.ended: set[Any] = set()

    def carry(self, machine: Any) -> None:
        other = self.right if machine is self.left else self.left
        data = b"".join(machine.transmits())
        for start in range(0, len(data), self.cut):
            piece = data[start : start + self.cut]
            self.later(self.now + self.delay, lambda p=piece: other.receive_data(p, self.now))
        if machine.wants_close and machine not in self.ended:
            self.ended.add(machine)
            self.later(self.now + self.delay, lambda: other.receive_eof(self.now))


@pytest.fixture(scope="session")
def datagram_pair() -> type[DatagramPair]:
    """The class, since tests cannot import from here."""
    return DatagramPair


@pytest.fixture(scope="session")
def stream_pair() -> type[StreamPair]:
    """The class, since tests cannot import from here."""
    return StreamPair
