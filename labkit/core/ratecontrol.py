"""How many bits a second may a voice take? Controllers, told what arrives (week 10).

    controller = adaptive()
    controller.on_feedback(feedback, now)       each time something is known
    encoder.bitrate = controller.bitrate

A controller is anything with `on_feedback` and `bitrate`: this is where a student's own fits in.

**Additive increase, multiplicative decrease** (`Aimd`) is how flows share a path without knowing of
each other (Chiu and Jain 1989; TCP's congestion avoidance, RFC 5681 section 3.1, is one). What two
flows add is equal and what they take away is a share of what they have, so with each round of both
they are nearer to having the same.

               OVERUSE                  to 0.85 of what goes through, at once
    NORMAL  ────────────>  bitrate      2 kbit/s more with each second
               UNDERUSE                 as it is

0.85 and the three words are those of draft-ietf-rmcat-gcc-02 section 5.5. The draft runs one
controller for the delay and one for the loss, and the lower rate counts. Here several detectors
judge one rate and the most careful counts, which comes to the same but for one thing: there is no
second rate that runs away while the other one rules.

One overload costs once. What a report says about packets that were sent before the last decrease
is no news, so for a round trip and the time between two reports nothing is decreased again: TCP
does the same, once for each window (RFC 6582).

A listener of a simulcast gets one of a few bitrates, not any. `Ladder` chooses, and does not climb
again and again to where it fell from.

This module knows no codec, no session and no clock.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from labkit.core.congestion import DelayDetector, Detector, Feedback, LossDetector, Signal
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_S, ms, seconds

LOWEST: Final = 16_000
"""Bits a second of Opus with which speech in the whole telephone band is still good."""
HIGHEST: Final = 64_000
"""Where more bits of Opus no longer help a voice."""
START: Final = 32_000
"""Not the highest: whoever starts above the capacity first hears the queue that this fills."""
INCREASE: Final = 2_000
"""Bits a second that are added in each second."""
DECREASE: Final = 0.85
LOOK: Final = ms(500)
"""How often to look at a queue, and how often to ask for RTCP's reports: twenty of 100 bytes in ten
seconds are 1.6 kbit/s, within RTCP's five per cent of 64 (RFC 3550 section 6.2)."""
LONGEST_STEP: Final = seconds(5)
"""More than the increase of so much time is never added at once, and an answer is not waited for
longer: it is RTCP's usual interval."""


class RateController(Protocol):
    """The face of a controller."""

    @property
    def bitrate(self) -> int:
        """Bits of payload a second that may be sent from now on."""

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        """Something is known about the path."""


class Aimd:
    """Additive increase, multiplicative decrease, by the judgement of `detectors`.

    `lowest`, `highest` and `start` are in bits a second, `increase` in bits a second for each
    second; `decrease` is the share of the rate that is kept. `BadInput` when they make no sense.
    """

    def __init__(
        self,
        *detectors: Detector,
        start: int = START,
        lowest: int = LOWEST,
        highest: int = HIGHEST,
        increase: int = INCREASE,
        decrease: float = DECREASE,
    ) -> None:
        if not 0 < lowest <= start <= highest or increase <= 0 or not 0 < decrease < 1:
            raise BadInput(
                f"a bitrate from {lowest} to {highest}, first {start}, +{increase}, x{decrease}",
                "lowest <= start <= highest, increase > 0 and 0 < decrease < 1",
            )
        self.detectors = detectors
        self.lowest = lowest
        self.highest = highest
        self.increase = increase
        self.decrease = decrease
        self.signal = Signal.NORMAL
        """What the last feedback came to."""
        self._bitrate = start
        self._last: int | None = None
        self._settled = 0  # from then on, feedback is about what was sent after the decrease

    @property
    def bitrate(self) -> int:
        """Bits of payload a second that may be sent from now on."""
        return self._bitrate

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        """Ask every detector, and act on the most alarming answer."""
        elapsed = 0 if self._last is None else min(now - self._last, LONGEST_STEP)
        self._last = now
        self.signal = max((d.judge(feedback, now) for d in self.detectors), default=Signal.NORMAL)
        if now < self._settled:
            return
        if self.signal is Signal.OVERUSE:
            through = self._bitrate
            if feedback.delivered is not None:
                through = min(through, feedback.delivered)
            self._set(int(self.decrease * through))
            answer = min(feedback.round_trip or feedback.queued, LONGEST_STEP)
            self._settled = now + elapsed + answer  # a peer may report any round trip
        elif self.signal is Signal.NORMAL:
            self._set(self._bitrate + self.increase * elapsed // NS_PER_S)

    def _set(self, bitrate: int) -> None:
        self._bitrate = min(max(bitrate, self.lowest), self.highest)


def loss_based(**options: Any) -> Aimd:
    """Reacts when packets are lost: when every queue on the path is full. Options as of `Aimd`."""
    return Aimd(LossDetector(), **options)


def delay_based(**options: Any) -> Aimd:
    """Reacts when queues grow. Beside somebody who fills them it is left with the lowest."""
    return Aimd(DelayDetector(), **options)


def adaptive(**options: Any) -> Aimd:
    """Both: the one to use."""
    return Aimd(LossDetector(), DelayDetector(), **options)


# A few bitrates instead of any -------------------------------------------------------------------

PATIENCE: Final = seconds(4)
"""How long a rendition is kept before a better one is tried."""
TRIAL: Final = seconds(30)
"""A better one that was kept so long was no mistake. Over TCP it takes half of that until the
buffers below us are full, and we see it."""
MOST_PATIENCE: Final = seconds(120)


class Ladder:
    """Chooses one of `bitrates` by what a controller allows.

    Down it goes at once, as far as need be. Up it goes after a while, one rung at a time, because
    nobody knows whether the path carries it before it is tried, and whoever listens hears each try
    that fails. So a rung that was left again within `TRIAL` makes it wait twice as long before the
    next try, up to two minutes; one that holds makes it patient no longer than at first.
    """

    def __init__(self, bitrates: Sequence[int], start: int = START) -> None:
        if not bitrates or min(bitrates) <= 0:
            raise BadInput(
                f"renditions of {list(bitrates)} bit/s", "one or more, such as 64, 32, 16"
            )
        self.bitrates = tuple(sorted(set(bitrates)))
        self.patience = PATIENCE
        self._rung = self._below(start)
        self._since: int | None = None
        self._climbed = False

    @property
    def bitrate(self) -> int:
        """The rendition to send, by its bits a second."""
        return self.bitrates[self._rung]

    def choose(self, allowed: int, now: int) -> int:
        """The rendition to send from now on, when `allowed` bits a second may be."""
        if self._since is None:
            self._since = now
        best, kept = self._below(allowed), now - self._since
        if self._climbed and kept >= TRIAL:
            self._climbed, self.patience = False, PATIENCE
        if best < self._rung:
            if self._climbed:
                self.patience = min(2 * self.patience, MOST_PATIENCE)
            self._move(best, now, climbed=False)
        elif best > self._rung and kept >= self.patience:
            self._move(self._rung + 1, now, climbed=True)
        return self.bitrate

    def _below(self, allowed: int) -> int:
        """The highest rung that is allowed, or else the lowest there is."""
        return max(sum(bitrate <= allowed for bitrate in self.bitrates) - 1, 0)

    def _move(self, rung: int, now: int, *, climbed: bool) -> None:
        self._rung, self._since, self._climbed = rung, now, climbed
