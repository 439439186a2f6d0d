"""The bench: where a check speaks with the student's code, step by step, and says what it expects.

    code = bench.call("pack", 7, 960, b"sound")        a step; it must return
    bench.equal(code[:1], b"A", "the first byte is the version", hint="version")

Each step is written down as it is done, so that who fails sees the way there. The first expectation
that is not met ends the part. It names a hint of the exercise; `mistakes` are wrong values that
people often find, with a hint of their own.

This module decides no points and shows nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final, NoReturn

from labkit.checks.plain import named, same, shown
from labkit.checks.report import Finding
from labkit.checks.subject import (
    NOTEBOOK,
    Died,
    Handle,
    Missing,
    Outcome,
    Raised,
    Returned,
    Subject,
    TimedOut,
    Unfit,
)

MOST_STEPS: Final = 400
"""That are kept of one part."""

GENERAL: Final = {
    "unwritten": "Nothing is written here yet: put your code where it says so.",
    "error": "Read the line above: which value did it not expect?",
    "slow": "Is there a loop that never ends, or a wait? Code on the network's path never waits.",
    "unfit": "Return plain values: numbers, bytes, text, arrays, packets, or lists of them.",
    "missing": "Did the cell run in which it is written, and is the name spelt as the text says?",
    "died": "The process ended. Does your code leave it, or take all the memory?",
}
"""Hints that every exercise has."""


class Failed(Exception):
    """An expectation was not met. `share` of the part's points are given all the same."""

    def __init__(self, finding: Finding, share: float = 0.0, *, over: bool = False) -> None:
        super().__init__(finding.what)
        self.finding = finding
        self.share = share
        self.over = over
        """Nothing more can be asked of this subject."""


class Bench:
    """One part of an exercise, while it runs."""

    def __init__(self, subject: Subject, rng: Random, hints: Mapping[str, str]) -> None:
        self.subject = subject
        self.rng = rng
        """Everything random comes from here: the seed and the part's name decide it."""
        self.steps: list[str] = []
        self.drawing: dict[str, Any] | None = None
        self._hints = {**GENERAL, **hints}

    # Steps ------------------------------------------------------------------------------------

    def step(self, text: str) -> None:
        """Write down what is done now."""
        if len(self.steps) < MOST_STEPS:
            self.steps.append(text)

    def call(self, name: str, *args: Any, on: Handle | None = None) -> Any:
        """Call, as a step; what it returned. Whatever else happens fails the part."""
        return self.returned(self.attempt(name, *args, on=on))

    def attempt(self, name: str, *args: Any, on: Handle | None = None) -> Outcome:
        """Call, as a step, where an error may be the right answer."""
        self.step(f"{name}({', '.join(shown(arg) for arg in args)})")
        return self.subject.call(name, *args, on=on.number if on else NOTEBOOK)

    def make(self, name: str, *args: Any) -> Handle:
        """Make an object, as a step."""
        self.step(f"{name}({', '.join(shown(arg) for arg in args)})")
        made = self.subject.make(name, *args)
        return made if isinstance(made, Handle) else self.returned(made)

    def value(self, name: str) -> Any:
        """Read a value of the notebook, as a step."""
        self.step(f"look at {name}")
        return self.returned(self.subject.value(name))

    def returned(self, outcome: Outcome) -> Any:
        """The value of an outcome. Whatever else happened fails the part, in words."""
        match outcome:
            case Returned(value):
                return value
            case Raised():
                name = "unwritten" if outcome.kind == "NotImplementedError" else "error"
                self._fail_of("your code returns", "a value", str(outcome), name, outcome.where)
            case TimedOut(seconds, where):
                found = f"still running after {seconds:g} s"
                self._fail_of("your code returns in time", "an answer", found, "slow", where)
            case Unfit(what):
                self._fail_of("your code returns a plain value", "one", what, "unfit", None)
            case Missing(name, what):
                found = what or "nothing of that name"
                self._fail_of(f"there is {name}", name, found, "missing", None)
            case Died(why):
                self._fail_of("your code returns", "a value", why, "died", None)
        raise AssertionError(outcome)

    def _fail_of(self, what: str, wanted: str, found: str, hint: str, where: Any) -> NoReturn:
        finding = Finding(what, wanted, found, self._hints[hint], hint, str(where or ""))
        raise Failed(finding, over=hint in ("slow", "died"))

    # Expectations -----------------------------------------------------------------------------

    def fail(self, what: str, wanted: Any, found: Any, hint: str, share: float = 0.0) -> NoReturn:
        """This is not as expected. Text is shown as it is."""
        wanted, found = (v if isinstance(v, str) else shown(v) for v in (wanted, found))
        raise Failed(Finding(what, wanted, found, self._hints[hint], hint), share)

    def equal(
        self,
        found: Any,
        wanted: Any,
        what: str,
        hint: str,
        mistakes: Iterable[tuple[Any, str]] = (),
    ) -> None:
        """The value is exactly this one, also in its type."""
        if same(found, wanted):
            return
        idea = next((idea for wrong, idea in mistakes if same(found, wrong)), hint)
        looks = shown(found)
        if looks == shown(wanted):  # 64 and 64.0, or what differs behind the cut
            looks += f", {named(found)}"
        self.fail(what, shown(wanted), looks, idea)

    def near(
        self,
        found: Any,
        wanted: float,
        what: str,
        hint: str,
        mistakes: Sequence[tuple[float, str]] = (),
        room: float = 1e-6,
    ) -> None:
        """The value is this number, to a share of it. Wrong ones are looked for as closely."""
        if _near(found, wanted, room):
            return
        for wrong, idea in mistakes:
            if _near(found, wrong, room):
                self.fail(what, shown(wanted), shown(found), idea)
        self.fail(what, shown(wanted), shown(found), hint)

    def holds(self, condition: bool, what: str, wanted: Any, found: Any, hint: str) -> None:
        """Something that is no comparison of two values."""
        if not condition:
            self.fail(what, wanted, found, hint)

    def refused(
        self, outcome: Outcome, kind: str, what: str, hint: str, mistakes: Mapping[str, str]
    ) -> Raised:
        """It raised an error of this class; `mistakes` are hints by the class that came instead.

        "returned" is the one for an answer without an error.
        """
        if isinstance(outcome, Raised) and kind in outcome.kinds:
            return outcome
        idea = mistakes.get("returned", hint)
        if isinstance(outcome, Raised) and outcome.kind != "NotImplementedError":
            idea = next((mistakes[k] for k in outcome.kinds if k in mistakes), hint)
            found = str(outcome)
            finding = Finding(what, kind, found, self._hints[idea], idea, str(outcome.where or ""))
            raise Failed(finding)
        found = f"it returned {shown(self.returned(outcome))}"
        finding = Finding(what, kind, found, self._hints[idea], idea)
        raise Failed(finding)


def _near(found: Any, wanted: float, room: float) -> bool:
    return type(found) in (int, float) and abs(found - wanted) <= room * max(abs(wanted), 1e-9)
