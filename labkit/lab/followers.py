"""Who listens on: what a listener does when its connection ends, and what came of it (week 4).

    follow(Patient(), [Outage(2.0, 3.5)])             in virtual time: `labkit.lab.reconnecting`
    await follow_live(Patient(), [Outage(2.0, 3.5)])  on real sockets: `labkit.lab.restarting`

A *follower* decides one thing: how many milliseconds to wait before the next attempt to connect,
or None, to leave it at that. It is told all that a program is told by its sockets:

    opened()                 a connection is there, a new one
    received(data)           bytes have come, cut anywhere
    fin(draw)                the stream has ended                          -> ms to wait, or None
    rst(draw)                the connection was reset, or fell silent      -> ms to wait, or None
    refused(draw)            an attempt failed: nobody answers             -> ms to wait, or None

`draw` is chance, a number from 0 to 1 that is thrown for it, so that a run can be repeated. Any
object with these five will do, also yours.

This module opens nothing and knows no clock.
"""

from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from labkit.core.reconnect import Backoff
from labkit.lab.listen import Player, listen
from labkit.lab.result import Result
from labkit.wire.framing import FrameDecoder, Kind
from labkit.words.errors import BadInput
from labkit.words.units import NS_PER_MS, NS_PER_S, ms

if TYPE_CHECKING:
    from labkit.lab.show import Picture

LONGEST: Final = 60_000
"""Milliseconds that a follower may wait."""


class Death(Enum):
    """How a server goes, as a listener sees it."""

    FIN = "killed between two frames"
    MID_FRAME = "killed in mid-frame"
    RST = "reset"
    CUT = "cut off"
    """It lives, but the link to it is out: nothing comes, and nobody says so."""


@dataclass(frozen=True)
class Outage:
    """The server is gone from `begins` to `ends`, in seconds since the voice began.

    Until `busy`, if that is later than `ends`, the new one accepts and hangs up at once.
    """

    begins: float
    ends: float
    how: Death = Death.FIN
    busy: float = 0.0

    @property
    def over(self) -> float:
        """When one can listen again, in seconds."""
        return max(self.ends, self.busy)


class Follower(Protocol):
    """Decides whether and when to connect again."""

    def opened(self) -> None:
        """A connection is there."""

    def received(self, data: bytes) -> None:
        """Bytes have come."""

    def fin(self, draw: float) -> float | None:
        """The stream has ended: milliseconds to wait, or None."""

    def rst(self, draw: float) -> float | None:
        """The connection was reset: milliseconds to wait, or None."""

    def refused(self, draw: float) -> float | None:
        """An attempt failed: milliseconds to wait, or None."""


class _Drawn(Random):
    """Chance that was thrown by somebody else."""

    draw = 0.0

    def randint(self, a: int, b: int) -> int:
        """Where the draw lies between two numbers."""
        return a + round(self.draw * (b - a))


class Patient:
    """The kit's own manners: `labkit.core.reconnect`, from `first` to `limit` milliseconds."""

    def __init__(self, first: int = 100, limit: int = 1000) -> None:
        self._drawn = _Drawn()
        self._backoff = Backoff(ms(first), limit=ms(limit), rng=self._drawn)
        self.opened()

    def opened(self) -> None:
        """A new connection has a stream of its own."""
        self._decoder = FrameDecoder()
        self._goodbye = False

    def received(self, data: bytes) -> None:
        """Sound shows that the server is of use: only then is the patience new."""
        for kind, _ in self._decoder.receive(data):
            if kind is Kind.MEDIA:
                self._backoff.reset()
            elif kind is Kind.BYE:
                self._goodbye = True

    def fin(self, draw: float) -> float | None:
        """After a goodbye and a whole frame there is nothing to wait for."""
        if self._goodbye and not self._decoder.buffered and self._decoder.error is None:
            return None
        return self.refused(draw)

    def rst(self, draw: float) -> float | None:
        """After a goodbye even this is an end."""
        return None if self._goodbye else self.refused(draw)

    def refused(self, draw: float) -> float | None:
        """Below a ceiling that doubles."""
        self._drawn.draw = draw
        return self._backoff.next_delay() / NS_PER_MS


class GivesUp(Patient):
    """Takes every end for the end."""

    def fin(self, draw: float) -> float | None:
        """That was all."""

    rst = refused = fin


class Hasty(Patient):
    """Tries again at once, and again."""

    def refused(self, draw: float) -> float | None:
        """No wait at all."""
        return 0.0


@dataclass(frozen=True)
class Attempt:
    """One attempt to connect."""

    second: float
    """Since the voice began."""
    worked: bool


@dataclass
class Followed:
    """What came of it: the call, every attempt, and how long it took to be back."""

    name: str
    result: Result
    outages: tuple[Outage, ...]
    attempts: list[Attempt] = field(default_factory=list)
    sound: list[float] = field(default_factory=list)
    """When each packet of sound came, in seconds since the voice began."""
    log: list[str] = field(default_factory=list)
    """What happened to the connection, line by line."""

    @property
    def back_after(self) -> list[float | None]:
        """For each outage, the seconds from its end to the first sound; None: it never came."""
        return [
            next((at - outage.over for at in self.sound if at >= outage.over), None)
            for outage in self.outages
        ]

    def attempts_in(self, outage: Outage) -> int:
        """Attempts to connect while nobody could be listened to."""
        return sum(outage.begins <= each.second < outage.over for each in self.attempts)

    @property
    def missed(self) -> float:
        """The share of the frames that was not heard, 0 to 1."""
        return self.result.unheard

    def listen(self) -> Player:
        """What was heard, as the seconds passed."""
        return listen({self.name: self.result.aligned[:, 0]})

    def show(self) -> "Picture":
        """When there was a server, when it was looked for, and when there was sound."""
        from labkit.lab.reconnectingpicture import lifelines

        return lifelines([self])

    def __str__(self) -> str:
        afters = (b if b is None else f"after {1000 * b:.0f} ms" for b in self.back_after)
        back = ", ".join(after or "never" for after in afters)
        tried = ", ".join(str(self.attempts_in(outage)) for outage in self.outages)
        return (
            f"{self.name}: {self.missed:.1%} not heard, STOI {self.result.stoi:.2f}; "
            f"sound again: {back}; attempts meanwhile: {tried}"
        )

    __repr__ = __str__


def waited(wait: Any, name: str) -> int | None:
    """A follower's answer in nanoseconds. `BadInput` when it is none."""
    if wait is None:
        return None
    if type(wait) not in (int, float) or not 0 <= wait <= LONGEST:
        remedy = f"milliseconds from 0 to {LONGEST}, or None"
        raise BadInput(f"{name} gave {wait!r:.60}", remedy)
    return round(float(wait) * NS_PER_MS)


def in_seconds(now: int, zero: int | None) -> float:
    """Seconds since the voice began; 0 before it."""
    return 0.0 if zero is None else (now - zero) / NS_PER_S
