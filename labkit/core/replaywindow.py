"""Which packets have been here before: RFC 3711 section 3.3 (week 12).

    seen or too old │ window of the newest 128 │ newest │ not yet seen
    ────────────────┼─1─1─0─1─1─1─0─1─ … ─1─1──┼───1────┼──────────────> index

A copied packet has a correct tag: authentication alone does not stop who sends it again. So a
receiver remembers the newest index and, as one bit each, which of those just before it came.

RTP carries 16 bits of the index. The rest, the rollover counter (ROC), is not sent: both sides
count how often the sequence number went through zero. `ReplayWindow.estimate` guesses the index
that is nearest to the newest one (section 3.3.1, appendix A).

Judging changes nothing. Only an authentic packet may be accepted: otherwise one forged packet with
a high number would move the window beyond all that are to come.

This module knows no key, no packet and no time. In calls libsrtp does this work; this is the same
to be read, and judged by libsrtp in the tests.
"""

from enum import Enum
from typing import Final

from labkit.words.errors import LocalProtocolError

SMALLEST: Final = 64
"""A window must not be smaller: section 3.3.2."""
USUAL: Final = 128
"""Two and a half seconds of 20 ms packets, and libsrtp's choice."""

_HALF: Final = 1 << 15
_TURN: Final = 1 << 16


class Verdict(Enum):
    """What is to be done with an index."""

    NEW = "new"
    REPLAYED = "replayed"
    """It has been here."""
    TOO_OLD = "too old"
    """Before the window: nobody remembers whether it has been here."""


class ReplayWindow:
    """The indices that one sender's packets had. `size` is how many are remembered."""

    def __init__(self, size: int = USUAL) -> None:
        if size < SMALLEST:
            raise LocalProtocolError(f"a replay window of {size}; {SMALLEST} is the least")
        self.size = size
        self.newest: int | None = None
        """The highest index accepted."""
        self._seen = 0  # bit n: whether the index `newest - n` was accepted

    @property
    def rollovers(self) -> int:
        """ROC: how often the sequence number has gone through zero."""
        return 0 if self.newest is None else divmod(self.newest, _TURN)[0]

    def estimate(self, seq: int) -> int:
        """The index of a packet with this 16-bit sequence number: the nearest to the newest."""
        if self.newest is None:
            return seq
        rollovers, newest = divmod(self.newest, _TURN)
        if newest < _HALF and seq - newest > _HALF:
            rollovers -= 1  # it was sent before the number went through zero
        elif newest >= _HALF and newest - _HALF > seq:
            rollovers += 1
        return max(rollovers, 0) * _TURN + seq  # before the first turn there was none

    def judge(self, index: int) -> Verdict:
        """Whether a packet of this index may be accepted. Changes nothing."""
        if self.newest is None or index > self.newest:
            return Verdict.NEW
        age = self.newest - index
        if age >= self.size:
            return Verdict.TOO_OLD
        return Verdict.REPLAYED if self._seen >> age & 1 else Verdict.NEW

    def accept(self, index: int) -> None:
        """Remember an index, of a packet that is new and authentic."""
        if self.judge(index) is not Verdict.NEW:
            raise LocalProtocolError(f"index {index} is {self.judge(index).value}")
        if self.newest is None or index > self.newest:
            step = self.size if self.newest is None else min(index - self.newest, self.size)
            # What is shifted out of the window is forgotten: the number never grows.
            self._seen = self._seen << step & ((1 << self.size) - 1) | 1
            self.newest = index
        else:
            self._seen |= 1 << self.newest - index
