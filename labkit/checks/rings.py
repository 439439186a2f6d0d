"""What week 2 expects of a ring buffer: a list with a limit, and three counts.

    row = Row(capacity=6, channels=2)
    row.write(samples); row.read(4); row.figures()

A list needs no end that joins its beginning, so it cannot have a student's mistakes. It is slow and
nobody should play sound from it. A test holds it against the kit's own ring.

This module asks no student's code.
"""

from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from labkit.lab import playback
from labkit.lab.sources import Clip

Figures = tuple[int, int, int]
"""Underruns, samples missing in them, samples dropped."""
FRAME: Final = 960


class Row:
    """A ring buffer as it should be, from outside."""

    def __init__(self, capacity: int, channels: int) -> None:
        self.capacity = capacity
        self.channels = channels
        self._waiting: list[Any] = []
        self._underruns = self._missing = self._dropped = 0
        self._flowing = self._starving = False

    def __len__(self) -> int:
        return len(self._waiting)

    def write(self, samples: Any) -> int:
        """How many were stored."""
        stored = min(len(samples), self.capacity - len(self._waiting))
        self._waiting += list(samples[:stored])
        self._dropped += len(samples) - stored
        self._flowing = self._flowing or stored > 0
        return stored

    def read(self, count: int) -> Any:
        """Shape (count, channels), zeros for what is missing."""
        out = np.zeros((count, self.channels), np.int16)
        found = self._waiting[:count]
        del self._waiting[:count]
        if found:
            out[: len(found)] = found
        if len(found) == count:
            self._starving = False
        elif self._flowing:
            self._underruns += bool(found) or not self._starving
            self._missing += count - len(found)
            self._starving = True
        return out

    def finish(self) -> None:
        """Nothing follows."""
        self._flowing = False

    def figures(self) -> Figures:
        """The three counts."""
        return self._underruns, self._missing, self._dropped


class Deed(NamedTuple):
    """Something done to a ring, what it should return, and what should be true afterwards."""

    name: str
    args: tuple[Any, ...]
    returns: Any
    waiting: int
    figures: Figures

    def __str__(self) -> str:
        told = f"{len(self.args[0])} samples" if self.name == "write" else ", ".join(
            map(str, self.args)
        )  # fmt: skip
        return f"{self.name}({told})"


class Noted(Row):
    """A row that writes down what is done to it."""

    def __init__(self, capacity: int, channels: int) -> None:
        super().__init__(capacity, channels)
        self.deeds: list[Deed] = []

    def write(self, samples: Any) -> int:
        """Also noted."""
        stored = super().write(samples)
        self._note("write", (samples,), stored)
        return stored

    def read(self, count: int) -> Any:
        """Also noted."""
        out = super().read(count)
        self._note("read", (count,), out)
        return out

    def finish(self) -> None:
        """Also noted."""
        super().finish()
        self._note("finish", (), None)

    def _note(self, name: str, args: tuple[Any, ...], returns: Any) -> None:
        self.deeds.append(Deed(name, args, returns, len(self), self.figures()))


def noise(rng: Random, length: int, channels: int) -> Any:
    """Samples of which none is zero: silence can be told from sound."""
    dice = np.random.default_rng(rng.randrange(2**32))
    return dice.integers(1, 32768, (length, channels)).astype(np.int16)


def played(voice: Any, buffer_ms: int, jitter_ms: int, seed: int) -> tuple[Noted, int]:
    """All that a producer and a sound card do to a ring while they play; and its capacity."""
    made: list[Noted] = []

    def ring(capacity: int, channels: int) -> Noted:
        made.append(Noted(capacity, channels))
        return made[0]

    playback.simulate(Clip(voice), buffer_ms, jitter_ms=jitter_ms, seed=seed, ring=ring)
    return made[0], made[0].capacity
