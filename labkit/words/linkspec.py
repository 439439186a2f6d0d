"""One direction of a link as a value, in the words of netem(8).

The fields of `LinkSpec` are the options of `tc netem` under their own names, and beside them two
things that a file can say and `tc` cannot: `steps` that change the link in the course of time,
and a recorded `delay_trace`.

This module reads no file and draws no random number: `labkit.words.profile` reads,
`labkit.core.impairment` does what is written here.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from labkit.words.errors import BadInput

DISTRIBUTIONS: Final = ("uniform", "normal", "pareto", "paretonormal")


class GilbertElliott(NamedTuple):
    """Loss in bursts: two states, each with its own loss (netem's `loss gemodel p r 1-h 1-k`)."""

    p: float
    """Probability of going from the good state to the bad, for each packet."""
    r: float
    """Probability of going back; 1/r is the mean length of a bad spell, in packets."""
    loss_bad: float = 1.0
    """1-h: probability of loss in the bad state."""
    loss_good: float = 0.0
    """1-k: probability of loss in the good state."""


class Reorder(NamedTuple):
    """Some packets skip the delay and so overtake others (netem's `reorder P C gap N`)."""

    probability: float
    correlation: float = 0.0
    gap: int = 1
    """Only each `gap`-th packet is a candidate."""


class Slot(NamedTuple):
    """Packets leave together when a slot opens, as on a shared radio channel (netem's `slot`)."""

    min_delay: int
    max_delay: int
    packets: int = 0
    """How many packets fit one slot; 0: any number."""
    bytes: int = 0
    """How many bytes fit one slot; 0: any number."""


class Step(NamedTuple):
    """From `at` on (nanoseconds since the link came up), the link is `spec`."""

    at: int
    spec: "LinkSpec"


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction of a link. Times in nanoseconds, probabilities 0..1, rates in bits a second."""

    delay: int = 0
    jitter: int = 0
    """What `distribution` is scaled by: half the width if uniform, about one deviation if not."""
    distribution: str = "uniform"
    delay_correlation: float = 0.0
    loss: float = 0.0
    loss_correlation: float = 0.0
    gemodel: GilbertElliott | None = None
    duplicate: float = 0.0
    reorder: Reorder | None = None
    corrupt: float = 0.0
    rate: int = 0
    """0: no limit."""
    packet_overhead: int = 0
    """Bytes that each packet takes on the line beyond its IP length; may be negative."""
    limit: int = 1000
    """How many packets wait, delayed ones included; netem's default."""
    slot: Slot | None = None
    delay_trace: str = ""
    """Name of a recorded delay trace: one delay more for each packet, from the start again."""
    delay_trace_step: int = 0
    """Move on in the trace by time, not by packet: nanoseconds for each of its lines."""
    steps: tuple[Step, ...] = ()
    repeat: int = 0
    """The steps start again after this time; 0: they happen once."""

    def __post_init__(self) -> None:
        for wrong, why in _rules(self):
            if wrong:
                raise BadInput(why)

    def at(self, elapsed: int) -> "LinkSpec":
        """What the link is like `elapsed` nanoseconds after it came up, without its steps."""
        if self.repeat:
            elapsed %= self.repeat
        spec = replace(self, steps=(), repeat=0)
        for step in self.steps:
            if step.at <= elapsed:
                spec = step.spec
        return spec


def _rules(spec: LinkSpec) -> list[tuple[bool, str]]:
    """What `tc` refuses too, and what would make no sense in time."""
    shares = [
        spec.delay_correlation,
        spec.loss,
        spec.loss_correlation,
        *(spec.gemodel or ()),
        spec.duplicate,
        *(spec.reorder or ())[:2],
        spec.corrupt,
    ]
    moments = [step.at for step in spec.steps]
    return [
        (any(not 0 <= share <= 1 for share in shares), "a probability is between 0 and 1"),
        (min(spec.delay, spec.jitter, spec.rate, spec.repeat) < 0, "nothing is less than 0"),
        (
            spec.distribution not in DISTRIBUTIONS,
            f"distribution is one of {', '.join(DISTRIBUTIONS)}, not {spec.distribution!r}",
        ),
        (
            spec.distribution != "uniform" and not (spec.delay and spec.jitter),
            "distribution needs a delay and a jitter",
        ),
        (bool(spec.gemodel and spec.loss), "loss and gemodel exclude each other"),
        (
            bool(spec.reorder and not (spec.delay or spec.delay_trace)),
            "reorder needs a delay: who is not delayed cannot be overtaken",
        ),
        (bool(spec.reorder and spec.reorder.gap < 1), "the gap of reorder is at least 1"),
        (spec.limit < 1, "limit is at least 1 packet"),
        (
            bool(spec.slot and not 0 <= spec.slot.min_delay <= spec.slot.max_delay),
            "the min_delay of slot is at most its max_delay",
        ),
        (moments != sorted(set(moments)), "each of the steps is later than the one before"),
        (
            bool(spec.repeat and (not moments or moments[-1] >= spec.repeat)),
            "repeat needs steps, and all of them before it",
        ),
        (any(step.spec.steps for step in spec.steps), "a step has no steps"),
    ]
