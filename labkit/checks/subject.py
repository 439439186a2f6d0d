"""The seam between a check and the student's code.

A check never holds anything that a student wrote. It asks a *subject*, and gets outcomes of plain
values:

    subject.call("pack", 7, 960, b"sound")             a function of the notebook
    buffer = subject.make("FixedBuffer", ms(60))       an object of a class of the notebook
    buffer.call("push", packet, now)                   a method of it
    subject.value("slowest")                           a value of the notebook

In a notebook the subject is the object itself, in this process (`InProcess`). A grader puts a
process of its own in between: there an `InProcess` answers, and the grader's subject sends the
questions through a pipe (`labkit.checks.pipe`). Only one method differs, `ask`, and it takes a row
of questions at once, so that a buffer that is pushed and pulled three thousand times costs one
journey.

Questions are answered in order, up to the first that does not return: a row of outcomes is as long
as the row of questions, or its last one is no `Returned`.

This module, `plain`, `limit`, `blame` and `pipe` are all that runs beside the student's code. They
know nothing of what is right.
"""

import contextlib
import io
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from labkit.checks.blame import Where, blame, where
from labkit.checks.limit import TimeUp, limit
from labkit.checks.plain import NotPlain, plain

NOTEBOOK: Final = 0
"""The handle of the notebook itself, among those of the objects that were made."""
TIME: Final = 5.0
"""Seconds that the student's code may take in one check, all its calls together."""
MOST_PRINTED: Final = 2000
"""Characters of what the student's code prints that are kept."""


class Ask(NamedTuple):
    """One question."""

    verb: str
    """`call` a function or method, `make` an object, read a `value`, ask if it `has` one."""
    name: str
    args: tuple[Any, ...] = ()
    on: int = NOTEBOOK
    """Whose: the handle of an object that was made, or `NOTEBOOK`."""
    into: int = NOTEBOOK
    """Of `make`: the handle that the object gets, chosen by who asks."""


class Returned(NamedTuple):
    """It returned. The only outcome after which the next question is asked."""

    value: Any


class Raised(NamedTuple):
    """It raised."""

    kinds: tuple[str, ...]
    """The names of the error's class and of those above it, the nearest first."""
    message: str
    where: Where | None
    """The student's own line."""
    fields: Mapping[str, Any]
    """Attributes of the error that are plain: `field`, `offset`, …"""

    @property
    def kind(self) -> str:
        """The name of the error's class."""
        return self.kinds[0]

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


class Unfit(NamedTuple):
    """It returned something that is no plain value; `what` says what."""

    what: str


class TimedOut(NamedTuple):
    """It took longer than it may."""

    seconds: float
    where: Where | None


class Missing(NamedTuple):
    """There is nothing of that name, or it cannot be called."""

    name: str
    what: str = ""
    """What there is instead."""


class Died(NamedTuple):
    """The process in which it ran is gone; `why` says how."""

    why: str


Outcome = Returned | Raised | Unfit | TimedOut | Missing | Died


class Subject(ABC):
    """Whom a check asks."""

    _handles = NOTEBOOK

    @abstractmethod
    def ask(self, asks: Sequence[Ask]) -> list[Outcome]:
        """Answer in order, up to the first that does not return."""

    def printed(self) -> str:
        """What the student's code has printed so far, or the beginning of it."""
        return ""

    def call(self, name: str, *args: Any, on: int = NOTEBOOK) -> Outcome:
        """Call one function, or a method of the object `on`."""
        return self.ask([Ask("call", name, args, on)])[-1]

    def value(self, name: str, on: int = NOTEBOOK) -> Outcome:
        """Read one value."""
        return self.ask([Ask("value", name, (), on)])[-1]

    def has(self, name: str, on: int = NOTEBOOK) -> bool:
        """Whether there is something of that name."""
        return self.ask([Ask("has", name, (), on)])[-1] == Returned(value=True)

    def new_handle(self) -> int:
        """A handle that no object has yet."""
        self._handles += 1
        return self._handles

    def make(self, name: str, *args: Any) -> "Handle | Outcome":
        """Make an object; a `Handle` of it, or why there is none."""
        handle = Handle(self, self.new_handle())
        outcome = self.ask([Ask("make", name, args, into=handle.number)])[-1]
        return handle if isinstance(outcome, Returned) else outcome


class Handle(NamedTuple):
    """An object on the student's side, of which this side has a number."""

    subject: Subject
    number: int

    def call(self, name: str, *args: Any) -> Outcome:
        """Call one method."""
        return self.subject.call(name, *args, on=self.number)

    def value(self, name: str) -> Outcome:
        """Read one attribute."""
        return self.subject.value(name, on=self.number)

    def has(self, name: str) -> bool:
        """Whether it has such a method or attribute."""
        return self.subject.has(name, on=self.number)

    def run(self, calls: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        """Call many methods, each given as (name, *arguments), in one journey."""
        return self.subject.ask(
            [Ask("call", name, tuple(args), self.number) for name, *args in calls]
        )


class InProcess(Subject):
    """The student's objects, by name, in this process. All calls together may take `seconds`."""

    def __init__(self, names: Mapping[str, Any], seconds: float | None = TIME) -> None:
        self._names = names
        self._seconds = seconds
        self._left = seconds
        self._objects: dict[int, Any] = {}
        self._printed = _Printed()

    def printed(self) -> str:
        """What was printed, or the beginning of it."""
        return self._printed.getvalue()

    def ask(self, asks: Sequence[Ask]) -> list[Outcome]:
        """Answer in order, up to the first that does not return."""
        outcomes: list[Outcome] = []
        begun = time.monotonic()
        try:
            with _quiet(self._printed), limit(self._left):
                for each in asks:
                    outcomes.append(self._answer(each))
                    if type(outcomes[-1]) is not Returned:
                        break
        except TimeUp as error:
            outcomes = [*outcomes[: len(asks) - 1], TimedOut(self._seconds or 0, where(error))]
        finally:
            if self._left is not None:
                self._left = max(0.0, self._left - (time.monotonic() - begun))
        return outcomes

    def _answer(self, ask: Ask) -> Outcome:
        try:
            return self._try(ask)
        except (TimeUp, KeyboardInterrupt):
            raise
        except NotPlain as error:
            return Unfit(str(error))
        except BaseException as error:  # noqa: BLE001  (SystemExit is an answer too)
            kinds, message, fields = blame(error)
            return Raised(kinds, message, where(error), fields)

    def _try(self, ask: Ask) -> Outcome:
        found = self._find(ask)
        if ask.verb == "has":
            return Returned(found is not _NOTHING)
        if found is _NOTHING:
            return Missing(ask.name)
        if ask.verb == "value":
            return Returned(plain(found))
        if not callable(found):
            return Missing(ask.name, f"{ask.name} cannot be called")
        result = found(*ask.args)
        if ask.verb == "make":
            self._objects[ask.into] = result
            return Returned(None)
        return Returned(plain(result))

    def _find(self, ask: Ask) -> Any:
        if ask.on == NOTEBOOK:
            return self._names.get(ask.name, _NOTHING)
        return getattr(self._objects[ask.on], ask.name, _NOTHING)


_NOTHING: Final = object()


class _Printed(io.StringIO):
    """Keeps the beginning of what is written."""

    def write(self, text: str) -> int:
        room = MOST_PRINTED - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


@contextlib.contextmanager
def _quiet(into: _Printed) -> Iterator[None]:
    """Three thousand calls that print are a wall: the beginning is kept for the report."""
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = into
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
