"""How long to wait before the next attempt to connect (week 4).

A server that restarts loses all its receivers at once. If each came back after the same second,
they would all come in the same instant, again and again; so the ceiling of the wait doubles with
each failure, and the wait itself is drawn at random below the ceiling.

    failures so far        1        2        3        4            8 and more
    wait, in ms         0..100   0..200   0..400   0..800    …     0..10000

This is "exponential backoff with full jitter" in the terms of Marc Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015. Of the variants that he compares it costs clients and
server the least work; that a single client may draw a wait near zero is its price.

This module knows no clock and no socket; chance is given to it, so that a test can repeat it.
"""

from random import Random

from labkit.words.errors import LocalProtocolError
from labkit.words.units import ms, seconds


class Backoff:
    """The waits of one client. All in nanoseconds.

    `first` is the ceiling of the first wait, `factor` what it is multiplied by, `limit` what it
    never exceeds.
    """

    def __init__(
        self,
        first: int = ms(100),
        factor: float = 2,
        limit: int = seconds(10),
        rng: Random | None = None,
    ) -> None:
        if first <= 0 or factor < 1 or limit < first:
            raise LocalProtocolError("a back-off needs 0 < first <= limit and factor >= 1")
        self.first = first
        self.factor = factor
        self.limit = limit
        self.failures = 0
        """Failures since the last success."""
        self._ceiling = first
        self._rng = rng if rng is not None else Random()

    def next_delay(self) -> int:
        """An attempt failed: how long to wait before the next, in nanoseconds."""
        self.failures += 1
        delay = self._rng.randint(0, self._ceiling)
        # Step by step, and cut each time: factor ** failures would overflow after a long night.
        self._ceiling = min(round(self._ceiling * self.factor), self.limit)
        return delay

    def reset(self) -> None:
        """An attempt succeeded: the next failure is a first one again."""
        self.failures = 0
        self._ceiling = self.first
