"""Narrow lines for the controllers of week 10: one in a formula, one in the real pipeline.

`Dumbbell` is the line of Chiu and Jain: it carries so many bits a second, and of what is more each
voice loses the same share. `Asked` puts a student's controller into `labkit.lab.adaptation`, where
RTP, RTCP and a queue are real: it passes on what RTCP reports, and asks what may be sent.

This module judges nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from labkit.checks.bench import Bench
from labkit.checks.subject import Ask, Outcome
from labkit.core.congestion import Feedback
from labkit.words.units import NS_PER_S, ms, seconds

LOWEST: Final = 16_000
HIGHEST: Final = 64_000
START: Final = 32_000
"""Bits a second: what a controller may say, and what it says first."""
REPORTS: Final = ms(500)


class Reporting:
    """A student's controller, by its name: tell it something, and read its bitrate."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench
        self.name = name
        self.handle = bench.make(name)
        self.bitrate = self._checked(bench.returned(self.handle.value("bitrate")))

    def asks(self, *args: Any) -> list[Ask]:
        """The questions of one report."""
        number = self.handle.number
        return [Ask("call", "on_report", args, number), Ask("value", "bitrate", (), number)]

    def take(self, outcomes: Sequence[Outcome]) -> float:
        """The answers to them."""
        for outcome in outcomes:
            found = self.bench.returned(outcome)
        self.bitrate = self._checked(found)
        return self.bitrate

    def report(self, *args: Any) -> float:
        """One report; the bitrate after it."""
        return self.take(self.bench.subject.ask(self.asks(*args)))

    def _checked(self, found: Any) -> float:
        number = type(found) in (int, float) and LOWEST <= found <= HIGHEST
        what = "bitrate is a number of bits a second, from 16 000 to 64 000"
        hint = "bounds" if type(found) in (int, float) and found == found else "number"
        self.bench.holds(number, what, "within the bounds", found, hint)
        return float(found)


class Shares(NamedTuple):
    """What became of some voices on one line."""

    times: list[float]
    """Seconds."""
    rates: list[list[float]]
    """Of each voice, at each time; 0 before it begins."""
    lost: float
    """The share of all that was sent."""


class Dumbbell:
    """A line of `capacity` bits a second; voice n begins at `joins[n]` nanoseconds."""

    def __init__(self, capacity: int, joins: Sequence[int]) -> None:
        self.capacity = capacity
        self.joins = joins

    def run(self, bench: Bench, name: str, duration: int = seconds(100)) -> Shares:
        """Let controllers called `name` share it, each with two reports a second."""
        voices = [Reporting(bench, name) for _ in self.joins]
        begun = [join + place * ms(37) for place, join in enumerate(self.joins)]
        times: list[float] = []
        rates: list[list[float]] = [[] for _ in voices]
        sent = gone = 0.0
        for now in range(0, duration, REPORTS):
            here = [place for place, start in enumerate(begun) if start <= now]
            total = sum(voices[place].bitrate for place in here)
            loss = max(0.0, 1 - self.capacity / total) if total else 0.0
            sent, gone = sent + total, gone + total * loss
            times.append(now / NS_PER_S)
            for place, rate in enumerate(rates):
                rate.append(voices[place].bitrate if place in here else 0.0)
            self._tell(bench, [voices[place] for place in here], loss, now)
        return Shares(times, rates, gone / sent if sent else 0.0)

    @staticmethod
    def _tell(bench: Bench, voices: Sequence[Reporting], loss: float, now: int) -> None:
        """All reports of one instant in one journey."""
        asks = [ask for voice in voices for ask in voice.asks(round(loss, 4), now)]
        outcomes = bench.subject.ask(asks)
        for place, voice in enumerate(voices):
            voice.take(outcomes[2 * place : 2 * place + 2] or outcomes[-1:])


def jain(rates: Sequence[float]) -> float:
    """Jain's index: 1 when all have the same, 1/n when one has everything."""
    squares = sum(rate**2 for rate in rates)
    return float(sum(rates) ** 2 / (len(rates) * squares)) if squares else 0.0


class Asked:
    """A student's controller where the kit's could be: it hears what RTCP says."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._theirs = Reporting(bench, name)

    @property
    def bitrate(self) -> int:
        """Bits of payload a second."""
        return int(self._theirs.bitrate)

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        """Pass on the share that was lost and the round trip."""
        if feedback.loss is not None:
            self._theirs.report(round(feedback.loss, 4), feedback.round_trip, now)
