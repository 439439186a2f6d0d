"""Strict priority for week 11: the rules as plain lists, and a student's scheduler beside them.

    push     into the queue of its class; False when that queue is full, and then nothing changes
    pop      the oldest of the highest class that has one, or None
    waits    of each class, how long its oldest has waited; 0 where nobody waits

A run is a script of pushes and pops, asked in one journey. Each answer is compared with the
model's, and a wrong one that people often give has a hint of its own.

`Lent` puts a student's scheduler before the kit's line, where voice and bulk traffic are real
packets: theirs are tokens of four bytes, for a scheduler need not look into a packet.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from labkit.checks.bench import Bench
from labkit.checks.plain import same
from labkit.words.units import ms, to_ms

SCHEDULER: Final = "MyPriority"


class Waiting(NamedTuple):
    """A packet in a queue."""

    packet: bytes
    now: int


class Model:
    """What the scheduler must do, as plainly as it can be said."""

    def __init__(self, classes: Sequence[Sequence[int]], limit: int) -> None:
        self.classes = classes
        self.limit = limit
        self.queues: list[list[Waiting]] = [[] for _ in range(len(classes) + 1)]
        self.dropped = 0

    def rank(self, dscp: int) -> int:
        """Which class a mark is in; the last is for all that are in none."""
        ranks = [rank for rank, marks in enumerate(self.classes) if dscp in marks]
        return ranks[0] if ranks else len(self.classes)

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Whether it is taken."""
        queue = self.queues[self.rank(dscp)]
        if len(queue) >= self.limit:
            self.dropped += 1
            return False
        queue.append(Waiting(packet, now))
        return True

    def pop(self) -> bytes | None:
        """Who goes."""
        queue = next((queue for queue in self.queues if queue), None)
        return queue.pop(0).packet if queue else None

    def waits(self, now: int) -> list[int]:
        """How long the first of each class has waited."""
        return [now - queue[0].now if queue else 0 for queue in self.queues]

    def __len__(self) -> int:
        return sum(map(len, self.queues))

    # What people do instead -------------------------------------------------------------------

    def other_pops(self) -> list[tuple[Any, str]]:
        """Wrong packets to give away, each with the name of a hint."""
        here = [queue for queue in self.queues if queue]
        if not here:
            return []
        right, others = here[0], here[1:]
        found: list[tuple[Any, str]] = [(each.packet, "fifo") for each in right[1:]]
        last = self.queues[-1]
        found += [(each.packet, "others") for each in last if last is not right]
        found += [(each.packet, "highest") for queue in others for each in queue]
        return [*found, (None, "highest")]

    def other_waits(self, now: int) -> list[tuple[Any, str]]:
        """Wrong lists of waits."""
        right = self.waits(now)
        return [
            ([now - queue[-1].now if queue else 0 for queue in self.queues], "whose"),
            ([to_ms(wait) for wait in right], "unit"),
            ([wait // ms(1) for wait in right], "unit"),
            ([queue[0].now if queue else 0 for queue in self.queues], "since"),
            ([now - queue[0].now if queue else None for queue in self.queues], "nobody"),
            (right[:-1], "classes"),
            ([wait for wait in right if wait], "nobody"),
        ]


Step = tuple[str, int, int]
"""What is done ("push" or "pop"), how many nanoseconds after the step before, DSCP."""


class Run:
    """One script, through a student's scheduler and the model."""

    def __init__(
        self, bench: Bench, classes: list[list[int]], limit: int, script: Sequence[Step]
    ) -> None:
        self.bench = bench
        self.model = Model(classes, limit)
        self.script = script
        self.start = ms(bench.rng.randrange(1000))

    def play(self, *, waits: bool = False) -> None:
        """Ask everything in one journey, then compare, step by step."""
        model, names = self.model, self._names()
        handle = self.bench.make(SCHEDULER, model.classes, model.limit)
        asks: list[tuple[Any, ...]] = []
        now = self.start
        for (what, later, dscp), name in zip(self.script, names, strict=True):
            now += later
            asks.append(("push", name, dscp, now) if what == "push" else ("pop",))
            asks.append(("waits", now) if waits else ("__len__",))
        outcomes = iter(handle.run(asks))
        now = self.start
        for (what, later, dscp), name in zip(self.script, names, strict=True):
            now += later
            found = self.bench.returned(next(outcomes))
            if what == "push":
                self._push(name, dscp, now, found)
            else:
                self._pop(now, found)
            answer = self.bench.returned(next(outcomes))
            if waits:
                self._waits(now, answer)
            else:
                self._length(answer)
        found = self.bench.returned(handle.value("dropped"))
        self.bench.equal(found, model.dropped, "dropped counts what was not taken", "dropped")

    def _names(self) -> list[bytes]:
        return [f"{place:03}".encode() for place in range(len(self.script))]

    def _push(self, name: bytes, dscp: int, now: int, found: Any) -> None:
        model = self.model
        rank = model.rank(dscp)
        there = f"{len(model.queues[rank])} of {model.limit} of its class wait"
        self.bench.step(f"push({name!r}, {dscp}, now) at {to_ms(now):.0f} ms, {there}")
        wanted = model.push(name, dscp, now)
        hint = "shared" if wanted else "full"
        what = "push says whether the packet was taken"
        self.bench.equal(found, wanted, what, hint, [(None, "says"), (not wanted, hint)])

    def _pop(self, now: int, found: Any) -> None:
        self.bench.step(f"pop() at {to_ms(now):.0f} ms, {len(self.model)} wait")
        mistakes = self.model.other_pops()
        wanted = self.model.pop()
        mistakes = [pair for pair in mistakes if not same(pair[0], wanted)]
        what = "pop gives the oldest of the highest class, or None"
        self.bench.equal(found, wanted, what, "gone", mistakes)

    def _length(self, found: Any) -> None:
        self.bench.equal(found, len(self.model), "so many wait in all", "length")

    def _waits(self, now: int, found: Any) -> None:
        self.bench.step(f"waits(now) at {to_ms(now):.0f} ms")
        wanted = self.model.waits(now)
        found = list(found) if isinstance(found, tuple) else found
        mistakes = [p for p in self.model.other_waits(now) if not same(p[0], wanted)]
        what = "of each class, how long its oldest has waited, in ns"
        self.bench.equal(found, wanted, what, "since", mistakes)


class Lent:
    """A student's scheduler where the kit's could be: before a line."""

    def __init__(self, bench: Bench, classes: list[list[int]], limit: int) -> None:
        self.bench = bench
        self.handle = bench.make(SCHEDULER, classes, limit)
        self.dropped = 0
        self._waiting: dict[bytes, bytes] = {}
        self._count = 0

    def push(self, packet: bytes, dscp: int, now: int) -> bool:
        """Ask whether it takes a token for this packet."""
        self._count += 1
        token = self._count.to_bytes(4)
        taken = self.bench.returned(self.handle.call("push", token, dscp, now))
        self.bench.holds(type(taken) is bool, "push says whether", "True or False", taken, "says")
        if taken:
            self._waiting[token] = packet
        self.dropped += not taken
        return bool(taken)

    def pop(self) -> bytes | None:
        """The packet whose token it gives."""
        token = self.bench.returned(self.handle.call("pop"))
        if token is None:
            return None
        known = type(token) is bytes and token in self._waiting
        what = "pop gives a packet that waits, each once"
        self.bench.holds(known, what, "one of those", token, "gone")
        return self._waiting.pop(token)

    def __len__(self) -> int:
        return len(self._waiting)
