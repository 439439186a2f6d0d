"""The bounded queue of week 10, as a list and three sentences, and a student's beside it.

    put      when there is no room: what `Drop` says goes, and is told, the oldest first
    get      the oldest, or None
    lag      how long the oldest has waited; 0 when there is none

A run is a script of puts and gets, asked in one journey. Each answer is compared with the model's,
and a wrong one that people often give has a hint of its own.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from labkit.checks.bench import Bench
from labkit.checks.plain import same
from labkit.words.units import ms, to_ms

QUEUE: Final = "BoundedQueue"
OLDEST, NEWEST, KEY_POINT = "oldest", "newest", "to-key-point"


class Item(NamedTuple):
    """Something that is queued."""

    number: int
    now: int
    key_point: bool


class Model:
    """What the queue must do, as plainly as it can be said."""

    def __init__(self, limit: int, drop: str) -> None:
        self.limit = limit
        self.drop = drop
        self.items: list[Item] = []
        self.dropped = 0

    def put(self, item: Item) -> list[int]:
        """The numbers of those that go."""
        gone: list[Item] = []
        if len(self.items) < self.limit:
            self.items.append(item)
        elif self.drop == NEWEST:
            gone = [item]
        else:
            count = self.too_old(item) if self.drop == KEY_POINT else 1
            gone, self.items = self.items[:count], [*self.items[count:], item]
        self.dropped += len(gone)
        return [each.number for each in gone]

    def too_old(self, item: Item) -> int:
        """How many lie before the newest key point, of those that wait and the one that comes."""
        if item.key_point:
            return len(self.items)
        places = [at for at, each in enumerate(self.items) if each.key_point and at > 0]
        return places[-1] if places else 1

    def get(self) -> int | None:
        """The oldest."""
        return self.items.pop(0).number if self.items else None

    def lag(self, now: int) -> int:
        """How long the oldest has waited."""
        return now - self.items[0].now if self.items else 0

    # What people do instead -------------------------------------------------------------------

    def mistakes(self, item: Item) -> list[tuple[Any, str]]:
        """Wrong lists of what goes, each with the name of a hint."""
        waiting = [each.number for each in self.items]
        if len(waiting) < self.limit:
            gone = [([number], "room") for number in [*waiting, item.number]]
            return [*gone, (None, "tell"), (waiting, "room")]
        found: list[tuple[Any, str]] = [
            ([], "tell"),
            (None, "tell"),
            (waiting[0], "tell"),
            (item.number, "tell"),
            ([waiting[-1]], "newest"),
        ]
        if self.drop == KEY_POINT:
            found += self._about_key_points(item, waiting)
        return [*found, ([item.number], "side"), ([waiting[0]], "side")]

    def _about_key_points(self, item: Item, waiting: list[int]) -> list[tuple[Any, str]]:
        places = [at for at, each in enumerate(self.items) if each.key_point and at > 0]
        found: list[tuple[Any, str]] = []
        if item.key_point:
            found += [(waiting[: at + extra], "comes") for at in places[-1:] for extra in (0, 1)]
            found.append((waiting[:1], "comes"))
        elif not places:
            found += [(waiting, "none-waits"), ([item.number], "none-waits")]
        else:
            found += [(waiting[: places[0]], "which")] if len(places) > 1 else []
            found += [(waiting[: places[-1] + 1], "itself"), (waiting[:1], "all-before")]
        return found


Step = tuple[str, int, bool]
"""What is done ("put" or "get"), how many nanoseconds later than the step before, key point."""


class Run:
    """One script, through a student's queue and the model."""

    def __init__(self, bench: Bench, limit: int, drop: str, script: Sequence[Step]) -> None:
        self.bench = bench
        self.model = Model(limit, drop)
        self.script = script
        self.now = ms(bench.rng.randrange(1000))

    def play(self, *, telemetry: bool = False) -> None:
        """Ask everything in one journey, then compare, step by step."""
        limit, drop = self.model.limit, self.model.drop
        handle = self.bench.make(QUEUE, limit, drop)
        asks: list[tuple[Any, ...]] = []
        now, number = self.now, 0
        for what, later, key_point in self.script:
            now += later
            number += what == "put"
            asks.append(("put", number, now, key_point) if what == "put" else ("get",))
            asks.append(("oldest_age", now) if telemetry else ("__len__",))
        outcomes = iter(handle.run(asks))
        number = 0
        for what, later, key_point in self.script:
            self.now += later
            number += what == "put"
            item = Item(number, self.now, key_point)
            self._one(what, item, self.bench.returned(next(outcomes)))
            answer = self.bench.returned(next(outcomes))
            if telemetry:
                self._lag(answer)
            else:
                self._length(answer)
        if telemetry:
            self._counted(self.bench.returned(handle.value("dropped")))

    def _one(self, what: str, item: Item, found: Any) -> None:
        model, at = self.model, f"at {to_ms(self.now):.0f} ms"
        if what == "get":
            self.bench.step(f"get() {at}")
            newest = model.items[-1].number if model.items else None
            wanted = model.get()
            mistakes = [(newest, "order"), ([wanted], "order")] if wanted is not None else []
            hint = "left" if model.dropped else "order"
            self.bench.equal(found, wanted, "get gives the oldest, or None", hint, mistakes)
            return
        mark = ", key_point=True" if item.key_point else ""
        self.bench.step(f"put({item.number}{mark}) {at}, {len(model.items)} of {model.limit} wait")
        mistakes = model.mistakes(item)
        wanted_gone = model.put(item)
        mistakes = [pair for pair in mistakes if not same(pair[0], wanted_gone)]
        what = "put gives the list of those that were dropped"
        self.bench.equal(found, wanted_gone, what, "left", mistakes)

    def _length(self, found: Any) -> None:
        wanted = len(self.model.items)
        mistakes = [(wanted + extra, "bound") for extra in range(1, 500)]
        self.bench.equal(found, wanted, "so many wait", "left", mistakes)

    def _lag(self, found: Any) -> None:
        self.bench.step(f"oldest_age() at {to_ms(self.now):.0f} ms")
        model = self.model
        wanted = model.lag(self.now)
        mistakes: list[tuple[Any, str]] = [(0.0, "unit")]
        if model.items:
            mistakes = [
                (self.now - model.items[-1].now, "whose"),
                (wanted // ms(1), "unit"),
                (wanted / ms(1), "unit"),
                (wanted / 1e9, "unit"),
                (model.items[0].now, "age"),
            ]
        hint = "age" if model.items else "empty"
        self.bench.equal(found, wanted, "how long the oldest has waited, in ns", hint, mistakes)

    def _counted(self, found: Any) -> None:
        self.bench.step("look at dropped")
        self.bench.equal(found, self.model.dropped, "so many were dropped so far", "count")
