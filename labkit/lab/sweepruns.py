"""The calls of a sweep: which there are, and what is measured on each, wherever it is made.

A `Plan` is a call and what shall change in it, axis by axis. `measure` makes one of its calls, in
virtual time, and returns plain numbers. A plan travels to other processes and machines as bytes,
with the student's own classes: those of a notebook or a script travel whole, by cloudpickle; those
of a module go by name, and must be there too.

What a plan measures does not depend on where: every call is made of fresh parts. (Parts that share
something behind the call's back, such as a list that belongs to the class, are the exception.)
"""

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, Final

from labkit.core.delaypolicy import Fixed
from labkit.lab.call import Call, codec_name
from labkit.lab.result import Result
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.profile import Profile
from labkit.words.units import to_ms

AXES: Final = tuple(
    f.name for f in fields(Call) if f.init and f.name not in ("seed", "name", "watch")
)
MOST: Final = 100_000
"""Calls of a sweep."""


@dataclass(frozen=True)
class Axis:
    """One thing that changes."""

    name: str
    """A field of `Call`."""
    labels: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """A call, what changes in it, and what is measured."""

    call: Call
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    measures: tuple[str, ...]

    def __len__(self) -> int:
        count = len(self.seeds)
        for axis in self.axes:
            count *= len(axis.labels)
        return count

    def labels(self) -> list[tuple[str, ...]]:
        """Every combination in order, by its labels; each has all seeds."""
        return list(product(*(axis.labels for axis in self.axes)))

    def measure(self, number: int) -> tuple[float, ...]:
        """Make one call, and measure."""
        result = self.chosen(number).simulate()
        return tuple(float(getattr(result, measure)) for measure in self.measures)

    def chosen(self, number: int) -> Call:
        """One of the calls. The seeds of a combination stand side by side."""
        number, seed = divmod(number, len(self.seeds))
        values: dict[str, Any] = {}
        for axis in reversed(self.axes):
            number, which = divmod(number, len(axis.values))
            values[axis.name] = axis.values[which]
        return replace(self.call, **values, seed=self.seeds[seed], watch=None)

    def words(self, number: int) -> str:
        """Which call that is: "policy=Fixed, link=train, seed=3"."""
        combination, seed = divmod(number, len(self.seeds))
        chosen = zip(self.axes, self.labels()[combination], strict=True)
        said = [f"{axis.name}={label}" for axis, label in chosen]
        return ", ".join([*said, f"seed={self.seeds[seed]}"])


def planned(
    call: Call, axes: Mapping[str, Any], seeds: Sequence[int], measures: Sequence[str]
) -> Plan:
    """A plan. `BadInput` for what a call does not have."""
    for name in axes:
        if name not in AXES:
            raise BadInput(f"a call has no {name!r} that could change", ", ".join(AXES))
    for measure in measures:
        if not hasattr(Result, measure) or measure.startswith("_"):
            raise BadInput(
                f"a result has no {measure!r}", "unheard, delay_ms, r, mos, stoi, bitrate"
            )
    made = tuple(_axis(name, values) for name, values in axes.items())
    plan = Plan(call, made, tuple(seeds), tuple(measures))
    if not 0 < len(plan) <= MOST:
        raise BadInput(f"that makes {len(plan)} calls", f"from 1 to {MOST:,}")
    for number in range(0, len(plan), len(plan.seeds)):
        plan.chosen(number)  # says now that no link or transport has such a name
    return plan


def _axis(name: str, given: Any) -> Axis:
    if isinstance(given, Mapping):
        return Axis(name, tuple(map(str, given)), tuple(given.values()))
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        given = [given]
    values = tuple(given)
    return Axis(name, tuple(_apart([label(value) for value in values])), values)


def label(value: Any) -> str:
    """A short name for a value."""
    if value is None or isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, Profile):
        return value.name
    if isinstance(value, Fixed):
        return f"Fixed {to_ms(value.delay):g} ms"
    if hasattr(value, "format"):
        return codec_name(value)
    return str(getattr(value, "__name__", type(value).__name__))


def _apart(labels: list[str]) -> list[str]:
    """Those that are alike get numbers."""
    return [
        each if labels.count(each) == 1 else f"{each} {labels[: number + 1].count(each)}"
        for number, each in enumerate(labels)
    ]


# On the way -------------------------------------------------------------------------------------


def packed(plan: Plan) -> bytes:
    """The plan as bytes, with the classes of a notebook in it."""
    plan = replace(plan, call=replace(plan.call, watch=None))
    try:
        import cloudpickle
    except ImportError:
        return _packed_by_name(plan)
    try:
        data: bytes = cloudpickle.dumps(plan)
    except Exception as error:
        raise BadInput(
            f"this sweep cannot go to another process ({type(error).__name__}: {error})",
            "nothing open (a file, a lock, a socket) in what changes; or processes=1",
        ) from error
    return data


def _packed_by_name(plan: Plan) -> bytes:
    """The same where there is no cloudpickle: nothing of a notebook may be in it."""
    try:
        out = io.BytesIO()
        _ByName(out).dump(plan)
        return out.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        what = f"what is written in a notebook cannot go to another process ({error})"
        remedy = "pip install 'labkit[grade]', which brings cloudpickle; or processes=1"
        raise MissingCapability(what, remedy) from error


class _ByName(pickle.Pickler):
    """Refuses what `__main__` is of: another process has another one."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type) and value.__module__ == "__main__":
            raise pickle.PicklingError(f"class {value.__name__}")
        if getattr(value, "__module__", "") == "__main__" and hasattr(value, "__qualname__"):
            raise pickle.PicklingError(value.__qualname__)
        return NotImplemented


def job(plan: bytes, numbers: Sequence[int]) -> bytes:
    """Some calls of a plan, to be made elsewhere."""
    return pickle.dumps((plan, list(numbers)))


def run(job: bytes) -> bytes:
    """Make the calls of a job: what was measured on each, or why it could not be."""
    plan_bytes, numbers = pickle.loads(job)  # noqa: S301  (our own, from `job`)
    try:
        plan: Plan = pickle.loads(plan_bytes)  # noqa: S301
    except Exception as error:  # noqa: BLE001  (a module of the student's that is not there)
        return pickle.dumps(f"{type(error).__name__}: {error}")
    found: list[tuple[float, ...] | None] = []
    for number in numbers:
        try:
            found.append(plan.measure(number))
        except Exception:  # noqa: BLE001  (it is made again where its author can see it)
            found.append(None)
    return pickle.dumps(found)
